"""The data sets that come with the service, as schema, profile, first rows and stored file."""

from __future__ import annotations

import gzip
import json
import tempfile
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from core.data.arrays import canonical
from core.data.catalogue import BUILTIN, BuiltinInfo
from core.data.contents import ArrayContents, Contents, TableContents
from core.data.ingest import Ingested, finished
from core.data.made import make
from core.data.table import StoredColumn, narrowest
from core.errors import FieldError, Invalid, NotFound
from core.spec.dataset import DatasetSchema

__all__ = [
    "BUILTIN",
    "BuiltinInfo",
    "builtin_preview",
    "builtin_profile",
    "builtin_schema",
    "check_parameters",
    "make_builtin",
]

FILES = Path(__file__).with_name("files")
HIGGS = Path(__file__).resolve().parents[2] / "examples" / "higgs.csv.gz"


def check_parameters(name: str, given: Mapping[str, Any] | None = None) -> dict[str, int | float]:
    """Every parameter of the set with its value; Invalid with all that is wrong, NotFound for an unknown set."""
    if name not in BUILTIN:
        raise NotFound(f"there is no built-in data set {name!r}, expected one of {', '.join(BUILTIN)}")
    known, given = BUILTIN[name].parameters, given or {}
    faults = []
    for key, value in given.items():
        pointer = "/data/parameters/" + key.replace("~", "~0").replace("/", "~1")
        if key not in known:
            expected = f"one of {', '.join(known)}" if known else "none: this set is not made on demand"
            faults.append(FieldError(pointer, "unknown_parameter", f"received {key!r}, expected {expected}"))
            continue
        bounds = known[key]
        kinds = int if isinstance(bounds.default, int) else (int, float)
        if not isinstance(value, kinds) or isinstance(value, bool) or not bounds.least <= value <= bounds.greatest:
            wanted = f"{bounds.description}, from {bounds.least} to {bounds.greatest}"
            faults.append(FieldError(pointer, "bad_parameter", f"received {value!r}, expected {wanted}"))
    if faults:
        raise Invalid(f"{len(faults)} fault(s) in the parameters of the data set {name!r}", errors=faults)
    return {key: given.get(key, bounds.default) for key, bounds in known.items()}


def builtin_schema(name: str, parameters: Mapping[str, Any] | None = None) -> DatasetSchema:
    """What the set holds; parses no data file, so it is quick. Errors as in `check_parameters`."""
    return _schema(name, _named(name, parameters))


def builtin_profile(name: str, parameters: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Statistics of each column, as an upload's `profile`."""
    profile: dict[str, Any] = _described(name, parameters)["profile"]
    return profile


def builtin_preview(name: str, parameters: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
    """The first rows, at most 200, as an upload's `preview`."""
    preview: list[dict[str, Any]] = _described(name, parameters)["preview"]
    return preview


def make_builtin(name: str, parameters: Mapping[str, Any], out_dir: Path) -> Ingested:
    """The set in its stored form, its file in `out_dir` (made when missing). Errors as in `check_parameters`."""
    values = check_parameters(name, parameters)
    contents = make(name, values) if BUILTIN[name].is_made else read_file(name)
    out_dir.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="builtin-", dir=out_dir) as folder:
        path = Path(folder) / "data.safetensors"
        contents.write(path)
        return finished(path, out_dir, _described(name, values))


def describe_builtin(name: str, contents: Contents) -> dict[str, Any]:
    """Schema, profile and preview of a built-in set."""
    schema, profile, preview = contents.describe()
    info = BUILTIN[name]
    schema |= {"default_target": info.default_target, "default_split": info.default_split}
    return {"schema": schema, "profile": profile, "preview": preview}


def source_file(name: str) -> Path:
    """Where the rows of a real set stand: arrays as .npz, a table as .csv.gz."""
    arrays = FILES / f"{name}.npz"
    if arrays.exists():
        return arrays
    return HIGGS if name == "higgs" else FILES / f"{name}.csv.gz"


def read_file(name: str) -> Contents:
    """A real set, in the encoding that an upload of the same file gets."""
    path = source_file(name)
    if path.suffix != ".npz":
        return TableContents(_read_table(name))
    with np.load(path, allow_pickle=False) as file:
        return ArrayContents(*canonical(dict(file)))


def _read_table(name: str) -> list[StoredColumn]:
    with gzip.open(source_file(name), "rt", encoding="utf-8", newline="\n") as file:
        header, *lines = file.read().splitlines()
    names, first = header.split(","), lines[0].split(",")
    texts = [place for place, cell in enumerate(first) if not _is_number(cell)]
    numbers = [place for place in range(len(names)) if place not in texts]
    values = np.loadtxt(lines, delimiter=",", usecols=numbers, ndmin=2)
    columns = {place: _numbers(names[place], values[:, i]) for i, place in enumerate(numbers)}
    for place in texts:
        cells = np.array([line.split(",")[place] for line in lines])
        distinct, codes = np.unique(cells, return_inverse=True)
        columns[place] = StoredColumn(names[place], "string", codes.astype(np.int32), tuple(map(str, distinct)))
    return [columns[place] for place in range(len(names))]


def _described(name: str, parameters: Mapping[str, Any] | None) -> dict[str, Any]:
    return _describe(name, _named(name, parameters))


def _named(name: str, parameters: Mapping[str, Any] | None) -> tuple[tuple[str, int | float], ...]:
    return tuple(sorted(check_parameters(name, parameters).items()))


@lru_cache(maxsize=128)
def _schema(name: str, values: tuple[tuple[str, int | float], ...]) -> DatasetSchema:
    return DatasetSchema.model_validate(_describe(name, values)["schema"])


@lru_cache(maxsize=128)
def _describe(name: str, values: tuple[tuple[str, int | float], ...]) -> dict[str, Any]:
    if BUILTIN[name].is_made:
        return describe_builtin(name, make(name, dict(values)))
    described: dict[str, Any] = json.loads((FILES / f"{name}.json").read_text())
    return described


def _numbers(name: str, values: np.typing.NDArray[np.float64]) -> StoredColumn:
    if bool((values == np.floor(values)).all()):
        return StoredColumn(name, "integer", narrowest(values.astype(np.int64)))
    return StoredColumn(name, "float", np.ascontiguousarray(values))


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True
