"""A live view in a page: what it says, and its buttons."""

from __future__ import annotations

import re

from playwright.sync_api import Locator


def status(shown: Locator) -> Locator:
    """The line below the pictures. shown: the output that the view is in."""
    return shown.locator(".kernelscope-status")


def press(shown: Locator, name: str) -> None:
    """Press the first button of that name; its icon stands before it."""
    shown.get_by_role("button", name=re.compile(f"{name}$")).first.click()


def events(shown: Locator) -> int:
    """Return how many events the status line counts; 0 where it counts none yet."""
    found = re.search(r"([\d,]+) events", status(shown).inner_text())
    return int(found[1].replace(",", "")) if found else 0


def drawn(shown: Locator) -> str:
    """Return the name of the first picture that is shown: each frame has a name of its own."""
    return shown.locator("img").first.get_attribute("src") or ""
