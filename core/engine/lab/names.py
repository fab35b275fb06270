"""What a picture calls the entrants of a comparison."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

from core.spec.activations import ActivationLayer
from core.spec.base import SpecModel
from core.spec.lab import Combination, Entrant

_MOST = 60


def entrant_names(entrants: Iterable[Entrant]) -> list[str]:
    """One name for each, no two the same: `sgd lr 0.01 momentum 0.9`."""
    return _unique([entrant.name or _of_entrant(entrant) for entrant in entrants])


def combination_names(combinations: Iterable[Combination]) -> list[str]:
    """One name for each, no two the same: `relu, he`."""
    return _unique([each.name or _of_combination(each) for each in combinations])


def activation_names(activations: Iterable[ActivationLayer]) -> list[str]:
    """One name for each, no two the same: `leaky_relu negative_slope 0.1`."""
    return _unique([_of_activation(each) for each in activations])


def _of_activation(activation: ActivationLayer) -> str:
    return " ".join([activation.type, *_unusual(activation, ())])


def _of_entrant(entrant: Entrant) -> str:
    optimizer = entrant.optimizer
    words = [optimizer.type, f"lr {optimizer.lr:g}", *_unusual(optimizer, ("lr",))]
    if entrant.schedule.type != "constant":
        words.append(entrant.schedule.type)
    return " ".join(words)


def _of_combination(combination: Combination) -> str:
    activation = combination.activation
    first = "linear" if activation is None else _of_activation(activation)
    return f"{first}, {' '.join([combination.init.type, *_unusual(combination.init, ())])}"


def _unusual(model: SpecModel, apart_from: tuple[str, ...]) -> list[str]:
    """The fields that have not their default, in words."""
    words = []
    for name, field in type(model).model_fields.items():
        value = getattr(model, name)
        if name not in ("type", *apart_from) and value != field.default:
            words.append(_words(name, value))
    return words


def _words(name: str, value: Any) -> str:
    if isinstance(value, bool):
        return name if value else f"no {name}"
    if isinstance(value, tuple):
        return f"{name} {'/'.join(f'{each:g}' for each in value)}"
    return f"{name} {value:g}" if isinstance(value, int | float) else str(value)


def _unique(names: list[str]) -> list[str]:
    seen: Counter[str] = Counter()
    found = []
    for name in names:
        short = name if len(name) <= _MOST else f"{name[: _MOST - 1]}…"
        seen[short] += 1
        found.append(short if seen[short] == 1 else f"{short} #{seen[short]}")
    return found
