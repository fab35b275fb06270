"""What layers refuse: the code, the pointer into blocks, and a sentence that says what to put before."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from core.spec.base import SpecModel
from core.spec.dataset import ArrayInfo, Column, DatasetSchema
from core.spec.limits import Limits
from tests.core.spec.sets import SETS, fault_details, faults, job, plan

ADDED = {
    "signals": (1, 40),
    "series": (30, 4),
    "codes": (12,),
}


@pytest.fixture(autouse=True)
def more_sets(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, shape in ADDED.items():
        dtype = "int64" if name == "codes" else "float32"
        arrays = (
            ArrayInfo(name="x", shape=shape, dtype=dtype),
            ArrayInfo(name="y", shape=(), dtype="int64", categories=(0, 1, 2)),
        )
        monkeypatch.setitem(SETS, name, DatasetSchema(kind="arrays", rows=500, arrays=arrays))


def conv(kernel: Any = 3, channels: int = 4, **more: Any) -> dict[str, Any]:
    return {"type": "conv2d", "channels": channels, "kernel_size": kernel, **more}


def residual(*layers: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"type": "residual", "layers": list(layers), **more}


def parallel(*branches: list[dict[str, Any]], **more: Any) -> dict[str, Any]:
    return {"type": "parallel", "branches": list(branches), **more}


LINEAR, FLATTEN = {"type": "linear", "units": 5}, {"type": "flatten"}


@pytest.mark.parametrize(
    ("dataset", "layers", "where", "code", "words"),
    [
        ("images", [conv(9)], "0/kernel_size", "kernel_too_large", "at most 8"),
        ("images", [conv(3, dilation=4)], "0/kernel_size", "kernel_too_large", "9 with its dilation"),
        ("images", [conv(groups=2)], "0/groups", "not_divisible", "3 channels in"),
        ("images", [conv(groups=3)], "0/groups", "not_divisible", "4 channels out"),
        ("digits", [conv()], "0", "wrong_axes", '{"type": "unflatten", "shape": [1, 8, 8]}'),
        ("series", [conv()], "0", "wrong_axes", '{"type": "unflatten", "shape": [1, 30, 4]}'),
        ("digits", [{"type": "conv1d", "channels": 2, "kernel_size": 3}], "0", "wrong_axes", '"shape": [64, 1]'),
        ("images", [{"type": "conv1d", "channels": 2, "kernel_size": 3}], "0", "wrong_axes", "flatten"),
        ("images", [{"type": "max_pool2d", "padding": 2}], "0/padding", "padding", "at most 1"),
        ("images", [{"type": "group_norm", "groups": 2}], "0/groups", "not_divisible", "3 channels"),
        ("digits", [{"type": "instance_norm"}], "0", "wrong_axes", "layer_norm or batch_norm"),
        ("series", [{"type": "self_attention", "heads": 3}], "0/heads", "not_divisible", "4 features"),
        ("images", [{"type": "self_attention"}], "0", "wrong_axes", "unflatten"),
        ("signals", [{"type": "transformer_encoder"}], "0", "needs_permute", '{"type": "permute", "axes": [1, 0]}'),
        ("series", [{"type": "permute", "axes": [0]}], "0/axes", "shape_mismatch", "0 to 1 once"),
        ("series", [FLATTEN, LINEAR, {"type": "embedding", "entries": 9, "units": 2}], "2", "needs_codes", "first"),
        ("images", [residual(conv())], "0/layers", "no_shortcut", "padding same"),
        ("digits", [residual(LINEAR, shortcut="identity")], "0/shortcut", "shape_mismatch", "set shortcut to auto"),
        ("images", [parallel([conv()], [])], "0/branches/1", "shape_mismatch", "[3, 8, 8]"),
        ("digits", [parallel([LINEAR], [], combine="sum")], "0/branches/1", "shape_mismatch", "the same shape"),
        (
            "images",
            [residual(conv(1), parallel([], [conv(99)]))],
            "0/layers/1/branches/1/0/kernel_size",
            "kernel_too_large",
            "",
        ),
        ("images", [residual(conv(1), residual(conv(1, groups=3)))], "0/layers/1/layers/0/groups", "not_divisible", ""),
        (
            "images",
            [{"type": "conv_transpose2d", "channels": 2, "kernel_size": 3, "output_padding": 1}],
            "0/output_padding",
            "output_padding",
            "",
        ),
    ],
)
def test_faults_of_shape(dataset: str, layers: list[Any], where: str, code: str, words: str) -> None:
    details = fault_details(job(dataset, *layers))
    assert {pointer: error.code for pointer, error in details.items()} == {f"/network/layers/{where}": code}
    assert words in next(iter(details.values())).detail


def test_all_faults_of_all_branches_at_once() -> None:
    body = job("images", parallel([conv(99)], [conv(groups=2), conv(77)], [{"type": "flatten"}]), FLATTEN)
    assert faults(body) == {
        "/network/layers/0/branches/0/0/kernel_size": "kernel_too_large",
        "/network/layers/0/branches/1/0/groups": "not_divisible",
    }


@pytest.mark.parametrize(
    ("layer", "where"),
    [
        ({"type": "conv2d", "filters": 0, "kernel_size": 3}, "filters"),
        ({"type": "conv2d", "channels": 3, "kernel_size": [3, 3, 3]}, "kernel_size"),
        ({"type": "conv2d", "channels": 3, "kernel_size": [3, "x"]}, "kernel_size/1"),
        ({"type": "max_pool2d", "pool_size": [0, 2]}, "pool_size/0"),
        ({"type": "conv2d", "channels": 3, "kernel_size": 3, "padding": "full"}, "padding"),
        ({"type": "residual", "layers": []}, "layers"),
        ({"type": "residual", "layers": [{"type": "linear", "unit": 3}]}, "layers/0/unit"),
        ({"type": "parallel", "branches": [[{"type": "linear", "out_features": "3"}]]}, "branches/0/0/out_features"),
        ({"type": "parallel", "branches": [[]], "merge": "concat", "combine": "sum"}, "merge"),
    ],
)
def test_faults_of_fields_name_what_was_written(layer: dict[str, Any], where: str) -> None:
    found = faults(job("images", layer, {"type": "dropout", "p": 3}))
    assert f"/network/layers/0/{where}" in found
    assert "/network/layers/1/p" in found


def test_limits_count_what_is_within_blocks() -> None:
    many = [residual(*([{"type": "relu"}] * 3)) for _ in range(3)]
    assert faults(job("digits", *many), Limits(layers=11)) == {"/network/layers": "too_many_layers"}
    assert not faults(job("digits", *many), Limits(layers=13))
    wide = job("digits", parallel([residual({"type": "linear", "units": 900})]))
    assert faults(wide, Limits(units=899)) == {"/network/layers/0/branches/0/0/layers/0/units": "too_many_units"}
    assert faults(wide, Limits(parameters=100_000)) == {
        "/network/layers/0/branches/0/0/layers/0": "too_many_parameters"
    }


def test_deep_nesting_is_no_harm() -> None:
    layer: dict[str, Any] = {"type": "relu"}
    for _ in range(10):
        layer = residual(layer)
    assert plan(job("digits", layer)).output_shape == (10,)


@pytest.mark.parametrize(
    ("dataset", "layers", "layouts"),
    [
        (
            "signals",
            [{"type": "conv1d", "channels": 8, "kernel_size": 3}, {"type": "batch_norm"}],
            ["channels_first"] * 2,
        ),
        ("series", [{"type": "conv1d", "channels": 8, "kernel_size": 3}, {"type": "batch_norm"}], ["sequence"] * 2),
        ("series", [{"type": "permute", "axes": [1, 0]}, {"type": "max_pool1d"}], ["channels_first"]),
        (
            "signals",
            [{"type": "permute", "axes": [1, 0]}, {"type": "self_attention"}, {"type": "batch_norm"}],
            ["sequence"],
        ),
        (
            "series",
            [{"type": "batch_norm", "layout": "channels_first"}, {"type": "relu"}, {"type": "max_pool1d"}],
            ["channels_first"] * 2,
        ),
        ("codes", [{"type": "embedding", "entries": 5, "units": 3}, {"type": "batch_norm"}], ["sequence"]),
        (
            "signals",
            [
                residual({"type": "conv1d", "channels": 8, "kernel_size": 3, "padding": "same"}),
                {"type": "global_max_pool"},
            ],
            ["channels_first"],
        ),
        (
            "signals",
            [parallel([{"type": "max_pool1d"}], [{"type": "avg_pool1d"}]), {"type": "batch_norm"}],
            ["channels_first"] * 2,
        ),
    ],
)
def test_the_layout_is_decided_once_and_persists(dataset: str, layers: list[Any], layouts: list[str]) -> None:
    planned = plan(job(dataset, *layers, {"type": "flatten"}, data={"preprocess": {"scale": "none"}}))
    written = [layer.model_dump().get("layout") for layer in planned.spec.layered().layers]
    assert [layout for layout in written if layout] == layouts
    assert plan(planned.spec.model_dump(mode="json")).spec == planned.spec


def test_channels_first_data_keep_their_length() -> None:
    planned = plan(job("signals", {"type": "conv1d", "channels": 8, "kernel_size": 5, "stride": 2}, FLATTEN))
    assert planned.layers[0].output_shape == (8, 18)
    planned = plan(job("series", {"type": "conv1d", "channels": 8, "kernel_size": 5, "stride": 2}, FLATTEN))
    assert planned.layers[0].output_shape == (13, 8)


def test_a_block_is_one_row_with_its_layers_below() -> None:
    block = residual(conv(3, padding=1, stride=2), {"type": "relu"}, activation="relu")
    answer = plan(job("images", block, FLATTEN)).to_json()
    row = answer["layers"][0]
    assert [(child["index"], child["type"], child["path"]) for child in row["children"]] == [
        (0, "conv2d", "/network/layers/0/layers/0"),
        (1, "relu", "/network/layers/0/layers/1"),
        (2, "conv2d", "/network/layers/0/shortcut"),
        (3, "relu", "/network/layers/0/activation"),
    ]
    assert row["parameters"] == sum(child["parameters"] for child in row["children"]) == 3 * 4 * 9 + 4 + 3 * 4
    assert "children" not in answer["layers"][1]
    assert answer["spec"]["network"]["layers"][0]["shortcut"] == "projection"


@pytest.mark.parametrize(
    ("layers", "pointers"),
    [
        ([conv(), conv(1), {"type": "relu"}, FLATTEN], ["1"]),
        ([conv(), {"type": "batch_norm"}, {"type": "avg_pool2d"}, conv(1), {"type": "relu"}, FLATTEN], ["3"]),
        ([conv(), {"type": "max_pool2d"}, conv(1), {"type": "relu"}, FLATTEN], []),
        ([conv(), {"type": "layer_norm"}, conv(1), {"type": "relu"}, FLATTEN], []),
        ([residual(conv(1), conv(1)), {"type": "relu"}, FLATTEN], ["0/layers/1"]),
        ([conv(1), residual(conv(1)), {"type": "relu"}, FLATTEN], ["1"]),
        ([conv(1), residual(conv(1), {"type": "relu"}, conv(1)), {"type": "relu"}, FLATTEN], []),
        ([conv(1), residual(conv(1), activation="relu"), FLATTEN], []),
        ([parallel([conv(1), conv(1)], [conv(1), {"type": "relu"}]), {"type": "relu"}, FLATTEN], ["0/branches/0/1"]),
    ],
)
def test_linear_maps_in_a_row_collapse(layers: list[Any], pointers: list[str]) -> None:
    warnings = plan(job("images", *layers)).warnings
    found = [each.pointer for each in warnings if each.code == "linear_stack"]
    assert found == [f"/network/layers/{pointer}" for pointer in pointers]


def test_kernels_that_begin_alike_are_warned_of() -> None:
    layer = {"type": "conv1d", "channels": 4, "kernel_size": 3, "init": {"type": "constant", "value": 0.1}}
    codes = {(each.code, each.pointer) for each in plan(job("series", layer, {"type": "relu"})).warnings}
    assert ("symmetric_init", "/network/layers/0") in codes


EMBEDDING = {"type": "embedding", "entries": 6, "units": 3}
RAW = {"preprocess": {"scale": "none"}}


@pytest.mark.parametrize(
    ("dataset", "layers", "data", "expected"),
    [
        ("codes", [EMBEDDING], {}, {"/data/preprocess/scale": "scaled_codes"}),
        (
            "codes",
            [EMBEDDING],
            {"preprocess": {"scale": "none", "normalize": "l1"}},
            {"/data/preprocess/normalize": "scaled_codes"},
        ),
        ("people", [EMBEDDING], {"target": "bought", "features": ["age"], **RAW}, {"/network/layers/0": "needs_codes"}),
        ("codes", [EMBEDDING], RAW, {}),
        ("visits", [EMBEDDING], {"target": "bought", "features": ["place"], **RAW}, {}),
        (
            "visits",
            [parallel([{**EMBEDDING, "entries": 5}])],
            {"target": "bought", "features": ["place"], **RAW},
            {"/network/layers/0/branches/0/0/entries": "too_few_entries"},
        ),
        (
            "visits",
            [parallel([{"type": "select", "indices": [1]}, EMBEDDING, FLATTEN], [{"type": "select", "indices": [0]}])],
            {"target": "bought", "features": ["age", "place"], **RAW},
            {},
        ),
        ("visits", [{"type": "select", "indices": [0, 2]}], {}, {"/network/layers/0/indices/1": "shape_mismatch"}),
    ],
)
def test_embeddings_read_whole_numbers(
    dataset: str, layers: list[Any], data: dict[str, Any], expected: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    columns = (
        Column(name="age", type="float", mean=40.0, std=10.0, min=1.0, max=90.0),
        Column(name="place", type="integer", distinct=6, categories=tuple(range(6)), min=0.0, max=5.0),
        Column(name="bought", type="string", distinct=2, categories=("no", "yes")),
    )
    monkeypatch.setitem(SETS, "visits", DatasetSchema(kind="table", rows=500, columns=columns))
    data = {"target": "bought", **data} if dataset == "visits" else data
    assert faults(job(dataset, *layers, data=data)) == expected


def test_a_fault_within_a_block_is_no_fault_of_its_list() -> None:
    body = job("digits", residual({"type": "linear", "unit": 64}), parallel([{"type": "nothing"}], [LINEAR]))
    assert faults(body) == {
        "/network/layers/0/layers/0/unit": "unknown_field",
        "/network/layers/0/layers/0/units": "missing",
        "/network/layers/1/branches/0/0/type": "unknown_type",
    }
    assert faults(job("digits", residual())) == {"/network/layers/0/layers": "out_of_range"}


def test_of_two_bounds_the_narrower_one_holds() -> None:
    """pydantic takes the last bound of a kind: a wider one behind a narrower one undoes it."""
    kinds: dict[str, Callable[..., Any]] = {
        "le": min,
        "lt": min,
        "max_length": min,
        "ge": max,
        "gt": max,
        "min_length": max,
    }
    for model in _models(SpecModel):
        for name, field in model.model_fields.items():
            for kind, narrower in kinds.items():
                bounds = [bound for each in field.metadata if (bound := getattr(each, kind, None)) is not None]
                assert not bounds or bounds[-1] == narrower(bounds), f"{model.__name__}.{name}"


def _models(above: type[SpecModel]) -> Iterator[type[SpecModel]]:
    for model in above.__subclasses__():
        yield model
        yield from _models(model)


@pytest.mark.parametrize("kind", ["rnn", "lstm", "gru"])
def test_a_tower_of_recurrent_layers_is_refused_at_once(kind: str) -> None:
    layer = {"type": kind, "units": 8, "layers": 10**9}
    start = time.monotonic()
    assert faults(job("series", layer)) == {"/network/layers/0/layers": "out_of_range"}
    assert time.monotonic() - start < 2
