"""What the first version stored is still read: its models predict as they did, its runs go on to the same end.

The files of `tests/golden/first_version` were written by commit 52432bc: a run of people.csv that stopped after five
steps, its resolved spec, and what the run came to there.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from core.engine.run import Run, train
from core.engine.trained import load_trained
from core.events import Finished, Started
from core.spec.job import JobSpec
from tests.core.engine.test_trained import people
from tests.core.engine.workbench import Bench, last, never, rows

FOLDER = Path(__file__).parents[2] / "golden" / "first_version"
CONTENT, STATE = (FOLDER / f"people.{kind}.safetensors" for kind in ("content", "state"))
TOLD = json.loads((FOLDER / "people.json").read_text())


def test_a_model_predicts_what_it_predicted() -> None:
    answer = load_trained(CONTENT).predict(rows=TOLD["rows"], output="probability")
    assert np.allclose(answer["data"], TOLD["probabilities"], rtol=1e-4)


def test_a_run_goes_on_to_the_same_end(bench: Bench, tmp_path: Path) -> None:
    people(tmp_path / "people.csv", np.random.default_rng(5))
    bench.upload("people", tmp_path / "people.csv", "csv")
    data, spec = bench.sets["people"], JobSpec.model_validate(TOLD["spec"])
    events = list(train(Run(spec, data.schema, data.data_path, tmp_path, resume=(CONTENT, STATE)), never))
    assert last(events, Started).total_steps == TOLD["history"][-1][1]
    history = rows(events)
    for (epoch, step, values), then in zip(history, TOLD["history"][-len(history) :], strict=True):
        assert [epoch, step] == then[:2]
        # figures that came later are no matter
        assert {name: values[name] for name in then[2]} == pytest.approx(then[2], rel=1e-3, abs=1e-5)
    assert last(events, Finished).metrics == pytest.approx(TOLD["metrics"], rel=1e-3, abs=1e-5)
