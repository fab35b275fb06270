"""Uploads as they come: plain or gzip, told apart by their first bytes."""

from __future__ import annotations

import gzip
import io
import zlib
from pathlib import Path
from typing import BinaryIO, cast

from core.data.caps import MIB, bad_data
from core.errors import TooLarge, UnsupportedType

GZIP = b"\x1f\x8b"
# protocols 2 to 5: what pickle, joblib and old torch files start with
PICKLES = tuple(bytes([0x80, protocol]) for protocol in range(2, 6))


class Capped(io.RawIOBase):
    """A stream that ends with TooLarge after `limit` bytes, and says what is wrong with a broken gzip."""

    def __init__(self, inner: BinaryIO, limit: int) -> None:
        self._inner, self._limit, self._seen = inner, limit, 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: object) -> int:
        view = memoryview(buffer).cast("B")  # type: ignore[arg-type]  # io hands over a buffer
        try:
            chunk = self._inner.read(len(view))
        except (EOFError, gzip.BadGzipFile, zlib.error) as fault:
            raise bad_data(
                f"the gzip stream is damaged or cut off after {self._seen:,} unpacked bytes: {fault}"
            ) from fault
        self._seen += len(chunk)
        if self._seen > self._limit:
            raise TooLarge(f"the upload unpacks to more than {self._limit:,} bytes, the most allowed for its size")
        view[: len(chunk)] = chunk
        return len(chunk)

    def close(self) -> None:
        self._inner.close()
        super().close()


def open_unpacked(source: Path, limit: int) -> io.BufferedReader:
    """The upload's bytes, unpacked if they are gzip; reading past `limit` raises TooLarge. Pickles are refused."""
    with source.open("rb") as file:
        magic = file.read(2)
    if magic in PICKLES:
        raise UnsupportedType(
            "the file is a Python pickle, which is never read", hint="save arrays with numpy.savez, tables as CSV"
        )
    inner = cast(BinaryIO, gzip.GzipFile(source) if magic == GZIP else source.open("rb"))
    return io.BufferedReader(Capped(inner, limit), buffer_size=MIB)


def unpack(source: Path, target: Path, limit: int) -> Path:
    """A plain file with the upload's bytes: `source` itself, or `target` when it had to be unpacked."""
    with open_unpacked(source, limit) as stream:
        with source.open("rb") as file:
            if file.read(2) != GZIP:
                return source
        with target.open("wb") as out:
            while chunk := stream.read(MIB):
                out.write(chunk)
    return target
