"""`kernelscope live`: one picture of a run that fits the terminal."""

from __future__ import annotations

import sys

import pytest
from unit.builders.fake_agent import (
    COUNTS,
    EVENTS,
    FakeChannel,
    attached,
    counts,
    events,
    receipt,
    session,
)

from kernelscope.errors import ParameterError
from kernelscope.ui.cli import live, main


def lines(picture: str) -> list[str]:
    """Return the lines of a picture without what moves the cursor."""
    for code in ("\x1b[H", "\x1b[K", "\x1b[J"):
        picture = picture.replace(code, "")
    return picture.splitlines()


@pytest.mark.parametrize(("width", "height"), [(80, 24), (40, 10), (200, 60)])
def test_a_picture_fits_the_terminal(width: int, height: int) -> None:
    rows = [(pid, 4096) for pid in range(1000, 1101)]
    channel = FakeChannel([attached(EVENTS, COUNTS), events(*rows), counts({7: 5}), receipt()])
    run = session(channel).start(source="int x;")
    run.wait()
    shown = lines(live.frame([run], width, height))
    assert len(shown) <= height - 1
    assert shown[0].startswith("cell: done")
    assert "# counts" in shown


def test_the_latest_events_are_shown() -> None:
    rows = [(pid, 4096) for pid in range(1000, 1101)]
    run = session(FakeChannel([attached(EVENTS), events(*rows), receipt()])).start(source="int x;")
    run.wait()
    shown = " ".join(lines(live.frame([run], 80, 24)))
    assert "101 rows" in shown


def test_needs_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.main(["live", "syscount"]) == 2
    assert "a live view needs a terminal" in capsys.readouterr().err
    with pytest.raises(ParameterError):
        live.require_terminal()


def test_files_cannot_be_combined_with_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(type(sys.stdout), "isatty", lambda _: True)
    assert main.main(["live", "syscount", "--csv", "x.csv"]) == 2
    assert "--csv cannot be combined with a live view" in capsys.readouterr().err
