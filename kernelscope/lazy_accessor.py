"""Offers `df.ks` with `import kernelscope` alone, without importing pandas or the accessor.

The first use of `df.ks` imports the accessor and registers it (accessor.py).
"""

from __future__ import annotations

import sys
from typing import Any


class _LazyAccessor:
    """The attribute `ks` of DataFrame until its first use, which replaces it."""

    def __get__(self, df: Any, owner: type) -> Any:
        from kernelscope import accessor

        if owner.__dict__.get("ks") is self:
            del owner.ks  # type: ignore[attr-defined]
        accessor.register()
        return getattr(owner if df is None else df, "ks")  # noqa: B009


class _PandasFinder:
    """Finds nothing; waits for the import of pandas, to offer `df.ks` after it."""

    def find_spec(self, name: str, _path: Any = None, _target: Any = None) -> Any:
        """Return the spec of pandas with a loader that also offers `df.ks`; else None."""
        if name != "pandas":
            return None
        from importlib.util import find_spec

        sys.meta_path.remove(self)
        spec = find_spec(name)
        if spec is None or spec.loader is None:
            return spec
        execute = spec.loader.exec_module

        def execute_and_offer(module: Any) -> None:
            execute(module)
            offer()

        spec.loader.exec_module = execute_and_offer  # type: ignore[method-assign]
        return spec


def offer() -> None:
    """Give DataFrame the attribute `ks`: now, or when pandas is imported."""
    pandas = sys.modules.get("pandas")
    if pandas is None:
        sys.meta_path.insert(0, _PandasFinder())
    elif "ks" not in pandas.DataFrame.__dict__:
        pandas.DataFrame.ks = _LazyAccessor()
