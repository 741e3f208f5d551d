"""Loads a probe from its two files, NAME.toml and NAME.c, and checks every key.

Raises ProbeSpecError with the file and the key. An unknown key is an error: a misspelt one must not
be ignored.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

from kernelscope.errors import ProbeSpecError, did_you_mean
from kernelscope.probe.column_kinds import COLUMN_KINDS
from kernelscope.probe.model import (
    Check,
    Column,
    HookSpec,
    Overhead,
    Parameter,
    Plot,
    Probe,
    TableSpec,
)

PARAMETER_KINDS = (
    "integer", "float", "flag", "choice", "text", "duration", "size", "disk",
    "hook", "format", "condition",
)  # fmt: skip
DISCLOSES = ("counts", "names", "contents")
PLOT_KINDS = ("histogram", "heatmap", "bars", "timeseries", "flamegraph", "percentiles", "table")
_NAME = re.compile(r"[a-z][a-z0-9_]*\Z")
# Required of a built-in probe; defaults for a custom one.
_CUSTOM_DEFAULTS: Mapping[str, Any] = {
    "area": "own",
    "discloses": "contents",
    "overhead": {"level": "medium", "note": "Not measured."},
    "check": {"load": "none", "events": 0, "expect": "nothing"},
    "example": "",
}


class _Keys:
    """One TOML table, whose keys are taken one by one; `finish` rejects the rest."""

    def __init__(self, data: Any, file: Path, where: str = "") -> None:
        self.file = file
        self.where = where
        if not isinstance(data, dict):
            self.refuse("", "must be a table")
        self.data = dict(data)
        self.known: list[str] = []

    def refuse(self, key: str, why: str) -> NoReturn:
        path = ".".join(part for part in (self.where, key) if part)
        raise ProbeSpecError(f"{self.file}: {path} {why}", file=str(self.file), key=path)

    def take(self, key: str, kind: type | tuple[type, ...], default: Any = ...) -> Any:
        self.known.append(key)
        value = self.data.pop(key, default)
        if value is ...:
            self.refuse(key, "is missing")
        if value is not default and (not isinstance(value, kind) or _is_stray_bool(value, kind)):
            self.refuse(key, f"must be {_kind_name(kind)}")
        return value

    def text(self, key: str, default: Any = ...) -> str:
        value = str(self.take(key, str, default)).strip()
        if default is ... and not value:
            self.refuse(key, "must not be empty")
        return value

    def name(self, key: str) -> str:
        value = self.text(key)
        if not _NAME.match(value):
            self.refuse(key, f"{value!r} is not a name in lower case")
        return value

    def choice(self, key: str, among: Sequence[str], default: Any = ...) -> str:
        value = self.text(key, default)
        if value not in among:
            self.refuse(key, f"{value!r} is not one of: {', '.join(among)}")
        return value

    def number(self, key: str, default: Any = ...) -> Any:
        value = self.take(key, (int, float), default)
        if value is not None and not -1e15 <= value <= 1e15:  # TOML has nan and inf
            self.refuse(key, "must be a number up to 10^15")
        return value

    def texts(self, key: str, default: Any = ...) -> tuple[str, ...]:
        value = self.take(key, list, default)
        if not all(isinstance(item, str) and item.strip() for item in value):
            self.refuse(key, "must be a list of texts")
        return tuple(value)

    def tables(self, key: str, read: Callable[[_Keys], Any], *, least: int) -> tuple[Any, ...]:
        items = self.take(key, list, [])
        if len(items) < least:
            self.refuse(key, f"is missing (at least {least})")
        result = []
        for index, item in enumerate(items):
            keys = _Keys(item, self.file, f"{self.where}{'.' if self.where else ''}{key}[{index}]")
            result.append(read(keys))
            keys.finish()
        return tuple(result)

    def table(self, key: str, read: Callable[[_Keys], Any]) -> Any:
        keys = _Keys(self.take(key, dict), self.file, key)
        result = read(keys)
        keys.finish()
        return result

    def finish(self) -> None:
        for key in self.data:
            close = did_you_mean(key, self.known)
            self.refuse(key, "is not known" + (f"; did you mean {close[0]}?" if close else ""))


def _is_stray_bool(value: Any, kind: type | tuple[type, ...]) -> bool:
    kinds = kind if isinstance(kind, tuple) else (kind,)
    return isinstance(value, bool) and bool not in kinds


def _kind_name(kind: type | tuple[type, ...]) -> str:
    names = {str: "text", list: "a list", dict: "a table", bool: "true or false"}
    return "a number" if isinstance(kind, tuple) else names[kind]


def load(path: Path, *, own: bool = False) -> Probe:
    """Load the probe that `path` (its .toml) describes, with the C next to it.

    own: a custom probe, in any folder, which needs only a summary, hooks and tables.
    """
    source = path.with_suffix(".c")
    data = _read_toml(path)
    if own:
        data = {"description": data.get("summary", ""), **_CUSTOM_DEFAULTS, **data}
    keys = _Keys(data, path)
    try:
        text = source.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ProbeSpecError(
            f"{source}: cannot be read: {error}", file=str(source), key=""
        ) from error
    probe = _probe(keys, path, text, own)
    keys.finish()
    _check_references(probe, keys)
    return probe


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ProbeSpecError(f"{path}: {error}", file=str(path), key="") from error


def _probe(keys: _Keys, path: Path, source: str, own: bool) -> Probe:
    area = keys.name("area")
    if area != path.parent.name and not own:
        keys.refuse("area", f"is {area!r}, but the folder is {path.parent.name!r}")
    if not _NAME.match(path.stem):
        keys.refuse("", f"{path.stem!r} is not a probe's name in lower case")
    duration = float(keys.number("duration_s", 10))
    if duration <= 0:
        keys.refuse("duration_s", "must be more than 0")
    return Probe(
        name=path.stem,
        area=area,
        summary=keys.text("summary"),
        description=keys.text("description"),
        source=source,
        path=path,
        hooks=keys.tables("hook", _hook, least=1),
        parameters=keys.tables("parameter", _parameter, least=0),
        tables=keys.tables("table", table_spec, least=1),
        plots=keys.tables("plot", _plot, least=0),
        overhead=keys.table("overhead", _overhead),
        caveats=keys.texts("caveats", []),
        check=keys.table("check", _check),
        example=str(keys.take("example", str)).rstrip(),
        filters=keys.choice("filters", ("task", "code", "none"), "task"),
        duration_s=duration,
        keywords=keys.texts("keywords", []),
        answers=keys.texts("answers", []),
        tools=keys.texts("tools", []),
        discloses=keys.choice("discloses", DISCLOSES),
    )


def _hook(keys: _Keys) -> HookSpec:
    any_of = keys.texts("any_of")
    if not any_of:
        keys.refuse("any_of", "must name at least one hook")
    optional = keys.take("optional", bool, False)
    return HookSpec(keys.text("function"), any_of, optional, _choices(keys))


def _parameter(keys: _Keys) -> Parameter:
    kind = keys.choice("kind", PARAMETER_KINDS)
    parameter = Parameter(
        name=keys.name("name"),
        kind=kind,
        help=keys.text("help"),
        default=keys.take("default", (str, int, float, bool), None),
        passed=keys.choice("passed", ("param", "define", "client"), "param"),
        minimum=keys.number("minimum", None),
        maximum=keys.number("maximum", None),
        choices=keys.texts("choices", []),
        unit=keys.text("unit", ""),
        hooks=keys.texts("hooks", []),
        example=keys.text("example", ""),
        discloses=keys.choice("discloses", ("", *DISCLOSES), ""),
    )
    if (kind == "hook") != bool(parameter.hooks and parameter.example):
        keys.refuse("hooks", 'needs an example and kind "hook", and no other kind may have it')
    if (kind == "choice") != bool(parameter.choices):
        keys.refuse("choices", 'are required for kind "choice" and allowed for no other')
    if kind == "choice" and parameter.default not in (None, *parameter.choices):
        keys.refuse("default", "is not one of the choices")
    if kind == "float" and parameter.passed == "param":
        keys.refuse("passed", "cannot be 'param' for a float: BPF has no floating point")
    return parameter


def table_spec(keys: _Keys) -> TableSpec:
    """Read one [[table]]."""
    spec = TableSpec(
        name=keys.name("name"),
        map=keys.text("map"),
        columns=keys.tables("column", _column, least=1),
        help=keys.text("help", ""),
        sort=keys.texts("sort", []),
        formatted=keys.text("formatted", ""),
        when=_choices(keys),
    )
    names = [column.name for column in spec.columns]
    for name in names:
        if names.count(name) > 1:
            keys.refuse("column", f"names {name!r} twice")
    return spec


def tables_from_json(data: Any, file: Path) -> tuple[TableSpec, ...]:
    """Read the tables in a recording (as `dataclasses.asdict` wrote them)."""
    keys = _Keys({"table": data}, file, "")
    specs: tuple[TableSpec, ...] = keys.tables("table", _recorded_table, least=0)
    return specs


def _recorded_table(keys: _Keys) -> TableSpec:
    columns = keys.data.pop("columns", [])
    keys.data["column"] = columns
    return table_spec(keys)


# Columns that mean the same in every probe: the name is enough. A probe may
# override any key.
STANDARD_COLUMNS: Mapping[str, Mapping[str, str]] = {
    "time": {"field": "at_ns", "kind": "time", "help": "When it happened"},
    "pid": {"kind": "pid", "help": "The process"},
    "tid": {"kind": "tid", "help": "The thread"},
    "ppid": {"kind": "pid", "help": "The parent process"},
    "uid": {"kind": "uid", "help": "Its user"},
    "comm": {"kind": "text", "help": "The thread's name"},
    "error": {
        "field": "result",
        "kind": "errno",
        "help": "Why it failed; empty where it did not",
    },
    "duration_us": {
        "field": "duration_ns",
        "kind": "duration",
        "unit": "us",
        "help": "The time that it took",
    },
    "local_address": {
        "field": "local",
        "kind": "ip",
        "family": "family",
        "help": "Address of this end",
    },
    "local_port": {"kind": "port", "help": "Port of this end"},
    "remote_address": {
        "field": "remote",
        "kind": "ip",
        "family": "family",
        "help": "Address of the other end",
    },
    "remote_port": {"kind": "port", "help": "Port of the other end"},
    "count": {"field": "value", "kind": "count", "help": "How many"},
    "user_stack": {"kind": "user_stack", "help": "The program's functions, root first"},
    "kernel_stack": {"kind": "kernel_stack", "help": "The kernel's functions, root first"},
}


def _column(keys: _Keys) -> Column:
    if "kind" not in keys.data:
        keys.data = {**STANDARD_COLUMNS.get(str(keys.data.get("name")), {}), **keys.data}
    kind = keys.choice("kind", tuple(COLUMN_KINDS))
    return Column(
        name=keys.text("name"),
        kind=kind,
        field=keys.text("field", ""),
        unit=keys.text("unit", ""),
        help=keys.text("help", ""),
        scale=float(keys.number("scale", 1.0)),
        names=_enum_names(keys),
        family=keys.text("family", ""),
        enum=keys.name("enum") if kind == "btf_enum" else keys.text("enum", ""),
        prefix=keys.text("prefix", ""),
        until_time=keys.take("until_time", bool, False),
        when=_choices(keys),
    )


def _choices(keys: _Keys) -> dict[str, list[str]]:
    when: Mapping[str, Any] = keys.take("when", dict, {})
    for name, choices in when.items():
        if not isinstance(choices, list) or not all(isinstance(item, str) for item in choices):
            keys.refuse(f"when.{name}", "must be a list of the parameter's choices")
    return dict(when)


def _enum_names(keys: _Keys) -> dict[int, str]:
    names: Mapping[str, Any] = keys.take("names", dict, {})
    try:
        return {int(number, 0): str(word) for number, word in names.items()}
    except ValueError:
        keys.refuse("names", "must map numbers to words")


def _plot(keys: _Keys) -> Plot:
    return Plot(
        kind=keys.choice("kind", PLOT_KINDS),
        table=keys.text("table", ""),
        x=keys.text("x", ""),
        y=keys.text("y", ""),
        by=keys.text("by", ""),
        value=keys.text("value", ""),
        top=int(keys.number("top", 20)),
        title=keys.text("title", ""),
    )


def _overhead(keys: _Keys) -> Overhead:
    cost = keys.number("ns_per_event", None)
    return Overhead(
        level=keys.choice("level", ("low", "medium", "high")),
        ns_per_event=None if cost is None else float(cost),
        note=keys.text("note", ""),
    )


def _check(keys: _Keys) -> Check:
    return Check(
        load=keys.text("load"),
        events=int(keys.number("events")),
        expect=keys.text("expect"),
        arguments=keys.texts("arguments", []),
        options=dict(keys.take("options", dict, {})),
    )


def _check_references(probe: Probe, keys: _Keys) -> None:
    """Reject plots of unknown tables, and hooks with parameters that have no value."""
    tables = [table.name for table in probe.tables]
    for index, plot in enumerate(probe.plots):
        if plot.table and plot.table not in tables:
            keys.refuse(
                f"plot[{index}].table", f"{plot.table!r} is not one of: {', '.join(tables)}"
            )
    for table in probe.tables:
        for column in table.columns:
            _check_choices(keys, f"{table.name}.{column.name}.when", column.when, probe)
        _check_choices(keys, f"{table.name}.when", table.when, probe)
    for index, hook in enumerate(probe.hooks):
        _check_choices(keys, f"hook[{index}].when", hook.when, probe)
        for name in re.findall(r"\{([^}]*)\}?", " ".join(hook.any_of)):
            if name.removesuffix(":return") not in {**probe.defaults(), **probe.needed()}:
                why = f"names {{{name}}}, which is not a parameter with a default"
                keys.refuse(f"hook[{index}].any_of", why)


def _check_choices(keys: _Keys, where: str, when: Mapping[str, list[str]], probe: Probe) -> None:
    known = {parameter.name: parameter for parameter in probe.parameters}
    for name, wanted in when.items():
        of_format = name in known and known[name].kind == "format"
        if not of_format and not set(wanted) <= set(known[name].choices if name in known else ()):
            keys.refuse(where, f"names values that {name} cannot have")
