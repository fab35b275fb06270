"""A checkpoint's content as a file for other programs."""

from __future__ import annotations

import io
import json
import shutil
import warnings
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import numpy as np
import onnx
import torch
from onnx import compose, helper
from torch import nn

from core.data.original import original
from core.engine.network import output_shape
from core.engine.onnx_nodes import DOUBLE, FLOAT, INT64, ML, STRING, Nodes
from core.engine.onnx_prepare import prepare_nodes
from core.engine.trained import TrainedModel, load_trained
from core.spec.losses import Poisson

_KEY = "netmill"
_OWN = "netmill/"
"""Begins every name within a graph that is no user's: a column may be called `outputs` or `0.weight`."""
_OUTPUTS, _CODE = f"{_OWN}outputs", f"{_OWN}code"
_OPSET = 18


def export(content: Path, format: Literal["safetensors", "onnx", "torch_export"], out: Path) -> None:  # noqa: A002 - the api's word
    """Writes the model in `content` to `out`, its preprocessing and spec inside.

    safetensors: the content as it is. onnx: raw columns in (times as seconds since 1970), labels and probabilities (or
    numbers) out, float32.
    torch_export: a .pt2 of the network on prepared inputs, spec and preprocessing as `netmill.json` in it. A
    reconstruction gives its code as well: (outputs, encoding).
    """
    if format == "safetensors":
        shutil.copyfile(content, out)
    elif format == "onnx":
        onnx.save(to_onnx(load_trained(content)), str(out))
    else:
        model = load_trained(content)
        torch.export.save(_exported(model), out, extra_files={"netmill.json": json.dumps(model.meta)})


def to_onnx(model: TrainedModel) -> onnx.ModelProto:
    """The network with its preprocessing and the meaning of its outputs in one graph, as float32.

    Inputs are called as the columns are, outputs `label` and `probabilities`, `prediction`, or `reconstruction` (in the
    inputs' own units) and `encoding`, with underscores behind where a column has that name already.
    """
    buffer, whole = io.BytesIO(), _whole(model)
    names = ["outputs", "code"] if isinstance(whole, WithCode) else ["outputs"]
    with warnings.catch_warnings(), _written_out():
        # The TorchScript exporter is called deprecated, and takes 0.1 s where the other takes 5 to 15 s.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            whole.float(),
            (_example(model, torch.float32),),
            buffer,  # type: ignore[arg-type]  # a file object is fine for this exporter
            dynamo=False,
            opset_version=_OPSET,
            input_names=["prepared"],
            output_names=names,
            dynamic_axes={name: {0: "N"} for name in ("prepared", *names)},
        )
    proto: Any = onnx.load_model_from_string(buffer.getvalue())
    compose.add_prefix_graph(proto.graph, _OWN, inplace=True)
    before, inputs = prepare_nodes(model.preparation, Nodes(f"{_OWN}prepare_"), f"{_OWN}prepared")
    after, outputs = _meaning(model, taken={given.name for given in inputs})
    before.into(proto.graph, in_front=True)
    after.into(proto.graph, in_front=False)
    del proto.graph.input[:], proto.graph.output[:]
    proto.graph.input.extend(inputs)
    proto.graph.output.extend(outputs)
    proto.opset_import.append(helper.make_opsetid(ML, 3))
    helper.set_model_props(proto, {_KEY: json.dumps(model.meta)})
    onnx.checker.check_model(proto)
    return proto  # type: ignore[no-any-return]  # onnx has no types


@contextmanager
def _written_out() -> Iterator[None]:
    """Attention as products of matrices instead of PyTorch's kernel for inference, which ONNX has no word for."""
    before = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(before)


def _meaning(model: TrainedModel, taken: Collection[str]) -> tuple[Nodes, list[Any]]:
    """Nodes from the network's outputs to what a user asks for, and the graph's outputs, named as no input is."""
    nodes = Nodes(f"{_OWN}meaning_")

    def shown(value: str, name: str, kind: int, *shape: int) -> Any:
        while name in taken:
            name += "_"
        nodes.rename(value, name)
        return helper.make_tensor_value_info(name, kind, ["N", *shape])

    if model.classes is not None:
        probabilities = _probabilities(nodes, model)
        index = nodes.add("ArgMax", probabilities, axis=1, keepdims=0)
        names = [str(name) for name in model.classes]
        if isinstance(model.classes[0], str):
            labels, kind = nodes.texts(names), STRING
        else:
            labels, kind = nodes.constant(np.array([int(value) for value in model.classes], dtype=np.int64)), INT64
        return nodes, [
            shown(nodes.add("Gather", labels, index), "label", kind),
            shown(probabilities, "probabilities", FLOAT, len(model.classes)),
        ]
    if model.spec.task == "reconstruction":
        value = _in_units(nodes, model)
        coded = [] if model.encoding is None else [shown(_CODE, "encoding", FLOAT, *_code_shape(model))]
        return nodes, [shown(value, "reconstruction", FLOAT, *model.input_shape), *coded]
    value = nodes.add("Exp", _OUTPUTS) if isinstance(model.spec.loss, Poisson) else _OUTPUTS
    preparation = model.preparation
    if preparation.target_scale is not None:
        scale, shift = preparation.target_unit(_num_outputs(model))
        value = nodes.add("Mul", value, nodes.constant(scale.astype(np.float32)))
        value = nodes.add("Add", value, nodes.constant(shift.astype(np.float32)))
    shape: tuple[int, ...] = (_num_outputs(model),)
    if preparation.window is not None:
        shape = (preparation.window.horizon, len(preparation.targets))
        value = nodes.add("Reshape", value, nodes.constant(np.array([-1, *shape])))
    return nodes, [shown(value, "prediction", FLOAT, *shape)]


def _in_units(nodes: Nodes, model: TrainedModel) -> str:
    """The reconstruction with its scaling undone; columns of categories stay numbers."""
    ones = np.ones((1, *model.input_shape))
    shift = original(np.zeros_like(ones), model.preparation)
    scale = original(ones, model.preparation) - shift
    value = nodes.add("Mul", nodes.cast(_OUTPUTS, DOUBLE), nodes.constant(scale))
    return nodes.cast(nodes.add("Add", value, nodes.constant(shift)), FLOAT)


def _code_shape(model: TrainedModel) -> tuple[int, ...]:
    return tuple(model.encode(_example(model, next(model.network.parameters()).dtype)).shape[1:])


class WithCode(nn.Module):
    """(outputs, code) of a reconstruction, in one pass."""

    def __init__(self, network: nn.Sequential, encoding: int) -> None:
        super().__init__()
        self.encoder, self.decoder = network[: encoding + 1], network[encoding + 1 :]

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        code = self.encoder(x)
        return self.decoder(code), code


def _whole(model: TrainedModel) -> nn.Module:
    """What is exported: the network, of a reconstruction with its code."""
    if model.spec.task != "reconstruction" or model.encoding is None:
        return model.network
    return WithCode(model.network, model.encoding).eval()


def _probabilities(nodes: Nodes, model: TrainedModel) -> str:
    if _num_outputs(model) > 1:
        return nodes.add("Softmax", _OUTPUTS, axis=1)
    positive = nodes.add("Sigmoid", _OUTPUTS)
    return nodes.add("Concat", nodes.add("Sub", nodes.constant(np.float32(1)), positive), positive, axis=1)


def _num_outputs(model: TrainedModel) -> int:
    return output_shape(model.spec.layered(), model.input_shape)[-1]


def _exported(model: TrainedModel) -> torch.export.ExportedProgram:
    example = _example(model, next(model.network.parameters()).dtype)
    return torch.export.export(_whole(model), (example,), dynamic_shapes=({0: torch.export.Dim.DYNAMIC},))


def _example(model: TrainedModel, dtype: torch.dtype) -> torch.Tensor:
    # two rows: torch.export takes a size of one for fixed
    return torch.zeros(2, *model.input_shape, dtype=dtype)
