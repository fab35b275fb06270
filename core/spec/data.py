"""Which rows and columns a run learns from, how they are split and prepared."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from core.spec.base import Bool, ColumnName, Count, Float, Fraction, Int, Seed, SpecModel
from core.spec.polynomial import PolynomialSpec
from core.spec.windows import WindowSpec

Targets = Annotated[tuple[ColumnName, ...], Field(min_length=1)]

ClassName = (
    Annotated[bool, Field(strict=True)]
    | Annotated[int, Field(strict=True)]
    | Annotated[str, Field(strict=True, max_length=1000)]
)


class SplitSpec(SpecModel):
    """Which rows train, which validate after each epoch, which test at the end."""

    validation: Fraction = Field(0.15, description="fraction of the rows for validation, 0 up to 1; default 0.15")
    test: Fraction = Field(0.15, description="fraction of the rows for the final test, 0 up to 1; default 0.15")
    stratify: Bool = Field(True, description="keep the classes' shares in every part; classification alone")
    group: ColumnName | None = Field(None, description="column whose equal values all go to one side; it is no feature")
    order_by: ColumnName | None = Field(
        None,
        description="column to sort by: earliest rows train, latest test; it is no feature; with data.window it gives "
        "the order of the rows beside group or column as well",
    )
    column: ColumnName | None = Field(
        None, description="column that says train, validation or test for each row; it is no feature"
    )
    folds: Annotated[Int, Field(ge=2, le=20)] | None = Field(
        None,
        description="k-fold cross-validation, 2 to 20: k networks, each validated on another k-th of the rows that are "
        "not test (order_by: on the rows after those it trains on); `validation` then counts for nothing; null: none",
    )
    seed: Seed = Field(0, description="seed of the random split, an integer from 0; default 0")

    @model_validator(mode="after")
    def _agree(self) -> SplitSpec:
        if self.validation + self.test >= 1:
            raise PydanticCustomError(
                "no_training_rows",
                "received validation {validation} + test {test}, expected a sum below 1; do lower one of them",
                {"validation": self.validation, "test": self.test, "field": "validation"},
            )
        return self


class PreprocessSpec(SpecModel):
    """How columns become numbers; what is fitted is fitted on the training rows alone, and stored with the model."""

    normalize: Literal["none", "l1", "l2", "max", "standard"] = Field(
        "none",
        description="each sample by itself, before scale: divided by the sum of its absolute values (l1), its length "
        "(l2) or its greatest absolute value (max); standard: mean 0 and deviation 1. A sequence feature by feature",
    )
    scale: Literal["standard", "minmax", "robust", "none"] = Field(
        "standard",
        description="standard: mean 0 and deviation 1; minmax: 0 to 1; robust: by median and quartiles; none. One a "
        "feature; images, signals (1, length) and series (length, 1) have one a channel, also where a table's columns "
        "become them by input_shape",
    )
    impute: Literal["mean", "median", "most_frequent", "zero", "constant", "none"] = Field(
        "mean",
        description="what stands for a missing number: the column's mean, median, most frequent value (the least of "
        "several), zero, or the constant fill_value; none refuses them",
    )
    fill_value: Float = Field(0.0, description="what impute constant puts in, in the column's unit; default 0")
    missing_indicator: Bool = Field(
        False,
        description="beside each number, boolean or time with gaps a column that is 1 where the value is missing (as "
        "long as training rows have gaps); default false",
    )
    categorical: Literal["one_hot", "embedding"] = Field(
        "one_hot",
        description="one_hot: a string column becomes one column of 0 and 1 for each of its values; embedding: a "
        "learnt vector for each value, by a column_embedding in front of the network",
    )
    categories: Annotated[tuple[ColumnName, ...], Field(max_length=1000)] = Field(
        (), description="integer columns to take for categories, not for numbers"
    )
    dates: Literal["none", "parts"] = Field(
        "none",
        description="parts: a time becomes the days elapsed, scaled, and sine and cosine of its place in the day, the "
        "week and the year; none: times are no features",
    )
    target_scale: Literal["none", "standard"] = Field(
        "none",
        description="standard trains a regression on targets of mean 0 and deviation 1; metrics stay in the unit; with "
        "data.window standard is the default",
    )


class DataSpec(SpecModel):
    """The data set of a run and the part that each column plays."""

    dataset: Annotated[str, Field(min_length=1, max_length=200)] = Field(
        description="name or id of an uploaded or built-in data set"
    )
    target: ColumnName | Targets | None = Field(
        None,
        description="column (several for regression) to predict; null: the built-in set's own, y of an .npz, or none; "
        "with the task reconstruction a label that is not learnt, by which the errors of anomalies are judged",
    )
    train_on: ClassName | Annotated[tuple[ClassName, ...], Field(min_length=1, max_length=1000)] | None = Field(
        None,
        description="with the task reconstruction and a target: the class (or classes) of the target whose rows alone "
        "train and validate, all others being anomalies to test on; null: all rows train, and of two classes the "
        "second are the anomalies",
    )
    features: Annotated[tuple[ColumnName, ...], Field(min_length=1)] | None = Field(
        None,
        description="columns to learn from, in this order; null: all that have no other part; derived ones are added",
    )
    weight: ColumnName | None = Field(
        None,
        description="column of event weights, used in the loss and in every metric; they may be negative, but each "
        "part's must sum to more than 0",
    )
    window: WindowSpec | None = Field(
        None, description="forecasting: windows over rows in time order to columns behind them; null: row by row"
    )
    input_shape: Annotated[tuple[Count, ...], Field(min_length=1, max_length=4)] | None = Field(
        None, description="axes to give a table's features, such as [1, 8, 8] (channels, height, width); null: flat"
    )
    split: SplitSpec = Field(default_factory=SplitSpec, description="rows for training, validation and test")
    preprocess: PreprocessSpec = Field(default_factory=PreprocessSpec, description="how columns become numbers")
    derive: dict[ColumnName, Annotated[str, Field(min_length=1, max_length=1000)]] = Field(
        default_factory=dict, max_length=100, description="new features as expressions, such as r2: x1*x1 + x2*x2"
    )
    polynomial: PolynomialSpec | None = Field(
        None, description="products of numeric features as features of their own; null: none"
    )
    parameters: dict[Annotated[str, Field(max_length=100)], Int | Float] = Field(
        default_factory=dict, max_length=20, description="rows, noise, seed of a built-in set that is made on demand"
    )

    @property
    def targets(self) -> tuple[str, ...]:
        """The target columns as a tuple, empty when there is none."""
        if self.target is None:
            return ()
        return (self.target,) if isinstance(self.target, str) else self.target
