"""Collects a run's frames and makes DataFrames of them on demand."""

from __future__ import annotations

import json
import platform
import threading
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from kernelscope.errors import ParameterError
from kernelscope.probe.model import Column, TableSpec
from kernelscope.protocol.frames import Frame
from kernelscope.protocol.layout import Layout
from kernelscope.protocol.printk import TABLE as PRINTK_TABLE
from kernelscope.tables import column_decoders as decoders
from kernelscope.tables import padding, printk
from kernelscope.tables.assemble import amounts, assembled
from kernelscope.tables.attrs import KEY, READINGS
from kernelscope.tables.clock import WallClock
from kernelscope.tables.decoder import Decoder
from kernelscope.tables.plan import PRINTK, RECORDS, Plan, growth, plans
from kernelscope.tables.rows import map_rows, record_rows
from kernelscope.tables.stacks import Stacks
from kernelscope.tables.store import MapStore, Reading, RecordStore, available_bytes


class Collector:
    """Takes a run's frames as they arrive, and returns its tables.

    layouts, clock: from the "attached" frame (see `from_attached`). specs: the tables to make;
    without any, every table of the program, with inferred columns. max_rows: records kept of each
    table, the latest; by default the raw data and the result of it take a quarter of the memory
    now available, divided by `sharing`, how many runs share it. per_cpu: keep
    per-CPU values apart, with a "cpu" column. offsets: write offsets and modules in stacks.
    types: column names to kinds; they override the table's own. devices: "major:minor" to names.
    max_bytes: bound for the raw data of all tables, instead of that quarter.
    enums: the kernel's enums by name, each {"number": word}. hooks: the run's, {"number": name}.

    `add` may be called from one thread while others read.

    Raises ParameterError for an unknown kind or column in `types`, ProbeSpecError where a spec
    names a map that the program does not have.
    """

    def __init__(
        self,
        layouts: Iterable[Layout],
        specs: Sequence[TableSpec] = (),
        *,
        clock: Mapping[str, int],
        max_rows: int | None = None,
        per_cpu: bool = False,
        offsets: bool = False,
        types: Mapping[str, str] | None = None,
        devices: Mapping[str, str] | None = None,
        enums: Mapping[str, Mapping[str, str]] | None = None,
        hooks: Mapping[str, str] | None = None,
        printk_formats: Sequence[str] = (),
        machine: str | None = None,
        max_bytes: int | None = None,
        sharing: int = 1,
    ) -> None:
        if max_rows is not None and max_rows < 1:
            raise ParameterError(
                f"max_rows is {max_rows}",
                hint="give the number of rows to keep, 1 or more",
                name="max_rows",
                value=max_rows,
            )
        self.per_cpu = per_cpu
        self.lost: dict[str, int] = {}
        self.lost_by_table: dict[str, int] = {}
        self._lock = threading.Lock()
        self._bound = max_bytes
        self._counts_result = max_rows is None and max_bytes is None
        if self._counts_result:
            self._bound = available_bytes() // 4 // sharing
        self.clock = WallClock.of(clock)
        self._machine = machine or platform.machine()
        self._devices = dict(devices or {})
        self._enums = {
            name: {int(number): word for number, word in words.items()}
            for name, words in (enums or {}).items()
        }
        self._hooks = {int(number): name for number, name in (hooks or {}).items()}
        self._printk_formats = tuple(printk_formats)
        self._stacks = Stacks(offsets=offsets)
        self._layouts = {layout.table: layout for layout in layouts}
        self._stores = {name: _store(each, max_rows) for name, each in self._layouts.items()}
        self._plans = {plan.name: plan for plan in plans(self._layouts, specs, types or {})}
        self._growth = {
            name: growth(layout, [p for p in self._plans.values() if p.layout is layout])
            if self._counts_result
            else 0.0
            for name, layout in self._layouts.items()
        }
        self._with_specs = bool(specs)

    @classmethod
    def from_attached(
        cls, header: Mapping[str, Any], specs: Sequence[TableSpec] = (), **options: Any
    ) -> Collector:
        """Return a collector for the run whose "attached" frame has that header."""
        kernel = header.get("kernel")
        machine = kernel.get("machine") if isinstance(kernel, Mapping) else None
        options = {
            "devices": header.get("devices"),
            "enums": header.get("enums"),
            "hooks": header.get("hook_names"),
            "printk_formats": header.get("printk_formats", ()),
            "machine": machine,
            **options,
        }
        layouts = [Layout.from_json(item) for item in header["layouts"]]
        return cls(layouts, specs, clock=header["clock"], **options)

    # --- taking frames ---

    def add(self, frame: Frame) -> None:
        """Take one frame of any type; frames without data for a table are read or ignored."""
        with self._lock:
            if frame.type in ("batch", "map"):
                store = self._stores.get(str(frame.header.get("table")))
                if store is not None:
                    store.add(frame)
                    self._drop_excess()
            elif frame.type == "stacks":
                self._stacks.add(json.loads(bytes(frame.payload) or b"{}").get("frames", {}))
            elif frame.type in ("status", "receipt"):
                self.lost = dict(frame.header.get("lost", self.lost))
                self.lost_by_table = dict(frame.header.get("lost_by_table", self.lost_by_table))
                self._devices.update(frame.header.get("devices") or {})
                if "clock" in frame.header:
                    self.clock.add(frame.header["clock"])

    def drop_readings(self) -> None:
        """Drop all but the latest reading of each map."""
        with self._lock:
            for store in self._stores.values():
                while isinstance(store, MapStore) and store.droppable:
                    store.drop_oldest()

    def _drop_excess(self) -> None:
        if self._bound is None:
            return
        sizes = {
            name: store.size * (1 + self._growth[name]) for name, store in self._stores.items()
        }
        while sum(sizes.values()) > self._bound:
            droppable = [name for name, store in self._stores.items() if store.droppable]
            if not droppable:
                return
            name = max(droppable, key=lambda each: sizes[each])
            self._stores[name].drop_oldest()
            sizes[name] = self._stores[name].size * (1 + self._growth[name])

    # --- counting ---

    @property
    def names(self) -> list[str]:
        """The tables that `tables` would return now."""
        shown = [name for name in self._plans if name != PRINTK]
        if self._with_specs:
            return shown
        lines = PRINTK in self._plans and (not shown or self.rows(PRINTK))
        return [*shown, PRINTK] if lines else shown

    def columns(self, table: str) -> tuple[Column, ...]:
        """Return a table's columns and their meaning."""
        return self._plans[table].columns

    def layout(self, table: str) -> Layout:
        """Return the layout of a table's bytes."""
        return self._plans[table].layout

    def rows(self, table: str) -> int:
        """Return how many rows a table would have: the records kept, or the entries last read."""
        return self._store_of(table).rows

    def seen(self, table: str) -> int:
        """Return how many records of a table arrived, kept or not; for a map, its rows."""
        store = self._store_of(table)
        return store.seen if isinstance(store, RecordStore) else store.rows

    @property
    def dropped_rows(self) -> int:
        """Records that arrived and were dropped for later ones."""
        return sum(store.seen - store.rows for store in self._record_stores())

    def warnings(self) -> list[str]:
        """Return what is odd about the tables: rows that differ in their keys' padding."""
        found = []
        for layout in dict.fromkeys(plan.layout for plan in self._plans.values()):
            store = self._stores[layout.table]
            if not isinstance(store, MapStore):
                continue
            with self._lock:
                readings = list(store.readings)[-1:]
            for reading in readings:
                doubled = padding.doubled_rows(layout, store.arrays(reading)[0])
                if doubled:
                    found.append(padding.warning(layout, doubled))
        return found

    @property
    def torn(self) -> int:
        """Records that arrived incomplete and could not be kept."""
        return sum(store.torn for store in self._record_stores())

    def _record_stores(self) -> list[RecordStore]:
        return [store for store in self._stores.values() if isinstance(store, RecordStore)]

    def _store_of(self, table: str) -> RecordStore | MapStore:
        return self._stores[self._plans[table].layout.table]

    # --- making tables ---

    def tables(self) -> dict[str, pd.DataFrame]:
        """Return every table, by name: a map's latest reading, the records kept of a ring."""
        return {name: self.table(name) for name in self.names}

    def table(self, name: str) -> pd.DataFrame:
        """Return one table: a map's latest reading, the records kept of a ring."""
        return self._table(self._plans[name], None)

    def latest(self, table: str, limit: int) -> pd.DataFrame:
        """Return the latest `limit` records of a table, or a map's first rows."""
        return self._table(self._plans[table], limit)

    def history(self, table: str) -> pd.DataFrame:
        """Return every reading kept of a map, one after another, with a "time" column first.

        Raises ParameterError for a table of records.
        """
        plan = self._plans[table]
        store = self._store_of(table)
        if not isinstance(store, MapStore):
            raise ParameterError(
                f"{table} holds records, which have no readings over time",
                hint="its rows are in the table itself",
                name="table",
                value=table,
            )
        with self._lock:
            readings = list(store.readings)
        data = self._map_columns(plan, store, readings)
        counts = [reading.count for reading in readings]
        repeat = store.shape[0] if self.per_cpu and store.shape else 1
        stamps = np.repeat(np.array([r.at_ns for r in readings], np.int64), counts).repeat(repeat)
        time = Column("time", "time")
        decoded = decoders.decode(decoders.Source(stamps, time, self._context(plan)))
        frame = assembled(plan.columns, {**decoded, **data}, padded=store.padded)
        frame.attrs[KEY] = {READINGS: amounts(plan.columns)}
        return frame

    def decode(
        self, table: str, frames: Iterable[Frame], columns: Collection[str] | None = None
    ) -> pd.DataFrame:
        """Decode some frames of one table alone, unsorted, without keeping them.

        columns: the wanted ones, by their names in `probe.model.Column`; None for all.
        """
        plan = self._plans[table]
        if columns is not None:
            wanted = tuple(column for column in plan.columns if column.name in columns)
            plan = replace(plan, columns=wanted, sort=())
        store = _store(plan.layout, None)
        for frame in frames:
            store.add(frame)
        return self._table(plan, None, store)

    def _table(
        self, plan: Plan, limit: int | None, store: RecordStore | MapStore | None = None
    ) -> pd.DataFrame:
        store = self._store_of(plan.name) if store is None else store
        if isinstance(store, MapStore):
            with self._lock:
                readings = list(store.readings)[-1:]
            data = self._map_columns(plan, store, readings)
            frame = assembled(plan.columns, data, plan.sort, padded=store.padded)
            return frame if limit is None else frame.head(limit)
        with self._lock:
            batches = list(store.latest(limit))
        if plan.layout.kind == "printk":
            return pd.DataFrame(printk.columns(batches, self._context(plan)), copy=False)
        if plan.layout.table == PRINTK_TABLE:
            rows = record_rows(plan.layout, batches)
            columns = printk.ring_columns(rows, self._printk_formats, self._context(plan))
            return pd.DataFrame(columns, copy=False)
        data = self._decoder(plan).columns(record_rows(plan.layout, batches))
        return assembled(plan.columns, data, plan.sort)

    def _map_columns(
        self, plan: Plan, store: MapStore, readings: Sequence[Reading]
    ) -> dict[str, Any]:
        rows = map_rows(plan.layout, store, readings)
        return self._decoder(plan).columns(rows, store.shape[0] if store.shape else 0)

    def _decoder(self, plan: Plan) -> Decoder:
        return Decoder(plan, self._context(plan), self.per_cpu)

    def _context(self, plan: Plan) -> decoders.Context:
        return decoders.Context(
            clock=self.clock,
            stacks=self._stacks,
            devices=self._devices,
            enums=self._enums,
            hooks=self._hooks,
            machine=self._machine,
            histogram=plan.layout.histogram or "log_linear",
        )


def _store(layout: Layout, max_rows: int | None) -> RecordStore | MapStore:
    return RecordStore(max_rows) if layout.kind in RECORDS else MapStore(layout)
