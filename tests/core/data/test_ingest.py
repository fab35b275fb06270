"""Uploads as they arrive: read in a child, described, stored once per content, or refused with nothing left."""

from __future__ import annotations

import gzip
import io
import json
import os
import pickle
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import psutil
import pytest

from core.data.ingest import ingest
from core.data.table import StoredTable, read_arrays
from core.errors import Invalid, NetmillError, TooLarge, UnsupportedType
from core.spec.limits import Limits

LIMITS = Limits()
CSV = b"age,colour,ok,when\n1.5,red,true,2024-01-01\n,blue,false,2024-01-02\n2.5,NA,,\n"


def upload(content: bytes, folder: Path) -> Path:
    path = folder / "upload"
    path.write_bytes(content)
    return path


def workdir(folder: Path) -> Path:
    path = folder / "work"
    path.mkdir(exist_ok=True)
    return path


def npz(**arrays: Any) -> bytes:
    out = io.BytesIO()
    np.savez(out, **arrays)
    return out.getvalue()


def test_a_table_is_described_and_stored(tmp_path: Path) -> None:
    made = ingest(upload(CSV, tmp_path), "csv", workdir(tmp_path), LIMITS)
    assert made.schema.rows == 3
    assert [(column.name, column.type, column.missing) for column in made.schema.columns] == [
        ("age", "float", 1),
        ("colour", "string", 1),
        ("ok", "boolean", 1),
        ("when", "datetime", 1),
    ]
    colour = made.schema.column("colour")
    assert colour is not None
    assert colour.categories == ("blue", "red")
    assert made.preview[0] == {"age": 1.5, "colour": "red", "ok": True, "when": "2024-01-01T00:00:00Z"}
    assert made.preview[2] == {"age": 2.5, "colour": None, "ok": None, "when": None}
    assert made.profile["columns"][0]["mean"] == 2.0
    assert [column.name for column in StoredTable(made.data_path)] == ["age", "colour", "ok", "when"]
    assert made.bytes == made.data_path.stat().st_size
    assert list(workdir(tmp_path).iterdir()) == [made.data_path]


def test_arrays_are_described_and_stored(tmp_path: Path) -> None:
    x = np.random.default_rng(0).normal(size=(6, 1, 4, 4)).astype(np.float32)
    content = npz(x=x, y=np.array(["a", "b"] * 3), weight=np.ones(6), split=np.array(["train"] * 4 + ["test"] * 2))
    made = ingest(upload(content, tmp_path), "npz", workdir(tmp_path), LIMITS)
    assert made.schema.kind == "arrays"
    assert {info.name: (info.shape, info.dtype) for info in made.schema.arrays} == {
        "x": ((1, 4, 4), "float32"),
        "y": ((), "string"),
        "weight": ((), "float64"),
        "split": ((), "int8"),
    }
    y = made.schema.array("y")
    assert y is not None
    assert y.categories == ("a", "b")
    assert np.array_equal(read_arrays(made.data_path)["x"], x)
    assert made.preview[5]["y"] == "b"
    assert made.preview[5]["split"] == "test"


def test_a_single_array_is_x(tmp_path: Path) -> None:
    out = io.BytesIO()
    np.save(out, np.arange(6.0).reshape(3, 2))
    made = ingest(upload(gzip.compress(out.getvalue()), tmp_path), "npy", workdir(tmp_path), LIMITS)
    assert [info.name for info in made.schema.arrays] == ["x"]
    assert made.schema.rows == 3


def test_the_same_content_has_the_same_sha256_however_it_was_packed(tmp_path: Path) -> None:
    plain = ingest(upload(CSV, tmp_path), "csv", workdir(tmp_path), LIMITS)
    packed = ingest(upload(gzip.compress(CSV), tmp_path), "csv", workdir(tmp_path), LIMITS)
    quoted = CSV.replace(b"red", b'"red"').replace(b"\n", b"\r\n").replace(b"1.5", b"1.50")
    other_text = ingest(upload(quoted, tmp_path), "csv", workdir(tmp_path), LIMITS)
    assert plain.sha256 == packed.sha256 == other_text.sha256
    assert plain.schema == packed.schema


def test_everything_in_the_description_is_plain_json(tmp_path: Path) -> None:
    huge = b"a,b,c\n1e308,5e-324,x\n-1e308,0,\n1.7e308,1,z\n"
    made = ingest(upload(huge, tmp_path), "csv", workdir(tmp_path), LIMITS)
    json.dumps([made.profile, made.preview, made.schema.model_dump()], allow_nan=False)


def big_parquet() -> bytes:
    out = io.BytesIO()
    pl.DataFrame({f"c{i}": pl.zeros(5_000_000, dtype=pl.Int64, eager=True) for i in range(8)}).write_parquet(out)
    return out.getvalue()


GOOD_PARQUET = io.BytesIO()
pl.DataFrame({"a": range(100), "b": ["x"] * 100}).write_parquet(GOOD_PARQUET)


@pytest.mark.parametrize(
    ("format_name", "content", "kind"),
    [
        ("csv", b"", Invalid),
        ("csv", gzip.compress(b"", mtime=0), Invalid),
        ("csv", b"a,b\n1,2\n3\n", Invalid),
        ("csv", gzip.compress(CSV * 200, mtime=0)[:-40], Invalid),
        ("csv", gzip.compress(b"a,b\n" + b"1,2\n" * 2**25, mtime=0), TooLarge),
        ("csv", b"a\n" + b"x" * 2**25, TooLarge),
        ("csv", pickle.dumps({"a": 1}), UnsupportedType),
        ("npz", b"PK\x03\x04" + bytes(100), Invalid),
        (
            "npy",
            b"\x93NUMPY\x01\x00\x46\x00{'descr': '<f4', 'fortran_order': False, 'shape': (68719476736,), }   \n",
            TooLarge,
        ),
        ("parquet", GOOD_PARQUET.getvalue()[:-20], Invalid),
        ("parquet", b"PAR1" + bytes(range(256)) + b"PAR1", Invalid),
        ("parquet", b"PAR1" + (2**31 - 1).to_bytes(4, "little") + b"PAR1", Invalid),
        ("parquet", big_parquet(), TooLarge),
        ("pkl", b"x", UnsupportedType),
        ("../csv", b"x", UnsupportedType),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_hostile_is_refused_soon_and_leaves_nothing(
    format_name: str, content: bytes, kind: type[NetmillError], tmp_path: Path
) -> None:
    source = upload(content, tmp_path)
    began = time.monotonic()
    with pytest.raises(kind) as caught:
        ingest(source, format_name, workdir(tmp_path), LIMITS)
    assert time.monotonic() - began < 10
    assert caught.value.detail
    assert caught.value.code in ("bad_data", "too_large", "unsupported_type")
    assert list(workdir(tmp_path).iterdir()) == []


def test_a_flipped_bit_in_parquet_kills_nobody(tmp_path: Path) -> None:
    random = np.random.default_rng(3)
    for _ in range(4):
        content = bytearray(GOOD_PARQUET.getvalue())
        for place in random.integers(4, len(content) - 8, 3):
            content[place] ^= 1 << int(random.integers(8))
        try:
            made = ingest(upload(bytes(content), tmp_path), "parquet", workdir(tmp_path), LIMITS)
            made.data_path.unlink()
        except (Invalid, TooLarge) as refusal:
            assert refusal.detail  # noqa: PT017  # either outcome is fine
        assert list(workdir(tmp_path).iterdir()) == []


def test_limits_are_the_settings(tmp_path: Path) -> None:
    source = upload(CSV, tmp_path)
    for limits, said in (
        (Limits(upload_bytes=10), "the upload: 75 bytes, at most 10"),
        (Limits(dataset_columns=3), "4 columns, at most 3"),
        (Limits(dataset_rows=2), "more than 2 rows"),
    ):
        with pytest.raises(TooLarge) as caught:
            ingest(source, "csv", workdir(tmp_path), limits)
        assert said in caught.value.detail


def test_memory_that_is_not_there_is_explained(tmp_path: Path) -> None:
    """The child dies inside Rust, which aborts; whoever sent the file reads why."""
    content = b"a,b\n" + b"1.25,2.5\n" * 400_000
    with pytest.raises(TooLarge, match="memory"):
        ingest(upload(content, tmp_path), "csv", workdir(tmp_path), Limits(parse_memory_bytes=400 * 2**20))
    assert list(workdir(tmp_path).iterdir()) == []


def test_a_child_that_is_killed_is_explained(tmp_path: Path) -> None:
    """By somebody else's hand, such as the kernel's when memory runs out."""
    source = upload(b'a,b\n"' + b"x,\n" * 90_000 + b'",1\n' + b'"x",2\n' * 900_000, tmp_path)
    me = psutil.Process()

    def kill() -> None:
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            for child in me.children():
                if "core.data.child" in child.cmdline():
                    child.kill()
                    return
            time.sleep(0.005)

    killer = threading.Thread(target=kill)
    killer.start()
    with pytest.raises(TooLarge):
        ingest(source, "csv", workdir(tmp_path), LIMITS)
    killer.join()
    assert list(workdir(tmp_path).iterdir()) == []


def test_time_that_runs_out_is_explained(tmp_path: Path) -> None:
    with pytest.raises(TooLarge, match="took more than"):
        ingest(upload(CSV, tmp_path), "csv", workdir(tmp_path), Limits(parse_seconds=0))


def test_the_child_ends_with_whoever_asked(tmp_path: Path) -> None:
    """Its parent is killed without a word; nothing goes on reading for nobody."""
    fifo = tmp_path / "upload"
    os.mkfifo(fifo)
    script = (
        "import sys; from pathlib import Path; from core.data import ingest; from core.spec.limits import Limits;"
        "ingest._read_in_child(Path(sys.argv[1]), 'csv', Path(sys.argv[2]), 10, Limits())"
    )
    parent = subprocess.Popen([sys.executable, "-c", script, str(fifo), str(workdir(tmp_path))])
    # opening the pipe for writing returns once the child has it open for reading
    with fifo.open("wb"):
        (child,) = psutil.Process(parent.pid).children()
        parent.kill()
        parent.wait()
        child.wait(10)


def test_nothing_of_ours_reaches_the_child(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from core.data.ingest import _environment  # noqa: PLC0415

    monkeypatch.setenv("NETMILL_ADMIN_KEY", "nm_secret")
    assert "nm_secret" not in str(_environment(tmp_path))
