"""Run the load named on the command line, on request, and then wait for the end."""

from __future__ import annotations

import importlib
import json
import re
import sys
from pathlib import Path

# It is started by its path, isolated, so that nothing but the standard library is on the path. Its
# own tree comes first: an editable installation may be of another one.
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))


def area_of(load: str) -> str:
    """Return the module that has the load, without running the others."""
    for path in sorted(Path(__file__).parent.glob("*.py")):
        if re.search(rf"^def {load}\(", path.read_text(), re.MULTILINE):
            return path.stem
    raise SystemExit(f"there is no load {load}")


def main() -> None:
    """Print "ready"; at the first line run the load and print its facts; end at the second."""
    load = getattr(importlib.import_module(f"workloads.probes.{area_of(sys.argv[1])}"), sys.argv[1])
    print("ready", flush=True)
    if sys.stdin.readline():
        print(json.dumps(load(*sys.argv[2:])), flush=True)
        sys.stdin.readline()


if __name__ == "__main__":
    main()
