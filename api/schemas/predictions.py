"""A question to a trained model, and its answer."""

from __future__ import annotations

from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from api.schemas.common import Answer

Output = Literal["prediction", "probability", "encoding", "reconstruction", "error", "sample"]


class Predict(BaseModel):
    """Rows by column names, or inputs in the network's own shape."""

    model_config = ConfigDict(extra="forbid")

    rows: list[dict[str, Any]] | None = Field(default=None, examples=[[{"x1": 0.1, "x2": 0.2}]])
    inputs: list[Any] | None = Field(
        default=None, description="one entry a sample, numbers nested in the input's shape"
    )
    checkpoint: str = Field(default="best", max_length=100, description="`best`, `last` or an id")
    output: Output = "prediction"

    @model_validator(mode="after")
    def _one_of_two(self) -> Self:
        if (self.rows is None) == (self.inputs is None):
            received = "neither rows nor inputs" if self.rows is None else "rows and inputs"
            raise PydanticCustomError(
                "rows_or_inputs",
                "received {received}, expected one of the two; do send rows for a table, inputs for arrays",
                {"received": received, "field": "rows"},
            )
        return self

    def count(self) -> int:
        """Samples asked about."""
        return len(self.rows if self.rows is not None else self.inputs or [])


class Prediction(Answer):
    """One entry of `data` for each row, in order."""

    checkpoint: str
    output: Output
    classes: list[str | int | bool] | None
    data: list[Any]
