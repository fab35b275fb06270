"""Makes the built-in data sets of core/data/files from scikit-learn (a test dependency), and describes them.

Run it from the repository's root after a change of the stored form or of `core.data.describe`:

    .venv/bin/python scripts/make_builtin.py
"""

from __future__ import annotations

import gzip
import json
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from sklearn import datasets

from core.data import builtin
from core.data.catalogue import BUILTIN
from core.data.ingest import finished
from core.data.table import write_table


def rows(name: str) -> Iterator[list[str]]:
    """Header and rows as text; whole numbers without a fraction, others as Python writes them back exactly."""
    options: dict[str, Any] = {"scaled": False} if name == "diabetes" else {}
    bunch = getattr(datasets, f"load_{name}")(**options)
    yield [*map(str, bunch.feature_names), BUILTIN[name].default_target]
    names = None if name in ("digits", "diabetes") else [str(label) for label in bunch.target_names]
    for features, target in zip(bunch.data.tolist(), bunch.target.tolist(), strict=True):
        yield [*(f"{value:.17g}" if value == int(value) else repr(value) for value in features), label(target, names)]


def label(target: float, names: list[str] | None) -> str:
    return names[int(target)] if names else str(int(target))


def main() -> None:
    for info in BUILTIN.values():
        if info.is_made:
            continue
        if info.name != "higgs":
            text = "".join(",".join(row) + "\n" for row in rows(info.name))
            # no time stamp and no name inside, so that the file is the same each time
            (builtin.FILES / f"{info.name}.csv.gz").write_bytes(gzip.compress(text.encode(), 9, mtime=0))
        columns = builtin.read_file(info.name)
        described = builtin.describe_builtin(info.name, columns)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "data.safetensors"
            write_table(path, columns)
            made = finished(path, Path(folder), described)
        described |= {"sha256": made.sha256, "bytes": made.bytes}
        target = builtin.FILES / f"{info.name}.json"
        target.write_text(json.dumps(described, ensure_ascii=False, allow_nan=False, separators=(",", ":")) + "\n")
        print(f"{info.name}: {made.schema.rows} rows, {made.bytes:,} bytes, description {target.stat().st_size:,}")


if __name__ == "__main__":
    main()
