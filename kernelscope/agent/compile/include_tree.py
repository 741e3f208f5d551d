"""The few files that BCC and clang look for by name in a kernel's source tree.

BCC finds the tree through BCC_KERNEL_SOURCE. Everything that programs need comes from one header
generated from BTF. So the files that BCC's own helpers.h includes are empty, and linux/kconfig.h,
which BCC includes first, includes that header.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from kernelscope.agent.btf.kernel_header import version_macros
from kernelscope.agent.compile.cache import Cache
from kernelscope.agent.kernel import mounts

_EMPTY = (
    "uapi/linux/bpf.h",
    "uapi/linux/if_packet.h",
    "uapi/linux/if_ether.h",
    "uapi/linux/if_vlan.h",
    "uapi/linux/in.h",
    "uapi/linux/in6.h",
    "uapi/linux/ip.h",
    "uapi/linux/ipv6.h",
    "uapi/linux/tcp.h",
    "uapi/linux/udp.h",
    "linux/log2.h",
    "linux/types.h",
    "linux/sched.h",
    "linux/ptrace.h",
    "uapi/linux/ptrace.h",
    "asm/page.h",
    "generated/autoconf.h",
)
_KCONFIG = "#ifdef KS_HEADER\n#include KS_HEADER\n#endif\n"
# Read after helpers.h: BCC's rewriting turns table.update(...) and insert(...) into calls of the
# first, increment(...) and lookup_or_try_init(...) into calls of the second. The macros take any
# arguments, since a compound literal has commas.
_LOST = "".join(
    f"""#define {name}(...) ({{ \\
  int _ks_error = ({name})(__VA_ARGS__); \\
  if (_ks_error && _ks_error != -17 && _ks_error != -2) ks_lost_add(0); \\
  _ks_error; }})
"""
    for name in ("bpf_map_update_elem", "bpf_map_update_elem_")
)
_PRINTK = "#define bpf_printk(...) bpf_trace_printk(__VA_ARGS__)\n"


def contents() -> dict[str, str]:
    """Return the tree's files: path below its root -> text."""
    files = {f"include/{name}": "" for name in _EMPTY}
    files["include/linux/kconfig.h"] = _KCONFIG
    files["include/linux/version.h"] = version_macros()
    files["include/ks_lost.h"] = _LOST + _PRINTK
    return files


def make(cache: Cache | None, extra: dict[str, str]) -> Path:
    """Write the tree where only this user can, and return its root. Raises OSError.

    extra: more files. Without a cache, or where its disk is full, the tree is in memory and
    disappears with this process and its children.
    """
    files = {**contents(), **extra}
    if cache is not None:
        with suppress(OSError):
            return _write(cache.folder / "tree", files)
    return _write(Path(f"/proc/self/fd/{mounts.private_tmpfs()}"), files)


def _write(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if _read(path) != text:
            temporary = path.with_name(f".{path.name}.{os.getpid()}")
            temporary.write_text(text)
            temporary.replace(path)
    return root


def _read(path: Path) -> str | None:
    try:
        return path.read_text()
    except (OSError, UnicodeDecodeError):
        return None
