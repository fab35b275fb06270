"""HDF5 files in the forms that people write, and in those that would make a careless reader open or allocate."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import polars as pl
import pytest

from core.data.ingest import Ingested, ingest
from core.data.sealed import no_more_files
from core.data.selection import read_selection
from core.data.table import StoredTable, read_arrays
from core.errors import Invalid, NetmillError, TooLarge
from core.spec.limits import Limits

DRAW = np.random.default_rng(0)
IMAGES = DRAW.normal(size=(12, 5, 6, 3)).astype(np.float32)


def write(path: Path, fill: Callable[[Any], object]) -> Path:
    with h5py.File(path, "w") as file:
        fill(file)
    return path


def read(path: Path, folder: Path, limits: Limits = Limits(), **query: list[str]) -> Ingested:  # noqa: B008
    return ingest(path, "hdf5", folder, limits, read_selection("hdf5", query))


def test_x_y_weight_and_split_are_an_npzs(tmp_path: Path) -> None:
    arrays = {"x": IMAGES, "y": np.arange(12) % 3, "weight": np.ones(12), "split": np.arange(12) % 3}
    np.savez(tmp_path / "same.npz", **arrays)

    def fill(file: Any) -> None:
        for name, array in arrays.items():
            file.create_dataset(name.upper(), data=array, chunks=True, compression="gzip", shuffle=True)

    made = read(write(tmp_path / "a.h5", fill), tmp_path)
    assert made.sha256 == ingest(tmp_path / "same.npz", "npz", tmp_path, Limits()).sha256
    assert made.profile["notes"][0].endswith("upload with channels=last")


@pytest.mark.parametrize("how", [{}, {"compression": "lzf", "chunks": (2, 5, 6, 3)}, {"dtype": ">f8"}])
def test_keys_are_named_and_channels_come_in_front(tmp_path: Path, how: dict[str, Any]) -> None:
    def fill(file: Any) -> None:
        file.create_dataset("events/images", data=IMAGES, **how)
        file["events/kind"] = np.array(["a", "b"] * 6, dtype=object)
        file["unused"] = [1.0]

    path = write(tmp_path / "a.h5", fill)
    made = read(path, tmp_path, x=["events/images"], y=["/events/kind"], channels=["last"])
    arrays = read_arrays(made.data_path)
    assert np.array_equal(arrays["x"], IMAGES.transpose(0, 3, 1, 2))
    assert made.schema.array("y").categories == ("a", "b")  # type: ignore[union-attr]
    assert "notes" not in made.profile


def test_one_data_set_a_class(tmp_path: Path) -> None:
    path = write(tmp_path / "a.h5", lambda file: file.update({"QCD": IMAGES[:8], "TT": IMAGES[8:]}))
    with pytest.raises(Invalid) as caught:
        read(path, tmp_path)
    assert "QCD float32 (8, 5, 6, 3), TT float32 (4, 5, 6, 3)" in caught.value.detail
    assert "label" in (caught.value.hint or "")
    made = read(path, tmp_path, x=["QCD", "TT"], label=["QCD", "top"])
    y = made.schema.array("y")
    assert y is not None
    assert (y.categories, y.counts) == (("QCD", "top"), (8, 4))
    assert np.array_equal(read_arrays(made.data_path)["x"], IMAGES)


def table_file(path: Path, form: str) -> Path:
    columns = {"pt": DRAW.normal(size=20), "n": np.arange(20, dtype=np.int32), "kind": np.array([b"s", b"b"] * 10)}

    def fill(file: Any) -> None:
        if form == "columns":
            file.update({f"events/{name}": array for name, array in columns.items()})
        elif form == "compound":
            file["table"] = np.rec.fromarrays(list(columns.values()), names=list(columns))
        else:
            group = file.create_group("df")
            group.attrs["pandas_type"] = "frame"
            for number, names in enumerate((["pt"], ["n"])):
                group[f"block{number}_items"] = np.array([name.encode() for name in names])
                group[f"block{number}_values"] = np.column_stack([columns[name] for name in names])
            group["axis0"], group["axis1"] = np.array([b"pt", b"n"]), np.arange(20)

    return write(path, fill)


@pytest.mark.parametrize("form", ["columns", "compound", "pandas"])
def test_tables(tmp_path: Path, form: str) -> None:
    made = read(table_file(tmp_path / "a.h5", form), tmp_path, **({"table": ["df"]} if form == "pandas" else {}))
    types = {column.name: column.type for column in made.schema.columns}
    assert types == {"pt": "float", "n": "integer"} | ({} if form == "pandas" else {"kind": "string"})
    table = StoredTable(made.data_path)
    assert table.column("n").values.tolist() == list(range(20))
    if form == "compound":
        frame = pl.DataFrame({"pt": table.column("pt").values, "n": pl.Series(range(20), dtype=pl.Int32)})
        frame.with_columns(kind=pl.Series(["s", "b"] * 10)).write_parquet(tmp_path / "same.parquet")
        assert ingest(tmp_path / "same.parquet", "parquet", tmp_path, Limits()).sha256 == made.sha256


def test_two_tables_are_two_classes_and_enumerations_are_texts(tmp_path: Path) -> None:
    kind = h5py.enum_dtype({"electron": 11, "muon": 13}, basetype="i4")

    def fill(file: Any) -> None:
        for name in ("sig", "bkg"):
            file[f"{name}/pt"] = DRAW.normal(size=4)
            file.create_dataset(f"{name}/lepton", data=[11, 13, 13, 11], dtype=kind)

    made = read(write(tmp_path / "a.h5", fill), tmp_path, table=["sig,bkg"], label=["s,b"])
    assert made.schema.column("label").categories == ("b", "s")  # type: ignore[union-attr]
    assert made.schema.column("lepton").categories == ("electron", "muon")  # type: ignore[union-attr]


SECRET = "of-another-file"
WHATS = (
    *("external link", "soft link", "external storage", "virtual", "huge", "many rows", "huge chunk", "reference"),
    *("ragged", "filter", "empty", "no rows", "one value", "complex", "compound", "infinite"),
)


def hostile(folder: Path) -> dict[str, Callable[[Any], object]]:
    """What makes a reader look outside, loop, or allocate; each leaves a data set `x`, or what seems to be one."""
    (folder / "secret.bin").write_bytes(SECRET.encode() * 100)
    write(folder / "other.h5", lambda file: file.update({"x": np.ones((4, 2))}))

    def external_storage(file: Any) -> None:
        storage = [(str(folder / "secret.bin"), 0, 800)]
        file.create_dataset("x", (100,), "u8", external=storage)

    def virtual(file: Any) -> None:
        layout = h5py.VirtualLayout((4, 2), "f8")
        layout[:] = h5py.VirtualSource(str(folder / "other.h5"), "x", (4, 2))
        file.create_virtual_dataset("x", layout)

    def huge_chunk(file: Any) -> None:
        file.create_dataset("x", (2, 2**28), "f8", chunks=(1, 2**28), maxshape=(None, 2**28))

    def reference(file: Any) -> None:
        file["a"] = np.ones(3)
        file.create_dataset("x", data=[file["a"].ref] * 3, dtype=h5py.ref_dtype)

    def ragged(file: Any) -> None:
        file.create_dataset("x", (2,), h5py.vlen_dtype(np.float32))[0] = np.ones(3)

    def unknown_filter(file: Any) -> None:
        plan = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        plan.set_chunk((2, 2))
        plan.set_filter(32001, h5py.h5z.FLAG_OPTIONAL, (1,))
        h5py.h5d.create(file.id, b"x", h5py.h5t.NATIVE_DOUBLE, h5py.h5s.create_simple((4, 2)), plan)

    return {
        "external link": lambda file: file.__setitem__("x", h5py.ExternalLink(str(folder / "other.h5"), "/x")),
        "soft link": lambda file: file.__setitem__("x", h5py.SoftLink("/nowhere")),
        "external storage": external_storage,
        "virtual": virtual,
        "huge": lambda file: file.create_dataset("x", (2**40, 4), "f8", chunks=(1024, 4)),
        "many rows": lambda file: file.create_dataset("x", (10**8, 8), "f4", chunks=(1024, 8)),
        "huge chunk": huge_chunk,
        "reference": reference,
        "ragged": ragged,
        "filter": unknown_filter,
        "empty": lambda file: file.create_dataset("x", data=h5py.Empty("f4")),
        "no rows": lambda file: file.create_dataset("x", (0, 3), "f4"),
        "one value": lambda file: file.create_dataset("x", data=1.0),
        "complex": lambda file: file.create_dataset("x", data=np.ones(3, complex)),
        "compound": lambda file: file.create_dataset("x", data=np.zeros(3, [("a", "f4"), ("b", "i4")])),
        "infinite": lambda file: file.create_dataset("x", data=[1.0, np.inf]),
    }


@pytest.mark.parametrize("what", WHATS)
def test_what_is_hostile_is_refused_and_says_why(tmp_path: Path, what: str) -> None:
    path = write(tmp_path / "a.h5", hostile(tmp_path)[what])
    said = {
        "external link": "external link, expected data within the file",
        "soft link": "soft link, expected data within the file",
        "external storage": "other files, which are never read",
        "virtual": "other files, which are never read",
        "huge": "rows: 1,099,511,627,776 rows",
        "many rows": "declared size: 3,200,000,000 bytes",
        "huge chunk": "bytes, at most",
        "reference": "references to other objects",
        "ragged": "lists of unequal length",
        "filter": "blosc (filter 32001)",
        "compound": "table=x",
        "no rows": "which holds no value",
    }
    with pytest.raises((Invalid, TooLarge)) as caught:
        read(path, tmp_path, x=["x"])
    told = f"{caught.value.detail} {caught.value.hint}"
    assert said.get(what, "expected" if what != "infinite" else "infinite") in told
    assert SECRET not in told
    assert not [each for each in tmp_path.iterdir() if each.is_dir()]


def test_links_are_listed_and_loops_end(tmp_path: Path) -> None:
    def fill(file: Any) -> None:
        file["a/b/c"] = np.arange(3.0)
        file["a/b/again"] = file["a"]
        file["loop"] = h5py.SoftLink("/loop")
        file["out"] = h5py.ExternalLink("/etc/passwd", "/")
        file["a/e"], file["d"] = np.ones((3, 2)), np.ones((2, 2))

    with pytest.raises(Invalid) as caught:
        read(write(tmp_path / "a.h5", fill), tmp_path)
    assert "loop (soft link, not followed), out (external link, not followed)" in caught.value.detail


def test_a_bomb_of_zeros_is_over_before_it_is_felt(tmp_path: Path) -> None:
    """192 MiB of zeros that gzip makes small."""

    def fill(file: Any) -> None:
        data = file.create_dataset("x", (24, 2**20), "f8", chunks=(1, 2**20), compression="gzip", compression_opts=9)
        for row in range(24):
            data[row] = 0

    path = write(tmp_path / "a.h5", fill)
    assert path.stat().st_size < 4 * 2**20
    with pytest.raises(TooLarge, match="declared size"):
        read(path, tmp_path)


def test_damage_is_explained(tmp_path: Path) -> None:
    path = table_file(tmp_path / "a.h5", "columns")
    whole, draw = path.read_bytes(), random.Random(0)
    bent = [whole[:cut] for cut in (8, 100, len(whole) // 2)]
    for _ in range(5):
        content = bytearray(whole)
        for place in draw.choices(range(8, len(content)), k=10):
            content[place] ^= 1 << draw.randrange(8)
        bent.append(bytes(content))
    for content in bent:
        path.write_bytes(content)
        try:
            read(path, tmp_path)
        except NetmillError as refusal:
            assert refusal.detail  # noqa: PT017  # a flipped bit may hit nothing
    assert not [each for each in tmp_path.iterdir() if each.is_dir()]


def test_nothing_opens_while_a_file_is_read(tmp_path: Path) -> None:
    """Should a check above miss a form of link, the process itself has no descriptor left to follow it with."""
    write(tmp_path / "other.h5", lambda file: file.update({"x": np.ones(3)}))
    write(tmp_path / "a.h5", lambda file: file.__setitem__("x", h5py.ExternalLink(str(tmp_path / "other.h5"), "/x")))
    with h5py.File(tmp_path / "a.h5", "r") as file:
        assert file["x"].shape == (3,)
    with h5py.File(tmp_path / "a.h5", "r") as file, no_more_files():
        with pytest.raises(OSError, match="Too many open files"):
            (tmp_path / "other.h5").open()
        with pytest.raises((OSError, KeyError)):
            file["x"]
    assert (tmp_path / "other.h5").read_bytes()
