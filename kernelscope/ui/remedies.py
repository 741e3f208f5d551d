"""The commands that install or enable what a machine lacks, for each family of distributions.

The family comes from /etc/os-release (ID and ID_LIKE, os-release(5)).
"""

from __future__ import annotations

import platform
from collections.abc import Mapping

FAMILIES = {
    "debian": "Debian, Ubuntu",
    "fedora": "Fedora",
    "arch": "Arch",
    "alpine": "Alpine",
    "conda": "conda",
}
_LIKE = {"ubuntu": "debian", "rhel": "fedora", "centos": "fedora", "archlinux": "arch"}
_NO_CONDA = "conda has no bcc package: install the distribution's"
_PACKAGES = "ipython ipywidgets matplotlib numpy pandas pyarrow traitlets"

# requirement -> family -> command; a plain text is for every family.
REMEDIES: Mapping[str, str | Mapping[str, str]] = {
    "bcc": {
        "debian": "sudo apt-get install python3-bpfcc",
        "fedora": "sudo dnf install python3-bcc",
        "arch": "sudo pacman -S python-bcc",
        "alpine": "sudo apk add py3-bcc",
        "conda": _NO_CONDA,
    },
    "btf": {
        "debian": "install a stock kernel: sudo apt-get install linux-image-amd64 "
        "(Ubuntu: linux-image-generic), then reboot",
        "fedora": "install a stock kernel: sudo dnf install kernel, then reboot",
        "arch": "install a stock kernel: sudo pacman -S linux, then reboot",
        "alpine": "install a stock kernel: sudo apk add linux-lts, then reboot",
        "conda": "boot a kernel built with CONFIG_DEBUG_INFO_BTF=y",
    },
    "python": {
        "debian": "sudo apt-get install python3 python3-venv",
        "fedora": "sudo dnf install python3",
        "arch": "sudo pacman -S python",
        "alpine": "sudo apk add python3",
        "conda": "conda install 'python>=3.11'",
    },
    "packages": {
        **dict.fromkeys(
            ("debian", "fedora", "arch", "alpine"), f"python3 -m pip install --upgrade {_PACKAGES}"
        ),
        "conda": f"conda install -c conda-forge {_PACKAGES}",
    },
    "sudo": {
        "debian": "su -c 'apt-get install sudo' (then a sudoers line), or run as root",
        "fedora": "su -c 'dnf install sudo' (then a sudoers line), or run as root",
        "arch": "su -c 'pacman -S sudo' (then a sudoers line), or run as root",
        "alpine": "su -c 'apk add sudo' (then a sudoers line), or run as root",
        "conda": "run as root, or through sudo",
    },
    "container": "start the container with --privileged, or with --cap-add SYS_ADMIN "
    "--cap-add BPF --cap-add PERFMON --cap-add SYS_PTRACE --security-opt seccomp=unconfined",
    "capabilities": "run as root, or with CAP_BPF, CAP_PERFMON and CAP_DAC_READ_SEARCH",
    "tracefs": "sudo mount -t tracefs tracefs /sys/kernel/tracing",
    "lockdown": "boot without lockdown=confidentiality on the kernel's command line "
    "(or with Secure Boot off)",
    "newer kernel": "install a newer kernel from the distribution, then reboot",
    "linux": "run it on Linux; recordings open anywhere: kernelscope.open(FILE)",
}


def family() -> str:
    """Return the family of this machine's distribution; "debian" if it is unknown."""
    try:
        release = platform.freedesktop_os_release()
    except OSError:
        return "debian"
    for name in (release.get("ID", ""), *release.get("ID_LIKE", "").split()):
        found = _LIKE.get(name, name)
        if found in FAMILIES:
            return found
    return "debian"


def commands(requirement: str, first: str | None = None) -> dict[str, str]:
    """Return the command by family for a requirement, this machine's family first.

    A remedy that is the same everywhere has the key "any". Raises KeyError.
    """
    remedy = REMEDIES[requirement]
    if isinstance(remedy, str):
        return {"any": remedy}
    mine = first or family()
    return {name: remedy[name] for name in sorted(remedy, key=lambda name: name != mine)}
