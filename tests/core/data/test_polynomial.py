"""Polynomial features against scikit-learn, from the spec to predictions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.preprocessing import PolynomialFeatures, StandardScaler

from core.data.builtin import make_builtin
from core.data.ingest import ingest
from core.data.preparation import Preparation
from core.data.prepare import Prepared, prepare
from core.data.table import StoredTable
from core.errors import TrainingFailed
from core.spec.limits import Limits
from core.spec.plan import Plan, check_job
from core.spec.polynomial import PolynomialSpec, count_terms, terms
from tests.core.spec.sets import fault_details, faults, job


@pytest.mark.parametrize("degree", [2, 3, 5])
@pytest.mark.parametrize("interaction_only", [False, True])
def test_names_and_order_are_scikit_learns(degree: int, interaction_only: bool) -> None:
    names = ["a", "b c", "d", "e"]
    spec = PolynomialSpec(degree=degree, interaction_only=interaction_only)
    reference = PolynomialFeatures(degree, interaction_only=interaction_only, include_bias=False)
    reference.fit(np.zeros((1, 4)))
    assert [*names, *terms(names, spec)] == reference.get_feature_names_out(names).tolist()
    assert count_terms(4, spec) == len(terms(names, spec))


def prepared(data: dict[str, Any], folder: Path) -> tuple[Plan, Prepared]:
    made = make_builtin(data["dataset"], {}, folder)
    body = {"data": data, "network": {"layers": []}, "training": {"precision": "float64"}}
    plan = check_job(body, lambda _: made.schema, Limits())
    return plan, prepare(plan.spec, made.schema, made.data_path)


def test_values_are_scikit_learns_scaled_on_the_training_rows(tmp_path: Path) -> None:
    plan, run = prepared({"dataset": "iris", "polynomial": {"degree": 3}}, tmp_path)
    table = StoredTable(make_builtin("iris", {}, tmp_path).data_path)
    names = plan.spec.data.features or ()
    raw = np.column_stack([table.column(name).values for name in names])
    products = PolynomialFeatures(3, include_bias=False).fit_transform(raw)
    expected = StandardScaler().fit(products[run.train]).transform(products)
    np.testing.assert_allclose(run.x, expected, rtol=1e-9, atol=1e-12)
    assert plan.input_shape == run.x.shape[1:] == (34,)
    assert list(plan.features) == list(run.preparation.feature_names)
    again = Preparation.from_json(run.preparation.to_json())
    rows = [dict(zip(names, row, strict=True)) for row in raw[:5].tolist()]
    assert again.columns == names
    np.testing.assert_array_equal(again.rows_to_x(rows), run.x[:5])
    assert check_job(plan.spec.model_dump(mode="json"), lambda _: _schema(tmp_path), Limits()).spec == plan.spec


def _schema(folder: Path) -> Any:
    return make_builtin("iris", {}, folder).schema


def test_a_missing_factor_is_filled_in_as_a_product(tmp_path: Path) -> None:
    _, run = prepared({"dataset": "xor", "polynomial": {"interaction_only": True}}, tmp_path)
    assert run.preparation.feature_names == ("x1", "x2", "x1 x2")
    x = run.preparation.rows_to_x([{"x1": None, "x2": 0.5}])
    # the means of x1 and of the product, which are 0 once scaled
    assert x[0, 0] == pytest.approx(0, abs=1e-12)
    assert x[0, 2] == pytest.approx(0, abs=1e-12)


def test_faults_name_the_field() -> None:
    body = job("people", data={"target": "bought", "polynomial": {"columns": ["age", "city", "age"]}})
    assert faults(body) == {
        "/data/polynomial/columns/1": "unknown_column",
        "/data/polynomial/columns/2": "unknown_column",
    }
    many = fault_details(job("digits", data={"polynomial": {"degree": 3}}))
    assert many["/data/polynomial"].code == "too_many_terms"
    assert "47840 products of 64 columns" in many["/data/polynomial"].detail
    assert faults(job("images", data={"polynomial": {}})) == {"/data/polynomial": "needs_columns"}
    assert faults(job("people", data={"polynomial": {"degree": 1}, "target": "bought"})) == {
        "/data/polynomial/degree": "out_of_range"
    }


def test_what_overflows_is_an_error_at_the_polynomial(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("a,b,y\n" + "".join(f"{10.0 ** (100 * i)},{i},{i}.5\n" for i in range(3)))
    made = ingest(tmp_path / "a.csv", "csv", tmp_path, Limits())
    body = {"data": {"dataset": "a", "target": "y", "polynomial": {}, "split": {"test": 0, "validation": 0}}}
    plan = check_job({**body, "network": {"layers": []}}, lambda _: made.schema, Limits())
    with pytest.raises(TrainingFailed) as caught:
        prepare(plan.spec, made.schema, made.data_path)
    assert caught.value.pointer == "/data/polynomial"
