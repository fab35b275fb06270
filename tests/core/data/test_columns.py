"""What columns become: categories, codes, times, gaps; fitted on training rows alone, and the same in a prediction."""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.impute import SimpleImputer
from sklearn.preprocessing import OneHotEncoder

from core.data.ingest import Ingested, ingest
from core.data.preparation import Preparation
from core.data.prepare import Prepared, prepare
from core.errors import Invalid
from core.spec.limits import Limits
from core.spec.plan import Plan, check_job

ROWS = 240
BEGIN = datetime(2023, 12, 30, 6, 0, tzinfo=UTC)


def table() -> list[dict[str, Any]]:
    """Rows of every type; the last quarter, which is the test part, has values that no other row has."""
    draw = np.random.default_rng(0)
    rows: list[dict[str, Any]] = []
    for row in range(ROWS):
        test = row >= 180
        rows.append(
            {
                "age": None if row % 20 == 3 else round(float(draw.normal(1000 if test else 40, 5)), 3),
                "dose": None if test and row % 2 else float(draw.integers(3)),
                "colour": "rare" if test and row % 3 else ["red", "green", None][row % 3],
                "cylinders": 12 if test and row % 2 else None if row % 30 == 4 else [4, 6, 8][row % 3],
                "seen": None
                if row % 25 == 7
                else (BEGIN + timedelta(hours=5 * row)).isoformat().replace("+00:00", "Z"),
                "day": (BEGIN + timedelta(days=row)).date().isoformat(),
                "part": "test" if test else "train",
                "kind": "ab"[row % 2],
            }
        )
    return rows


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Ingested:
    folder = tmp_path_factory.mktemp("columns")
    rows = table()
    lines = [",".join(rows[0]), *(",".join("" if v is None else str(v) for v in row.values()) for row in rows)]
    (folder / "a.csv").write_text("\n".join(lines))
    return ingest(folder / "a.csv", "csv", folder, Limits())


def planned(stored: Ingested, features: list[str], preprocess: dict[str, Any], **more: Any) -> Plan:
    split = {"column": "part", "validation": 0.2}
    data = {"dataset": "a", "target": "kind", "features": features, "split": split, "preprocess": preprocess, **more}
    body = {"data": data, "network": {"family": "feed_forward"}, "training": {"precision": "float64"}}
    return check_job(body, lambda _: stored.schema, Limits())


def prepared(stored: Ingested, features: list[str], preprocess: dict[str, Any], **more: Any) -> Prepared:
    plan = planned(stored, features, preprocess, **more)
    run = prepare(plan.spec, stored.schema, stored.data_path)
    assert plan.input_shape == run.x.shape[1:]
    assert sum(feature.width for feature in run.preparation.features) == len(run.preparation.feature_names)
    # a resolved spec gives itself
    again = check_job(plan.spec.model_dump(mode="json"), lambda _: stored.schema, Limits())
    assert again.spec == plan.spec
    # what predictions see is what training saw, after a round trip through JSON
    kept = Preparation.from_json(json.loads(json.dumps(run.preparation.to_json())))
    np.testing.assert_array_equal(kept.rows_to_x(table()), run.x)
    return run


def cells(name: str) -> list[Any]:
    return [row[name] for row in table()]


@pytest.mark.parametrize(
    ("how", "strategy"),
    [("mean", "mean"), ("median", "median"), ("most_frequent", "most_frequent"), ("constant", "constant")],
)
def test_gaps_are_filled_as_scikit_learn_fills_them(stored: Ingested, how: str, strategy: str) -> None:
    run = prepared(stored, ["dose"], {"impute": how, "scale": "none", "fill_value": -7.5})
    raw = np.array([np.nan if value is None else value for value in cells("dose")])[:, None]
    reference = SimpleImputer(strategy=strategy, **({"fill_value": -7.5} if how == "constant" else {}))
    np.testing.assert_allclose(run.x, reference.fit(raw[run.train]).transform(raw))


def test_indicators_say_where_there_were_gaps(stored: Ingested) -> None:
    run = prepared(stored, ["age", "dose", "seen", "colour"], {"missing_indicator": True, "dates": "parts"})
    names = run.preparation.feature_names
    assert [name for name in names if name.endswith(":missing")] == ["age:missing", "dose:missing", "seen:missing"]
    for name in ("age", "seen"):
        said = run.x[:, names.index(f"{name}:missing")]
        assert said.tolist() == [float(value is None) for value in cells(name)]
    # only test rows lack a dose: training never saw what a 1 would mean
    assert not run.x[:, names.index("dose:missing")].any()


def test_whole_numbers_may_be_categories(stored: Ingested) -> None:
    run = prepared(stored, ["cylinders"], {"categories": ["cylinders"]})
    assert run.preparation.feature_names == ("cylinders=4", "cylinders=6", "cylinders=8", "cylinders=12")
    raw = np.array([-1 if value is None else value for value in cells("cylinders")])[:, None]
    reference = OneHotEncoder(categories=[[4, 6, 8, 12]], handle_unknown="ignore", sparse_output=False)
    expected = reference.fit(raw[run.train][raw[run.train][:, 0] > 0]).transform(raw)
    # twelve cylinders stand in test rows alone
    expected[:, 3] = 0
    np.testing.assert_array_equal(run.x, expected)
    assert not run.preparation.rows_to_x([{"cylinders": 5}, {"cylinders": 6.5}, {"cylinders": None}]).any()


def test_codes_are_places_and_one_more_for_what_training_lacks(stored: Ingested) -> None:
    run = prepared(stored, ["age", "colour", "cylinders"], {"categorical": "embedding", "categories": ["cylinders"]})
    assert run.preparation.feature_names == ("age", "colour", "cylinders")
    colour = {"green": 0, "rare": 3, "red": 2, None: 3}
    assert run.x[:, 1].tolist() == [colour[value] for value in cells("colour")]
    cylinders = {4: 0, 6: 1, 8: 2, 12: 4, None: 4}
    assert run.x[:, 2].tolist() == [cylinders[value] for value in cells("cylinders")]


def test_times_become_days_elapsed_and_places_on_cycles(stored: Ingested) -> None:
    run = prepared(stored, ["seen"], {"dates": "parts"})
    parts = ("elapsed", "day_sin", "day_cos", "week_sin", "week_cos", "year_sin", "year_cos")
    assert run.preparation.feature_names == tuple(f"seen:{part}" for part in parts)
    times = [None if value is None else datetime.fromisoformat(value) for value in cells("seen")]
    days = np.array([np.nan if time is None else time.timestamp() / 86400 for time in times])
    known = days[run.train][~np.isnan(days[run.train])]
    elapsed = (np.where(np.isnan(days), known.mean(), days) - known.mean()) / known.std()
    np.testing.assert_allclose(run.x[:, 0], elapsed, atol=1e-9)
    for row, time in enumerate(times):
        if time is None:
            assert not run.x[row, 1:].any()
            continue
        hour = (time - time.replace(hour=0, minute=0)).total_seconds() / 86400
        week = (time.weekday() + hour) / 7
        year = (time.timetuple().tm_yday - 1 + hour) / 365.2425
        turns = [hour, hour, week, week]
        waves = [math.sin, math.cos, math.sin, math.cos]
        exact = [wave(2 * math.pi * turn) for wave, turn in zip(waves, turns, strict=True)]
        np.testing.assert_allclose(run.x[row, 1:5], exact, atol=1e-9)
        # the mean year is within a day of the calendar's
        np.testing.assert_allclose(
            run.x[row, 5:], [math.sin(2 * math.pi * year), math.cos(2 * math.pi * year)], atol=2 * math.pi / 365
        )


def test_whole_days_have_no_time_of_day(stored: Ingested) -> None:
    assert [stored.schema.column(name).resolution for name in ("seen", "day")] == ["time", "day"]  # type: ignore[union-attr]
    run = prepared(stored, ["day"], {"dates": "parts"})
    assert run.preparation.feature_names == tuple(
        f"day:{part}" for part in ("elapsed", "week_sin", "week_cos", "year_sin", "year_cos")
    )
    sent = [{"day": "2024-01-01"}, {"day": "2024-01-01T00:00:00Z"}, {"day": "2024-01-01T02:00:00+02:00"}]
    x = run.preparation.rows_to_x(sent)
    assert np.array_equal(x[0], x[1])
    assert np.array_equal(x[0], x[2])
    # a Monday: the week begins
    np.testing.assert_allclose(x[0, 1:3], [0, 1], atol=1e-9)


@pytest.mark.parametrize("value", [3, "yesterday", "2024-13-01", True, ["2024-01-01"], "9999-99-99T99:99:99Z"])
def test_what_is_no_time_is_named(stored: Ingested, value: Any) -> None:
    run = prepared(stored, ["day"], {"dates": "parts"})
    with pytest.raises(Invalid) as caught:
        run.preparation.rows_to_x([{"day": "2024-01-01"}, {"day": value}])
    (fault,) = caught.value.errors
    assert (fault.pointer, fault.code) == ("/rows/1/day", "bad_value")
    assert "2024-05-01T12:00:00Z" in fault.detail


ALL = ["age", "dose", "colour", "cylinders", "seen", "day"]


@pytest.mark.parametrize("categorical", ["one_hot", "embedding"])
@pytest.mark.parametrize("impute", ["mean", "most_frequent"])
def test_test_rows_leave_no_trace(stored: Ingested, tmp_path: Path, categorical: str, impute: str) -> None:
    """Whatever the values of test rows are, training rows are encoded alike, and so is a row of a prediction."""
    preprocess = {
        "categorical": categorical,
        "categories": ["cylinders"],
        "dates": "parts",
        "missing_indicator": True,
        "impute": impute,
        "scale": "robust",
    }
    rows = table()
    for number, row in enumerate(rows):
        if row["part"] == "test":
            # other values of the same categories: the list of those is the data set's, not the training's
            row |= {"age": 5.5 * number, "dose": number % 7, "seen": "1999-12-31T23:59:59Z", "day": "1970-01-01"}
            row |= {"colour": ["rare", "red"][number % 2], "cylinders": [12, 4][number % 2]}
    rows[-1] |= {"age": None, "dose": None}
    lines = [",".join(rows[0]), *(",".join("" if v is None else str(v) for v in row.values()) for row in rows)]
    (tmp_path / "other.csv").write_text("\n".join(lines))
    other = ingest(tmp_path / "other.csv", "csv", tmp_path, Limits())
    first, second = prepared_pair(stored, other, preprocess)
    np.testing.assert_array_equal(first.x[first.train], second.x[second.train])
    np.testing.assert_array_equal(first.preparation.rows_to_x(table()), second.preparation.rows_to_x(table()))


def prepared_pair(one: Ingested, other: Ingested, preprocess: dict[str, Any]) -> tuple[Prepared, Prepared]:
    runs = [prepare(planned(each, ALL, preprocess).spec, each.schema, each.data_path) for each in (one, other)]
    return runs[0], runs[1]
