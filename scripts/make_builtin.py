"""Makes the built-in data sets of core/data/files from scikit-learn (a test dependency), and describes them.

Run it from the repository's root after a change of the stored form or of `core.data.describe`:

    .venv/bin/python scripts/make_builtin.py

`jets` and `shuttle` are made anew when their sources are named (core/data/files/README.md says where those are from):

    .venv/bin/python scripts/make_builtin.py --jets jet_images.h5 --shuttle 32_shuttle.npz
"""

from __future__ import annotations

import argparse
import gzip
import json
import sys
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import h5py
import numpy as np
from sklearn import datasets

from core.data import builtin
from core.data.catalogue import BUILTIN
from core.data.ingest import finished


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


def make_jets(source: Path) -> None:
    """Images (N, 1, 30, 30) in float32; top and QCD jets mixed, so that the first rows show both."""
    with h5py.File(source) as file:
        x = np.concatenate([file["QCD"][:], file["TT"][:]]).astype(np.float32).transpose(0, 3, 1, 2)
        y = np.repeat(["QCD", "top"], [len(file["QCD"]), len(file["TT"])])
    order = np.random.Generator(np.random.PCG64(0)).permutation(len(x))
    np.savez_compressed(builtin.FILES / "jets.npz", x=np.ascontiguousarray(x[order]), y=y[order])


def make_shuttle(source: Path) -> None:
    with np.load(source, allow_pickle=False) as file:
        values = np.column_stack([file["X"], file["y"]]).tolist()
    write_csv("shuttle", [[f"a{number}" for number in range(1, 10)] + ["anomaly"], *(map(str, row) for row in values)])


def write_csv(name: str, lines: Iterable[Iterable[str]]) -> None:
    text = "".join(",".join(row) + "\n" for row in lines)
    # no time stamp and no name inside, so that the file is the same each time
    (builtin.FILES / f"{name}.csv.gz").write_bytes(gzip.compress(text.encode(), 9, mtime=0))


def main() -> None:
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--jets", type=Path)
    arguments.add_argument("--shuttle", type=Path)
    given = arguments.parse_args()
    if given.jets:
        make_jets(given.jets)
    if given.shuttle:
        make_shuttle(given.shuttle)
    for info in BUILTIN.values():
        if info.is_made:
            continue
        if info.name not in ("higgs", "jets", "shuttle"):
            write_csv(info.name, rows(info.name))
        contents = builtin.read_file(info.name)
        described = builtin.describe_builtin(info.name, contents)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "data.safetensors"
            contents.write(path)
            made = finished(path, Path(folder), described)
        described |= {"sha256": made.sha256, "bytes": made.bytes}
        target = builtin.FILES / f"{info.name}.json"
        target.write_text(json.dumps(described, ensure_ascii=False, allow_nan=False, separators=(",", ":")) + "\n")
        print(f"{info.name}: {made.schema.rows} rows, {made.bytes:,} bytes, description {target.stat().st_size:,}")


if __name__ == "__main__":
    main()
