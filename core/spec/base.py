"""What every part of a spec shares: frozen models, strict numbers, shapes."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field
from pydantic_core import PydanticCustomError

Shape = tuple[int, ...]
"""Axes of one sample: (features,), (channels, height, width), (time, features); never the batch axis."""

# Strict: `true` is no 1, "32" is no 32 and 32.5 is no integer; an integer is a fine float.
Int = Annotated[int, Field(strict=True)]
Float = Annotated[float, Field(strict=True)]
Bool = Annotated[bool, Field(strict=True)]

Count = Annotated[int, Field(strict=True, ge=1, le=10**12)]
Seed = Annotated[int, Field(strict=True, ge=0, lt=2**53)]
Positive = Annotated[float, Field(strict=True, gt=0)]
NonNegative = Annotated[float, Field(strict=True, ge=0)]
Fraction = Annotated[float, Field(strict=True, ge=0, lt=1)]

METRIC_PATTERN = r"^(train|validation|test)\.[a-z0-9_]+$"
MetricName = Annotated[str, Field(pattern=METRIC_PATTERN, max_length=100)]
"""`<split>.<metric>`, such as validation.loss."""

ColumnName = Annotated[str, Field(min_length=1, max_length=256)]


def check_range(model: BaseModel, low: str, high: str) -> None:
    """Raises a fault at the field `high` where the field `low` is not below it."""
    least, greatest = getattr(model, low), getattr(model, high)
    if least >= greatest:
        raise PydanticCustomError(
            "empty_range",
            f"received {low} {{least}} and {high} {{greatest}}, expected {low} below {high}; do raise {high}",
            {"least": least, "greatest": greatest, "field": high},
        )


class SpecModel(BaseModel):
    """A part of a spec: frozen, refuses fields it does not know and numbers that are not finite."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, validate_default=False)
