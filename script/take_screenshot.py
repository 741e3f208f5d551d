"""Take the picture of the README in a real JupyterLab: the work of script/screenshot."""

from __future__ import annotations

import os
import sys
import tempfile
import threading
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from browser.jupyter_lab import Lab, browser, opened  # noqa: E402

PICTURE = ROOT / "docs" / "screenshot.png"
CELLS = (
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
VIEW = {"width": 860, "height": 1180}
SCALE = 1.5  # so that it can be read where it is shown at half its size


def write_to_disk(folder: Path, over: threading.Event) -> None:
    """Give the disk something to do: writes of several sizes, each until the disk has it."""
    sizes = [4 << 10, 64 << 10, 1 << 20]
    with tempfile.TemporaryFile(dir=folder, buffering=0) as file:
        while not over.is_set():
            for size in sizes:
                file.write(os.urandom(size))
                os.fsync(file.fileno())
            file.seek(0)
            time.sleep(0.002)


def take(lab: Lab) -> None:
    """Run the cells and keep the picture, from the second cell on and without the side bars."""
    for number in range(len(CELLS)):
        lab.run(number)
    lab.page.keyboard.press("Escape")
    lab.cell(1).evaluate("cell => cell.scrollIntoView()")
    PICTURE.parent.mkdir(exist_ok=True)
    lab.page.locator(".jp-NotebookPanel").screenshot(path=PICTURE)


def main() -> int:
    """Take the picture; the exit status is 1 where there is no browser."""
    if browser() is None:
        print("error: there is no Chromium (Debian: apt-get install chromium)", file=sys.stderr)
        return 1
    over = threading.Event()
    with tempfile.TemporaryDirectory(dir=ROOT, prefix="out-") as name:
        folder = Path(name)
        load = threading.Thread(target=write_to_disk, args=(folder, over))
        load.start()
        try:
            with opened(folder, CELLS, viewport=VIEW, device_scale_factor=SCALE) as lab:
                take(lab)
        finally:
            over.set()
            load.join()
    print(f"{PICTURE.relative_to(ROOT)} is taken anew, {PICTURE.stat().st_size >> 10} KiB.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
