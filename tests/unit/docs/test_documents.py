"""The documents agree with the code."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

import kernelscope
from kernelscope.probe import catalogue
from tools.docs import make_docs, probe_pages

ROOT = Path(__file__).parents[3]
PAGES = probe_pages.pages()
DOCUMENTS = sorted({*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *PAGES})
NOTEBOOKS = sorted(ROOT.glob("notebooks/*.ipynb"))
README = (ROOT / "README.md").read_text(encoding="utf-8")
_RELATIVE_LINK = re.compile(r"\]\((?!https?:|#)([^)#\s]+)")


@pytest.mark.parametrize("path", make_docs.DOCUMENTS, ids=lambda path: path.name)
def test_generated_parts_are_those_of_the_code(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert make_docs.updated(text) == text, "run script/make-docs"


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_a_page_about_probes_is_that_of_their_files(path: Path) -> None:
    assert path.is_file(), "run script/make-docs"
    assert path.read_text(encoding="utf-8") == PAGES[path], "run script/make-docs"


def test_no_page_or_picture_is_left_of_what_is_gone() -> None:
    folder = ROOT / "docs" / "probes"
    wanted = {path.name for path in PAGES} | {f"{name}.png" for name in catalogue.names()}
    assert {path.name for path in folder.glob("*")} <= wanted


def test_each_generated_part_is_in_one_document() -> None:
    texts = [path.read_text(encoding="utf-8") for path in make_docs.DOCUMENTS]
    found = [name for text in texts for name in re.findall(r"<!-- generated: (\w+) -->", text)]
    assert sorted(found) == sorted(make_docs.PARTS)


def test_the_readme_counts_the_probes() -> None:
    assert f"{len(catalogue.names())} ready-made probes" in " ".join(README.split())


def test_what_the_readme_says_about_its_plot_is_true() -> None:
    latency = kernelscope.open(ROOT / "notebooks" / "recordings" / "biolatency.ksr")
    reads = latency[latency["operation"] == "read"]
    count = reads["count"]
    middle_us = (reads["latency_low_us"] + reads["latency_high_us"]) / 2
    slow = count[reads["latency_low_us"].ge(950) & reads["latency_high_us"].le(3000)].sum()
    fast = count[reads["latency_high_us"].le(300)].sum()

    assert "Two out of three reads took 1 to 3 ms, one in five less than 0.3 ms." in README
    assert slow / count.sum() == pytest.approx(2 / 3, abs=0.02)
    assert fast / count.sum() == pytest.approx(1 / 5, abs=0.02)
    assert "The average, 1.2 ms," in README
    assert (count * middle_us).sum() / count.sum() == pytest.approx(1200, abs=50)


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_links_within_the_repository_lead_somewhere(path: Path) -> None:
    targets = _RELATIVE_LINK.findall(path.read_text(encoding="utf-8"))
    assert [target for target in targets if not (path.parent / target).exists()] == []


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)
def test_links_in_notebooks_lead_somewhere(path: Path) -> None:
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    texts = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown"]
    targets = [target for text in texts for target in _RELATIVE_LINK.findall(text)]
    assert [target for target in targets if not (path.parent / target).exists()] == []


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_links_to_headings_lead_to_one(path: Path) -> None:
    for target, anchor in re.findall(
        r"\]\((?!https?:)([^)#\s]*)#([^)\s]+)\)", path.read_text("utf-8")
    ):
        text = (path.parent / target if target else path).read_text(encoding="utf-8")
        headings = {_anchor(line) for line in re.findall(r"^#+ (.+)$", text, re.MULTILINE)}
        assert anchor in headings, f"{target}#{anchor}"


def _anchor(heading: str) -> str:
    """Return the anchor that GitHub gives a heading."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_scripts_that_are_named_exist(path: Path) -> None:
    named = set(re.findall(r"\bscript/[\w-]+", path.read_text(encoding="utf-8")))
    assert [name for name in sorted(named) if not (ROOT / name).is_file()] == []
