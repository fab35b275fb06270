"""ROOT files, written by uproot's writer as a physicist would, and as somebody would who means harm."""

from __future__ import annotations

import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import awkward
import numpy as np
import polars as pl
import pytest
import uproot

from core.data.ingest import Ingested, ingest
from core.data.selection import read_selection
from core.data.table import StoredTable
from core.errors import Invalid, TooLarge
from core.spec.limits import Limits

ROWS = 50


@pytest.fixture(scope="module")
def events(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two trees of scalars in a folder, one of everything else, and a histogram."""
    path = tmp_path_factory.mktemp("root") / "events.root"
    draw = np.random.default_rng(0)
    scalars = {"pt": "float64", "eta": "float32", "charge": "int32", "tagged": "bool", "kind": "float32"}
    with uproot.recreate(path) as file:
        for tree, kind in (("d/sig", 1.0), ("d/bkg", 0.0)):
            file.mktree(tree, scalars | ({"extra": "float32"} if kind else {}))
            rows: dict[str, Any] = {
                "pt": draw.normal(size=ROWS),
                "eta": draw.normal(size=ROWS).astype(np.float32),
                "charge": draw.integers(-1, 2, ROWS).astype(np.int32),
                "tagged": draw.integers(0, 2, ROWS).astype(bool),
                "kind": np.full(ROWS, kind, np.float32),
            }
            file[tree].extend(rows | ({"extra": rows["eta"]} if kind else {}))
        file.mktree(
            "mixed",
            {"p4": np.dtype((np.float32, (4,))), "m": np.dtype((np.int16, (2, 2))), "jet": "var * float32"}
            | {"hash": "uint64", "name": "string"},
        )
        file["mixed"].extend(
            {
                "p4": np.arange(12, dtype=np.float32).reshape(3, 4),
                "m": np.arange(12, dtype=np.int16).reshape(3, 2, 2),
                "jet": awkward.Array([[1.0], [], [2.0, 3.0]]),
                "hash": np.array([2**63, 1, 2], np.uint64),
                "name": awkward.Array(["b", "", "a"]),
            }
        )
        file.mktree("empty", {"a": "float32"})
        file["h"] = np.histogram([1, 2, 3])
    return path


def read(path: Path, folder: Path, **query: list[str]) -> Ingested:
    return ingest(path, "root", folder, Limits(), read_selection("root", query))


def test_a_tree_is_a_table_in_the_encoding_of_every_other_format(events: Path, tmp_path: Path) -> None:
    made = read(events, tmp_path, tree=["d/sig"])
    with uproot.open(events) as file:
        frame = pl.DataFrame(file["d/sig"].arrays(library="np"))
    frame.write_parquet(tmp_path / "same.parquet")
    assert ingest(tmp_path / "same.parquet", "parquet", tmp_path, Limits()).sha256 == made.sha256
    assert "notes" not in made.profile


def test_two_trees_are_two_classes(events: Path, tmp_path: Path) -> None:
    made = read(events, tmp_path, tree=["d/sig;1,d/bkg"], label=["signal", "background"])
    assert made.schema.rows == 2 * ROWS
    label = made.schema.column("label")
    assert label is not None
    assert (label.categories, label.counts) == (("background", "signal"), (ROWS, ROWS))
    assert made.preview[0]["label"] == "signal"
    assert made.schema.column("extra") is None
    left_out, same = made.profile["notes"]
    assert "extra" in left_out
    assert same.startswith("kind has one value in each part")
    repeated = read(events, tmp_path, tree=["d/sig", "d/bkg"])
    assert repeated.schema.column("label").categories == ("d/bkg", "d/sig")  # type: ignore[union-attr]


def test_fixed_arrays_are_columns_and_lists_are_left_out(events: Path, tmp_path: Path) -> None:
    made = read(events, tmp_path, tree=["mixed"])
    table = StoredTable(made.data_path)
    names = [column.name for column in made.schema.columns]
    assert names == ["p4_0", "p4_1", "p4_2", "p4_3", "m_0_0", "m_0_1", "m_1_0", "m_1_1", "njet", "hash", "name"]
    assert table.column("p4_2").values.tolist() == [2, 6, 10]
    # how many a list holds is a number a row, and a good feature
    assert table.column("njet").values.tolist() == [1, 0, 2]
    assert table.column("m_1_0").values.tolist() == [2, 6, 10]
    assert [(column.type, column.missing) for column in made.schema.columns[-2:]] == [("float", 0), ("string", 1)]
    assert made.profile["notes"] == ["left out of mixed, as their rows hold lists or objects: jet (float[])"]


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ({}, "the file has d/sig, d/bkg, mixed, empty"),
        ({"tree": ["nope"]}, "the file has d/sig, d/bkg, mixed, empty"),
        ({"tree": ["h"]}, "the file has d/sig"),
        ({"tree": ["empty"]}, "tree 'empty' has no rows"),
        ({"tree": ["mixed", "d/sig"]}, "no column in common"),
        ({"tree": ["d/sig", "d/sig"]}, "twice"),
    ],
)
def test_what_is_not_plain_lists_what_there_is(
    events: Path, tmp_path: Path, query: dict[str, list[str]], said: str
) -> None:
    with pytest.raises(Invalid) as caught:
        read(events, tmp_path, **query)
    assert said in caught.value.detail
    assert "Traceback" not in caught.value.detail


def test_labels_that_do_not_fit_are_refused_before_reading() -> None:
    with pytest.raises(Invalid) as caught:
        read_selection("root", {"tree": ["a,b"], "label": ["s"], "x": ["k"], "channels": ["up"]})
    assert {fault.pointer for fault in caught.value.errors} == {"/label", "/x", "/channels"}


def test_the_only_tree_needs_no_name(tmp_path: Path) -> None:
    with uproot.recreate(tmp_path / "one.root") as file:
        file.mktree("only", {"a": "float32"})
        file["only"].extend({"a": np.arange(4, dtype=np.float32)})
    assert read(tmp_path / "one.root", tmp_path).schema.rows == 4


@pytest.mark.parametrize("how", ["ZLIB", "LZMA", "LZ4", "ZSTD"])
def test_every_compression_of_root_is_read(tmp_path: Path, how: str) -> None:
    values = np.arange(20_000, dtype=np.float32) % 7
    with uproot.recreate(tmp_path / "a.root", compression=getattr(uproot, how)(5)) as file:
        file.mktree("t", {"a": "float32"})
        file["t"].extend({"a": values})
    assert (tmp_path / "a.root").stat().st_size < values.nbytes / 2
    assert np.array_equal(StoredTable(read(tmp_path / "a.root", tmp_path).data_path).column("a").values, values)


def test_damage_is_explained(events: Path, tmp_path: Path) -> None:
    whole = events.read_bytes()
    for cut in (4, 60, 300, len(whole) // 2):
        (tmp_path / "cut.root").write_bytes(whole[:cut])
        with pytest.raises(Invalid) as caught:
            read(tmp_path / "cut.root", tmp_path, tree=["mixed"])
        assert caught.value.detail
    draw = random.Random(1)
    for _ in range(6):
        bent = bytearray(whole)
        for place in draw.choices(range(100, len(bent)), k=20):
            bent[place] ^= 1 << draw.randrange(8)
        (tmp_path / "bent.root").write_bytes(bytes(bent))
        try:
            read(tmp_path / "bent.root", tmp_path, tree=["d/sig"])
        except (Invalid, TooLarge) as refusal:
            assert refusal.detail  # noqa: PT017  # either outcome is fine
    assert not [path for path in tmp_path.iterdir() if path.is_dir()]


def test_nothing_that_a_file_says_becomes_python_code(tmp_path: Path) -> None:
    """uproot writes classes for what it does not know and compiles them; here such a file is refused."""
    marker = tmp_path / "ran"
    script = f"""
import pathlib, uproot
from core.data import root
root._compile_nothing()
try:
    uproot.deserialization.compile_class(None, {{}}, "import pathlib; pathlib.Path({str(marker)!r}).touch()", "X")
except Exception as error:
    print("refused", error)
try:
    uproot.interpretation.identify._parse_maybe_quote("pathlib.Path({str(marker)!r}).touch()", False)
except Exception as error:
    print("refused", error)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.count("refused") == 2
    assert not marker.exists()


def test_counts_that_the_file_cannot_hold_are_refused(events: Path, tmp_path: Path) -> None:
    with pytest.raises(TooLarge, match="at most 20"):
        ingest(events, "root", tmp_path, Limits(dataset_rows=20), read_selection("root", {"tree": ["d/sig"]}))


def test_a_bomb_of_zeros_is_over_before_it_is_felt(tmp_path: Path) -> None:
    """96 MB of zeros in a file of less than one."""
    with uproot.recreate(tmp_path / "bomb.root", compression=uproot.ZSTD(5)) as file:
        file.mktree("t", {"a": "float64"})
        for _ in range(3):
            file["t"].extend({"a": np.zeros(4_000_000)})
    assert (tmp_path / "bomb.root").stat().st_size < 2**20
    with pytest.raises(TooLarge, match="declared size"):
        read(tmp_path / "bomb.root", tmp_path)


@pytest.mark.parametrize(
    "content", [b"root", b"root" + bytes(300), b"root" + b"\xff" * 3000, b"root" + bytes(range(256)) * 12]
)
def test_what_only_begins_like_a_root_file_is_told_so(tmp_path: Path, content: bytes) -> None:
    """And nothing of where the service keeps it."""
    path = tmp_path / "half.root"
    path.write_bytes(content)
    with pytest.raises(Invalid) as caught:
        ingest(path, "root", tmp_path, Limits(), read_selection("root", {}))
    assert "the file has no tree" in str(caught.value) or "damaged or cut off" in str(caught.value)
    assert tmp_path.name not in str(caught.value)
