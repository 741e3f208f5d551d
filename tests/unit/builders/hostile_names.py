"""Names that a process, a file or a recording could choose to attack a reader."""

from __future__ import annotations

import re

HOSTILE = {
    "title": "\x1b]0;owned\x07",
    "clear": "\x1b[2J\x1b[H",
    "c1": "a\x9b31mred",
    "bidi": "exe\u202ecod.sh",
    "zero width": "s\u200bsh\ufeff",
    "forged row": "x\n9999  sshd  /etc/shadow\r",
    "backspace": "su\x08\x08sudo",
    "null": "a\x00b",
    "html": "<img src=x onerror=alert(1)><script>alert(1)</script>",
    "attribute": "\" onmouseover='alert(1)",
    "mathtext": "$x^{$",
    "formula": '=HYPERLINK("http://x","y")',
    "undecodable": "\udcff\udcfe",
    "tags": "\U000e0041\U000e007f",
    "separators": "a\u2028b\u2029c",
    "unassigned": "\U000e1000\ufdd0",
    "long": "A" * 4096,
}
NAMES = tuple(HOSTILE.values())
# A table holds no lone surrogates: bytes that are not UTF-8 are replaced when they are decoded.
TABLE_NAMES = tuple(name for key, name in HOSTILE.items() if key != "undecodable")
_TAG = re.compile(r"<(img|script)", re.IGNORECASE)


def terminal_acts_on(text: str) -> set[str]:
    """Return the characters of a text of several lines that are not plainly printed."""
    return {c for c in text if not c.isprintable() and c not in "\n\t"}


def tags(text: str) -> list[str]:
    """Return the HTML tags of the corpus that a page would act on."""
    return _TAG.findall(text)
