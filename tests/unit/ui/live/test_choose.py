"""The views that a table allows."""

from __future__ import annotations

import pytest

from kernelscope.probe import catalogue
from kernelscope.probe.model import Column, Plot
from kernelscope.ui.live import view_options
from kernelscope.ui.live.choose import chosen, kinds, offered
from kernelscope.ui.live.counting.shape import shape_of
from kernelscope.ui.live.views import PICTURES
from kernelscope.ui.live.views.throughput import Throughput


class TestViews:
    COLUMNS = (
        Column("comm", "text", "key.comm"),
        Column("latency_us", "slot", "key.slot", "us", scale=0.001),
        Column("count", "count", "value"),
    )
    PLOTS = (Plot("heatmap", table="waits", y="latency_us", title="Waits over time"),)

    def views(self, plots=PLOTS):
        return offered({"waits": shape_of("waits", self.COLUMNS, plots, is_map=True)}, plots)

    def test_offers_the_descriptions_view_first(self):
        first = self.views()[0]

        assert (first.kind, first.title) == ("heatmap", "Waits over time")

    def test_offers_each_view_once(self):
        kinds = [view.kind for view in self.views()]

        assert sorted(kinds) == [
            "bars", "distribution", "heatmap", "percentiles", "table", "throughput",
        ]  # fmt: skip
        assert [view.title for view in self.views() if view.kind == "distribution"] == ["Waits"]

    def test_chooses_a_kind_by_name(self):
        assert chosen(self.views(), "bars").label == "comm"

    @pytest.mark.parametrize("is_map", [True, False])
    def test_gives_no_two_views_the_same_entry(self, is_map):
        for probe in catalogue.catalogue().values():
            shapes = {
                table.name: shape_of(table.name, table.columns, probe.plots, is_map=is_map)
                for table in probe.tables
            }
            entries = [view.entry for view in offered(shapes, probe.plots)]

            assert len(entries) == len(set(entries)), probe.name

    def test_offers_a_picture_registered_from_outside(self, monkeypatch):
        class Cumulative(Throughput):
            """A picture that the package does not have."""

            plot = "cumulative"

            @classmethod
            def entry(cls, subject, _bar):
                return f"{subject.measure} in total"

        monkeypatch.setitem(PICTURES, "cumulative", Cumulative)
        (view,) = (view for view in self.views() if view.kind == "cumulative")

        assert view.entry == "Waits in total"
        assert "cumulative" in kinds()
        assert view_options.checked(60, 10, "cumulative", "light").kind == "cumulative"

    def test_adds_up_the_column_that_the_title_names(self):
        columns = (
            Column("comm", "text", "key.comm"),
            Column("remote", "ip", "key.remote"),
            Column("sent_bytes", "count", "value.sent", "bytes"),
            Column("received_bytes", "count", "value.received", "bytes"),
            Column("sends", "count", "value.sends"),
        )
        plots = (
            Plot("bars", "connections", x="comm", value="sent_bytes", title="Data sent"),
            Plot("bars", "connections", x="remote", value="received_bytes", title="Data received"),
        )
        shape = shape_of("connections", columns, plots, is_map=True)
        found = {
            (view.entry, view.bar.value)
            for view in offered({"connections": shape}, plots)
            if view.kind == "bars"
        }

        assert found == {
            ("Data sent by comm", "sent_bytes"),
            ("Data received by remote", "received_bytes"),
        }
        assert shape.amount == "sends"

    def test_adds_up_the_flame_graphs_column_in_bars(self):
        columns = (
            Column("comm", "text", "key.comm"),
            Column("stack", "user_stack", "key.stack"),
            Column("count", "count", "value.count"),
            Column("total_us", "duration", "value.total", "us"),
        )
        plots = (Plot("flamegraph", "places", value="total_us", title="Off-CPU time"),)
        shape = shape_of("places", columns, plots, is_map=True)
        (view,) = (v for v in offered({"places": shape}, plots) if v.kind == "bars")

        assert (view.entry, view.bar.value) == ("Off-CPU time by comm", "total_us")
