"""A schema counts the rows of each category, so that a plan knows the parts that a column names."""

from pathlib import Path

import numpy as np
import pytest

from core.data.builtin import builtin_schema, make_builtin
from core.data.describe import describe_arrays
from core.data.ingest import ingest
from core.data.prepare import prepare
from core.spec.dataset import DatasetSchema
from core.spec.limits import Limits
from core.spec.plan import check_job


def test_every_category_of_a_table_is_counted_and_holes_are_not(tmp_path: Path) -> None:
    source = tmp_path / "table.csv"
    source.write_text("kind,count,flag,x\na,3,true,1.5\nb,,false,2.5\na,3,true,3.5\n,7,,4.5\n")
    schema = ingest(source, "csv", tmp_path, Limits()).schema
    counted = {c.name: dict(zip(c.categories, c.counts or (), strict=True)) for c in schema.columns if c.categories}
    assert counted == {"kind": {"a": 2, "b": 1}, "count": {3: 2, 7: 1}, "flag": {False: 1, True: 2}}


def test_the_classes_and_parts_of_arrays_are_counted() -> None:
    arrays = {"x": np.zeros((5, 2), np.float32), "y": np.array([4, 4, 9, 4, 9]), "split": np.array([0, 0, 0, 2, 2])}
    schema = DatasetSchema.model_validate(describe_arrays(arrays)[0])
    y, split = schema.array("y"), schema.array("split")
    assert y is not None
    assert split is not None
    assert (y.categories, y.counts) == ((4, 9), (3, 2))
    assert (split.categories, split.counts) == (("train", "test"), (3, 2))


@pytest.mark.parametrize("validation", [0.15, 0.0])
def test_the_plan_of_a_marked_split_is_what_is_done(tmp_path: Path, validation: float) -> None:
    body = {
        "data": {"dataset": "higgs", "split": {"validation": validation, "column": "split"}},
        "network": {"family": "linear"},
    }
    schema = builtin_schema("higgs")
    plan = check_job(body, lambda _: schema, Limits())
    done = prepare(plan.spec, schema, make_builtin("higgs", {}, tmp_path).data_path)
    assert plan.split_sizes == {
        "train": len(done.train),
        "validation": len(done.validation),
        "test": len(done.test),
    }
