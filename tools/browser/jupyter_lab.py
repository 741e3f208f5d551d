"""JupyterLab as a user sees it: a separate server, and a notebook in a headless Chromium.

Notebook 7 consists of the same parts, and is driven in the same way.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import nbformat
from playwright.sync_api import Locator, Page, sync_playwright

ROOT = Path(__file__).resolve().parents[2]
PATIENCE_S = 60.0
_BROWSERS = ("chromium", "chromium-browser", "google-chrome")
_ARGUMENTS = (
    "--no-sandbox",  # as root there is no sandbox, and the only page is our own
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
_SETTINGS = {
    "apputils-extension/notification": {
        "fetchNews": "false",
        "checkForUpdates": False,
        "doNotDisturbMode": True,
    },
    # Cells out of sight stay in the page, where the tests find them.
    "notebook-extension/tracker": {"windowingMode": "none"},
    "completer-extension/manager": {"providerTimeout": 10000},
    "completer-extension/inline-completer": {"providers": {}},
}

# The module to start, and the path at which it shows a notebook.
_LAB = ("jupyterlab", "doc/tree/")
NOTEBOOK_7 = ("notebook", "notebooks/")

_READY = """() => {
    const context = window.jupyterapp?.shell.currentWidget?.context?.sessionContext;
    const kernel = context?.session?.kernel;
    return context?.isReady && kernel?.connectionStatus === "connected" && kernel.status === "idle";
}"""


def browser() -> str | None:
    """Return the path of a Chromium, or None."""
    return next(filter(None, map(shutil.which, _BROWSERS)), None)


class Lab:
    """A notebook, opened in JupyterLab or in Notebook 7. Its cells are counted from 0."""

    def __init__(self, page: Page) -> None:
        self.page = page

    def cell(self, number: int) -> Locator:
        """Return the whole cell."""
        return self.page.locator(".jp-Notebook .jp-Cell").nth(number)

    def output(self, number: int) -> Locator:
        """Return the output of a cell."""
        return self.cell(number).locator(".jp-Cell-outputArea")

    def send(self, number: int) -> None:
        """Run a cell without waiting for it."""
        self.edit(number)
        self.page.keyboard.press("Control+Enter")

    def edit(self, number: int) -> None:
        """Put the cursor into a cell's text."""
        self.cell(number).locator(".cm-content").click()

    def type(self, number: int, text: str) -> None:
        """Replace a cell's text, key by key."""
        self.edit(number)
        self.page.keyboard.press("Control+a")
        self.page.keyboard.type(text)

    def run(self, number: int) -> Locator:
        """Run a cell, wait for its end and return its output."""
        self.send(number)
        self.ended(number)
        return self.output(number)

    def ended(self, number: int) -> None:
        """Wait until a running cell has its number: "[3]:"."""
        self.page.wait_for_function(
            r"""number => /^\[\d+\]:/.test(document.querySelectorAll(".jp-Notebook .jp-Cell")
                [number].querySelector(".jp-InputPrompt").textContent)""",
            arg=number,
        )

    def ready(self) -> None:
        """Wait until the kernel is connected and idle."""
        self.page.wait_for_function(_READY)

    def press(self, button: str) -> None:
        """Press a button of the notebook's tool bar, by its command."""
        self.page.locator(f'.jp-NotebookPanel-toolbar [data-command="{button}"]').click()


@contextmanager
def opened(
    folder: Path, cells: Sequence[str], *, app: tuple[str, str] = _LAB, **how: Any
) -> Iterator[Lab]:
    """Open a notebook of these cells. how: options of the browser's page (its size)."""
    module, place = app
    notebook = nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_code_cell(text) for text in cells],
        metadata={"kernelspec": {"name": "python3", "display_name": "Python 3"}},
    )
    nbformat.write(notebook, folder / "notebook.ipynb")
    with _server(folder, module) as (url, token), sync_playwright() as playwright:
        context = playwright.chromium.launch_persistent_context(
            folder / "browser", executable_path=browser(), args=_ARGUMENTS, **how
        )
        try:
            context.set_default_timeout(PATIENCE_S * 1000)
            page = context.pages[0]
            page.goto(f"{url}{place}notebook.ipynb?token={token}&reset")
            lab = Lab(page)
            lab.cell(len(cells) - 1).wait_for()
            lab.ready()
            yield lab
        finally:
            context.close()


@contextmanager
def _server(folder: Path, module: str) -> Iterator[tuple[str, str]]:
    """Start a server that writes only into the folder; return its address and its token."""
    for name, settings in _SETTINGS.items():
        path = folder / "settings" / "@jupyterlab" / f"{name}.jupyterlab-settings"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(settings))
    token = secrets.token_hex()
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "JUPYTER_TOKEN": token,
        "JUPYTER_CONFIG_DIR": str(folder / "config"),
        "JUPYTER_DATA_DIR": str(folder / "data"),
        "JUPYTER_RUNTIME_DIR": str(folder / "runtime"),
        "JUPYTERLAB_SETTINGS_DIR": str(folder / "settings"),
        "JUPYTERLAB_WORKSPACES_DIR": str(folder / "workspaces"),
        "IPYTHONDIR": str(folder / "ipython"),
        "MPLCONFIGDIR": str(folder / "matplotlib"),
    }
    command = [sys.executable, "-m", module, "--no-browser", "--allow-root"]
    command += ["--expose-app-in-browser"]  # lets the page ask whether the kernel is ready
    command += ["--ServerApp.ip=127.0.0.1", "--ServerApp.port=0", f"--ServerApp.root_dir={folder}"]
    with (folder / "jupyter.log").open("w") as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log, cwd=folder)
    try:
        yield _address(process, folder), token
    finally:
        process.terminate()
        try:
            process.wait(PATIENCE_S)
        finally:
            process.kill()  # its kernels end with it
            process.wait()


def _address(process: subprocess.Popen[bytes], folder: Path) -> str:
    """Wait for the file in which the server writes its address."""
    end = time.monotonic() + PATIENCE_S
    while process.poll() is None and time.monotonic() < end:
        for path in (folder / "runtime").glob("jpserver-*.json"):
            try:
                return str(json.loads(path.read_text())["url"])
            except ValueError:
                continue  # it is being written
        time.sleep(0.1)
    raise RuntimeError("the server did not start:\n" + (folder / "jupyter.log").read_text())
