"""Hostile names through every text of the terminal and the notebook: nothing acts on them."""

from __future__ import annotations

import io
from pathlib import Path

import pandas as pd
import pytest
from IPython.core.interactiveshell import InteractiveShell
from unit.builders.hostile_names import NAMES, TABLE_NAMES, tags, terminal_acts_on

from kernelscope.errors import AttachError, CompileError
from kernelscope.tables.results import Results, Tables
from kernelscope.ui import help, listing, messages
from kernelscope.ui.cli import dataframe_text, histogram_text, live, output
from kernelscope.ui.cli.columns import fit, text_columns, without_rows
from kernelscope.ui.doctor import Checkup, Finding
from kernelscope.ui.notebook import cell_summary, python_cell, replay_notice, safe_display

each_table_name = pytest.mark.parametrize("name", TABLE_NAMES, ids=lambda name: ascii(name)[:12])
each_name = pytest.mark.parametrize("name", NAMES, ids=lambda name: ascii(name)[:12])


def table(name: str) -> pd.DataFrame:
    rows = {"comm": [name, "sshd"], "path": [f"/{name}", "/x"], name: [name, "1"], "count": [7, 11]}
    df = pd.DataFrame(rows)
    df.attrs["kernelscope"] = {"host": name, "kernel": {}, "lost": {}, "filters": {}}
    return df


def histogram(name: str) -> pd.DataFrame:
    return pd.DataFrame({"disk": [name], "us_low": [1.0], "us_high": [2.0], "count": [3]})


@each_table_name
@pytest.mark.parametrize("width", [60, 200])
def test_tables_of_a_terminal(name: str, width: int) -> None:
    shown = dataframe_text.table(table(name), width)
    assert not terminal_acts_on(shown)
    assert "9999" not in [line.split()[0] for line in shown.splitlines()]
    assert not terminal_acts_on(dataframe_text.table(table(name).head(0), width))
    assert max(map(len, shown.splitlines()[:3])) <= width or width < 100


@each_table_name
def test_histograms_of_a_terminal(name: str) -> None:
    assert not terminal_acts_on(histogram_text.histograms(histogram(name), 80) or "")


@each_table_name
def test_rows_that_stream(name: str) -> None:
    columns = text_columns(table(name), streaming=True)
    fitted = fit(without_rows(columns), 120)
    shown = [c.texts for c in columns if c.name in {column.name for column in fitted.columns}]
    lines = [fitted.heading(), *(fitted.line(row) for row in zip(*shown, strict=True))]
    assert not terminal_acts_on("\n".join(lines))


@each_table_name
@pytest.mark.parametrize("kind", ["csv", "json", "table"])
def test_standard_output_that_is_a_terminal(
    name: str, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    terminal = Terminal()
    monkeypatch.setattr("sys.stdout", terminal)
    output._to_stdout(Tables({name: table(name)}, {}), kind)
    assert not terminal_acts_on(terminal.getvalue())


@each_name
def test_errors_and_losses(name: str) -> None:
    error = CompileError(f"line 2: {name}", hint=name, line=2, column=1, text=name)
    assert not terminal_acts_on(messages.error_text(error))
    assert not terminal_acts_on(str(AttachError(name, hint=name)))
    assert not terminal_acts_on(messages.loss_text(name, name))
    assert not tags(messages.loss_html(name, name))


@each_name
def test_doctor_and_listing(name: str) -> None:
    assert not terminal_acts_on(repr(Checkup([Finding("bcc", "ok", name, {})])))
    listed = listing.Listing((listing.Entry(name, name, name, name),), name, name)
    assert not terminal_acts_on(repr(listed))
    assert not tags(listed._repr_html_())


@each_name
def test_description_of_a_custom_probe(name: str) -> None:
    from dataclasses import replace

    from kernelscope.probe import catalogue

    source = f"// {name}\nint x;"
    probe = catalogue.find("runqlat")
    custom = replace(probe, summary=name, description=name, source=source, caveats=(name,))
    page = help.Description(custom, {}, name)
    assert not terminal_acts_on(repr(page))
    assert not tags(page._repr_html_())
    coloured = page.in_colour()
    assert terminal_acts_on(coloured) <= {"\x1b"}
    assert "\x1b]" not in coloured
    assert "\x1b[2J" not in coloured


@each_table_name
def test_results_that_a_shell_shows(name: str) -> None:
    InteractiveShell.clear_instance()
    shell = InteractiveShell.instance()
    safe_display.install(shell)
    format_ = shell.display_formatter.format  # type: ignore[union-attr]
    tables = Tables({name: table(name)}, {})
    for result in (table(name), table(name)["comm"], tables, Results({"probe": tables}, {})):
        shown, _ = format_(result)
        assert not terminal_acts_on(shown["text/plain"])
        assert not tags(shown.get("text/html", ""))
    InteractiveShell.clear_instance()


@each_table_name
def test_replayed_results_that_a_shell_shows(name: str) -> None:
    InteractiveShell.clear_instance()
    shell = InteractiveShell.instance()
    replay_notice.install(shell)
    shown, _ = shell.display_formatter.format(table(name))  # type: ignore[union-attr]
    assert not terminal_acts_on(shown["text/plain"])
    assert not tags(shown["text/html"])
    InteractiveShell.clear_instance()


@each_table_name
def test_summary_of_a_python_cell(name: str) -> None:
    samples = pd.DataFrame({"user_stack": [f"main;{name}"], "count": [3]})
    samples.attrs["kernelscope"] = {"filters": {"tree": 1}, "lost": {}}
    spent = cell_summary.Spent(1.0, 0.5, 0.5, 0.0)
    result = python_cell.CellResults(Results({"profile": samples}, {}), name, spent)
    assert not terminal_acts_on(repr(result))
    assert not tags(result._repr_html_())


@each_table_name
def test_live_view_of_a_terminal(name: str) -> None:
    body = live._body(table(name), 80, 20) + live._body(histogram(name), 80, 20)
    assert not terminal_acts_on("\n".join(body))


@each_table_name
def test_files_keep_names_as_they_are(name: str, tmp_path: Path) -> None:
    import kernelscope

    kernelscope.save(pd.DataFrame({"comm": [name]}), tmp_path / "a.parquet")
    assert kernelscope.read(tmp_path / "a.parquet")["comm"][0] == name
