"""Write docs/errors.md: the work of script/make-errors."""

from __future__ import annotations

import platform
import subprocess
import sys
import tempfile
from pathlib import Path

from kernelscope.tracing.session import Session
from tools.docs.bad_inputs import CASES, answer, new_shell, title, typed

ROOT = Path(__file__).resolve().parents[2]

_HEAD = """# Errors for common mistakes

Written by `script/make-errors` from `tests/bad_inputs/bad_inputs.toml`, on Linux {release}; tests
run each one. In Python the same errors are raised, with their class, `hint` and `details`.
"""


def _gone() -> str:
    process = subprocess.Popen(["/bin/true"])
    process.wait()
    return str(process.pid)


def main() -> int:
    """Run every bad input through the magics and write the errors."""
    parts = [_HEAD.format(release=platform.release().partition("-")[0])]
    gone = _gone()
    with Session() as session, tempfile.TemporaryDirectory() as folder:
        shell = new_shell(session)
        for case in CASES:
            text = typed(case)
            filled = text.replace("{gone}", gone).replace("{folder}", folder)
            error, shown = answer(shell, filled)
            if error != case["error"]:
                sys.stderr.write(f"{case['name']}: {error or 'no error'}\n")
                return 1
            shown = shown.replace(gone, "PID").replace(folder, "FOLDER")
            asked = text.replace("{gone}", "PID").replace("{folder}", "FOLDER")
            if "\n" not in case.get("cell", ""):
                asked = asked.partition("\n")[0]  # the C is valid, and not of interest
            lines = (line.rstrip() for line in shown.strip().splitlines())
            answered = "\n".join(lines)
            parts.append(
                f"## {title(case)}\n\n```c\n{asked.strip()}\n```\n\n```text\n{answered}\n```\n"
            )
    (ROOT / "docs" / "errors.md").write_text("\n".join(parts), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
