"""The command line, as `kernelscope` or `python -m kernelscope`."""

from __future__ import annotations

import gc
import sys

from kernelscope.ui.cli import early_agent


def main() -> int:
    """Run the command line that this process was started with; return its exit code."""
    agent = early_agent.launched(sys.argv[1:])
    from kernelscope.ui.cli import main as cli

    if agent is not None:
        from kernelscope.tracing.session import default_session

        default_session().expect(agent)
    code = cli.main()
    gc.freeze()  # the interpreter's last search for garbage takes longer than all of its end
    return code


if __name__ == "__main__":
    sys.exit(main())
