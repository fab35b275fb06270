"""Compiled code is kept within its bytes, and not taken away from who is loading it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from core.engine import code_cache
from core.engine.code_cache import make_room, using


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Four files of 100 bytes, `0.so` the least recently used, and one of the compiler's locks."""
    with using(tmp_path):
        for age in range(4):
            file = tmp_path / "of one compiler" / f"{age}.so"
            file.parent.mkdir(exist_ok=True)
            file.write_bytes(b"x" * 100)
            os.utime(file, (age + 1, age + 1))
    (tmp_path / "0.lock").touch()
    return tmp_path


def left(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*.so"))


def test_the_least_recently_used_go(folder: Path) -> None:
    assert make_room(folder, 250) == 200
    assert left(folder) == ["2.so", "3.so"]
    assert (folder / "0.lock").exists()
    assert make_room(folder, 250) == 0
    assert make_room(folder, 0) == 200
    assert left(folder) == []


def test_nothing_goes_while_somebody_loads(folder: Path) -> None:
    with using(folder):
        assert make_room(folder, 0) == 0
        with using(folder):
            assert make_room(folder, 0) == 0
        assert make_room(folder, 0) == 0
    assert make_room(folder, 0) == 400


def test_what_a_run_has_loaded_counts_as_used(folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    beside = folder / "of one compiler" / "0.cpp"
    beside.write_text("its source")
    os.utime(beside, (1, 1))
    maps = tmp_path / "maps"
    maps.write_text(
        f"7f00-7f01 r-xp 0 08:02 11 {folder / 'of one compiler' / '0.so'}\n"
        "7f01-7f02 r-xp 0 08:02 12 /lib/libc.so\n7f02-7f03 rw-p 0 00:00 0\n"
    )
    monkeypatch.setattr(code_cache, "_MAPS", maps)
    with using(folder):
        pass
    maps.unlink()
    make_room(folder, 110)
    assert left(folder) == ["0.so"]
    assert beside.exists()


def test_a_folder_that_nobody_has_used_is_no_fault(tmp_path: Path) -> None:
    assert make_room(tmp_path / "nowhere", 0) == 0
