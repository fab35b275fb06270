"""Attention over a sequence (time, features), and where in it a value stands."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from core.spec.base import Bool, Count, Fraction, Positive, Shape
from core.spec.inits import Init
from core.spec.layer_base import BIAS_INIT, WEIGHT_INIT, LayerBase, ShapeError

_HEADS = "parts of the features that attend by themselves; divides their number"


class OverTime(LayerBase):
    """Reads (time, features)."""

    over_time: ClassVar[bool] = True

    def output_shape(self, shape: Shape) -> Shape:
        if len(shape) != 2:
            before = "[time, features]" if len(shape) > 2 else f"[{shape[0]}, 1]"
            raise ShapeError(
                f"received an input of shape {list(shape)}, expected two axes (time, features); do put "
                f'{{"type": "unflatten", "shape": {before}}} before this layer',
                code="wrong_axes",
            )
        return shape


def _check_heads(heads: int, features: int) -> None:
    if features % heads:
        raise ShapeError(
            f"received {heads} heads for {features} features, expected a number that divides them; do change heads, "
            "or the features of the layer before",
            code="not_divisible",
            field="heads",
        )


class SelfAttention(OverTime):
    """softmax(Q K^T/sqrt(d)) V of each head, Q, K, V and the output linear maps, Vaswani et al. 2017."""

    synonyms: ClassVar[Mapping[str, str]] = {"num_heads": "heads", "nhead": "heads", "use_bias": "bias"}
    nonlinear: ClassVar[bool] = True
    type: Literal["self_attention"] = "self_attention"
    heads: Count = Field(1, description=_HEADS + "; default 1")
    dropout: Fraction = Field(0.0, description="probability of dropping an attention weight in training; default 0")
    causal: Bool = Field(False, description="true: a time sees itself and those before it alone; default false")
    bias: Bool = Field(True, description="whether the four linear maps have a bias; default true")
    init: Init | None = Field(None, description=WEIGHT_INIT)
    bias_init: Init | None = Field(None, description=BIAS_INIT)

    def output_shape(self, shape: Shape) -> Shape:
        super().output_shape(shape)
        _check_heads(self.heads, shape[-1])
        return shape

    def parameter_count(self, shape: Shape) -> int:
        return 4 * shape[-1] * (shape[-1] + self.bias)

    def flops(self, shape: Shape) -> int:
        return attention_flops(shape, self.heads, bias=self.bias)

    def stored_values(self, shape: Shape) -> int:
        return 5 * math.prod(shape) + stored_weights(shape[0], self.heads, self.dropout)


def attention_flops(shape: Shape, heads: int, *, bias: bool) -> int:
    """Four linear maps, Q K^T and its product with V, biases, and five operations a value in the softmax."""
    time, features = shape
    return 8 * time * features**2 + 4 * time**2 * features + 4 * bias * time * features + 5 * heads * time**2


def stored_weights(time: int, heads: int, dropout: float) -> int:
    """What attention keeps of its weights: the fused kernel nothing; with dropout scores, softmax, mask and product."""
    return 4 * heads * time**2 if dropout else 0


class TransformerEncoder(OverTime):
    """Layers of self-attention and two linear layers, each part residual with layer norm, Vaswani et al. 2017."""

    synonyms: ClassVar[Mapping[str, str]] = {
        "num_layers": "layers",
        "num_heads": "heads",
        "nhead": "heads",
        "dim_feedforward": "hidden",
        "layer_norm_eps": "eps",
    }
    widths: ClassVar[tuple[str, ...]] = ("hidden",)
    nonlinear: ClassVar[bool] = True
    normalises: ClassVar[bool] = True
    type: Literal["transformer_encoder"] = "transformer_encoder"
    layers: Annotated[int, Field(strict=True, ge=1, le=1000)] = Field(1, description="how many, from 1; default 1")
    heads: Count = Field(1, description=_HEADS + "; default 1")
    hidden: Count = Field(64, description="units between the two linear layers; default 64")
    dropout: Fraction = Field(
        0.0, description="probability of dropping a value in training, of attention and behind each part; default 0"
    )
    activation: Literal["relu", "gelu"] = Field("relu", description="between the two linear layers; default relu")
    norm_first: Bool = Field(
        False, description="true: layer norm before each part (Xiong et al. 2020); false: behind it, as in the paper"
    )
    eps: Positive = Field(1e-5, description="added to the variance in layer norm, above 0; default 1e-5")
    init: Init | None = Field(None, description=WEIGHT_INIT)
    bias_init: Init | None = Field(None, description=BIAS_INIT)

    def output_shape(self, shape: Shape) -> Shape:
        super().output_shape(shape)
        _check_heads(self.heads, shape[-1])
        return shape

    def parameter_count(self, shape: Shape) -> int:
        features = shape[-1]
        linear = (features + 1) * self.hidden + (self.hidden + 1) * features
        return self.layers * (4 * features * (features + 1) + linear + 4 * features)

    def flops(self, shape: Shape) -> int:
        time, features = shape
        linear = (2 * features + 1) * self.hidden + (2 * self.hidden + 1) * features
        by_value = (6 if self.activation == "gelu" else 1) * self.hidden + 2 * (6 + 1) * features
        return self.layers * (attention_flops(shape, self.heads, bias=True) + time * (linear + by_value))

    def stored_values(self, shape: Shape) -> int:
        time, features = shape
        weights = stored_weights(time, self.heads, self.dropout)
        return self.layers * (11 * time * features + 2 * time * self.hidden + weights)


class PositionalEncoding(OverTime):
    """x + p(t): sines and cosines of the time, p[t, 2i] = sin(t/10000^(2i/F)), or learnt; Vaswani et al. 2017."""

    cost: ClassVar[int] = 1
    type: Literal["positional_encoding"] = "positional_encoding"
    kind: Literal["sinusoidal", "learnt"] = Field(
        "sinusoidal", description="sinusoidal: fixed; learnt: a value for each time and feature, which is a parameter"
    )
    init: Init | None = Field(
        None, description="first values of learnt ones; null: network.init, N(0, 0.02^2) by torch"
    )

    def parameter_count(self, shape: Shape) -> int:
        return math.prod(shape) if self.kind == "learnt" else 0
