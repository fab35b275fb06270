"""What an analysis has at hand: the model of a checkpoint, the job's data, and the way to rows of a part."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from core.data.prepare import Prepared, parts_of, prepare
from core.engine.checkpoint import read_meta
from core.engine.losses import Loss, build_loss
from core.engine.network import PRECISIONS, output_shape
from core.engine.rows import Rows, split_rows
from core.engine.seeds import derived_seed
from core.engine.trained import TrainedModel
from core.errors import FieldError, Invalid
from core.spec.analyses import SplitName
from core.spec.dataset import DatasetSchema
from core.spec.job import JobSpec

_CPU = torch.device("cpu")
_FALLBACKS: tuple[SplitName, ...] = ("test", "validation", "train")


@dataclass(frozen=True, slots=True)
class Context:
    """`trajectory` are the contents of the job's kept checkpoints in the order of their steps, where they are needed;
    `schema` and `data_path` may be None for an analysis that needs no data.
    """

    model: TrainedModel
    spec: JobSpec
    schema: DatasetSchema | None
    data_path: Path | None
    trajectory: tuple[Path, ...] = ()
    threads: int = 1

    def loss(self) -> Loss:
        """The loss of the run, by the outputs of its network."""
        spec = self.model.spec
        outputs = output_shape(spec.layered(), self.model.input_shape)
        precision = PRECISIONS[spec.training.dtype]
        return build_loss(spec.loss, spec.task, outputs[-1], len(self.model.classes or ()), precision)

    def prepared(self) -> Prepared:
        """The arrays of the run, as they were trained on; of a run in folds those of the model's own fold."""
        assert self.schema is not None, "the analysis needs data"
        assert self.data_path is not None, "the analysis needs data"
        return prepare(self.spec, self.schema, self.data_path, self.model.meta.get("fold", 0))

    def way(self) -> tuple[Path, ...]:
        """The trajectory of the model's own training: other folds began anew."""
        fold = self.model.meta.get("fold")
        return tuple(path for path in self.trajectory if read_meta(path).get("fold") == fold)


@dataclass(frozen=True, slots=True)
class Part:
    """Rows of one part of the data: `split` says which one it became, `of_rows` how many it has in all.

    `numbers` (N,) are the rows' places in the data set without the rows that have no target, `loss` is the run's, by
    the weights of its training rows, `target_width` (T,) are the targets' deviations in the training rows.
    """

    split: SplitName
    of_rows: int
    rows: Rows
    numbers: NDArray[np.int64]
    loss: Loss
    target_width: NDArray[np.float64] | None = None

    def __len__(self) -> int:
        return len(self.rows)

    def facts(self) -> dict[str, Any]:
        """How every answer about rows begins."""
        return {"split": self.split, "rows": len(self.rows), "of_rows": self.of_rows}


def part_of(context: Context, split: SplitName, most: int | None = None, seed: int = 0) -> Part:
    """The part, or the next one that has rows; a random sample of `most` rows in their order when there are more."""
    prepared = context.prepared()
    loss = context.loss()
    parts = split_rows(parts_of(prepared), context.spec, loss, _CPU)
    loss = loss.for_weights(parts[0].loss_weight)
    by_name = dict(zip(("train", "validation", "test"), parts, strict=True))
    name = next(each for each in (split, *_FALLBACKS) if by_name[each] is not None)
    rows = by_name[name]
    assert rows is not None
    numbers: NDArray[np.int64] = np.asarray(getattr(prepared, name))
    if most is None or len(rows) <= most:
        return Part(name, len(rows), rows, numbers, loss, prepared.target_width)
    chosen = np.sort(rng(seed, "rows").permutation(len(rows))[:most])
    return Part(name, len(rows), taken(rows, chosen), numbers[chosen], loss, prepared.target_width)


def taken(rows: Rows, chosen: NDArray[np.int64]) -> Rows:
    """Those rows of `rows`, by their numbers."""
    index = torch.from_numpy(chosen)
    picked: dict[str, Any] = {}
    for field in fields(rows):
        value = getattr(rows, field.name)
        if isinstance(value, torch.Tensor):
            picked[field.name] = value[index]
        elif isinstance(value, np.ndarray):
            picked[field.name] = value[chosen]
    return replace(rows, **picked)


def rng(seed: int, purpose: str) -> np.random.Generator:
    """The random stream of one use in an analysis."""
    return np.random.Generator(np.random.PCG64(derived_seed(seed, f"analysis/{purpose}")))


def refuse(pointer: str, code: str, detail: str) -> Invalid:
    """What is raised when the model or its data cannot answer the request."""
    return Invalid(detail, errors=[FieldError(pointer, code, detail)])
