"""The largest groups of a moving window."""

from __future__ import annotations

import pytest

from kernelscope.ui.live.counting.top_groups import OTHER, TopGroups

SECOND = 10**9
NOW = 1_700_000_000 * SECOND


class TestTopGroups:
    def test_forgets_names_that_left_the_window(self):
        tops = TopGroups(window_s=10)
        tops.add(NOW, {"a": 5, "b": 2})
        tops.add(NOW + 8 * SECOND, {"b": 4})

        assert tops.largest(2) == ([("b", 6), ("a", 5)], 0)
        tops.advance(NOW + 12 * SECOND)
        assert tops.largest(2) == ([("b", 4)], 0)

    def test_shows_the_history_after_a_resize(self):
        tops = TopGroups(window_s=10)
        tops.add(NOW, {"a": 5})
        tops.add(NOW + 30 * SECOND, {"b": 1})

        tops.resize(60, NOW + 30 * SECOND)
        assert dict(tops.largest(2)[0]) == {"a": 5, "b": 1}
        tops.resize(10, NOW + 30 * SECOND)
        assert dict(tops.largest(2)[0]) == {"b": 1}
        tops.advance(NOW + 45 * SECOND)
        assert tops.total == {}

    def test_sums_up_the_other_groups(self):
        tops = TopGroups()
        tops.add(NOW, {f"n{i}": i for i in range(1, 11)})

        shown, others = tops.largest(3)
        assert [name for name, _ in shown] == ["n10", "n9", "n8"]
        assert others == 55 - 27

    def test_bounds_the_number_of_names_and_keeps_the_sum(self):
        tops = TopGroups(limit=100)
        for number in range(50):
            tops.add(NOW, {f"name {number} {i}": 1 for i in range(97)} | {"large": 3})

        assert len(tops.total) <= 2 * 100 + 98
        assert sum(tops.total.values()) == 50 * 100
        assert tops.total[OTHER] > 0
        assert tops.largest(1)[0] == [("large", 150)]

    @pytest.mark.parametrize("cleared", [True, False])
    def test_clears(self, cleared: bool):
        tops = TopGroups()
        tops.add(NOW, {"a": 1})
        if cleared:
            tops.clear()

        assert tops.largest(1)[0] == ([] if cleared else [("a", 1)])
