"""A live view in a page: its status line and its buttons."""

from __future__ import annotations

import re

from playwright.sync_api import Locator


def status(shown: Locator) -> Locator:
    """Return the status line below the pictures. shown: the output that contains the view."""
    return shown.locator(".kernelscope-status")


def press(shown: Locator, name: str) -> None:
    """Press the first button of that name; its icon precedes the name."""
    shown.get_by_role("button", name=re.compile(f"{name}$")).first.click()


def events(shown: Locator) -> int:
    """Return how many events the status line counts; 0 if it counts none yet."""
    found = re.search(r"([\d,]+) events", status(shown).inner_text())
    return int(found[1].replace(",", "")) if found else 0


def drawn(shown: Locator) -> str:
    """Return the name of the first picture shown; each frame has its own name."""
    return shown.locator("img").first.get_attribute("src") or ""
