"""What a module of tests in a browser is marked with, and how long each waits for the page."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tools.browser.jupyter_lab import PATIENCE_S, browser

expect.set_options(timeout=PATIENCE_S * 1000)

IN_A_BROWSER = [
    pytest.mark.kernel,
    pytest.mark.skipif(browser() is None, reason="there is no Chromium (Debian: chromium)"),
    pytest.mark.usefixtures("picture"),
]
