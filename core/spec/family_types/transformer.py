"""A small transformer over sequences (time, features)."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from core.spec.base import Bool, Count, Fraction, Shape
from core.spec.network_base import NetworkBase, Placed, in_time, needs_sequence, place


class Transformer(NetworkBase):
    """Every step as a vector, positions added, layers of self-attention, the average over time, Vaswani et al. 2017."""

    family: Literal["transformer"] = Field("transformer", description="transformer encoder")
    units: Count = Field(64, description="values of a step within, a multiple of heads; default 64")
    heads: Count = Field(4, description="heads of attention, a divisor of units; default 4")
    blocks: Annotated[int, Field(strict=True, ge=1, le=100)] = Field(
        2, description="layers of attention and feed-forward network; default 2"
    )
    hidden: Count = Field(128, description="units of the feed-forward networks within; default 128")
    activation: Literal["relu", "gelu"] = Field("gelu", description="of the feed-forward networks; default gelu")
    dropout: Fraction = Field(0.1, description="probability of dropping a value in training; default 0.1")
    norm_first: Bool = Field(
        True, description="true: layer norm before each part, which needs no warm-up (Xiong et al. 2020); default true"
    )
    position: Literal["sinusoidal", "learnt", "none"] = Field(
        "sinusoidal", description="how steps know their place; none: their order says nothing; default sinusoidal"
    )
    pool: Literal["average", "max"] = Field("average", description="what the steps become behind the last layer")

    def body(self, shape: Shape | None) -> list[Placed]:
        needs_sequence(shape, self.family)
        layers = [
            *in_time(shape),
            # a linear map of every step
            place("conv1d", "units", channels=self.units, kernel_size=1, layout="sequence"),
        ]
        if self.position != "none":
            layers.append(place("positional_encoding", "position", kind=self.position))
        encoder: dict[str, Any] = {
            "layers": self.blocks,
            "heads": self.heads,
            "hidden": self.hidden,
            "dropout": self.dropout,
        }
        within: dict[str, Any] = {"activation": self.activation, "norm_first": self.norm_first}
        layers.append(place("transformer_encoder", "heads", **encoder, **within))
        if self.norm_first:
            layers.append(place("layer_norm", "norm_first"))  # the sums of all layers, brought to one scale
        kind = {"average": "global_avg_pool", "max": "global_max_pool"}[self.pool]
        return [*layers, place(kind, "pool", layout="sequence")]
