"""A question to a trained model, and its answer."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

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
    output: Output = Field(
        default="prediction",
        description="encoding: what the layer of the code gives; of a reconstruction: reconstruction in the inputs' "
        "own units, error (each row's loss, an anomaly score), and sample (draws from the prior of a latent layer)",
    )
    n: Annotated[int, Field(strict=True, ge=1)] | None = Field(
        default=None, description="how many samples to draw, from 1; for the output sample alone, in place of rows"
    )
    seed: Annotated[int, Field(strict=True, ge=0, lt=2**53)] | None = Field(
        default=None, description="seed of the samples, from 0; the same gives the same; null: 0"
    )

    @model_validator(mode="after")
    def _one_of_two(self) -> Self:
        for name in ("n", "seed"):
            if self.output != "sample" and getattr(self, name) is not None:
                raise PydanticCustomError(
                    "samples_only",
                    "received {name} with the output {output}, expected it with sample alone; do leave it out",
                    {"name": name, "output": self.output, "field": name},
                )
        given = [name for name in ("rows", "inputs", "n") if getattr(self, name) is not None]
        if self.output == "sample" and len(given) <= 1:
            return self
        if (self.rows is None) == (self.inputs is None) or self.n is not None:
            received = " and ".join(given) or "neither rows nor inputs"
            raise PydanticCustomError(
                "rows_or_inputs",
                "received {received}, expected one of them; do send rows for a table, inputs for arrays"
                + (", n for samples" if self.output == "sample" else ""),
                {"received": received, "field": "rows"},
            )
        return self

    def count(self) -> int:
        """Samples asked about."""
        if self.output == "sample" and self.rows is None and self.inputs is None:
            return self.n or 1
        return len(self.rows if self.rows is not None else self.inputs or [])


class Prediction(Answer):
    """One entry of `data` for each row, in order."""

    checkpoint: str
    output: Output
    classes: list[str | int | bool] | None
    data: list[Any]
