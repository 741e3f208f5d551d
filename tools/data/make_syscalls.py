"""Write kernelscope/tables/data/syscalls.json: system calls' numbers and names, by machine.

Reads what the C preprocessor defines for <asm/unistd.h>'s sources: x86_64's own tables, of 64-bit
and of 32-bit programs (i386), and asm-generic/unistd.h, which is aarch64's. Needs `cpp` and the
kernel's userspace headers (linux-libc-dev) of an x86_64 machine.
"""

import json
import re
import subprocess
from pathlib import Path

TARGET = Path(__file__).resolve().parents[2] / "kernelscope" / "tables" / "data" / "syscalls.json"
HEADERS = {
    "x86_64": ("asm/unistd_64.h", []),
    "i386": ("asm/unistd_32.h", []),
    "aarch64": (
        "asm-generic/unistd.h",
        [
            "__BITS_PER_LONG=64",
            "__ARCH_WANT_RENAMEAT",
            "__ARCH_WANT_NEW_STAT",
            "__ARCH_WANT_SET_GET_RLIMIT",
            "__ARCH_WANT_TIME32_SYSCALLS",
            "__ARCH_WANT_MEMFD_SECRET",
        ],
    ),
}
# Numbers that every machine shares and that this distribution's headers may not know yet.
NEWER = {
    451: "cachestat",
    452: "fchmodat2",
    453: "map_shadow_stack",
    454: "futex_wake",
    455: "futex_wait",
    456: "futex_requeue",
    457: "statmount",
    458: "listmount",
    459: "lsm_get_self_attr",
    460: "lsm_set_self_attr",
    461: "lsm_list_modules",
    462: "mseal",
    463: "setxattrat",
    464: "getxattrat",
    465: "listxattrat",
    466: "removexattrat",
    467: "open_tree_attr",
    468: "file_getattr",
    469: "file_setattr",
}


def numbers(header: str, macros: list[str]) -> dict[str, str]:
    """Return {number: name} as the header defines them."""
    command = ["cpp", "-dM", *(f"-D{macro}" for macro in macros)]
    defined = subprocess.run(
        command, input=f"#include <{header}>\n", capture_output=True, text=True, check=True
    ).stdout
    values = dict(re.findall(r"^#define (__NR\w+) (\S+)$", defined, re.MULTILINE))
    names = dict(NEWER)
    for name, value in values.items():
        while value in values:  # __NR_lseek is defined as __NR3264_lseek
            value = values[value]
        if name.startswith("__NR_") and value.isdigit():
            names[int(value)] = name.removeprefix("__NR_")
    dropped = {"syscalls", "arch_specific_syscall"}
    return {str(number): names[number] for number in sorted(names) if names[number] not in dropped}


def main() -> None:
    """Write the file."""
    tables = {machine: numbers(*source) for machine, source in HEADERS.items()}
    TARGET.write_text(json.dumps(tables, indent=0, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
