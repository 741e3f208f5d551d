"""KernelScope: ask the running Linux kernel a question, get a DataFrame back.

    import kernelscope
    bio = kernelscope.run("biolatency", duration=10)

`%load_ext kernelscope` brings %ebpf and %%ebpf into a notebook. Names are imported when first
used, so that `import kernelscope` costs next to nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from kernelscope import lazy_accessor
from kernelscope.version import __version__

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from kernelscope import errors
    from kernelscope.comparison import compare
    from kernelscope.errors import LostEventsWarning
    from kernelscope.io.read import read
    from kernelscope.io.save import save
    from kernelscope.probe.search import search
    from kernelscope.tracing.replay import replaying
    from kernelscope.tracing.run_group import Runs
    from kernelscope.tracing.session import Run, Session, open, run, start
    from kernelscope.ui.doctor import doctor
    from kernelscope.ui.listing import Listing
    from kernelscope.ui.live.open import live

__all__ = [
    "LostEventsWarning",
    "Run",
    "Runs",
    "Session",
    "__version__",
    "compare",
    "doctor",
    "errors",
    "live",
    "load_ipython_extension",
    "open",
    "probes",
    "read",
    "replaying",
    "run",
    "save",
    "search",
    "start",
]

_HOMES = {
    "LostEventsWarning": "errors",
    "Run": "tracing.session",
    "Runs": "tracing.run_group",
    "Session": "tracing.session",
    "compare": "comparison",
    "doctor": "ui.doctor",
    "live": "ui.live.open",
    "open": "tracing.session",
    "read": "io.read",
    "replaying": "tracing.replay",
    "run": "tracing.session",
    "save": "io.save",
    "search": "probe.search",
    "start": "tracing.session",
}


def probes() -> Listing:
    """List the built-in probes: name, area, summary, and whether (or why not) they run here."""
    from kernelscope.probe import catalogue
    from kernelscope.tracing import session
    from kernelscope.ui import listing

    how = "kernelscope.run(NAME) runs one; `kernelscope show NAME` describes it."
    return listing.listing(catalogue.catalogue().values(), session.default_session().check, how)


def load_ipython_extension(shell: InteractiveShell) -> None:
    """Serve `%load_ext kernelscope`."""
    from kernelscope.ui.notebook import magics

    magics.load(shell)


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        if name == "read":  # what it returns has df.ks, without a run before
            import_module("kernelscope.accessor").register()
        value = getattr(import_module(f"kernelscope.{_HOMES[name]}"), name)
    elif name == "errors":
        value = import_module("kernelscope.errors")
    else:
        raise AttributeError(f"module 'kernelscope' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)


lazy_accessor.offer()
