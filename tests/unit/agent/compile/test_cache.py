from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from kernelscope.agent.compile.cache import Cache, default_folder


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return Cache(tmp_path / "cache")


def test_an_entry_round_trips(cache: Cache) -> None:
    cache.put("key", {"a": [1, 2], "b": "text"})
    assert cache.get("key") == {"a": [1, 2], "b": "text"}


def test_only_the_owner_can_use_the_folder(cache: Cache) -> None:
    cache.put("key", {})
    assert cache.folder.stat().st_mode & 0o777 == 0o700
    assert (cache.folder / "key.json").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("keep", [0, 10, 32, 38])
def test_a_truncated_entry_is_a_miss(cache: Cache, keep: int) -> None:
    cache.put("key", {"a": 1})
    path = cache.folder / "key.json"
    path.write_bytes(path.read_bytes()[:keep])
    assert cache.get("key") is None


def test_a_changed_byte_is_a_miss(cache: Cache) -> None:
    cache.put("key", {"a": 1})
    path = cache.folder / "key.json"
    data = bytearray(path.read_bytes())
    data[-2] ^= 1
    path.write_bytes(data)
    assert cache.get("key") is None


def test_does_not_follow_a_link(cache: Cache, tmp_path: Path) -> None:
    cache.put("key", {"a": 1})
    elsewhere = tmp_path / "elsewhere"
    (cache.folder / "key.json").rename(elsewhere)
    (cache.folder / "key.json").symlink_to(elsewhere)
    assert cache.get("key") is None


def test_a_file_writable_by_others_is_a_miss(cache: Cache) -> None:
    cache.put("key", {"a": 1})
    (cache.folder / "key.json").chmod(0o666)
    assert cache.get("key") is None


def test_does_not_use_a_folder_writable_by_others(tmp_path: Path) -> None:
    folder = tmp_path / "open"
    folder.mkdir()
    folder.chmod(0o777)
    assert Cache.open(folder) is None


def test_does_not_use_a_folder_that_is_a_link(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir(mode=0o700)
    (tmp_path / "link").symlink_to(tmp_path / "real")
    assert Cache.open(tmp_path / "link") is None


def test_works_without_a_folder(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert Cache.open(tmp_path / "file" / "cache") is None


def test_removes_the_oldest_entries_beyond_the_limit(tmp_path: Path) -> None:
    cache = Cache(tmp_path / "cache", limit=3000)
    for i in range(4):
        cache.put(str(i), {"text": "x" * 900})
        os.utime(cache.folder / f"{i}.json", (i, i)) if i < 3 else None
    cache.tidy()
    assert cache.get("0") is None
    assert cache.get("3") is not None


def test_removes_files_that_a_killed_writer_left(cache: Cache) -> None:
    left = cache.folder / ".new-123-456"
    left.touch()
    long_ago = time.time() - 3600
    os.utime(left, (long_ago, long_ago))
    Cache(cache.folder).tidy()
    assert not left.exists()


def test_does_not_tidy_if_nothing_was_stored(cache: Cache) -> None:
    left = cache.folder / ".new-123-456"
    left.touch()
    os.utime(left, (1, 1))
    cache.tidy_if_written()
    assert left.exists()
    cache.put("key", {"a": 1})
    cache.tidy_if_written()
    assert not left.exists()


def test_leaves_no_temporary_file(cache: Cache) -> None:
    cache.put("key", {"a": 1})
    assert [path.name for path in cache.folder.iterdir()] == ["key.json"]


def test_environment_variables_do_not_move_the_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    before = default_folder()
    monkeypatch.setenv("HOME", "/tmp/elsewhere")
    monkeypatch.setenv("XDG_CACHE_HOME", "/tmp/elsewhere")
    assert default_folder() == before
