"""The documents say what the code does."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from kernelscope.probe import catalogue
from tools.docs import make_docs, probe_pages

ROOT = Path(__file__).parents[3]
PAGES = probe_pages.pages()
DOCUMENTS = [*sorted(ROOT.glob("*.md")), ROOT / "docs" / "recordings.md", *PAGES]


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


def test_the_readme_holds_every_generated_part() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert set(re.findall(r"<!-- generated: (\w+) -->", text)) == set(make_docs.PARTS)


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_links_within_the_repository_lead_somewhere(path: Path) -> None:
    targets = re.findall(r"\]\((?!https?:|#)([^)#]+)", path.read_text(encoding="utf-8"))
    assert [target for target in targets if not (path.parent / target).exists()] == []


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_scripts_that_are_named_exist(path: Path) -> None:
    named = set(re.findall(r"\bscript/[\w-]+", path.read_text(encoding="utf-8")))
    assert [name for name in sorted(named) if not (ROOT / name).is_file()] == []
