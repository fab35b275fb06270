"""NumPy's own formats, honest and not."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from core.data.arrays import canonical
from core.data.caps import Caps
from core.data.npy import read_npy, read_npz
from core.errors import Invalid, NetmillError, TooLarge, UnsupportedType

CAPS = Caps(rows=10**8, columns=100, bytes=2**30, expanded_bytes=2**26)


def header(descr: str, shape: str, version: int = 1, length: int | None = None) -> bytes:
    text = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}}}\n".encode()
    size = (len(text) if length is None else length).to_bytes(2 if version == 1 else 4, "little")
    return b"\x93NUMPY" + bytes([version, 0]) + size + text


def npy(content: bytes, folder: Path) -> dict[str, Any]:
    (folder / "up").write_bytes(content)
    return read_npy(folder / "up", folder, CAPS)


def npz(content: bytes, folder: Path) -> dict[str, Any]:
    (folder / "up").write_bytes(content)
    return read_npz(folder / "up", folder, CAPS)


def saved(**arrays: Any) -> bytes:
    out = io.BytesIO()
    np.savez_compressed(out, **arrays)
    return out.getvalue()


def zipped(members: list[tuple[str, bytes]], how: int = zipfile.ZIP_DEFLATED) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", how) as archive:
        for name, content in members:
            archive.writestr(name, content)
    return out.getvalue()


@pytest.mark.parametrize(
    "array",
    [
        np.arange(24, dtype=np.uint8).reshape(2, 3, 4),
        np.arange(6.0).reshape(3, 2).astype(">f8"),
        np.asfortranarray(np.arange(12.0, dtype=np.float32).reshape(3, 4)),
        np.array([True, False]),
        np.array(["a", "bc"]),
        np.array([b"a", b"bc"]),
        np.float16([1.5, 2.5]),
    ],
)
@pytest.mark.parametrize("version", [(1, 0), (2, 0), (3, 0)])
def test_what_numpy_writes_is_read(array: np.ndarray[Any, Any], version: tuple[int, int], tmp_path: Path) -> None:
    out = io.BytesIO()
    np.lib.format.write_array(out, array, version=version, allow_pickle=False)
    read = npy(out.getvalue(), tmp_path)["x"]
    assert np.array_equal(read, array)
    assert read.flags.c_contiguous
    assert read.dtype.isnative


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (header("'<f4'", "(68719476736,)"), "68,719,476,736 rows, at most"),
        (header("'<f4'", "(1000000, 100000)"), "declared size"),
    ],
)
def test_a_lie_about_size_is_refused_before_it_is_believed(content: bytes, said: str, tmp_path: Path) -> None:
    with pytest.raises(TooLarge, match=said):
        npy(content, tmp_path)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (header("'<f4'", "(10,)") + b"\0" * 37, "40 bytes, and holds 37"),
        (header("'<f4'", "(10,)") + b"\0" * 41, "40 bytes, and holds 41"),
        (header("'|V0'", "(1000000000000,)"), "holds '|V0'"),
        (header("'<U0'", "(1000000000000,)"), "holds '<U0'"),
        (header("'|O'", "(3,)") + b"\x80\x04.", "unpickled"),
        (header("[('a', '<f4')]", "(10,)") + b"\0" * 40, "expected booleans"),
        (header("'<c8'", "(5,)") + b"\0" * 40, "expected booleans"),
        (header("'<M8[s]'", "(5,)") + b"\0" * 40, "expected booleans"),
        (header("'<f4'", "(-1,)"), "whole numbers"),
        (header("'<f4'", "(True,)") + b"\0" * 4, "whole numbers"),
        (header("'<f4'", "(2.0,)") + b"\0" * 8, "whole numbers"),
        (header("'<f4'", "(0, 5)"), "holds no value"),
        (header("'<f4'", "__import__('os').system('false')"), "cannot be read"),
        (header("'<f4'", "(1,)", version=2, length=2**31), "declares a header of 2,147,483,648 bytes"),
        (b"\x93NUMPY\x01\x00" + (9000).to_bytes(2, "little") + b"(" * 9000, "cannot be read"),
        (b"\x93NUMPY\x01\x00" + (9000).to_bytes(2, "little") + b"-" * 8999 + b"1", "cannot be read"),
        (b"\x93NUMPY\x07\x00", "must begin with"),
        (b"\x93NU", "must begin with"),
        (b"a,b\n1,2\n", "must begin with"),
    ],
)
def test_a_header_is_not_believed(content: bytes, said: str, tmp_path: Path) -> None:
    with pytest.raises(Invalid) as caught:
        npy(content, tmp_path)
    assert said in caught.value.detail


@pytest.mark.parametrize(
    ("content", "kind", "said"),
    [
        (saved(x=np.zeros(2**25, dtype=np.float32)), TooLarge, "declared size"),
        (zipped([("x.npy", header("'<f4'", "(68719476736,)"))]), TooLarge, "rows"),
        (zipped([("archive/data.pkl", b"x")]), UnsupportedType, "pickle"),
        (zipped([("../../x.npy", b"")]), Invalid, "unexpected array"),
        (zipped([("x", b"")]), Invalid, "unexpected array"),
        (zipped([("y.npy", header("'<f4'", "(1,)") + b"\0" * 4)]), Invalid, "no array 'x'"),
        (zipped([]), Invalid, "no array 'x'"),
        (zipped([(f"{i}.npy", b"") for i in range(50)]), Invalid, "holds 50 files"),
        (zipped([("x.npy", b"")], zipfile.ZIP_LZMA), Invalid, "packed in a way"),
        (saved(x=np.arange(100.0))[:-30], Invalid, "not a whole .npz"),
        (saved(features=np.arange(3.0)), Invalid, "unexpected array 'features.npy'"),
        (b"PK\x03\x04", Invalid, "not a whole .npz"),
    ],
)
def test_an_archive_is_not_believed(content: bytes, kind: type[NetmillError], said: str, tmp_path: Path) -> None:
    with pytest.raises(kind) as caught:
        npz(content, tmp_path)
    assert said in caught.value.detail
    assert [path.name for path in tmp_path.iterdir()] == ["up"]


def test_a_member_that_is_longer_than_it_says_is_refused(tmp_path: Path) -> None:
    content = bytearray(zipped([("x.npy", header("'<f4'", "(10,)") + b"\0" * 40)]))
    size = int.from_bytes(content[22:26], "little")
    # both copies of the unpacked size: local header and central directory
    for place in [i for i in range(len(content) - 4) if int.from_bytes(content[i : i + 4], "little") == size]:
        content[place : place + 4] = (size - 4).to_bytes(4, "little")
    with pytest.raises(Invalid):
        npz(bytes(content), tmp_path)


def test_names_may_be_in_capitals(tmp_path: Path) -> None:
    assert set(npz(saved(X=np.ones((2, 2)), y=np.ones(2)), tmp_path)) == {"x", "y"}


def test_arrays_get_their_stored_form() -> None:
    stored, categories = canonical(
        {
            "x": np.array([True, False, True]),
            "y": np.array(["b", "", "a"]),
            "weight": np.array([[1], [2], [3]]),
            "split": np.array(["Train", "val", "test"]),
        }
    )
    assert stored["x"].tolist() == [[1], [0], [1]]
    assert (stored["y"].tolist(), categories) == ([1, -1, 0], ["a", "b"])
    assert stored["weight"].tolist() == [1.0, 2.0, 3.0]
    assert stored["split"].tolist() == [0, 1, 2]


@pytest.mark.parametrize(
    ("arrays", "said"),
    [
        ({"y": np.ones(2)}, "expected 3 rows"),
        ({"y": np.ones((3, 2, 2))}, r"\(N, targets\)"),
        ({"y": np.array([[True, False]] * 3)}, "for classes"),
        ({"y": np.array([1.0, np.inf, 2.0])}, "infinite number in row 2"),
        ({"weight": np.ones((3, 2))}, "'weight'"),
        ({"split": np.array(["train", "test", "dev"])}, "holds 'dev'"),
        ({"split": np.array([0, 1, 3])}, "holds '3'"),
        ({"x": np.array(["a", "b", "c"])}, "texts"),
        ({"x": np.array([[1.0], [np.nan], [-np.inf]])}, "infinite number in row 3"),
        ({"x": np.float32(1.0)}, "expected 0 rows"),
    ],
)
def test_arrays_that_do_not_fit_together_are_refused(arrays: dict[str, Any], said: str) -> None:
    with pytest.raises(Invalid, match=said):
        canonical({"x": np.ones((3, 2)), **{name: np.asarray(array) for name, array in arrays.items()}})
