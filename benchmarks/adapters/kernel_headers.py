"""Writes a stand-in for the kernel's headers, for plain bcc, where the real ones are missing.

    python3 kernel_headers.py FOLDER

prints the whole header's path. Runs under the distribution's Python, which has bcc.
"""

from __future__ import annotations

import shutil
import sys
import types
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def main() -> None:
    """Write the tree into the folder named on the command line."""
    package = types.ModuleType("kernelscope")
    package.__path__ = [str(ROOT / "kernelscope")]  # without the client's own modules
    sys.modules["kernelscope"] = package
    from kernelscope.agent.compile.toolchain import Toolchain

    toolchain = Toolchain(None)
    header = toolchain.full_header()
    folder = Path(sys.argv[1])
    shutil.copytree(toolchain.root, folder, dirs_exist_ok=True)
    print(folder / header.name)


if __name__ == "__main__":
    main()
