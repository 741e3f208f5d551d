"""Write agent/btf/data/uapi-<arch>.json: the integer macros of the kernel's UAPI headers.

For developers alone, with clang and the headers (Debian: linux-libc-dev; for another architecture
linux-libc-dev-arm64-cross). A kernel's user-space interface never changes, so the numbers hold for
every kernel; macros are evaluated by clang for the target, not copied.

    script/make-uapi-macros x86_64
    script/make-uapi-macros aarch64 --headers /usr/aarch64-linux-gnu/include
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path

DATA = Path(__file__).resolve().parents[2] / "kernelscope" / "agent" / "btf" / "data"
HEADERS = [
    "linux/types.h",
    "linux/bpf.h",
    "linux/bpf_common.h",
    "linux/bpf_perf_event.h",
    "linux/perf_event.h",
    "linux/if_ether.h",
    "linux/if_packet.h",
    "linux/if_vlan.h",
    "linux/if_arp.h",
    "linux/if.h",
    "linux/if_link.h",
    "linux/in.h",
    "linux/in6.h",
    "linux/ip.h",
    "linux/ipv6.h",
    "linux/tcp.h",
    "linux/udp.h",
    "linux/icmp.h",
    "linux/icmpv6.h",
    "linux/pkt_cls.h",
    "linux/pkt_sched.h",
    "linux/limits.h",
    "linux/fcntl.h",
    "linux/openat2.h",
    "linux/stat.h",
    "linux/fs.h",
    "linux/mount.h",
    "linux/magic.h",
    "linux/sched.h",
    "linux/sched/types.h",
    "linux/time.h",
    "linux/errno.h",
    "asm/errno.h",
    "asm/signal.h",
    "asm/unistd.h",
    "asm/ptrace.h",
    "asm/mman.h",
    "asm/socket.h",
    "linux/mman.h",
    "linux/wait.h",
    "linux/uio.h",
    "linux/un.h",
    "linux/netlink.h",
    "linux/capability.h",
    "linux/seccomp.h",
    "linux/prctl.h",
    "linux/futex.h",
    "linux/io_uring.h",
    "linux/ptrace.h",
    "linux/net.h",
    "linux/utsname.h",
    "linux/oom.h",
    "linux/eventpoll.h",
    "linux/tty.h",
    "linux/keyctl.h",
    "linux/vm_sockets.h",
    "linux/membarrier.h",
    "linux/memfd.h",
    "linux/reboot.h",
    "linux/resource.h",
]
# Words that are too common to define, and what the kernel's own types or our compat.h define.
EXCLUDED = re.compile(r"_(?!_NR_)|linux$|unix$|INT|UINT|WCHAR|SIZE_M|PTRDIFF|SIG_ATOMIC|NULL$")
# A few headers want the C library's sockaddr.
SOCKET = "#include <linux/socket.h>\nstruct sockaddr { unsigned short family; char data[14]; };\n"
IS_INTEGER = """
#define KS_INTEGER(x) _Generic((x), char: 1, signed char: 1, unsigned char: 1, short: 1, \\
    unsigned short: 1, int: 1, unsigned int: 1, long: 1, unsigned long: 1, long long: 1, \\
    unsigned long long: 1, default: 0)
"""


def clang(arch: str, headers: Path, text: str, *flags: str) -> subprocess.CompletedProcess[str]:
    """Run clang for the architecture on `text`."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "sys").mkdir()
        (folder / "sys" / "socket.h").write_text(SOCKET)
        file = folder / "macros.c"
        file.write_text(text)
        command = [
            "clang",
            f"--target={arch}-linux-gnu",
            "-nostdinc",
            f"-I{headers}",
            f"-I{folder}",
            "-w",
        ]
        if (headers / f"{arch}-linux-gnu").is_dir():
            command.append(f"-I{headers / f'{arch}-linux-gnu'}")
        command += ["-ferror-limit=0", *flags, str(file)]
        return subprocess.run(command, capture_output=True, text=True, check=False)


def candidates(arch: str, headers: Path, includes: str) -> list[str]:
    """Return the names of the macros without parameters."""
    own = clang(arch, headers, "", "-E", "-dM").stdout
    known = set(re.findall(r"^#define (\w+)", own, re.M))
    listed = clang(arch, headers, includes, "-E", "-dM")
    if listed.returncode:
        sys.exit(f"clang cannot read the headers in {headers}:\n{listed.stderr}")
    found = re.findall(r"^#define (\w+) \S", listed.stdout, re.M)
    return sorted(n for n in found if n not in known and not EXCLUDED.match(n))


def integers(arch: str, headers: Path, includes: str, names: list[str]) -> list[str]:
    """Return those of `names` whose value is an integer constant."""
    head = includes + IS_INTEGER + '#line 1 "names"\n'
    lines = [f"char ks_{n}[KS_INTEGER({n}) && __builtin_constant_p({n}) ? 1 : -1];" for n in names]
    errors = clang(arch, headers, head + "\n".join(lines) + "\n", "-fsyntax-only").stderr
    bad = {int(line) for line in re.findall(r"^names:(\d+):\d+: error", errors, re.M)}
    return [name for line, name in enumerate(names, 1) if line not in bad]


def values(arch: str, headers: Path, includes: str, names: list[str]) -> dict[str, int]:
    """Return each macro's value, read from the assembly that clang writes."""
    lines = [f"unsigned long long ks_{n} = (unsigned long long)({n}) + 1;" for n in names]
    lines += [f"unsigned char ks_neg_{n} = ({n}) < 0 ? 2 : 1;" for n in names]
    result = clang(arch, headers, includes + "\n".join(lines) + "\n", "-S", "-O0", "-o", "-")
    if result.returncode:
        sys.exit(result.stderr)
    found = re.findall(r"^ks_(\w+):\s*\n\s+\.(?:quad|xword|byte)\s+(\S+)", result.stdout, re.M)
    numbers = {name: int(text, 0) for name, text in found}
    table = {}
    for name in names:
        value = (numbers.get(name, 0) - 1) % (
            1 << 64
        )  # +1: zeros would go to .bss, without a value
        is_negative = numbers[f"neg_{name}"] == 2
        table[name] = value - (1 << 64) if is_negative else value
    return table


def main() -> None:
    """Write the data file of one architecture."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("arch", choices=["x86_64", "aarch64"])
    parser.add_argument("--headers", type=Path, default=Path("/usr/include"))
    options = parser.parse_args()
    present = [
        h
        for h in HEADERS
        if clang(
            options.arch,
            options.headers,
            f"#include <linux/types.h>\n#include <{h}>\n",
            "-fsyntax-only",
        ).returncode
        == 0
    ]
    includes = "".join(f"#include <{h}>\n" for h in present)
    names = candidates(options.arch, options.headers, includes)
    table = values(
        options.arch,
        options.headers,
        includes,
        integers(options.arch, options.headers, includes, names),
    )
    path = DATA / f"uapi-{options.arch}.json"
    path.write_text(json.dumps(table, indent=0, separators=(",", ":"), sort_keys=True) + "\n")
    skipped = sorted(set(HEADERS) - set(present))
    print(f"{path}: {len(table)} macros; headers left out: {' '.join(skipped) or 'none'}")


main()
