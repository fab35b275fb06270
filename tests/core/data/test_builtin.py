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
from core.data.table import StoredTable, read_arrays
from core.errors import Invalid, NotFound
from core.spec.limits import Limits

REAL = [name for name, info in BUILTIN.items() if not info.is_made]
MADE = [name for name, info in BUILTIN.items() if info.is_made]


def test_all_that_were_promised_are_there() -> None:
    assert set(BUILTIN) == {
        *("digits", "iris", "wine", "breast_cancer", "diabetes", "higgs", "jets", "shuttle"),
        *("moons", "circles", "spirals", "xor", "blobs", "sine", "abs", "step", "waves", "seasonal", "anscombe"),
    }


@pytest.mark.parametrize("name", [name for name in REAL if name not in ("higgs", "jets", "shuttle")])
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


@pytest.mark.parametrize("name", ["iris", "higgs", "jets", "shuttle"])
def test_an_upload_of_the_same_file_is_the_same_content(name: str, tmp_path: Path) -> None:
    source = {"higgs": HIGGS, "jets": FILES / "jets.npz"}.get(name, FILES / f"{name}.csv.gz")
    uploaded = ingest(source, "npz" if name == "jets" else "csv", tmp_path, Limits())
    made = make_builtin(name, {}, tmp_path / "made")
    assert uploaded.sha256 == made.sha256 == json.loads((FILES / f"{name}.json").read_text())["sha256"]
    assert uploaded.schema.columns == made.schema.columns
    assert uploaded.schema.arrays == made.schema.arrays


def test_jets_are_images_of_two_classes(tmp_path: Path) -> None:
    schema, first = builtin_schema("jets"), builtin_preview("jets")
    x, y = schema.array("x"), schema.array("y")
    assert x is not None
    assert y is not None
    assert (schema.kind, schema.rows, x.shape, x.dtype) == ("arrays", 5027, (1, 30, 30), "float32")
    # top is the second class, so the one whose probability counts for the auc
    assert (y.categories, y.counts) == (("QCD", "top"), (3305, 1722))
    assert {row["y"] for row in first} == {"QCD", "top"}
    arrays = read_arrays(make_builtin("jets", {}, tmp_path).data_path)
    # top jets decay into three prongs: their cells spread wider
    cells = (arrays["x"] > 0).sum((1, 2, 3))
    assert cells[arrays["y"] == 1].mean() > cells[arrays["y"] == 0].mean() + 4


def test_shuttle_is_the_table_of_the_published_comparison() -> None:
    schema = builtin_schema("shuttle")
    anomaly = schema.column("anomaly")
    assert anomaly is not None
    assert (schema.rows, len(schema.columns), anomaly.counts) == (49_097, 10, (45_586, 3_511))


@pytest.mark.parametrize("name", [*REAL, *MADE])
def test_files_are_small_and_their_owners_named(name: str) -> None:
    if name in REAL:
        owners = (FILES / "README.md").read_text() + (FILES.parents[2] / "NOTICE").read_text()
        assert owners.count(name) >= 2
    assert all(path.stat().st_size < 4 * 2**20 for path in FILES.glob(f"{name}.*"))


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
    one, other = ({"number": 2}, {"number": 3}) if name == "anscombe" else ({"rows": 101, "seed": 1}, {"seed": 2})
    first = make_builtin(name, one, tmp_path)
    assert first.sha256 == make_builtin(name, one, tmp_path).sha256
    assert first.sha256 != make_builtin(name, one | other, tmp_path).sha256
    assert first.schema.rows == one.get("rows", 11)
    assert first.schema == builtin_schema(name, one)
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


def test_curves_without_noise(tmp_path: Path) -> None:
    for name, curve in (("abs", np.abs), ("step", lambda x: np.heaviside(x, 0.0))):
        table = StoredTable(make_builtin(name, {"noise": 0.0}, tmp_path).data_path)
        assert np.array_equal(table.column("y").values, curve(table.column("x").values))
        assert np.abs(table.column("x").values).max() <= 1


def test_anscombes_four_sets_have_one_regression_line(tmp_path: Path) -> None:
    seen = set()
    for number in range(1, 5):
        made = make_builtin("anscombe", {"number": number}, tmp_path)
        table = StoredTable(made.data_path)
        x, y = table.column("x").values, table.column("y").values
        assert np.allclose([x.mean(), x.var(ddof=1), y.mean(), y.var(ddof=1)], [9, 11, 7.5, 4.125], atol=0.005)
        assert np.allclose(np.polyfit(x, y, 1), [0.5, 3.0], atol=0.005)
        seen.add(made.sha256)
    assert len(seen) == 4


def test_waves_are_sequences_that_differ_in_their_spectrum(tmp_path: Path) -> None:
    made = make_builtin("waves", {"noise": 0.0, "rows": 90, "length": 128, "classes": 4}, tmp_path)
    arrays = read_arrays(made.data_path)
    y = made.schema.array("y")
    assert y is not None
    assert arrays["x"].shape == (90, 128, 1)
    assert y.categories == ("sawtooth", "sine", "square", "triangle")
    power = np.square(arrays["x"][:, :, 0]).mean(axis=1)
    for name, expected in {"sine": 1 / 2, "square": 1.0, "sawtooth": 1 / 3, "triangle": 1 / 3}.items():
        assert abs(power[arrays["y"] == y.categories.index(name)].mean() - expected) < 0.03


def test_seasonal_is_hourly_with_its_seasons(tmp_path: Path) -> None:
    made = make_builtin("seasonal", {"noise": 0.0, "rows": 168 * 4}, tmp_path)
    table = StoredTable(made.data_path)
    time, value = table.column("time"), table.column("value").values
    assert time.type == "datetime"
    assert set(np.diff(time.values)) == {3_600_000_000}
    assert np.allclose(value[168:] - value[:-168], 168 * 0.002)
    assert made.preview[0]["time"] == "2024-01-01T00:00:00Z"


def test_every_set_can_be_shown() -> None:
    for name, info in BUILTIN.items():
        schema = builtin_schema(name)
        assert schema.column(info.default_target) or schema.array("y")
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
