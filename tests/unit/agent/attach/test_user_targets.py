"""Which files a user probe's target means."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path

import pytest

from kernelscope.agent.attach import user_targets

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="map_files needs root")


def test_restricted_look_up_takes_only_files_that_the_process_has_mapped() -> None:
    pid = os.getpid()
    for target in ("c", f"pid:{pid}"):
        for path in user_targets.paths(target, pid, only_mapped=True):
            assert path.startswith((f"/proc/{pid}/map_files/", f"/proc/{pid}/exe"))


def test_restricted_look_up_does_not_follow_names_in_a_mount_namespace(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("not a program")
    libc = next(path for path in user_targets.paths("c") if path.endswith("libc.so.6"))
    # The shell keeps the real library mapped, and then has another file under its name.
    command = f"mount --bind {secret} {os.path.realpath(libc)}; read line"
    arguments = ["unshare", "--mount", "sh", "-c", command]
    with subprocess.Popen(arguments, stdin=subprocess.PIPE) as process:
        inside = Path(f"/proc/{process.pid}/root{os.path.realpath(libc)}")
        end = time.monotonic() + 10
        while inside.read_bytes()[:4] != b"not ":
            assert time.monotonic() < end
            time.sleep(0.01)
        mapped = user_targets.paths("c", process.pid, only_mapped=True)
        assert all(Path(path).read_bytes()[:4] == b"\x7fELF" for path in mapped)
