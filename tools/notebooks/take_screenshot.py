"""Take the pictures of the README in a real JupyterLab: the work of script/screenshot."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from tools.browser.jupyter_lab import Lab, browser, opened

ROOT = Path(__file__).resolve().parents[2]

DOCS = ROOT / "docs"
SCALE = 1.5  # readable when shown at half its size
COLOURS = 256
ANSWER = (
    """%load_ext kernelscope
import pandas
pandas.options.display.min_rows = pandas.options.display.max_rows = 6""",
    """%ebpf biolatency -d 5 -o bio
bio.ks.plot()""",
    "bio.ks.percentiles()",
    """%%ebpf -d 2 -o reads
struct key_t { u32 pid; char comm[16]; };
BPF_HASH(reads, struct key_t);
TRACEPOINT_PROBE(syscalls, sys_enter_read) {
    struct key_t key = {.pid = bpf_get_current_pid_tgid() >> 32};
    bpf_get_current_comm(&key.comm, sizeof(key.comm));
    reads.increment(key);
    return 0;
}""",
)
LIVE = (
    "%load_ext kernelscope",
    "%ebpf live biosnoop runqlat --view heatmap --window 30s --size 740x250",
    "2 + 2  # other cells run meanwhile",
)
LIVE_S = 33  # the window, and the time until the view has started
SPIN = "import time; end = time.monotonic() + 4\nwhile time.monotonic() < end: pass"


def write_to_disk(folder: Path, over: threading.Event) -> None:
    """Write to the disk in several sizes, each write with an fsync."""
    sizes = [4 << 10, 64 << 10, 1 << 20]
    with tempfile.TemporaryFile(dir=folder, buffering=0) as file:
        while not over.is_set():
            for size in sizes:
                file.write(os.urandom(size))
                os.fsync(file.fileno())
            file.seek(0)
            time.sleep(0.002)


def come_and_go(folder: Path, over: threading.Event) -> None:
    """Write small blocks all the time, large ones every ten seconds, and compute in between."""
    begun = time.monotonic()
    spinners: list[subprocess.Popen[bytes]] = []
    large = os.urandom(4 << 20)
    with tempfile.TemporaryFile(dir=folder, buffering=0) as file:
        while not over.wait(0.004):
            second = (time.monotonic() - begun) % 10
            file.write(large if second < 4 else large[: 4 << 10])
            os.fsync(file.fileno())
            if file.tell() > 64 << 20:
                file.seek(0)
            if second > 5 and not any(each.poll() is None for each in spinners):
                command = [sys.executable, "-I", "-S", "-c", SPIN]
                spinners = [subprocess.Popen(command) for _ in range(2 * (os.cpu_count() or 1))]
    for each in spinners:
        each.wait()


def take_answer(lab: Lab) -> None:
    """Run the cells, and show them from the second one on."""
    for number in range(len(ANSWER)):
        lab.run(number)
    lab.page.keyboard.press("Escape")
    lab.cell(1).evaluate("cell => cell.scrollIntoView()")


def take_live(lab: Lab) -> None:
    """Start the view, select another one below, and let the window fill."""
    for number in range(len(LIVE)):
        lab.run(number)
    shown = lab.output(1)
    shown.locator("img").nth(1).wait_for()
    shown.locator("select").nth(3).select_option(label="Run queue latency")
    lab.page.wait_for_timeout(LIVE_S * 1000)
    lab.page.keyboard.press("Escape")
    lab.cell(0).evaluate("cell => cell.scrollIntoView()")


@dataclass(frozen=True)
class Picture:
    """A picture of the README: its cells, the page's size, what to do in it, and the load."""

    name: str
    cells: tuple[str, ...]
    size: tuple[int, int]
    take: Callable[[Lab], None]
    load: Callable[[Path, threading.Event], None]


PICTURES = (
    Picture("screenshot.png", ANSWER, (860, 1180), take_answer, write_to_disk),
    Picture("live.png", LIVE, (940, 960), take_live, come_and_go),
)


def make(picture: Picture, folder: Path) -> Path:
    """Take one picture, without JupyterLab's side bars; returns its file."""
    over = threading.Event()
    load = threading.Thread(target=picture.load, args=(folder, over))
    load.start()
    width, height = picture.size
    view = {"width": width, "height": height}
    path = DOCS / picture.name
    try:
        with opened(folder, picture.cells, viewport=view, device_scale_factor=SCALE) as lab:
            picture.take(lab)
            lab.page.locator(".jp-NotebookPanel").screenshot(path=path)
    finally:
        over.set()
        load.join()
    Image.open(path).convert("RGB").quantize(COLOURS).save(path, optimize=True)
    return path


def main() -> int:
    """Take the named pictures, or all; the exit status is 1 if there is no browser."""
    if browser() is None:
        print("error: there is no Chromium (Debian: apt-get install chromium)", file=sys.stderr)
        return 1
    for picture in PICTURES:
        if sys.argv[1:] and picture.name not in sys.argv[1:]:
            continue
        with tempfile.TemporaryDirectory(dir=ROOT, prefix="out-") as name:
            path = make(picture, Path(name))
        print(f"{path.relative_to(ROOT)} written, {path.stat().st_size >> 10} KiB.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
