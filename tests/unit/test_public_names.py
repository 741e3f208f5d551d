"""The names that users may rely on, and what it costs to import them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import kernelscope

NAMES = [
    "LostEventsWarning",
    "Run",
    "Runs",
    "Session",
    "__version__",
    "compare",
    "doctor",
    "errors",
    "live",
    "load_ipython_extension",
    "open",
    "probes",
    "read",
    "replaying",
    "run",
    "save",
    "search",
    "start",
]


def test_the_public_names_are_these():
    assert kernelscope.__all__ == NAMES
    assert dir(kernelscope) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_every_public_name_is_there(name: str):
    assert getattr(kernelscope, name) is not None


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="nothing"):
        _ = kernelscope.nothing


def test_the_import_loads_nothing_of_what_it_will_need():
    code = "import sys, kernelscope; print(*sorted(n for n in sys.modules if 'kernelscope' in n))"
    command = [sys.executable, "-X", "importtime", "-c", code]
    shown = subprocess.run(command, capture_output=True, text=True, check=True)

    loaded = ["kernelscope", "kernelscope.lazy_accessor", "kernelscope.version"]
    assert shown.stdout.split() == loaded
    for heavy in ("pandas", "numpy", "IPython", "argparse", "socket"):
        assert f" {heavy}\n" not in shown.stderr


def test_a_session_is_made_without_what_decodes_and_draws():
    code = "import sys, kernelscope.tracing.session; print({'pandas', 'numpy'} & set(sys.modules))"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout == "set()\n"


def test_the_receipt_states_the_version():
    from unit.builders.fake_agent import EVENTS, FakeChannel, attached, receipt, session

    run = session(FakeChannel([attached(EVENTS), receipt()])).start(source="int f;")
    assert run.receipt["version"] == kernelscope.__version__


def test_the_version_stands_in_one_file():
    root = Path(__file__).resolve().parents[2]
    files = [root / "pyproject.toml", *(root / "kernelscope").rglob("*.py")]
    stated = [path.name for path in files if f'"{kernelscope.__version__}"' in path.read_text()]
    assert stated == ["version.py"]


def test_a_table_that_was_read_has_ks(tmp_path: Path):
    (tmp_path / "x.csv").write_text("a,b\n1,2\n")
    code = "import sys, kernelscope; print(kernelscope.read(sys.argv[1]).ks.lost)"
    command = [sys.executable, "-c", code, str(tmp_path / "x.csv")]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "0\n"
