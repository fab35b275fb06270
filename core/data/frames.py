"""CSV and Parquet to encoded columns, by Polars. Only the child that reads uploads imports this."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl

from core.data.caps import Caps, bad_data, check_size
from core.data.csv_scan import check_names, scan_csv
from core.data.table import NO_TIME, Array, ColumnType, StoredColumn, narrowest
from core.data.unpack import open_unpacked, unpack

# cells that say "nothing here"; compared after spaces are cut off
MISSING = ("", "NA", "N/A", "n/a", "NaN", "nan", "NAN", "null", "NULL", "Null", "None", "?")
# beyond it neighbours of an integer are no longer float64 numbers
EXACT = 2**53
_TIMES = ("%Y-%m-%d", "%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M", "%Y/%m/%d")
_ZONED = ("%Y-%m-%dT%H:%M:%S%.f%#z", "%Y-%m-%d %H:%M:%S%.f%#z")


def read_csv(source: Path, workdir: Path, caps: Caps) -> list[StoredColumn]:
    """The columns of a CSV file, gzip or plain, with types found in its cells."""
    clean = workdir / "clean.csv"
    with open_unpacked(source, caps.expanded_bytes) as stream:
        scanned = scan_csv(stream, clean, caps)
    check_size("cells", scanned.rows * len(scanned.header), caps.bytes // 8, "numbers")
    try:
        frame = _parse(clean, scanned.separator, infer=True)
    except pl.exceptions.ComputeError:
        # a later row is of another type than the first ones: read texts and find the types afterwards
        frame = _parse(clean, scanned.separator, infer=False)
    clean.unlink()
    if frame.shape != (scanned.rows, len(scanned.header)):
        raise bad_data(f"read {frame.shape} rows and columns, expected {scanned.rows, len(scanned.header)}")
    columns = []
    for name, series in zip(scanned.header, frame.iter_columns(), strict=True):
        found = _typed_text(series) if series.dtype == pl.String else series
        columns.append(encode(name, _whole(found) if found.dtype.is_float() else found))
    return columns


def _parse(clean: Path, separator: str, *, infer: bool) -> pl.DataFrame:
    return pl.read_csv(
        clean,
        has_header=False,
        separator=separator,
        null_values=list(MISSING),
        infer_schema=infer,
        infer_schema_length=10_000,
    ).rechunk()


def read_parquet(source: Path, workdir: Path, caps: Caps) -> list[StoredColumn]:
    """The columns of a Parquet file, in the types it declares; counts are checked before anything is allocated."""
    path = unpack(source, workdir / "plain.parquet", caps.expanded_bytes)
    with path.open("rb") as file:
        head = file.read(4)
        file.seek(max(0, path.stat().st_size - 4))
        if head != b"PAR1" or file.read(4) != b"PAR1":
            raise bad_data("not a whole Parquet file: it must begin and end with PAR1")
    try:
        names = list(pl.read_parquet_schema(path))
        check_size("columns", len(names), caps.columns, "columns")
        check_names(names, "")
        rows = int(pl.scan_parquet(path).select(pl.len()).collect().item())
        check_size("rows", rows, caps.rows, "rows")
        check_size("declared size", rows * len(names) * 8, 4 * caps.expanded_bytes, "bytes")
        frame = pl.read_parquet(path).rechunk()
    except pl.exceptions.PolarsError as fault:
        raise bad_data(f"the Parquet file cannot be read: {fault}") from fault
    check_size("size once read", int(frame.estimated_size()), 4 * caps.expanded_bytes, "bytes")
    if not rows or not names:
        raise bad_data(f"the table has {rows} rows and {len(names)} columns")
    return [encode(name, series) for name, series in zip(names, frame.iter_columns(), strict=True)]


def _typed_text(series: pl.Series) -> pl.Series:
    """Texts as the type that all of them can be read as: boolean, number, time, or text after all."""
    text = series.str.strip_chars()
    text = text.set(text.is_in(MISSING), None)
    missing = text.null_count()
    if missing == len(text):
        return text.cast(pl.Float64)
    lower = text.str.to_lowercase()
    if lower.is_in(["true", "false"]).sum() == len(text) - missing:
        return lower == "true"
    for dtype in (pl.Int64, pl.Float64):
        number = text.cast(dtype, strict=False)
        if number.null_count() == missing:
            return number
    return _time(text, missing)


def _time(text: pl.Series, missing: int) -> pl.Series:
    sample = text.drop_nulls()[0]
    if not (len(sample) >= 8 and sample[:4].isdigit() and sample[4] in "-/"):
        return text
    for pattern in (*_TIMES, *_ZONED):
        zone = "UTC" if pattern in _ZONED else None
        time = text.str.to_datetime(pattern, time_unit="us", time_zone=zone, strict=False)
        if time.null_count() == missing:
            return time.dt.replace_time_zone(None)
    return text


def _whole(series: pl.Series) -> pl.Series:
    """Integers when that is what the text `1.0` meant: pandas writes whole numbers so when one of them is missing."""
    filled = series.drop_nulls()
    if len(filled) and bool(((filled == filled.floor()) & (filled.abs() <= EXACT)).all()):
        return series.cast(pl.Int64)
    return series


def encode(name: str, series: pl.Series) -> StoredColumn:
    """The column as it is stored; a type that a table cannot hold raises."""
    dtype = series.dtype
    if dtype == pl.Boolean:
        return StoredColumn(name, "boolean", series.cast(pl.Int8).fill_null(-1).to_numpy())
    if dtype.is_float() or dtype == pl.Null or dtype.is_decimal():
        return _encode_float(name, series)
    if dtype.is_integer():
        return _encode_integer(name, series)
    if dtype in (pl.Date, pl.Datetime):
        times = series.cast(pl.Datetime("us")).cast(pl.Int64).fill_null(NO_TIME)
        return StoredColumn(name, "datetime", times.to_numpy())
    if dtype in (pl.String, pl.Categorical, pl.Enum):
        return _encode_text(name, series.cast(pl.String))
    raise bad_data(
        f"column {name!r} holds {dtype}, expected numbers, booleans, texts or times",
        "arrays go into an .npz, nested values into columns of their own",
    )


def _encode_float(name: str, series: pl.Series) -> StoredColumn:
    if series.dtype != pl.Float32:
        series = series.cast(pl.Float64)
    values = series.fill_null(float("nan")).to_numpy()
    infinite = np.isinf(values)
    if infinite.any():
        raise bad_data(
            f"column {name!r}, row {int(infinite.argmax()) + 1}: {values[infinite.argmax()]} is no finite number",
            "leave the cell empty when the value is unknown",
        )
    return StoredColumn(name, "float", values)


def _encode_integer(name: str, series: pl.Series) -> StoredColumn:
    kind: ColumnType = "integer"
    widest = series.drop_nulls().cast(pl.Int128)
    if len(widest) and not (widest.min() > -(2**63) and widest.max() < 2**63):  # type: ignore[operator]
        # such as hashes: only a float holds them
        return StoredColumn(name, "float", series.cast(pl.Float64).fill_null(float("nan")).to_numpy())
    if series.null_count():
        return StoredColumn(name, kind, series.cast(pl.Float64).fill_null(float("nan")).to_numpy())
    return StoredColumn(name, kind, narrowest(series.cast(pl.Int64).to_numpy()))


def _encode_text(name: str, series: pl.Series) -> StoredColumn:
    texts = series.drop_nulls().unique().sort()
    codes: Array = series.cast(pl.Enum(texts)).to_physical().cast(pl.Int32).fill_null(-1).to_numpy()
    return StoredColumn(name, "string", codes, tuple(texts.to_list()))
