"""Files by content, fetched once and dropped when room is needed."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from worker.cache import FileCache


class Shelf:
    """Gives a file of ten bytes for every name; counts how often."""

    def __init__(self) -> None:
        self.reads: list[str] = []
        self.gate = threading.Event()
        self.gate.set()

    def read_to(self, sha256: str, target: Path) -> None:
        self.gate.wait(5)
        self.reads.append(sha256)
        target.write_bytes(b"0123456789")


def test_two_threads_fetch_one_content_once(tmp_path: Path) -> None:
    shelf = Shelf()
    shelf.gate.clear()
    cache = FileCache(tmp_path / "cache", shelf, 100)

    def use() -> None:
        with cache.holding("a") as path:
            assert path.read_bytes() == b"0123456789"

    threads = [threading.Thread(target=use) for _ in range(4)]
    for thread in threads:
        thread.start()
    shelf.gate.set()
    for thread in threads:
        thread.join()
    assert shelf.reads == ["a"]


def test_the_least_recently_used_goes_but_nothing_that_is_held(tmp_path: Path) -> None:
    shelf = Shelf()
    cache = FileCache(tmp_path, shelf, 25)
    for age, name in ((30, "a"), (20, "b")):
        with cache.holding(name) as path:
            pass
        os.utime(path, (1e9 - age, 1e9 - age))
    with cache.holding("a") as held, cache.holding("c"):
        assert held.exists()
        assert not (tmp_path / "b").exists()
    assert shelf.reads == ["a", "b", "c"]


def test_a_fetch_that_fails_leaves_the_name_free(tmp_path: Path) -> None:
    class Broken:
        def read_to(self, sha256: str, target: Path) -> None:
            raise OSError(sha256)

    cache = FileCache(tmp_path, Broken(), 25)
    for _ in range(2):
        with pytest.raises(OSError, match="a"), cache.holding("a"):
            pass
    assert list(tmp_path.iterdir()) == []


def test_made_sets_with_other_parameters_are_other_files(tmp_path: Path) -> None:
    cache = FileCache(tmp_path, Shelf(), 1000)
    with cache.holding_made("moons", {"rows": 10, "seed": 1}) as first:
        first.write_bytes(b"x")
    with cache.holding_made("moons", {"seed": 1, "rows": 10}) as same, cache.holding_made("moons", {}) as other:
        assert same == first
        assert other != first
