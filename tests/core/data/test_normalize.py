"""Samples on a scale of their own: scikit-learn's Normalizer, z-scores, and the same again for a prediction."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from sklearn.preprocessing import Normalizer, StandardScaler

from core.data.normalize import entries, sample_scales
from core.engine.export import export
from core.engine.trained import load_trained
from core.events import Checkpoint
from tests.core.engine.workbench import Bench, files, last

HOWS = ["l1", "l2", "max", "standard"]


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path, {})


def own(x: np.ndarray, how: str) -> np.ndarray:
    shift, scale = sample_scales(x, how)
    return (x - shift) / scale


@pytest.mark.parametrize("how", HOWS)
def test_rows_are_scikit_learns(how: str) -> None:
    x = np.random.default_rng(0).normal(3, 2, (20_000, 7))
    expected = StandardScaler().fit_transform(x.T).T if how == "standard" else Normalizer(how).transform(x)
    np.testing.assert_allclose(own(x, how), expected, rtol=1e-12)


@pytest.mark.parametrize("how", HOWS)
def test_a_sequences_features_have_scales_of_their_own_and_an_image_has_one(how: str) -> None:
    x = np.random.default_rng(0).normal(3, 2, (6, 5, 2))
    for feature in (0, 1):
        np.testing.assert_allclose(own(x, how)[..., feature], own(x[..., feature], how), rtol=1e-12)
    signals = x[..., 0]
    np.testing.assert_allclose(own(signals[:, None], how)[:, 0], own(signals, how), rtol=1e-12)
    np.testing.assert_allclose(own(signals[..., None], how)[..., 0], own(signals, how), rtol=1e-12)
    images = x.reshape(6, 1, 5, 2)
    np.testing.assert_allclose(own(images, how).reshape(6, 10), own(images.reshape(6, 10), how), rtol=1e-12)
    for axis, array in ((2, x), (1, images)):
        np.testing.assert_array_equal(np.stack(list(entries(array, axis, how)), axis), own(array, how))


@pytest.mark.parametrize("how", HOWS)
def test_gaps_are_left_out_and_what_does_not_vary_keeps_its_scale(how: str) -> None:
    x = np.array([[1.0, np.nan, 3.0], [0.0, 0.0, 0.0]])
    np.testing.assert_allclose(own(x, how)[0, [0, 2]], own(np.array([[1.0, 3.0]]), how)[0])
    assert np.isnan(own(x, how)[0, 1])
    np.testing.assert_array_equal(own(x, how)[1], 0)
    assert np.isfinite(own(np.full((1, 4), 5.0), how)).all()


def trained(bench: Bench, dataset: str, how: str, tmp_path: Path) -> tuple[Any, Any]:
    body = {
        "data": {"dataset": dataset, "preprocess": {"normalize": how}},
        "network": {"layers": [{"type": "flatten"}, {"type": "linear", "units": 4}, {"type": "relu"}]},
        "training": {"epochs": 1},
    }
    content, _ = files(last(bench.events(body), Checkpoint))
    export(content, "onnx", tmp_path / "model.onnx")
    return load_trained(content), onnxruntime.InferenceSession(str(tmp_path / "model.onnx"))


@pytest.mark.parametrize("how", HOWS)
def test_a_tables_predictions_and_its_graph_normalise_what_they_get(bench: Bench, how: str, tmp_path: Path) -> None:
    model, graph = trained(bench, "wine", how, tmp_path)
    rows = bench.sets["wine"].preview[:20]
    numbers = np.array([[row[name] for name in model.preparation.columns] for row in rows], dtype=float)
    x = model.preparation.rows_to_x(rows)
    features = model.preparation.features
    fitted = np.array([[feature.shift, feature.scale] for feature in features])
    np.testing.assert_allclose(x, (own(numbers, how) - fitted[:, 0]) / fitted[:, 1], rtol=1e-4, atol=1e-5)
    feed = {name: numbers[:, [place]] for place, name in enumerate(model.preparation.columns)}
    shares = graph.run(["probabilities"], feed)[0]
    np.testing.assert_allclose(shares, model.predict(rows=rows, output="probability")["data"], atol=1e-5)


@pytest.mark.parametrize("shape", [(4,), (6, 2), (1, 6), (1, 4, 3)])
@pytest.mark.parametrize("how", HOWS)
def test_arrays_of_every_shape_through_the_graph(
    bench: Bench, how: str, shape: tuple[int, ...], tmp_path: Path
) -> None:
    draw = np.random.default_rng(0)
    x = draw.normal(2, 3, (60, *shape)).astype(np.float32)
    x[3] = 0
    x[5, 0] = np.nan
    np.savez(tmp_path / "x.npz", x=x, y=np.arange(60) % 2)
    bench.upload("mine", tmp_path / "x.npz", "npz")
    model, graph = trained(bench, "mine", how, tmp_path)
    inputs = np.where(np.isnan(x), None, x.astype(object)).tolist()
    shares = graph.run(["probabilities"], {"x": x})[0]
    np.testing.assert_allclose(shares, model.predict(inputs=inputs, output="probability")["data"], atol=1e-5)
