"""Families expand to ordinary layers that plan alike, and say clearly which data they cannot take."""

from __future__ import annotations

from typing import Any

import pytest

from core.errors import Invalid
from core.spec.dataset import ArrayInfo, DatasetSchema
from core.spec.limits import Limits
from core.spec.network import FAMILIES
from core.spec.plan import check_job
from tests.core.spec.sets import fault_details, faults, plan

# data sets of the tests by the axes of a sample: (64,), (6,), (4, 5), (3, 8, 8)
FLAT, SEQUENCES, IMAGES = ("digits", "targets"), ("only_x",), ("images",)
RECURRENT = ("rnn", "lstm", "gru")
TAKES: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(FAMILIES, (*FLAT, *SEQUENCES, *IMAGES)),
    **dict.fromkeys((*RECURRENT, "transformer"), SEQUENCES),
    "convolutional": (*SEQUENCES, *IMAGES),
}


def planned(dataset: str, family: str, **fields: Any) -> Any:
    return plan({"data": {"dataset": dataset}, "network": {"family": family, **fields}})


@pytest.mark.parametrize(("family", "dataset"), [(family, name) for family in TAKES for name in TAKES[family]])
def test_families_expand_to_layers_that_plan_alike(family: str, dataset: str) -> None:
    first = planned(dataset, family)
    assert first.expanded_from is not None
    assert first.expanded_from["family"] == family
    again = plan(first.spec.model_dump(mode="json"))
    assert again.parameters == first.parameters
    assert again.spec == first.spec
    assert again.expanded_from is None


@pytest.mark.parametrize(
    ("family", "dataset"),
    [(family, name) for family in TAKES for name in (*FLAT, *SEQUENCES, *IMAGES) if name not in TAKES[family]],
)
def test_data_that_a_family_cannot_take_are_told_with_what_to_do(family: str, dataset: str) -> None:
    error = fault_details({"data": {"dataset": dataset}, "network": {"family": family}})["/network/family"]
    assert error.detail.startswith("received samples of shape")
    assert "; do " in error.detail


def types(sound: Any) -> list[str]:
    return [row.type for row in sound.layers]


def test_recurrent_layers_on_top_of_each_other() -> None:
    sound = planned("only_x", "lstm", hidden=[8, 4], bidirectional=True, dropout=0.2)
    assert types(sound)[:4] == ["lstm", "dropout", "lstm", "dropout"]
    assert [row.output_shape for row in sound.layers][:4] == [(4, 16), (4, 16), (8,), (8,)]
    assert types(planned("only_x", "rnn", cell="gru"))[0] == "gru"
    assert planned("only_x", "rnn", activation="relu").spec.network.layers[0].nonlinearity == "relu"
    body = {"data": {"dataset": "only_x"}, "network": {"family": "rnn", "cell": "gru", "activation": "relu"}}
    assert faults(body) == {"/network/activation": "conflicting_cell"}


def test_an_autoencoder_is_mirrored_around_its_code() -> None:
    sound = planned("digits", "autoencoder", hidden=[32, 16], latent=3, activation="tanh")
    assert [row.output_shape for row in sound.layers if row.type == "linear"] == [(n,) for n in (32, 16, 3, 16, 32, 64)]
    assert sound.spec.task == "reconstruction"
    code = sound.spec.network.encoding
    assert (sound.layers[code].type, sound.layers[code].output_shape) == ("linear", (3,))
    assert planned("digits", "autoencoder").layers[4].output_shape == (16,)  # a quarter of 64 inputs
    assert sound.to_json()["encoding"] == code


def test_a_variational_autoencoder_weighs_the_divergence_as_the_lower_bound_does() -> None:
    sound = planned("digits", "variational_autoencoder", latent=2, beta=0.5)
    latent = sound.spec.network.layers[sound.spec.network.encoding]
    assert (latent.type, latent.units, latent.beta) == ("latent", 2, 0.5 * 2 / 64)
    body = {
        "data": {"dataset": "digits"},
        "task": "reconstruction",
        "network": {"layers": [{"type": "latent", "units": 2}]},
    }
    assert plan(body).spec.network.layers[0].beta == 2 / 64
    assert plan({**body, "task": "auto"}).spec.network.layers[0].beta == 1.0


def test_noise_comes_first_and_a_share_is_a_share() -> None:
    noise = planned("digits", "denoising_autoencoder", noise_level=0.5).spec.network.layers[0]
    assert (noise.type, noise.std) == ("noise", 0.5)
    masking = planned("digits", "denoising_autoencoder", noise="masking").spec.network.layers[0]
    assert (masking.kind, masking.p) == ("masking", 0.3)
    network = {"family": "denoising_autoencoder", "noise": "masking", "noise_level": 1.5}
    assert faults({"data": {"dataset": "digits"}, "network": network}) == {"/network/noise_level": "out_of_range"}


def test_a_sparse_code_may_be_wide() -> None:
    sound = planned("digits", "sparse_autoencoder", latent=100)
    assert types(sound) == ["linear", "sigmoid", "activity_regularizer", "linear"]
    assert sound.spec.network.encoding == 2
    assert sound.spec.network.layers[2].kl == 3 * 2 / 64
    sound = planned("digits", "sparse_autoencoder", sparsity="l1", weight=0.5)
    assert types(sound)[1] == "relu"
    assert sound.spec.network.layers[2].l1 == 0.5 * 2 / 64


@pytest.mark.parametrize("family", [name for name in FAMILIES if FAMILIES[name].reproduces])
def test_an_autoencoder_has_one_task(family: str) -> None:
    body = {"data": {"dataset": "digits"}, "network": {"family": family}, "task": "classification"}
    assert faults(body) == {"/network/family": "wrong_task"}


def test_where_the_code_of_a_list_of_layers_is() -> None:
    layers = [{"type": "flatten"}, *({"type": "linear", "units": n} for n in (9, 2, 2, 9))]
    body = {"data": {"dataset": "images"}, "network": {"layers": layers}}
    assert plan(body | {"task": "reconstruction"}).spec.network.encoding == 3  # the narrowest, the last of equal ones
    assert plan(body).spec.network.encoding == 4  # what a classifier reads its outputs from
    body["network"] = {"layers": layers, "encoding": 1}
    assert plan(body).spec.network.encoding == 1
    body["network"] = {"layers": layers, "encoding": 5}
    assert faults(body) == {"/network/encoding": "out_of_range"}
    assert plan({"data": {"dataset": "digits"}, "network": {"layers": []}}).spec.network.encoding is None


SHAPES = {"images": (1, 30, 29), "tiny": (1, 3, 3), "sequences": (21, 2), "channel": (1, 33), "flat": (12,)}


def shaped(name: str, family: str, **fields: Any) -> Any:
    """The plan of a family for arrays of one of SHAPES."""
    arrays = (
        ArrayInfo(name="x", shape=SHAPES[name], dtype="float32"),
        ArrayInfo(name="y", shape=(), dtype="int64", categories=(0, 1, 2)),
    )
    schema = DatasetSchema(kind="arrays", rows=500, arrays=arrays)
    return check_job({"data": {"dataset": "x"}, "network": {"family": family, **fields}}, lambda _: schema, Limits())


def test_convolutions_on_images_and_sequences() -> None:
    sound = shaped("images", "convolutional")
    assert types(sound)[:4] == ["conv2d", "batch_norm", "relu", "max_pool2d"]
    assert [row.output_shape for row in sound.layers if row.type == "max_pool2d"] == [
        (16, 15, 14),
        (32, 7, 7),
        (64, 3, 3),
    ]
    assert types(sound)[-5:] == ["flatten", "linear", "batch_norm", "relu", "linear"]
    sound = shaped("sequences", "convolutional")  # Wang et al. 2017
    kernels = [layer.kernel_size for layer in sound.spec.network.layers if layer.type == "conv1d"]
    assert (kernels, types(sound)[-2:]) == ([8, 5, 3], ["global_avg_pool", "linear"])
    assert sound.layers[-2].output_shape == (128,)
    assert shaped("channel", "convolutional").layers[0].output_shape == (128, 33)
    sound = shaped("sequences", "convolutional", channels=[4, 4], kernel_size=5, pool="average", global_pool="max")
    assert [row.output_shape for row in sound.layers if row.type == "avg_pool1d"] == [(10, 4), (5, 4)]
    with pytest.raises(Invalid) as caught:
        shaped("images", "convolutional", channels=[4, 4], kernel_size=[3, 3, 3])
    assert [error.pointer for error in caught.value.errors] == ["/network/kernel_size"]


@pytest.mark.parametrize("name", SHAPES)
def test_residual_networks_for_every_shape(name: str) -> None:
    sound = shaped(name, "residual", blocks=2)
    blocks = [layer for layer in sound.spec.network.layers if layer.type == "residual"]
    assert len(blocks) == (4 if name == "flat" else 6)
    assert sound.output_shape == (3,)
    if name == "images":
        shapes = [row.output_shape for row in sound.layers if row.type == "residual"]
        assert shapes[1::2] == [(16, 30, 29), (32, 15, 15), (64, 8, 8)]
    wrong = "channels" if name == "flat" else "hidden"
    with pytest.raises(Invalid) as caught:
        shaped(name, "residual", **{wrong: [4]})
    assert [error.pointer for error in caught.value.errors] == [f"/network/{wrong}"]


@pytest.mark.parametrize("name", ["images", "tiny", "sequences", "channel"])
@pytest.mark.parametrize("family", [name for name in FAMILIES if FAMILIES[name].reproduces])
def test_a_convolutional_autoencoder_is_mirrored_to_the_inputs_shape(family: str, name: str) -> None:
    sound = shaped(name, family, channels=[4, 6], latent=3)
    assert sound.output_shape == SHAPES[name]
    assert sound.layers[sound.spec.network.encoding].output_shape == (3,)
    assert sound.layers[-1].type.startswith("conv")
    lengths = [row.output_shape for row in sound.layers if row.type.startswith("conv_transpose")]
    assert lengths[-1:] == [{"images": (4, 30, 29), "tiny": (4, 3, 3), "sequences": (21, 4), "channel": (4, 33)}[name]]


@pytest.mark.parametrize("family", ["rnn", "lstm", "gru", "transformer"])
def test_one_channel_of_many_values_is_read_as_a_sequence(family: str) -> None:
    sound = shaped("channel", family)
    assert sound.layers[0].type == "permute"
    assert sound.layers[0].output_shape == (33, 1)
