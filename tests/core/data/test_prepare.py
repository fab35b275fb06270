"""What a run trains on, from stored sets: fitted on training rows alone, and the same again for a prediction."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.preprocessing import MinMaxScaler, RobustScaler, StandardScaler

from core.data.builtin import make_builtin
from core.data.describe import describe_arrays
from core.data.ingest import Ingested, finished, ingest
from core.data.preparation import ArrayScaling, Preparation
from core.data.prepare import Prepared, prepare
from core.data.table import write_arrays
from core.errors import Invalid, TrainingFailed
from core.spec.job import JobSpec
from core.spec.limits import Limits


def spec(task: str, data: dict[str, Any], precision: str = "float32") -> JobSpec:
    return JobSpec.model_validate(
        {
            "task": task,
            "data": {"dataset": "d", **data},
            "network": {"layers": [{"type": "relu"}]},
            "training": {"precision": precision},
        }
    )


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> Ingested:
    """200 rows with gaps; the colour `rare` stands in the test rows alone, `part` says which those are."""
    draw = np.random.default_rng(0)
    lines = ["age,height,ok,colour,when,group,w,part,kind,income"]
    for row in range(200):
        test = row >= 150
        age = "" if row % 20 == 3 else f"{draw.normal(1000 if test else 40, 10):.3f}"
        colour = "rare" if test else ["red", "green", "NA"][row % 3]
        kind = "" if row == 7 else "ab"[row % 2]
        lines.append(
            f"{age},{draw.normal():.4f},{'true' if row % 4 else 'false'},{colour},2024-01-{1 + row % 28:02d},"
            f"g{row % 10},{row % 5},{'test' if test else 'train'},{kind},{draw.normal(5000, 100):.2f}"
        )
    folder = tmp_path_factory.mktemp("people")
    source = folder / "people.csv"
    source.write_text("\n".join(lines))
    return ingest(source, "csv", folder, Limits())


DATA: dict[str, Any] = {
    "target": "kind",
    "features": ["age", "height", "ok", "colour", "older"],
    "derive": {"older": "where(age > 40, age * 2, height)"},
    "split": {"column": "part", "validation": 0.2},
}


def prepared(stored: Ingested, task: str, data: dict[str, Any], precision: str = "float32") -> Prepared:
    return prepare(spec(task, data, precision), stored.schema, stored.data_path)


def test_a_table_becomes_numbers(people: Ingested) -> None:
    run = prepared(people, "classification", DATA)
    # three colours: green, rare, red
    assert run.preparation.feature_names == (
        *("age", "height", "ok", "colour=green", "colour=rare", "colour=red", "older"),
    )
    assert run.x.shape == (199, 7)
    assert run.x.dtype == np.float32
    assert np.isfinite(run.x).all()
    assert run.preparation.classes == ("a", "b")
    assert run.dropped_rows == 1
    assert [warning.code for warning in run.warnings] == ["missing_target"]
    assert run.y is not None
    assert run.y.dtype == np.int64
    assert (len(run.train), len(run.validation), len(run.test)) == (119, 30, 50)


def test_the_test_rows_leave_no_trace(people: Ingested) -> None:
    """Their ages lie around 1000, and one colour is theirs alone."""
    run = prepared(people, "classification", DATA)
    train = run.x[run.train]
    for column in (0, 1, 6):
        assert np.allclose(train[:, column].mean(), 0, atol=0.05)
    assert run.x[run.test][:, 0].mean() > 50
    rare = run.preparation.feature_names.index("colour=rare")
    assert not run.x[:, rare].any()
    assert set(run.x[:, 2]) == {0.0, 1.0}


def test_a_row_for_prediction_gets_the_same_numbers(people: Ingested) -> None:
    run = prepared(people, "classification", DATA)
    again = Preparation.from_json(json.loads(json.dumps(run.preparation.to_json(), allow_nan=False)))
    assert again == run.preparation
    rows = [row for number, row in enumerate(people.preview) if number != 7]
    assert np.array_equal(again.rows_to_x(rows), run.x)
    assert again.columns == ("age", "height", "ok", "colour")
    assert np.array_equal(again.inputs_to_x([[row[name] for name in again.columns] for row in rows]), run.x)


@pytest.mark.parametrize(
    ("rows", "pointers"),
    [
        ([{"height": 1.0, "ok": True, "colour": "red"}], ["/rows/0/age"]),
        ([{"age": "old", "height": 1.0, "ok": True, "colour": 3}], ["/rows/0/age", "/rows/0/colour"]),
        ([{"age": 10**400, "height": [1], "ok": True, "colour": "red"}], ["/rows/0/age", "/rows/0/height"]),
        ([{"age": 1, "height": 1, "ok": 1, "colour": None}, 7], ["/rows/1"]),
        ([{"age": 1e308, "height": 1, "ok": 1, "colour": None}], ["/rows/0"]),
    ],
)
def test_a_bad_row_says_where(people: Ingested, rows: list[Any], pointers: list[str]) -> None:
    preparation = prepared(people, "classification", DATA).preparation
    with pytest.raises(Invalid) as caught:
        preparation.rows_to_x(rows)
    assert [fault.pointer for fault in caught.value.errors] == pointers


def test_unknown_and_missing_categories_are_zeros(people: Ingested) -> None:
    preparation = prepared(people, "classification", DATA).preparation
    rows = [{"age": 1, "height": 1, "ok": True, "colour": colour} for colour in ("mauve", None, "rare", "red")]
    assert preparation.rows_to_x(rows)[:, 3:6].tolist() == [[0, 0, 0], [0, 0, 0], [0, 0, 0], [0, 0, 1]]


@pytest.mark.parametrize(
    ("how", "scaler"), [("standard", StandardScaler()), ("minmax", MinMaxScaler()), ("robust", RobustScaler())]
)
@pytest.mark.parametrize("precision", ["float32", "float64"])
def test_scaling_is_scikit_learns(how: str, scaler: Any, precision: str, tmp_path: Path) -> None:
    stored = make_builtin("wine", {}, tmp_path)
    features = [column.name for column in stored.schema.columns if column.name != "label"]
    data = {"target": "label", "features": features, "preprocess": {"scale": how}}
    run = prepared(stored, "classification", data, precision)
    raw = prepared(stored, "classification", {**data, "preprocess": {"scale": "none"}}, "float64")
    scaler.fit(raw.x[run.train])
    assert run.x.dtype == precision
    assert np.allclose(run.x, scaler.transform(raw.x), rtol=1e-6 if precision == "float32" else 1e-12, atol=1e-6)


@pytest.mark.parametrize(("how", "fill"), [("mean", np.mean), ("median", np.median), ("zero", lambda _: 0.0)])
def test_gaps_are_filled_from_the_training_rows(people: Ingested, how: str, fill: Any) -> None:
    data = {**DATA, "features": ["age"], "derive": {}, "preprocess": {"scale": "none", "impute": how}}
    run = prepared(people, "classification", data, "float64")
    ages = np.array([np.nan if row["age"] is None else row["age"] for n, row in enumerate(people.preview) if n != 7])
    known = ages[run.train]
    assert np.allclose(run.x[np.isnan(ages), 0], fill(known[~np.isnan(known)]))


def test_a_regression_with_two_targets_can_be_scaled_and_back(people: Ingested) -> None:
    data = {"target": ["income", "height"], "features": ["ok"], "preprocess": {"target_scale": "standard"}}
    run = prepared(people, "regression", data)
    assert run.y is not None
    assert run.y.shape == (200, 2)
    assert np.allclose(run.y[run.train].mean(axis=0), 0, atol=1e-5)
    assert np.allclose(run.y[run.train].std(axis=0), 1, atol=1e-5)
    income = [row["income"] for row in people.preview]
    assert np.allclose(run.preparation.unscale_target(run.y)[:, 0], income, rtol=1e-5)


def test_weights_groups_times_and_reconstruction(people: Ingested) -> None:
    run = prepared(people, "reconstruction", {"features": ["height"], "weight": "w", "split": {"group": "group"}})
    assert run.y is None
    assert run.weight is not None
    assert run.weight.tolist() == [row["w"] for row in people.preview]
    groups = np.array([row["group"] for row in people.preview])
    assert not set(groups[run.train]) & set(groups[run.test])
    run = prepared(people, "reconstruction", {"features": ["height"], "split": {"order_by": "when"}})
    days = np.array([int(row["when"][8:10]) for row in people.preview])
    assert days[run.train].max() <= days[run.validation].min()
    assert days[run.validation].max() <= days[run.test].min()


def test_columns_become_an_image(tmp_path: Path) -> None:
    stored = make_builtin("digits", {}, tmp_path)
    pixels = [f"pixel_{row}_{column}" for row in range(8) for column in range(8)]
    data = {"target": "label", "features": pixels, "input_shape": [1, 8, 8], "preprocess": {"scale": "none"}}
    run = prepared(stored, "classification", data)
    assert run.x.shape == (1797, 1, 8, 8)
    assert run.x[5, 0, 2, 3] == stored.preview[5]["pixel_2_3"]
    nested = run.x[:3].tolist()
    assert np.array_equal(run.preparation.inputs_to_x(nested), run.x[:3])


@pytest.mark.parametrize("how", ["standard", "minmax", "robust"])
@pytest.mark.parametrize("shape", [(12, 1), (1, 12), (6, 2), (3, 2, 2)])
def test_a_tables_series_and_images_are_scaled_as_arrays_are(how: str, shape: tuple[int, ...], tmp_path: Path) -> None:
    """A scale for every moment or pixel would bend what a kernel slides over: GunPoint's accuracy falls by a tenth."""
    random = np.random.default_rng(2)
    x = random.normal(np.arange(12), 1 + np.arange(12), (60, 12))
    names = [f"t{place}" for place in range(12)]
    lines = [",".join(names), *(",".join(map(repr, row)) for row in x.tolist())]
    (tmp_path / "up.csv").write_text("\n".join(lines), "utf-8")
    table = ingest(tmp_path / "up.csv", "csv", tmp_path, Limits())
    data = {"features": names, "input_shape": shape, "preprocess": {"scale": how}}
    as_table = prepared(table, "reconstruction", data)
    arrays = stored_arrays(tmp_path, x=x.reshape(60, *shape))
    as_arrays = prepared(arrays, "reconstruction", {"preprocess": {"scale": how}})
    np.testing.assert_allclose(as_table.x, as_arrays.x, rtol=1e-5, atol=1e-6)
    assert len(set(as_arrays.preparation.array.scale)) == {(12, 1): 1, (1, 12): 1, (6, 2): 2, (3, 2, 2): 3}[shape]
    rows = [dict(zip(names, row, strict=True)) for row in x[:3].tolist()]
    assert np.array_equal(as_table.preparation.rows_to_x(rows), as_table.x[:3])


def test_what_is_no_number_keeps_its_own_scale_within_an_image(people: Ingested) -> None:
    data = {"features": ["age", "height", "ok", "income"], "input_shape": [2, 2], "preprocess": {"scale": "standard"}}
    features = {feature.name: feature for feature in prepared(people, "reconstruction", data).preparation.features}
    assert (features["ok"].shift, features["ok"].scale) == (0, 1)
    assert features["height"].scale == features["income"].scale != 1
    assert features["age"].scale not in (1, features["height"].scale)


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"features": ["age"], "derive": {}, "preprocess": {"impute": "none"}}, "/data/preprocess/impute"),
        ({"features": ["nope"], "derive": {}}, "/data/features"),
        ({"features": ["when"], "derive": {}}, "/data/features"),
        ({"derive": {"older": "log(height)"}}, "/data/derive/older"),
        ({"target": "income"}, "/data/target"),
        ({"weight": "height"}, "/data/weight"),
        ({"split": {"column": "colour"}}, "/data/split/column"),
        ({"split": {"group": "age"}}, "/data/split/group"),
    ],
)
def test_data_that_cannot_be_used_so_name_the_field(people: Ingested, change: dict[str, Any], pointer: str) -> None:
    with pytest.raises(TrainingFailed) as caught:
        prepared(people, "classification", {**DATA, **change})
    assert (caught.value.code, caught.value.pointer) == ("data_error", pointer)


def stored_arrays(folder: Path, **arrays: Any) -> Ingested:
    out = io.BytesIO()
    np.savez(out, **arrays)
    (folder / "up.npz").write_bytes(out.getvalue())
    return ingest(folder / "up.npz", "npz", folder, Limits())


@pytest.mark.parametrize(
    ("shape", "axis"), [((40, 3), 1), ((40, 5, 3), 2), ((40, 3, 4, 4), 1)], ids=["flat", "sequences", "images"]
)
def test_arrays_are_scaled_by_feature_or_channel(shape: tuple[int, ...], axis: int, tmp_path: Path) -> None:
    random = np.random.default_rng(1)
    scale = np.array([1.0, 10.0, 100.0]).reshape([3 if place == axis else 1 for place in range(len(shape))])
    x = random.normal(size=shape) * scale + scale
    stored = stored_arrays(tmp_path, x=x, y=random.integers(0, 3, 40) * 10)
    run = prepared(stored, "classification", {"target": "y"})
    assert run.preparation.classes == (0, 10, 20)
    train = np.moveaxis(run.x[run.train], axis, 0).reshape(3, -1)
    assert np.allclose(train.mean(axis=1), 0, atol=1e-5)
    assert np.allclose(train.std(axis=1), 1, atol=1e-5)
    again = Preparation.from_json(json.loads(json.dumps(run.preparation.to_json())))
    assert np.array_equal(again.inputs_to_x(x[:5].tolist()), run.x[:5])


def test_arrays_bring_their_weight_split_and_gaps(tmp_path: Path) -> None:
    x = np.arange(24.0).reshape(12, 2)
    x[3, 1] = np.nan
    y = np.arange(12.0)
    y[5] = np.nan
    stored = stored_arrays(tmp_path, x=x, y=y, weight=np.arange(12), split=np.array([0] * 8 + [1] * 2 + [2] * 2))
    run = prepared(stored, "regression", {"target": "y", "weight": "weight", "split": {"column": "split"}})
    assert run.dropped_rows == 1
    assert run.y is not None
    assert run.y[:, 0].tolist() == [0, 1, 2, 3, 4, 6, 7, 8, 9, 10, 11]
    assert run.test.tolist() == [9, 10]
    assert run.x[3, 1] == pytest.approx(0, abs=1e-6)
    assert run.preparation.inputs_to_x([[1, None]])[0, 1] == pytest.approx(0, abs=1e-6)


def test_labels_in_floats_are_classes_when_asked_for(tmp_path: Path) -> None:
    """ROOT trees and old text files hold 0.0 and 1.0."""
    y = np.array([1.0, 2.0, np.nan, 2.0] * 10, dtype=np.float32)
    stored = stored_arrays(tmp_path, x=np.arange(40.0)[:, None], y=y)
    run = prepared(stored, "classification", {"target": "y"})
    assert run.preparation.classes == (1, 2)
    assert run.y is not None
    assert run.y.tolist() == [0, 1, 1] * 10
    (tmp_path / "up.csv").write_text("a,b\n" + "1.5,-1.0\n2.5,1.0\n0.5,\n" * 10, "utf-8")
    table = ingest(tmp_path / "up.csv", "csv", tmp_path, Limits())
    run = prepared(table, "classification", {"target": "b", "features": ["a"]})
    assert (run.preparation.classes, run.dropped_rows) == ((-1, 1), 10)
    assert run.y is not None
    assert run.y.tolist() == [0, 1] * 10


@pytest.mark.parametrize("inputs", [[[1.0]], [[1.0, 2.0, 3.0]], [1.0], [["a", 1.0]], [[[1.0, 2.0]]], [[True, 1e999]]])
def test_an_input_that_does_not_fit_says_where(inputs: list[Any]) -> None:
    scaling = ArrayScaling(axis=1, fill=(0.0, 0.0), shift=(0.0, 0.0), scale=(1.0, 1.0))
    preparation = Preparation("arrays", (2,), array=scaling)
    with pytest.raises(Invalid) as caught:
        preparation.inputs_to_x([[0.0, 0.0], *inputs])
    assert [fault.pointer for fault in caught.value.errors] == ["/inputs/1"]


def test_constant_columns_do_not_blow_up(tmp_path: Path) -> None:
    x = np.full((30, 1), 0.1)
    path = tmp_path / "data.safetensors"
    write_arrays(path, {"x": x})
    schema, profile, preview = describe_arrays({"x": x})
    stored = finished(path, tmp_path, {"schema": schema, "profile": profile, "preview": preview})
    run = prepared(stored, "reconstruction", {})
    assert np.abs(run.x).max() < 1e-6
    assert run.preparation.inputs_to_x([[0.2]])[0, 0] == pytest.approx(0.1)
