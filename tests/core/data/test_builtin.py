"""The sets that come along: what scikit-learn has, and what an upload of the same file gives."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
from sklearn import datasets

from core.data.builtin import (
    BUILTIN,
    FILES,
    HIGGS,
    builtin_preview,
    builtin_profile,
    builtin_schema,
    check_parameters,
    describe_builtin,
    make_builtin,
    read_file,
)
from core.data.ingest import ingest
from core.data.table import StoredTable
from core.errors import Invalid, NotFound
from core.spec.limits import Limits

REAL = [name for name, info in BUILTIN.items() if not info.is_made]
MADE = [name for name, info in BUILTIN.items() if info.is_made]


def test_all_that_were_promised_are_there() -> None:
    assert set(BUILTIN) == {
        *("digits", "iris", "wine", "breast_cancer", "diabetes", "higgs"),
        *("moons", "circles", "spirals", "xor", "blobs", "sine"),
    }


@pytest.mark.parametrize("name", [name for name in REAL if name != "higgs"])
def test_a_real_set_is_scikit_learns(name: str, tmp_path: Path) -> None:
    bunch = getattr(datasets, f"load_{name}")(**({"scaled": False} if name == "diabetes" else {}))
    table = StoredTable(make_builtin(name, {}, tmp_path).data_path)
    for place, feature in enumerate(bunch.feature_names):
        assert np.array_equal(table.column(str(feature)).values, bunch.data[:, place])
    target = table.column(BUILTIN[name].default_target)
    if target.type == "string":
        assert [target.texts[code] for code in target.values] == [bunch.target_names[code] for code in bunch.target]
    else:
        assert np.array_equal(target.values, bunch.target)


@pytest.mark.parametrize("name", REAL)
def test_the_description_is_what_the_code_says_today(name: str) -> None:
    """After a change here run scripts/make_builtin.py."""
    described = json.loads((FILES / f"{name}.json").read_text())
    again = json.loads(json.dumps(describe_builtin(name, read_file(name))))
    assert {key: described[key] for key in again} == again


@pytest.mark.parametrize("name", ["iris", "higgs"])
def test_an_upload_of_the_same_file_is_the_same_content(name: str, tmp_path: Path) -> None:
    source = HIGGS if name == "higgs" else FILES / f"{name}.csv.gz"
    uploaded = ingest(source, "csv", tmp_path, Limits())
    made = make_builtin(name, {}, tmp_path / "made")
    assert uploaded.sha256 == made.sha256 == json.loads((FILES / f"{name}.json").read_text())["sha256"]
    assert uploaded.schema.columns == made.schema.columns


def test_higgs_is_the_file_of_the_notice() -> None:
    assert hashlib.sha256(HIGGS.read_bytes()).hexdigest() == (
        "eb087816134421d9745ffddcd79af64c54a653f3150937b0de05110655e708aa"
    )
    schema = builtin_schema("higgs")
    assert (schema.rows, len(schema.columns), schema.default_target, schema.default_split) == (
        20_000,
        30,
        "label",
        "split",
    )


@pytest.mark.parametrize("name", MADE)
def test_a_made_set_follows_its_parameters(name: str, tmp_path: Path) -> None:
    first = make_builtin(name, {"rows": 101, "seed": 1}, tmp_path)
    assert first.sha256 == make_builtin(name, {"rows": 101, "seed": 1}, tmp_path).sha256
    assert first.sha256 != make_builtin(name, {"rows": 101, "seed": 2}, tmp_path).sha256
    assert first.schema.rows == 101
    assert first.schema == builtin_schema(name, {"rows": 101, "seed": 1})
    assert first.data_path.name == f"{first.sha256}.safetensors"
    assert [path.name for path in tmp_path.iterdir() if path.is_dir()] == []


def test_made_shapes_without_noise(tmp_path: Path) -> None:
    def points(name: str) -> tuple[np.ndarray, np.ndarray]:
        table = StoredTable(make_builtin(name, {"noise": 0.0, "rows": 400}, tmp_path).data_path)
        xy = np.column_stack([table.column("x1").values, table.column("x2").values])
        return xy, table.column("label").values

    xy, label = points("circles")
    assert np.allclose(np.hypot(*xy.T), np.where(label == 1, 0.5, 1.0))
    xy, label = points("xor")
    assert np.array_equal(label, (xy[:, 0] * xy[:, 1] < 0).astype(int))
    xy, label = points("moons")
    reference, reference_label = datasets.make_moons(400, shuffle=False)
    assert np.allclose(np.sort(xy[label == 1], axis=0), np.sort(reference[reference_label == 1], axis=0))
    xy, label = points("blobs")
    assert len(np.unique(xy.round(9), axis=0)) == 3
    xy, label = points("spirals")
    radius, angle = np.hypot(*xy.T), np.arctan2(xy[:, 1], xy[:, 0])
    turned = (angle - np.pi * radius - np.pi * label) / (2 * np.pi)
    assert np.allclose(turned, turned.round(), atol=1e-9)
    sine = StoredTable(make_builtin("sine", {"noise": 0.0}, tmp_path).data_path)
    assert np.allclose(sine.column("y").values, np.sin(sine.column("x").values))


def test_every_set_can_be_shown() -> None:
    for name, info in BUILTIN.items():
        schema = builtin_schema(name)
        assert schema.column(info.default_target) is not None
        assert schema.default_target == info.default_target
        assert 0 < len(builtin_preview(name)) <= 200
        assert builtin_profile(name)["rows"] == schema.rows
        assert all((info.licence, info.source, info.title))


def test_bad_parameters_are_all_named() -> None:
    with pytest.raises(Invalid) as caught:
        check_parameters("moons", {"rows": 5, "noise": "a", "seed": 1.5, "a/b": 1})
    assert {fault.pointer for fault in caught.value.errors} == {
        "/data/parameters/rows",
        "/data/parameters/noise",
        "/data/parameters/seed",
        "/data/parameters/a~1b",
    }
    with pytest.raises(Invalid, match="digits"):
        check_parameters("digits", {"rows": 5})
    with pytest.raises(NotFound, match="one of digits"):
        check_parameters("mnist")
    assert check_parameters("blobs", {"rows": 20}) == {"rows": 20, "noise": 1.0, "seed": 0, "classes": 3}
