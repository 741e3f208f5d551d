"""Compiled objects as plain JSON values, for the cache."""

from __future__ import annotations

import base64
from dataclasses import asdict
from typing import Any

from kernelscope.agent.compiled import Function, MapSpec, Object
from kernelscope.protocol.program import Layout

_PLAIN = ("params", "license", "kernel_version", "printk", "counts_losses", "header", "warnings")


def dump(obj: Object) -> dict[str, Any]:
    """Return the object as plain JSON values (it must hold no fds)."""
    entry: dict[str, Any] = {name: getattr(obj, name) for name in _PLAIN}
    entry["rings"] = list(obj.rings)
    entry["printk_formats"] = list(obj.printk_formats)
    entry["substituted"] = list(obj.substituted)
    entry["maps"] = [asdict(spec) for spec in obj.maps]
    entry["layouts"] = [layout.to_json() for layout in obj.layouts]
    entry["functions"] = [
        {
            "name": function.name,
            "code": base64.b64encode(function.code).decode(),
            "maps": [list(use) for use in function.maps],
        }
        for function in obj.functions
    ]
    return entry


def load(entry: dict[str, Any]) -> Object | None:
    """Rebuild an object, None where `entry` is not one."""
    try:
        functions = tuple(
            Function(
                item["name"],
                base64.b64decode(item["code"], validate=True),
                tuple((int(index), str(name)) for index, name in item["maps"]),
            )
            for item in entry["functions"]
        )
        return Object(
            functions=functions,
            maps=tuple(MapSpec(**item) for item in entry["maps"]),
            layouts=tuple(Layout.from_json(item) for item in entry["layouts"]),
            rings=tuple(entry["rings"]),
            printk_formats=tuple(entry["printk_formats"]),
            substituted=tuple(entry["substituted"]),
            cached=True,
            **{name: entry[name] for name in _PLAIN},
        )
    except (KeyError, TypeError, ValueError):
        return None
