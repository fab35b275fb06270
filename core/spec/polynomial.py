"""Polynomial features: products of columns, in scikit-learn's order and under its names."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations, combinations_with_replacement
from math import comb
from typing import Annotated

from pydantic import Field

from core.spec.base import Bool, ColumnName, SpecModel

MAX_TERMS = 2_000
"""Products of one spec: each is a column of the data set in memory."""


class PolynomialSpec(SpecModel):
    """Products of up to `degree` numbers as features of their own, beside the numbers; the constant is left out.

    They are computed from the values as they stand in the data and then scaled and filled in like any other number.
    """

    degree: Annotated[int, Field(strict=True, ge=2, le=5)] = Field(
        2, description="factors of a product at most, 2 to 5; default 2"
    )
    interaction_only: Bool = Field(False, description="products of different columns alone, no powers; default false")
    columns: Annotated[tuple[ColumnName, ...], Field(min_length=1)] | None = Field(
        None, description="numeric features and derived ones to multiply, in this order; null: all of them"
    )


def count_terms(num_columns: int, spec: PolynomialSpec) -> int:
    """How many products there will be."""
    if spec.interaction_only:
        return sum(comb(num_columns, size) for size in range(2, spec.degree + 1))
    return comb(num_columns + spec.degree, spec.degree) - 1 - num_columns


def terms(columns: Sequence[str], spec: PolynomialSpec) -> dict[str, str]:
    """Formulas of the products by name, `a^2 b` for `a*a*b`: PolynomialFeatures without what is of degree 0 and 1."""
    choose = combinations if spec.interaction_only else combinations_with_replacement
    found: dict[str, str] = {}
    for size in range(2, spec.degree + 1):
        for factors in choose(columns, size):
            powers = {name: factors.count(name) for name in factors}
            name = " ".join(name if power == 1 else f"{name}^{power}" for name, power in powers.items())
            found[name] = " * ".join(f"`{factor}`" for factor in factors)
    return found
