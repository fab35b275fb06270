"""The least that each layer type needs: what to say and a shape that it takes. A new type has its line here."""

from __future__ import annotations

from typing import Any

from core.spec.base import Shape
from core.spec.layers import LAYERS

_NEEDED: dict[str, tuple[dict[str, Any], Shape]] = {
    "linear": ({"units": 4}, (6,)),
    "unflatten": ({"shape": [2, 3]}, (6,)),
    "rnn": ({"units": 4}, (5, 3)),
    "lstm": ({"units": 4}, (5, 3)),
    "gru": ({"units": 4}, (5, 3)),
    "rbf": ({"units": 4}, (6,)),
    "latent": ({"units": 2}, (6,)),
}


def minimal(name: str) -> dict[str, Any]:
    """A document of that layer type with its required fields alone."""
    return {"type": name, **_NEEDED.get(name, ({}, ()))[0]}


def shape_for(name: str) -> Shape:
    """A shape of one sample that `minimal(name)` takes."""
    return _NEEDED.get(name, ({}, (6,)))[1]


def every_layer() -> list[Any]:
    """One layer of each type."""
    return [LAYERS[name].model_validate(minimal(name)) for name in LAYERS]
