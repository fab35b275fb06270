"""How long and in what batches a run trains, what it keeps and what it reports."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from core.spec.base import Bool, Count, Int, MetricName, NonNegative, Positive, Seed, SpecModel


class RegularizationSpec(SpecModel):
    """Penalties on the weights in the loss itself, apart from an optimizer's weight decay; biases are left out."""

    l1: NonNegative = Field(0.0, description="factor of the sum of abs(w) (LASSO), from 0; default 0")
    l2: NonNegative = Field(0.0, description="factor of the sum of w^2 (Tikhonov), from 0; default 0")


class EarlyStoppingSpec(SpecModel):
    """Stop when the monitored value has not improved for `patience` epochs; the best weights are the result."""

    monitor: MetricName = Field("validation.loss", description="metric watched, as <split>.<metric>")
    patience: Count = Field(10, description="epochs without improvement before the end, from 1; default 10")
    min_delta: NonNegative = Field(0.0, description="least change that counts as improvement, from 0; default 0")
    mode: Literal["auto", "min", "max"] = Field(
        "auto", description="whether less or more is better; auto: less for losses and errors, more for scores"
    )


class TrainingSpec(SpecModel):
    """The loop itself."""

    epochs: Count = Field(20, description="passes over the training rows, from 1; default 20")
    batch_size: Count | Literal["full"] = Field(
        32, description="samples in one step, from 1 (SGD in the strict sense) to full (gradient descent); default 32"
    )
    seed: Seed = Field(0, description="seed of initial weights, order and dropout, an integer from 0; default 0")
    shuffle: Bool = Field(True, description="a new order each epoch; false keeps the order of the rows")
    clip_grad_norm: Positive | None = Field(
        None, description="greatest length of the whole gradient, above 0; longer ones are scaled down; null: no limit"
    )
    clip_grad_value: Positive | None = Field(
        None, description="greatest absolute value of each gradient component, above 0; null: no limit"
    )
    early_stopping: EarlyStoppingSpec | None = Field(
        None, description="when to stop before the last epoch; null: never"
    )
    time_limit_s: Positive | None = Field(
        None, description="seconds of training after which the run ends as failed, work kept; null: no limit"
    )
    device: Literal["auto", "cpu", "cuda"] = Field("auto", description="auto takes a GPU when the worker has one")
    precision: Literal["float32", "float64", "bfloat16", "float16"] = Field(
        "float32",
        description="type of weights and inputs; bfloat16 and float16: both stay float32, and matrix products and "
        "convolutions of a training step are computed in 16 bits (mixed precision, meant for GPUs), float16 with a "
        "scaled loss; evaluation and predictions are in float32",
    )
    tf32: Bool = Field(
        False,
        description="whether a GPU may round the factors of float32 matrix products and convolutions to 10 bits "
        "(TensorFloat-32), which is several times as fast; no effect on a CPU",
    )
    compile: Literal["auto", "always", "never"] = Field(
        "auto",
        description="whether steps are compiled to machine code, which takes about half a minute before the first; "
        "auto: where the whole training repays it; always: an error where it cannot be done",
    )

    @property
    def dtype(self) -> Literal["float32", "float64"]:
        """The type of weights, inputs, losses and updates, whatever a forward pass is computed in."""
        return "float64" if self.precision == "float64" else "float32"

    @property
    def is_mixed(self) -> bool:
        """Whether a forward pass in training is computed in 16 bits."""
        return self.precision in ("bfloat16", "float16")


class CheckpointsSpec(SpecModel):
    """Which states of the network are kept."""

    every_epochs: Count = Field(1, description="epochs between two checkpoints, from 1; default 1")
    keep_last: Annotated[Int, Field(ge=1, le=1000)] = Field(
        1, description="newest checkpoints kept, 1 to 1000; default 1"
    )
    keep_best: Bool = Field(True, description="keep the checkpoint with the best monitored value as well")


class MonitorSpec(SpecModel):
    """What is recorded beside the metrics of each epoch."""

    layers: Bool = Field(
        False,
        description="gradient, weight, update and activation statistics of each layer, as layer.<index>.<stat> in the "
        "history",
    )
    layers_every_steps: Count | None = Field(
        None,
        description="steps between two looks at the layers, the first step always being one; null: every_steps, or "
        "without it so many that looking costs under 5 % of the time",
    )
    every_steps: Count | None = Field(
        None, description="steps between two rows of metrics within an epoch; null: one row an epoch"
    )
