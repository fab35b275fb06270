"""Decision boundaries: every point of the grid is what a prediction of that row answers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.decomposition import PCA

from core.engine.analyses.context import part_of
from core.engine.analyses.pca import principal_components
from core.errors import Invalid
from tests.core.engine.analyses.bodies import AUTOENCODER, DIABETES, DIGITS, IMAGES, IRIS, MOONS, SINE
from tests.core.engine.analyses.conftest import Studio
from tests.core.engine.test_trained import PEOPLE, people

GRID: dict[str, Any] = {"type": "decision_boundary", "points": 11}


def test_two_features_are_the_whole_plane(studio: Studio) -> None:
    data = studio.analyse(MOONS, GRID)
    model = studio.context(MOONS).model
    rows = [{"x1": x, "x2": y} for y in data["y"] for x in data["x"]]
    wanted = np.array(model.predict(rows=rows, output="probability")["data"])
    assert np.allclose(np.reshape(data["probability"], -1), wanted[:, 1], atol=1e-3)
    called = [data["classes"][index] for index in np.reshape(data["called"], -1)]
    disagree = [one != other for one, other in zip(called, model.predict(rows=rows)["data"], strict=True)]
    assert sum(disagree) <= 1, "axes are rounded, so a point on the boundary may fall on its other side"
    assert data["held"] == {}
    assert len(data["points"]["x"]) == len(data["points"]["class"]) == data["rows"] == 60
    # points are rows of the data set in their own unit
    part = part_of(studio.context(MOONS), "test")
    scaling = model.preparation.features[0]
    assert np.allclose(data["points"]["x"], part.rows.x[:, 0].numpy() * scaling.scale + scaling.shift, rtol=1e-3)


@pytest.mark.parametrize(("others", "middle"), [("median", np.median), ("mean", np.mean)])
def test_the_other_features_stand_in_the_middle(studio: Studio, others: str, middle: Any) -> None:
    pair = ["petal width (cm)", "sepal length (cm)"]
    data = studio.analyse(IRIS, GRID | {"features": pair, "others": others})
    context = studio.context(IRIS)
    rest = ["sepal width (cm)", "petal length (cm)"]
    assert list(data["held"]) == rest
    part = part_of(context, "test")
    for place, name in ((1, rest[0]), (2, rest[1])):
        feature = context.model.preparation.features[place]
        values = part.rows.x[:, place].numpy() * feature.scale + feature.shift
        assert data["held"][name] == pytest.approx(float(middle(values)), rel=1e-5)
    row = data["held"] | {pair[0]: data["x"][3], pair[1]: data["y"][8]}
    wanted = context.model.predict(rows=[row], output="probability")["data"][0]
    assert data["called"][8][3] == int(np.argmax(wanted))
    assert data["probability"][8][3] == pytest.approx(max(wanted), abs=1e-3)


def test_one_number_gives_a_curve(studio: Studio) -> None:
    data = studio.analyse(SINE, GRID)
    wanted = studio.context(SINE).model.predict(rows=[{"x": x} for x in data["x"]])["data"]
    assert np.allclose(data["value"], wanted, rtol=1e-3, atol=1e-3)
    assert np.abs(np.array(data["value"]) - np.sin(data["x"]))[1:-1].max() < 0.3
    assert len(data["points"]["value"]) == 30
    lines = studio.analyse(IRIS, GRID | {"features": ["petal length (cm)"]})
    assert np.allclose(np.sum(lines["probabilities"], 0), 1, atol=1e-3)


def test_a_map_of_numbers_is_in_the_targets_unit(studio: Studio) -> None:
    data = studio.analyse(DIABETES, GRID | {"features": ["bmi", "bp"]})
    row = data["held"] | {"bmi": data["x"][2], "bp": data["y"][5]}
    assert data["value"][5][2] == pytest.approx(studio.context(DIABETES).model.predict(rows=[row])["data"][0], rel=1e-3)


def test_columns_of_every_type_and_derived_ones(studio: Studio, tmp_path: Path) -> None:
    people(tmp_path / "people.csv", np.random.default_rng(7))
    studio.bench.upload("people", tmp_path / "people.csv", "csv")
    data = studio.analyse(PEOPLE, GRID | {"features": ["age", "visits"]})
    assert set(data["held"]) == {"colour", "member"}
    assert data["held"]["colour"] in ("blue", "green", "red")
    row = data["held"] | {"age": data["x"][4], "visits": data["y"][6]}
    wanted = studio.context(PEOPLE).model.predict(rows=[row], output="probability")["data"][0]
    assert data["probability"][6][4] == pytest.approx(wanted[1], abs=1e-3)
    for name in ("colour", "older", "nothing"):
        with pytest.raises(Invalid, match="expected a feature that is a number") as caught:
            studio.analyse(PEOPLE, GRID | {"features": ["age", name]})
        assert caught.value.errors[0].pointer == "/features/1"


@pytest.mark.parametrize("body", [DIGITS, IMAGES, AUTOENCODER])
def test_principal_components_take_any_shape(studio: Studio, body: Any) -> None:
    data = studio.analyse(body, GRID | {"plane": "principal", "rows": 5000})
    part = part_of(studio.context(body), "test")
    rows = part.rows.x.numpy().reshape(len(part), -1)
    reference = PCA(2, svd_solver="full").fit(rows)
    assert data["variance_explained"] == pytest.approx(reference.explained_variance_ratio_.tolist(), rel=1e-3)
    assert np.shape(data["called" if data["classes"] else "value"]) == (11, 11)


def test_images_have_no_two_features_but_a_plane_all_the_same(studio: Studio) -> None:
    with pytest.raises(Invalid, match="plane principal"):
        studio.analyse(IMAGES, {**GRID, "plane": "features"})
    asked = studio.analyse(IMAGES, {**GRID, "plane": "principal"})
    assert studio.analyse(IMAGES, GRID) == asked
    assert asked["plane"] == "principal"


def test_features_that_never_vary_are_passed_over(studio: Studio) -> None:
    """The first pixel of the digits is always 0: a plane of it would be a line."""
    data = studio.analyse(DIGITS, {**GRID, "points": 10})
    assert data["plane"] == "features"
    assert "pixel_0_0" not in data["features"]
    assert all(len(set(data["points"][axis])) > 1 for axis in "xy")


@pytest.mark.parametrize("shape", [(50, 6), (6, 50)])
def test_principal_components_are_scikit_learns(shape: tuple[int, int]) -> None:
    rows = np.random.default_rng(1).normal(size=shape)
    found, reference = principal_components(rows, 2), PCA(2, svd_solver="full").fit(rows)
    assert found.variance_explained == pytest.approx(reference.explained_variance_ratio_.tolist(), rel=1e-9)
    assert np.allclose(np.abs(found.axes), np.abs(reference.components_), atol=1e-9)
    assert np.allclose(np.abs(found.coordinates), np.abs(reference.transform(rows)), atol=1e-9)
