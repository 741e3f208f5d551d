"""Live pictures: matplotlib, no widgets. A new one is one file and one line in `PICTURES`."""

from __future__ import annotations

from kernelscope.ui.live.views.bars import Bars
from kernelscope.ui.live.views.base import SIZE, Picture
from kernelscope.ui.live.views.distribution import Distribution
from kernelscope.ui.live.views.heatmap import Heatmap
from kernelscope.ui.live.views.percentiles import Percentiles
from kernelscope.ui.live.views.throughput import Throughput

__all__ = ["PICTURES", "SIZE", "Picture"]

PICTURES: dict[str, type[Picture]] = {
    "distribution": Distribution,
    "heatmap": Heatmap,
    "percentiles": Percentiles,
    "bars": Bars,
    "throughput": Throughput,
}
