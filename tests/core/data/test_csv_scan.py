"""Every fault of a CSV file is found before a parser sees it, and names its line."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.data.caps import Caps
from core.data.csv_scan import MAX_RECORD, MAX_RECORD_LINES, Scanned, scan_csv
from core.errors import Invalid, NetmillError, TooLarge

CAPS = Caps(rows=1000, columns=50, bytes=2**30, expanded_bytes=2**30)


def scan(text: bytes, folder: Path, caps: Caps = CAPS) -> tuple[Scanned, bytes]:
    clean = folder / "clean.csv"
    found = scan_csv(io.BytesIO(text), clean, caps)
    return found, clean.read_bytes()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"\n\n", "line 1"),
        (b"a,b\n", "line 1 names the columns and no row follows"),
        (b"\n\na,b\n", "line 3 names"),
        (b"a,b\n1,2\n3\n", "line 3: received 1 field, expected 2 as in the header (line 1)"),
        (b"a,b\n1,2\n\n\n3,4,5\n", "line 5: received 3 fields"),
        (b'a,b\n"x\ny",2\n3\n', "line 4: received 1 field"),
        (b"a,b\n" + b"1,2\n" * 500_000 + b"3\n", "line 500002: received 1 field"),
        (b"a,a\n1,2\n", "columns 1 and 2 are both named 'a'"),
        (b"a, a \n1,2\n", "both named 'a'"),
        (b"a,\n1,2\n", "column 2 has no name"),
        (b"1.5,2.5\n3.5,4.5\n", "received numbers: 1.5, 2.5"),
        (b"5.1,3.5,setosa\n4.9,3.0,setosa\n", "expected the names of the columns"),
        (b"\x89PNG\r\n\x1a\n", "line 1: byte 0x89 at place 1 is not UTF-8"),
        (b"a,b\n1,2\n3,\0\n", "line 3: binary content"),
        (b"a,b\n1,caf\xe9\n", "line 2: byte 0xe9 at place 6"),
        ("a,b\n1,2\n".encode("utf-16"), "UTF-16"),
        (b"a,b\r1,2\r", "line 1: a carriage return inside the line"),
        (b'a,b\n1,"2\n3,4\n', "line 2: a quote is opened and never closed"),
        (b'a,b\n3" pipe,2\n4" pipe,5\n', "line 2: a stray quote"),
        (b'a,b\n"x"y,2\n', "line 2: a stray quote"),
        (b'a,b\n1,2\n"', "line 3: a quote is opened and never closed"),
    ],
)
def test_a_fault_names_its_line(text: bytes, said: str, tmp_path: Path) -> None:
    caps = CAPS._replace(rows=10**6)
    with pytest.raises(Invalid) as caught:
        scan(text, tmp_path, caps)
    assert caught.value.code == "bad_data"
    assert said in caught.value.detail


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"a\n" + b"1\n" * 1001, "more than 1,000 rows"),
        (b"a,b\n" + b"1,2\n" * 1001, "more than 1,000 rows"),
        (b",".join(b"c%d" % i for i in range(10**6)) + b"\n", "1,000,000 columns, at most 50"),
        (b"a\n" + b"x" * (MAX_RECORD + 1), "line 2: a record of more than"),
        (b'a\n"' + b"\n" * (MAX_RECORD_LINES + 2), "the quote opened on line 2 is not closed"),
    ],
    ids=["rows", "plain rows", "columns", "cell", "quoted lines"],
)
def test_a_limit_is_named(text: bytes, said: str, tmp_path: Path) -> None:
    with pytest.raises(TooLarge) as caught:
        scan(text, tmp_path)
    assert said in caught.value.detail


def test_what_is_written_is_rows_alone(tmp_path: Path) -> None:
    found, clean = scan(b'\xef\xbb\xbf"a b",b\r\n1,2\r\n   \r\n"x, ""y""\n z",4', tmp_path)
    assert found == Scanned(("a b", "b"), ",", 2)
    assert clean == b'1,2\n"x, ""y""\n z",4\n'


@pytest.mark.parametrize(
    ("text", "separator"), [(b"a;b\n1;2\n", ";"), (b"a\tb\n1\t2\n", "\t"), (b'"a;x",b\n1,2\n', ",")]
)
def test_the_separator_is_that_of_the_header(text: bytes, separator: str, tmp_path: Path) -> None:
    assert scan(text, tmp_path)[0].separator == separator


@pytest.mark.parametrize("header", ["0,1,2", "1,2,3", "country,2019,2020"])
def test_names_that_are_numbers_may_be_meant(header: str, tmp_path: Path) -> None:
    assert scan(f"{header}\nx,y,z\n".encode(), tmp_path)[0].header == tuple(header.split(","))


cells = st.text(st.characters(codec="utf-8", exclude_characters="\0\r"), max_size=6)
tables = st.integers(2, 4).flatmap(
    lambda width: st.lists(st.lists(cells, min_size=width, max_size=width), min_size=1, max_size=8)
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=tables, quoting=st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]), end=st.sampled_from(["\n", "\r\n"]))
def test_whatever_python_writes_is_read(rows: list[list[str]], quoting: int, end: str, tmp_path: Path) -> None:
    out = io.StringIO()
    writer = csv.writer(out, quoting=quoting, lineterminator=end)  # type: ignore[arg-type]
    writer.writerow([f"c{i}" for i in range(len(rows[0]))])
    writer.writerows(rows)
    found, clean = scan(out.getvalue().encode(), tmp_path)
    assert found.rows == len(rows)
    assert list(csv.reader(io.StringIO(clean.decode(), newline=""))) == rows


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.binary(max_size=60) | st.text('a,1"\n\r; ', max_size=60).map(str.encode))
def test_anything_else_is_refused_in_words(text: bytes, tmp_path: Path) -> None:
    try:
        found, clean = scan(text, tmp_path)
    except NetmillError as refusal:
        assert refusal.detail  # noqa: PT017  # either outcome is fine
    else:
        parsed = list(csv.reader(io.StringIO(clean.decode(), newline=""), delimiter=found.separator))
        assert [len(row) for row in parsed] == [len(found.header)] * found.rows
