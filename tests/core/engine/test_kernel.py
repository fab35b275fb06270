"""RBF units against float64 NumPy, k-means against scikit-learn, and networks whose centres come from the data."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file
from sklearn.cluster import KMeans

from core.engine.assembling import assemble
from core.engine.kmeans import k_means, lloyd, plus_plus
from core.engine.layer_types.kernel import RBF
from core.engine.seeds import generator
from core.events import Checkpoint, Finished
from core.spec import losses
from core.spec.layers import LAYERS
from tests.core.engine.test_network import check_gradients
from tests.core.engine.workbench import Bench, last


def blobs(random: np.random.Generator, rows: int = 400) -> np.ndarray[Any, Any]:
    centres = random.normal(size=(6, 3)) * 5
    values: np.ndarray[Any, Any] = centres[random.integers(6, size=rows)] + random.normal(size=(rows, 3))
    return values


def test_units_are_those_of_the_formula(random: np.random.Generator) -> None:
    x, centres, widths = random.normal(size=(9, 4)), random.normal(size=(5, 4)), random.uniform(0.5, 2, size=5)
    expected = np.exp(-np.square(x[:, None] - centres).sum(2) / (2 * widths**2))
    module = RBF(4, 5, learns_centres=True).double()
    module.load_state_dict({"centres": torch.from_numpy(centres), "log_widths": torch.from_numpy(np.log(widths))})
    np.testing.assert_allclose(module(torch.from_numpy(x)).detach().numpy(), expected, rtol=1e-10)
    single = module.float()(torch.from_numpy(x).float()).detach().numpy()
    np.testing.assert_allclose(single, expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("centres", ["learnt", "data"])
def test_gradients_by_finite_differences(centres: str) -> None:
    layer = LAYERS["rbf"].model_validate({"type": "rbf", "units": 4, "centres": centres})
    check_gradients([layer], losses.CrossEntropy(), "classification", 3, torch.arange(6) % 3)


def test_lloyd_ends_where_scikit_learn_ends(random: np.random.Generator) -> None:
    x = blobs(random)
    first = plus_plus(torch.from_numpy(x), 9, generator(0, "test"))
    theirs = KMeans(9, init=first.numpy(), n_init=1, tol=0, max_iter=300, algorithm="lloyd").fit(x)
    ours = lloyd(torch.from_numpy(x), first).numpy()
    np.testing.assert_allclose(ours, theirs.cluster_centers_, atol=1e-9)


def test_first_centres_are_as_good_as_scikit_learns(random: np.random.Generator) -> None:
    x = blobs(random)

    def inertia(centres: Any) -> float:
        return float(np.square(x[:, None] - np.asarray(centres)).sum(2).min(1).sum())

    ours = [inertia(k_means(torch.from_numpy(x), 6, generator(seed, "test"))[0]) for seed in range(10)]
    theirs = [KMeans(6, n_init=1, random_state=seed).fit(x).inertia_ for seed in range(10)]
    assert np.mean(ours) <= np.mean(theirs) * 1.05
    assert min(ours) == pytest.approx(min(theirs), rel=1e-6)


def test_spreads_and_rows_fewer_than_centres(random: np.random.Generator) -> None:
    x = torch.from_numpy(blobs(random))
    centres, spreads = k_means(x, 6, generator(1, "test"))
    nearest = torch.cdist(x, centres).argmin(1)
    for index in range(6):
        own = (x[nearest == index] - centres[index]).square().sum(1).mean().sqrt()
        assert float(spreads[index]) == pytest.approx(float(own))
    few = torch.tensor([[0.0], [0.0], [1.0]])
    centres, spreads = k_means(few, 5, generator(1, "test"))
    assert set(centres.flatten().tolist()) == {0.0, 1.0}
    module = RBF(1, 5, learns_centres=False)
    module.begin_from(few, generator(1, "test"))
    assert torch.isfinite(module(few)).all()


BODY: dict[str, Any] = {
    "data": {"dataset": "moons", "parameters": {"rows": 400, "noise": 0.1}},
    "network": {"layers": [{"type": "linear", "units": 3}, {"type": "rbf", "units": 12}]},
    "optimizer": {"type": "adam", "lr": 0.05},
    "training": {"epochs": 20, "seed": 4},
}


def test_centres_are_those_of_what_reaches_the_layer_on_the_training_rows(bench: Bench) -> None:
    run = bench.run(BODY)
    before = assemble(run.spec, run.schema, run.data_path, torch.device("cpu"), 1)
    reaching = before.network[0](before.train.x)
    expected, _ = k_means(reaching, 12, generator(4, "from_data"))
    events = bench.events(BODY | {"training": {"epochs": 1, "seed": 4}, "optimizer": {"type": "sgd", "lr": 1e-9}})
    centres = load_file(last(events, Checkpoint).content_path)["1.centres"]
    np.testing.assert_allclose(centres, expected.numpy(), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("centres", ["learnt", "data"])
def test_a_network_of_kernels_bends_where_a_linear_one_cannot(bench: Bench, centres: str) -> None:
    network = {"layers": [{"type": "rbf", "units": 24, "centres": centres}]}
    finished = last(bench.events(BODY | {"network": network, "training": {"epochs": 80}}), Finished)
    assert finished.metrics["test.accuracy"] > 0.97
