"""The shape of a CSV file, checked line by line before a parser sees it.

Polars pads short lines, renames equal headers and reports no line numbers; so every physical line is looked at
here, in bounded memory, and a clean copy is made: no header, no byte-order mark, no blank lines.
"""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from core.data.caps import MIB, Caps, bad_data
from core.errors import TooLarge

# longest record, all its quoted lines together
MAX_RECORD = 16 * MIB
MAX_RECORD_LINES = 100_000
SEPARATORS = (b",", b";", b"\t")
_QUOTED = re.compile(rb'"[^"]*+"')


@dataclass(frozen=True, slots=True)
class Scanned:
    """What the scan found: names of the columns, the separator, and how many rows follow."""

    header: tuple[str, ...]
    separator: str
    rows: int


def scan_csv(stream: BinaryIO, clean: Path, caps: Caps) -> Scanned:
    """Checks every line of `stream` and writes its rows to `clean`; faults name the 1-based physical line."""
    reader = _Reader()
    layout: _Layout | None = None
    rows = 0
    with clean.open("wb") as out:
        while block := stream.read(MIB):
            block += stream.readline(MAX_RECORD + 1)
            if layout and not reader.pending and layout.fits_all(block):
                lines = block.count(b"\n")
                rows, reader.number = rows + lines, reader.number + lines
                out.write(block)
            else:
                for line, record in reader.records(block):
                    if layout is None:
                        layout = _read_header(record, line, caps)
                        continue
                    layout.check(record, line)
                    out.write(record + b"\n")
                    rows += 1
            if rows > caps.rows:
                raise TooLarge(f"line {reader.number}: more than {caps.rows:,} rows, the most allowed")
    reader.finish()
    if layout is None:
        raise bad_data("the file is empty: line 1 must hold the names of the columns")
    if not rows:
        raise bad_data(f"line {layout.line} names the columns and no row follows")
    return Scanned(layout.header, layout.separator.decode(), rows)


class _Reader:
    """Physical lines to records: several lines where a quoted field holds line ends. Blank lines are left out."""

    def __init__(self) -> None:
        self.number = 0
        # the lines of a record whose last quoted field is still open, and where it began
        self.pending = bytearray()
        self._start = 1

    def records(self, block: bytes) -> Iterator[tuple[int, bytes]]:
        """(line number, record without its line end) of a block of whole lines."""
        for line in io.BytesIO(block):
            self.number += 1
            if not self.pending:
                self._start = self.number
            if len(self.pending) + len(line) > MAX_RECORD or self.number - self._start > MAX_RECORD_LINES:
                note = f": the quote opened on line {self._start} is not closed" if self.pending else ""
                limit = f"{MAX_RECORD:,} bytes or {MAX_RECORD_LINES:,} lines"
                raise TooLarge(f"line {self.number}: a record of more than {limit}{note}")
            if self.number == 1:
                line = _without_mark(line)  # noqa: PLW2901  # the mark belongs to no field
            _check_text(line, self.number)
            if self.pending or b'"' in line:
                is_open = bool(self.pending) != bool(line.count(b'"') % 2)
                self.pending += line
                if is_open:
                    continue
                line = bytes(self.pending)  # noqa: PLW2901
                self.pending.clear()
            record = line.rstrip(b"\r\n")
            if record.strip(b" "):
                yield self._start, record

    def finish(self) -> None:
        if self.pending:
            raise bad_data(f"line {self._start}: a quote is opened and never closed")


class _Layout:
    """The header, and with it what every row must look like."""

    def __init__(self, header: tuple[str, ...], separator: bytes, line: int) -> None:
        self.header, self.separator, self.line = header, separator, line
        self._well_formed = _well_formed(separator)
        # all that says nothing about the number of fields
        self._text = bytes(byte for byte in range(256) if byte not in b"\n" + separator)
        self._row = separator * (len(header) - 1) + b"\n"

    def fits_all(self, block: bytes) -> bool:
        """True when every line of the block is plain and has all its fields; False when they must be looked at.

        Without the text of its cells such a block is the same few bytes again and again, which costs
        a thirtieth of going line by line. In a single column this cannot tell a blank line.
        """
        if len(self.header) == 1 or not block.isascii() or b'"' in block or b"\0" in block or block[-1:] != b"\n":
            return False
        if block.count(b"\r") != block.count(b"\r\n"):
            return False
        return block.translate(None, self._text) == self._row * block.count(b"\n")

    def check(self, record: bytes, line: int) -> None:
        """Raises when a quote is astray or the fields are not as many as in the header."""
        bare = record
        if b'"' in record:
            _check_quotes(record, line, self._well_formed)
            bare = _QUOTED.sub(b"", record)
        found, expected = bare.count(self.separator) + 1, len(self.header)
        if found != expected:
            raise bad_data(
                f"line {line}: received {found} field{'s' if found > 1 else ''}, "
                f"expected {expected} as in the header (line {self.line})",
                "every line needs as many separators as the header; quote a field that holds one",
            )


def _without_mark(line: bytes) -> bytes:
    if line.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise bad_data("line 1: the text is UTF-16", "save it as UTF-8")
    return line.removeprefix(codecs.BOM_UTF8)


def _check_text(line: bytes, number: int) -> None:
    if b"\0" in line:
        raise bad_data(f"line {number}: binary content (a zero byte), expected text in UTF-8")
    if not line.isascii():
        try:
            line.decode()
        except UnicodeDecodeError as fault:
            raise bad_data(
                f"line {number}: byte 0x{line[fault.start]:02x} at place {fault.start + 1} is not UTF-8 text",
                "save the file as CSV in UTF-8",
            ) from fault
    if b"\r" in line and b"\r" in line.removesuffix(b"\n").removesuffix(b"\r"):
        raise bad_data(f"line {number}: a carriage return inside the line", "end lines with LF or CR LF")


def _separator(header: bytes) -> bytes:
    bare = _QUOTED.sub(b"", header)
    if b"," in bare:
        return b","
    return max(SEPARATORS, key=bare.count)


def _well_formed(separator: bytes) -> re.Pattern[bytes]:
    mark = re.escape(separator)
    field = rb'(?:"[^"]*+(?:""[^"]*+)*+"|[^"' + mark + rb"]*+)"
    return re.compile(field + rb"(?:" + mark + field + rb")*+")


def _check_quotes(record: bytes, line: int, well_formed: re.Pattern[bytes]) -> None:
    if not well_formed.fullmatch(record):
        raise bad_data(
            f"line {line}: a stray quote inside a field",
            'quote the whole field and double the quotes inside it: "5"" pipe"',
        )


def _read_header(record: bytes, line: int, caps: Caps) -> _Layout:
    separator = _separator(record)
    if (count := record.count(separator) + 1) > caps.columns:
        raise TooLarge(f"line {line}: {count:,} columns, at most {caps.columns:,} are allowed")
    _check_quotes(record, line, _well_formed(separator))
    csv.field_size_limit(MAX_RECORD)
    names = [name.strip() for name in next(csv.reader([record.decode()], delimiter=separator.decode()))]
    return _Layout(check_names(names, f"line {line}: "), separator, line)


def check_names(names: list[str], where: str) -> tuple[str, ...]:
    """The names of a table's columns; raises when one is empty, too long, repeated, or when they are data."""
    seen: dict[str, int] = {}
    for place, name in enumerate(names, start=1):
        if not name:
            raise bad_data(f"{where}column {place} has no name", "name it, or leave it out (pandas: index=False)")
        if len(name) > 200:
            raise bad_data(f"{where}the name of column {place} has {len(name):,} characters, at most 200 are allowed")
        if name in seen:
            raise bad_data(f"{where}columns {seen[name]} and {place} are both named {name!r}")
        seen[name] = place
    if _are_data(names):
        raise bad_data(
            f"{where}expected the names of the columns, received numbers: {', '.join(names[:3])}", "add a header line"
        )
    return tuple(names)


def _are_data(names: list[str]) -> bool:
    """True when a header looks like a row: all numbers (and no plain count 0, 1, 2…), or any decimal fraction."""
    count = len(names)
    if names in ([str(i) for i in range(count)], [str(i) for i in range(1, count + 1)]):
        return False
    numbers = [name for name in names if _is_number(name)]
    return len(numbers) == count or any(not number.lstrip("+-").isdigit() for number in numbers)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return text.lower().lstrip("+-") not in ("inf", "infinity", "nan")
