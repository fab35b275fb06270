"""Large data are prepared once on a machine: later runs map the files of the first, with the bits they would make."""

from __future__ import annotations

import dataclasses
import json
import multiprocessing
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from core.data import kept
from core.data.builtin import make_builtin
from core.data.kept import Shelf, keeping_preparations
from core.data.prepare import Part, Parts, prepare_parts
from core.spec.job import JobSpec
from core.spec.limits import Limits
from core.spec.plan import check_job

NETWORK = {"layers": [{"type": "linear", "units": 4}]}
WHOLE = 1 << 30


@pytest.fixture(autouse=True)
def _all_data_are_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept, "LEAST_BYTES", 1)


class Data:
    """A built-in set in a folder, and a shelf beside it."""

    def __init__(self, folder: Path, name: str = "iris") -> None:
        self.name, self.made = name, make_builtin(name, {}, folder)
        self.shelf = folder / "shelf"

    def spec(self, data: dict[str, Any] | None = None, **fields: Any) -> JobSpec:
        body = {"network": NETWORK, **fields, "data": {"dataset": self.name, **(data or {})}}
        return check_job(body, lambda _: self.made.schema, Limits()).spec

    def parts(self, data: dict[str, Any] | None = None, fold: int = 0, **fields: Any) -> Parts:
        return prepare_parts(self.spec(data, **fields), self.made.schema, self.made.data_path, fold)

    def kept(self, data: dict[str, Any] | None = None, *, max_bytes: int = WHOLE, **rest: Any) -> Parts:
        with keeping_preparations(self.shelf, max_bytes):
            return self.parts(data, **rest)

    def entries(self) -> list[Path]:
        return sorted(self.shelf.iterdir()) if self.shelf.exists() else []


@pytest.fixture
def iris(tmp_path: Path) -> Data:
    return Data(tmp_path)


def file_of(array: np.ndarray[Any, Any]) -> tuple[str, int]:
    """(name, inode) of the file that an array lies in; this process maps it."""
    address = array.ctypes.data
    for line in Path("/proc/self/maps").read_text().splitlines():
        first, last = (int(end, 16) for end in line.split()[0].split("-"))
        if first <= address < last:
            return (*line.split()[5:6], "")[0], int(line.split()[4])
    raise AssertionError("an array lies in no mapping")


def assert_same(some: Parts, others: Parts) -> None:
    for each in dataclasses.fields(some):
        mine, theirs = getattr(some, each.name), getattr(others, each.name)
        if isinstance(mine, Part):
            for field in dataclasses.fields(Part):
                a, b = getattr(mine, field.name), getattr(theirs, field.name)
                assert (a is None) == (b is None)
                if a is not None:
                    assert (a.dtype, a.shape, a.tobytes()) == (b.dtype, b.shape, b.tobytes())
        elif isinstance(mine, np.ndarray):
            assert mine.tobytes() == theirs.tobytes()
        else:
            assert mine == theirs
    assert json.dumps(some.preparation.to_json()) == json.dumps(others.preparation.to_json())


CASES: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    ("iris", {}, {}),
    ("digits", {"preprocess": {"scale": "minmax"}}, {"training": {"precision": "float64"}}),
    ("iris", {"split": {"validation": 0, "test": 0}}, {}),
    ("iris", {"target": "petal width (cm)", "preprocess": {"target_scale": "standard"}}, {}),
    ("iris", {"target": "label", "train_on": "setosa"}, {"task": "reconstruction"}),
    ("higgs", {}, {}),
]


@pytest.mark.parametrize(("name", "data", "fields"), CASES, ids=[f"{n}-{case[0]}" for n, case in enumerate(CASES)])
def test_what_is_mapped_is_what_would_be_made(
    tmp_path: Path, name: str, data: dict[str, Any], fields: dict[str, Any]
) -> None:
    here = Data(tmp_path, name)
    plain, first, again = here.parts(data, **fields), here.kept(data, **fields), here.kept(data, **fields)
    assert len(here.entries()) == 1
    assert_same(plain, first)
    assert_same(plain, again)
    assert file_of(again.train.x) == file_of(first.train.x) == (
        str(here.entries()[0] / "train.x.npy"), (here.entries()[0] / "train.x.npy").stat().st_ino
    )  # fmt: skip


def test_every_array_begins_with_a_line_of_memory_wherever_it_came_from(iris: Data) -> None:
    for parts in (iris.parts(), iris.kept(), iris.kept()):
        assert [part.x.ctypes.data % 64 for part in parts.present] == [0, 0, 0]


def test_nobody_can_write_to_what_is_shared(iris: Data) -> None:
    with pytest.raises(ValueError, match="read-only"):
        iris.kept().train.x[0] = 1


def test_whatever_the_content_depends_on_has_an_entry_of_its_own(iris: Data, tmp_path: Path) -> None:
    iris.kept()
    iris.kept(optimizer={"type": "sgd", "lr": 0.5}, training={"seed": 3, "epochs": 2})
    assert len(iris.entries()) == 1
    others: list[Callable[[], object]] = [
        lambda: iris.kept({"split": {"seed": 1}}),
        lambda: iris.kept({"preprocess": {"scale": "none"}}),
        lambda: iris.kept(training={"precision": "float64"}),
        lambda: iris.kept({"split": {"folds": 3}}, fold=0),
        lambda: iris.kept({"split": {"folds": 3}}, fold=1),
    ]
    for number, other in enumerate(others, start=2):
        other()
        assert len(iris.entries()) == number
    iris.made.data_path.rename(tmp_path / "another")
    iris.made = dataclasses.replace(iris.made, data_path=tmp_path / "another")
    iris.kept()
    assert len(iris.entries()) == len(others) + 2


def test_another_release_and_another_boot_believe_nothing(
    iris: Data, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    iris.kept()
    monkeypatch.setattr(kept, "fingerprint", lambda: "another release")
    iris.kept()
    assert len(iris.entries()) == 2
    boot = tmp_path / "boot_id"
    boot.write_text("another boot")
    monkeypatch.setattr(kept, "_BOOT", boot)
    iris.kept()
    assert len(iris.entries()) == 3
    boot.unlink()
    iris.kept({"split": {"seed": 5}})
    assert len(iris.entries()) == 3, "where boots are not told nothing is kept"


def _truncated(entry: Path) -> None:
    os.truncate(entry / "train.x.npy", (entry / "train.x.npy").stat().st_size - 8)


def _changed(entry: Path) -> None:
    time.sleep(0.02)  # a file's time goes by in steps
    with (entry / "train.x.npy").open("r+b") as file:
        file.seek(-4, os.SEEK_END)
        file.write(b"\0\1\2\3")


def _another_header(entry: Path) -> None:
    path = entry / "train.x.npy"
    status = path.stat()
    with path.open("r+b") as file:
        head = file.read(128).replace(b"<f4", b"<i4")
        file.seek(0)
        file.write(head)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def _missing(entry: Path) -> None:
    (entry / "validation.x.npy").unlink()


def _told_otherwise(entry: Path) -> None:
    told = (entry / "parts.json").read_text()
    (entry / "parts.json").write_text(told.replace('"dropped_rows": 0', '"dropped_rows": 1'))


def _half_told(entry: Path) -> None:
    os.truncate(entry / "parts.json", 100)


DAMAGES = [_truncated, _changed, _another_header, _missing, _told_otherwise, _half_told]


@pytest.mark.parametrize("damage", DAMAGES, ids=[damage.__name__ for damage in DAMAGES])
def test_a_damaged_entry_is_made_anew(iris: Data, damage: Callable[[Path], None]) -> None:
    iris.kept()
    (entry,) = iris.entries()
    (entry / "of the first").touch()
    damage(entry)
    assert_same(iris.parts(), iris.kept())
    assert [each.name for each in iris.entries()] == [entry.name]
    assert not (entry / "of the first").exists()
    assert_same(iris.parts(), iris.kept())


def test_the_least_recently_used_go_and_who_maps_them_reads_on(iris: Data) -> None:
    first, second = iris.kept(), iris.kept({"split": {"seed": 1}})
    size = sum(file.stat().st_size for file in iris.entries()[0].iterdir())
    for age, entry in enumerate(sorted(iris.entries(), key=lambda each: (each / "parts.json").stat().st_mtime_ns)):
        os.utime(entry / "parts.json", (age + 1, age + 1))
    # the older one is used once more
    iris.kept()
    third = iris.kept({"split": {"seed": 2}}, max_bytes=int(2.5 * size))
    files = {file_of(parts.train.x)[0].endswith(" (deleted)") for parts in (first, third)}
    assert len(iris.entries()) == 2
    assert files == {False}
    assert_same(second, iris.parts({"split": {"seed": 1}}))
    assert not (Path(file_of(second.train.x)[0])).exists()


def test_what_is_larger_than_the_shelf_is_not_put_there(iris: Data) -> None:
    assert_same(iris.kept(max_bytes=1000), iris.parts())
    assert_same(iris.kept(max_bytes=0), iris.parts())
    assert iris.entries() == []


def test_a_disk_that_takes_nothing_is_no_fault_of_the_run(iris: Data) -> None:
    iris.shelf.write_text("a file where the folder should be")
    assert_same(iris.kept(), iris.parts())


def test_what_a_writer_that_died_has_left_goes(iris: Data) -> None:
    iris.kept()
    old, new = iris.shelf / ".making-old", iris.shelf / ".making-new"
    for each in (old, new):
        each.mkdir()
        (each / "train.x.npy").write_bytes(b"half")
    os.utime(old, (1, 1))
    Shelf(iris.shelf, WHOLE).make_room()
    assert [each.name for each in iris.entries() if each.name.startswith(".")] == [".making-new"]


def _prepared(folder: str, ready: Any) -> bytes:
    kept.LEAST_BYTES = 1
    here = Data(Path(folder) / str(os.getpid()), "digits")
    here.shelf = Path(folder) / "shelf"
    here.made.data_path.replace(path := Path(folder) / "digits")
    here.made = dataclasses.replace(here.made, data_path=path)
    ready.wait()
    return here.kept().train.x.tobytes()


def test_two_that_prepare_the_same_at_once_agree(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    with context.Manager() as manager, context.Pool(2) as pool:
        ready = manager.Barrier(2)
        first, second = pool.starmap(_prepared, [(str(tmp_path), ready)] * 2)
    assert first == second == Data(tmp_path, "digits").parts().train.x.tobytes()
    (entry,) = (tmp_path / "shelf").iterdir()
    assert not entry.name.startswith(".")


@pytest.fixture
def _large_from(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept, "LEAST_BYTES", 4 * 1024**2)


@pytest.mark.usefixtures("_large_from")
def test_small_data_are_made_by_each(iris: Data) -> None:
    iris.kept()
    assert iris.entries() == []
