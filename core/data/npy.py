"""`.npy` and `.npz`, read without trust: nothing is unpickled, and a header's figures must fit the file."""

from __future__ import annotations

import ast
import math
import re
import zipfile
import zlib
from pathlib import Path
from typing import BinaryIO

import numpy as np

from core.data.caps import MIB, Caps, bad_data, check_size
from core.data.table import Array
from core.data.unpack import unpack
from core.errors import UnsupportedType

NAMES = ("x", "y", "weight", "split")
_MAGIC = b"\x93NUMPY"
_MAX_HEADER = 16 * 1024
_MAX_DIMENSIONS = 8
_NUMBERS = re.compile(r"[<>|=](?:b1|[iu][1248]|f[248])")
_TEXTS = re.compile(r"[<>|=][SU](\d{1,6})")


def read_npy(source: Path, workdir: Path, caps: Caps) -> dict[str, Array]:
    """The one array of an `.npy`, as `x`."""
    path = unpack(source, workdir / "plain.npy", caps.expanded_bytes)
    with path.open("rb") as file:
        return {"x": read_array(file, path.stat().st_size, "the file", caps)}


def read_npz(source: Path, workdir: Path, caps: Caps) -> dict[str, Array]:
    """The arrays of an `.npz` by their names in lower case, one member after the other."""
    path = unpack(source, workdir / "plain.npz", caps.expanded_bytes)
    arrays: dict[str, Array] = {}
    try:
        with zipfile.ZipFile(path) as archive:
            members = _members(archive)
            check_size("declared size", sum(info.file_size for info in members.values()), caps.expanded_bytes, "bytes")
            for name, info in members.items():
                with archive.open(info) as file:
                    # typeshed calls it IO[bytes]; a ZipExtFile is a BufferedIOBase
                    arrays[name] = read_array(file, info.file_size, f"array {name!r}", caps)  # type: ignore[arg-type]
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as fault:
        # RuntimeError: encrypted; NotImplementedError: a compression that numpy does not write
        raise bad_data(f"not a whole .npz file: {fault or 'it is cut off'}", "write it with numpy.savez") from fault
    return arrays


def _members(archive: zipfile.ZipFile) -> dict[str, zipfile.ZipInfo]:
    infos = archive.infolist()
    if any(Path(info.filename).name in ("data.pkl", "pickle") for info in infos[:1000]):
        raise UnsupportedType("the archive holds a pickle (a torch file?), which is never read")
    if len(infos) > len(NAMES):
        raise bad_data(f"the archive holds {len(infos):,} files, expected at most {', '.join(NAMES)}")
    members: dict[str, zipfile.ZipInfo] = {}
    for info in infos:
        name = info.filename.removesuffix(".npy").lower()
        if name not in NAMES or not info.filename.endswith(".npy"):
            raise bad_data(
                f"unexpected array {info.filename[:100]!r}, expected {', '.join(NAMES)}",
                "numpy.savez(file, x=..., y=..., weight=..., split=...)",
            )
        if name in members:
            raise bad_data(f"array {name!r} stands twice in the archive")
        if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise bad_data(f"array {name!r} is packed in a way that numpy does not write", "write it with numpy.savez")
        members[name] = info
    if "x" not in members:
        raise bad_data(f"no array 'x' in the archive, received {', '.join(members) or 'nothing'}")
    return members


def read_array(file: BinaryIO, file_size: int, what: str, caps: Caps) -> Array:
    """The array that `file` holds, of `file_size` bytes; a header that does not fit raises before allocation."""
    dtype, shape, in_fortran_order, header_bytes = _read_header(file, what)
    count = math.prod(shape)
    expected = count * dtype.itemsize
    if not count:
        raise bad_data(f"{what} has the shape {shape}, which holds no value")
    check_size(f"{what}, rows", shape[0] if shape else 1, caps.rows, "rows")
    check_size(f"{what}, declared size", expected, caps.expanded_bytes, "bytes")
    if expected != file_size - header_bytes:
        raise bad_data(
            f"{what} declares shape {shape} of {dtype.name}, {expected:,} bytes, and holds {file_size - header_bytes:,}"
        )
    buffer = np.empty(expected, dtype=np.uint8)
    place = 0
    while place < expected:
        chunk = file.read(min(MIB, expected - place))
        if not chunk:
            raise bad_data(f"{what} is cut off: {place:,} of {expected:,} bytes")
        buffer[place : place + len(chunk)] = np.frombuffer(chunk, dtype=np.uint8)
        place += len(chunk)
    array = buffer.view(dtype).reshape(shape, order="F" if in_fortran_order else "C")
    return np.ascontiguousarray(array.astype(dtype.newbyteorder("="), copy=False))


def _read_header(file: BinaryIO, what: str) -> tuple[np.dtype[np.generic], tuple[int, ...], bool, int]:
    """Data type, shape, Fortran order, and the bytes all this took (numpy.lib.format describes the layout)."""
    magic = file.read(8)
    if magic[:6] != _MAGIC or len(magic) < 8 or magic[6] not in (1, 2, 3):
        raise bad_data(f"{what} is not in NumPy's .npy format: it must begin with \\x93NUMPY and a version")
    width = 2 if magic[6] == 1 else 4
    length = int.from_bytes(file.read(width), "little")
    if length > _MAX_HEADER:
        raise bad_data(f"{what} declares a header of {length:,} bytes, at most {_MAX_HEADER:,} are read")
    text = file.read(length)
    try:
        header = ast.literal_eval(text.decode("utf-8" if magic[6] == 3 else "latin-1").strip())
        descr, order, shape = header["descr"], header["fortran_order"], header["shape"]
    except (ValueError, SyntaxError, TypeError, KeyError, RecursionError, MemoryError, AttributeError) as fault:
        raise bad_data(f"{what} has a header that cannot be read ({type(fault).__name__})") from fault
    if len(text) != length or not isinstance(shape, tuple) or len(shape) > _MAX_DIMENSIONS:
        raise bad_data(f"{what} has a header that is cut off, or more than {_MAX_DIMENSIONS} dimensions")
    if any(type(size) is not int or not 0 <= size < 2**48 for size in shape):
        raise bad_data(f"{what} declares the shape {str(shape)[:100]}, expected whole numbers from 0 to 2^48")
    return _dtype(descr, what), shape, bool(order), 8 + width + length


def _dtype(descr: object, what: str) -> np.dtype[np.generic]:
    if isinstance(descr, str):
        text = _TEXTS.fullmatch(descr)
        if _NUMBERS.fullmatch(descr) or (text and int(text.group(1)) > 0):
            return np.dtype(descr)
        if "O" in descr:
            raise bad_data(
                f"{what} holds Python objects, which would have to be unpickled and never are",
                "convert it to numbers or texts first: x.astype('float32')",
            )
    raise bad_data(f"{what} holds {str(descr)[:100]!r}, expected booleans, integers, floats of 16 to 64 bits or texts")
