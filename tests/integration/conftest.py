"""What the tests of a real kernel share: a session for each file, and a shell with its magics."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from IPython.core.interactiveshell import InteractiveShell

from kernelscope.tracing.session import Session
from kernelscope.ui.notebook import magics


@pytest.fixture(scope="module")
def session() -> Iterator[Session]:
    with Session() as made:
        yield made


@pytest.fixture
def shell(session: Session) -> Iterator[InteractiveShell]:
    InteractiveShell.clear_instance()
    made = InteractiveShell.instance()
    made.register_magics(magics.KernelScope(made, session))
    yield made
    made.reset()
    InteractiveShell.clear_instance()
