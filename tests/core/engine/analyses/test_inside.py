"""Hidden layers, reconstructions, weights: what is shown is what the network computes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA

from core.engine.analyses import analyse
from core.engine.analyses.context import part_of
from core.engine.analyses.histograms import histogram
from core.engine.analyses.units import original
from core.errors import Invalid
from core.spec.analyses import Filters
from tests.core.engine.analyses.bodies import AUTOENCODER, DIABETES, DIGITS, FLAT_AUTOENCODER, IMAGES, IRIS, SINE, WINE
from tests.core.engine.analyses.conftest import Studio

LINEAR = {"data": {"dataset": "iris"}, "network": {"family": "linear"}, "training": {"epochs": 1}}


def test_the_bottleneck_is_the_encoding_and_decodes(studio: Studio) -> None:
    data = studio.analyse(AUTOENCODER, {"type": "latent", "grid": 4})
    context = studio.context(AUTOENCODER)
    network = context.model.network
    assert (data["layer"], data["layer_type"], data["size"], data["method"]) == (3, "linear", 2, "first")
    part = part_of(context, "test")
    codes = network[:4](part.rows.x).numpy()
    assert np.allclose(np.c_[data["points"]["x"], data["points"]["y"]], codes, rtol=1e-4, atol=1e-4)
    assert data["label"] == "label"
    assert [data["classes"][index] for index in data["points"]["class"][:3]] == _digits(part.numbers[:3])
    # the image in the lower left corner is the decoder's answer there, in pixels again
    corner = torch.tensor([[data["decoded"]["x"][0], data["decoded"]["y"][-1]]], dtype=torch.float32)
    image = original(network[4:](corner).numpy().reshape(1, 1, 8, 8), context.model.preparation)[0]
    assert np.allclose(data["decoded"]["images"][3][0], image, atol=0.02)
    assert 8 < np.max(data["decoded"]["images"]) < 25, "grey values go up to 16"


def _digits(rows: np.ndarray) -> list[int]:
    return load_digits().target[rows].tolist()


def test_a_wide_layer_is_seen_along_its_principal_components(studio: Studio) -> None:
    data = studio.analyse(DIGITS, {"type": "latent", "rows": 100})
    context = studio.context(DIGITS)
    part = part_of(context, "test", 100)
    hidden = context.model.network[:3](part.rows.x).numpy()
    assert (data["layer"], data["size"], data["rows"], data["of_rows"]) == (2, 32, 100, 270)
    reference = PCA(2, svd_solver="full").fit(hidden)
    assert data["variance_explained"] == pytest.approx(reference.explained_variance_ratio_.tolist(), rel=1e-4)
    spread = np.abs(reference.transform(hidden))
    assert np.allclose(np.abs(np.c_[data["points"]["x"], data["points"]["y"]]), spread, atol=1e-3)
    chosen = studio.analyse(DIGITS, {"type": "latent", "layer": 1, "method": "first"})
    assert (chosen["layer_type"], chosen["size"], chosen["variance_explained"]) == ("linear", 32, None)


def test_a_latent_request_that_means_nothing(studio: Studio) -> None:
    with pytest.raises(Invalid, match="without hidden layers"):
        studio.analyse(LINEAR, {"type": "latent"})
    with pytest.raises(Invalid, match="expected a layer from 0 to 0") as caught:
        studio.analyse(LINEAR, {"type": "latent", "layer": 7})
    assert caught.value.errors[0].pointer == "/layer"
    assert studio.analyse(DIABETES, {"type": "latent"})["points"]["value"]


def test_reconstructions_are_predictions_in_the_inputs_unit(studio: Studio) -> None:
    data = studio.analyse(AUTOENCODER, {"type": "reconstructions", "examples": 3})
    context = studio.context(AUTOENCODER)
    rows = {int(number): at for at, number in enumerate(part_of(context, "test").numbers)}
    x = part_of(context, "test").rows.x
    columns = context.model.preparation.columns
    assert data["kind"] == "image"
    for example in data["examples"]:
        pixels = np.array(example["input"])
        assert np.allclose(pixels, np.round(pixels), atol=1e-3), "grey values are whole numbers"
        row = dict(zip(columns, pixels.reshape(-1).tolist(), strict=True))
        assert example["error"] == pytest.approx(context.model.predict(rows=[row], output="error")["data"][0], rel=1e-3)
        made = context.model.network(x[rows[example["row"]]][None]).numpy().reshape(1, 1, 8, 8)
        assert np.allclose(example["reconstruction"], original(made, context.model.preparation)[0], atol=0.02)
    counts = data["histogram"]["counts"]
    assert sum(counts) == data["rows"] == 270
    assert np.sum([each["counts"] for each in data["histogram"]["by_class"]], 0).tolist() == counts


def test_flat_rows_are_shown_from_the_best_to_the_worst(studio: Studio) -> None:
    data = studio.analyse(FLAT_AUTOENCODER, {"type": "reconstructions", "examples": 4})
    errors = [example["error"] for example in data["examples"]]
    assert errors == sorted(errors)
    part = part_of(studio.context(FLAT_AUTOENCODER), "test")
    made = studio.context(FLAT_AUTOENCODER).model.network(part.rows.x)
    every = np.sort((made - part.rows.x).square().mean(1).numpy())
    assert np.allclose(errors, [*every[:2], *every[-2:]], rtol=1e-5)
    assert data["error"]["mean"] == pytest.approx(float(every.mean()), rel=1e-5)
    assert 11 < data["examples"][0]["input"][0] < 15, "alcohol in per cent"
    with pytest.raises(Invalid, match="do ask for latent"):
        studio.analyse(WINE, {"type": "reconstructions"})


def test_dense_weights_on_images_are_images(studio: Studio) -> None:
    data = studio.analyse(IMAGES, {"type": "filters", "most": 9})
    weight = studio.context(IMAGES).model.network[1].weight.detach().numpy()
    assert (data["layer"], data["shape"], data["of_filters"], data["is_image"]) == (1, [1, 8, 8], 32, True)
    assert np.allclose(np.reshape(data["filters"], (9, 64)), weight[:9], rtol=1e-3)
    assert np.allclose(data["norms"], np.linalg.norm(weight, axis=1)[:9], rtol=1e-4)
    flat = studio.analyse(WINE, {"type": "filters"})
    assert (flat["layer"], flat["shape"], len(flat["input_names"])) == (0, [13], 13)
    head = studio.analyse(WINE, {"type": "filters", "layer": 2})
    assert (head["shape"], head["input_names"]) == ([16], None)
    with pytest.raises(Invalid, match="expected one of 0, 2"):
        studio.analyse(WINE, {"type": "filters", "layer": 1})


def test_filters_need_no_data(studio: Studio) -> None:
    bare = replace(studio.context(WINE), schema=None, data_path=None)
    assert analyse(Filters(), bare)["of_filters"] == 16


@pytest.mark.parametrize("body", [IRIS, SINE, AUTOENCODER])
def test_histograms_count_every_value(studio: Studio, body: Any) -> None:
    data = studio.analyse(body, {"type": "histograms", "rows": 20, "bins": 8})
    network = studio.context(body).model.network
    x = part_of(studio.context(body), "test", 20).rows.x
    for layer, module in zip(data["layers"], network, strict=True):
        x = module(x)
        parameters = list(module.parameters())
        weights = [parameter for parameter in parameters if parameter.ndim >= 2]
        assert (layer["weights"] is None) == (not weights)
        for kind, tensors in (("weights", weights), ("gradients", parameters), ("activations", [x])):
            if tensors:
                count = sum(tensor.numel() for tensor in tensors)
                assert sum(layer[kind]["counts"]) == layer[kind]["values"] == count
        assert layer["activations"]["mean"] == pytest.approx(float(x.double().mean()), abs=1e-5)
        assert layer["activations"]["zeros"] == pytest.approx(float((x == 0).double().mean()), abs=1e-9)


def test_a_histogram_of_what_is_not_finite() -> None:
    found = histogram([torch.tensor([1.0, 2.0, float("nan"), float("inf")])], 5)
    assert found is not None
    assert (found["values"], found["not_finite"], sum(found["counts"])) == (4, 2, 2)
    none = histogram([torch.tensor([float("nan")])], 5)
    assert none is not None
    assert none["counts"] == []
    assert histogram([], 5) is None
