"""Which numbers of a module an init fills, and what PyTorch itself would begin them with.

A module of our own that holds weights is a `HoldsWeights`; PyTorch's are listed here.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from torch import Generator, Tensor, nn

from core.engine.inits import fill_bias, fill_weight
from core.spec import inits


@dataclass(frozen=True, slots=True)
class Weights:
    """One matrix or kernel (out, in, ...) with the bias beside it, as parameters or as views of a part of one.

    `own` and `own_bias` stand for PyTorch's own first values where these are not uniform within +-1/sqrt(n_in).
    """

    weight: Tensor
    bias: Tensor | None = None
    own: inits.Init | None = None
    own_bias: inits.Init | None = None
    instead: inits.Init | None = None
    """Stands in place of the init of the layer, for weights that have a choice of their own."""


@runtime_checkable
class HoldsWeights(Protocol):
    """A module of our own with weights that are no module of PyTorch's."""

    def weights(self) -> Iterable[Weights]:
        """Its own weights, in the order in which they are drawn."""
        ...


def initialise(module: nn.Module, init: inits.Init, bias_init: inits.Init | None, source: Generator) -> None:
    """Fills all weights and biases of a layer's module, in the order of its parameters, with numbers from `source`."""
    for part in weights_of(module):
        fill_weight(part.weight, _meant(part.instead or init, part.own), source)
        if part.bias is not None:
            fill_bias(part.bias, part.weight, _meant(bias_init or inits.bias_default(init), part.own_bias), source)


def weights_of(module: nn.Module) -> Iterator[Weights]:
    """Every weight in the module and those within it that an init fills; norms and learnt constants are none."""
    for part in module.modules():
        if isinstance(part, HoldsWeights):
            yield from part.weights()
            continue
        for kind in type(part).__mro__:
            if kind in _WEIGHTS:
                yield from _WEIGHTS[kind](part)
                break


def _meant(init: inits.Init, own: inits.Init | None) -> inits.Init:
    return own if own is not None and isinstance(init, inits.Torch) else init


def _one(module: nn.Linear) -> Iterator[Weights]:
    yield Weights(module.weight, module.bias)


def _embedding(module: nn.Embedding) -> Iterator[Weights]:
    yield Weights(module.weight, own=inits.Normal(std=1.0))


def _transposed(module: nn.ConvTranspose2d) -> Iterator[Weights]:
    # PyTorch stores (in, out, ...) and takes the second axis for its n_in
    bound = 1 / math.sqrt(math.prod(module.weight.shape[1:]))
    own = inits.Uniform(low=-bound, high=bound)
    yield Weights(module.weight.transpose(0, 1), module.bias, own, own)


def _attention(module: nn.MultiheadAttention) -> Iterator[Weights]:
    """Queries, keys and values one by one; the projection out is a module of its own."""
    bound = math.sqrt(6 / sum(module.in_proj_weight.shape))
    for index, weight in enumerate(module.in_proj_weight.chunk(3)):
        bias = None if module.in_proj_bias is None else module.in_proj_bias.chunk(3)[index]
        yield Weights(weight, bias, inits.Uniform(low=-bound, high=bound), inits.Zeros())


def _attention_out(module: nn.Linear) -> Iterator[Weights]:
    yield Weights(module.weight, module.bias, own_bias=inits.Zeros())


def _recurrent(module: nn.RNNBase) -> Iterator[Weights]:
    """The matrices of each gate one by one: (hidden, inputs) and (hidden, hidden).

    Ours say in `recurrent_init` what those of the state begin with.
    """
    bound = 1 / math.sqrt(module.hidden_size)
    own = inits.Uniform(low=-bound, high=bound)
    for name, weight in module.named_parameters():
        if not name.startswith("weight"):
            continue
        bias = getattr(module, name.replace("weight", "bias")) if module.bias else None
        instead = getattr(module, "recurrent_init", None) if name.startswith("weight_hh") else None
        gates = weight.shape[0] // module.hidden_size
        for index, part in enumerate(weight.chunk(gates)):
            yield Weights(part, None if bias is None else bias.chunk(gates)[index], own, own, instead)


_WEIGHTS: dict[type[nn.Module], Callable[[Any], Iterator[Weights]]] = {
    nn.Linear: _one,
    nn.Conv1d: _one,
    nn.Conv2d: _one,
    nn.ConvTranspose1d: _transposed,
    nn.ConvTranspose2d: _transposed,
    nn.Embedding: _embedding,
    nn.MultiheadAttention: _attention,
    nn.modules.linear.NonDynamicallyQuantizableLinear: _attention_out,
    nn.RNNBase: _recurrent,
}
