"""Copies of the target are found in every disguise, and what is merely strong is left alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from core.data.builtin import BUILTIN, make_builtin
from core.data.ingest import ingest
from core.data.leakage import warn_of_leaks
from core.data.preparation import Feature, Preparation
from core.data.prepare import prepare
from core.events import Warned
from core.spec.limits import Limits
from core.spec.plan import check_job

RANDOM = np.random.Generator(np.random.PCG64(11))
ROWS = 600
LABELS = np.arange(ROWS) % 4
NOISE = RANDOM.standard_normal((ROWS, 3))
STRONG = LABELS + 0.4 * RANDOM.standard_normal(ROWS)


def found(leak: Any, y: Any, task: str = "classification", kind: Any = "number", **more: Any) -> list[Warned]:
    """What is said of columns `a`, `b`, `c` of noise, the strong one and `leak` (N,) or (N, columns)."""
    leaks = np.asarray(leak, dtype=float).reshape(len(y), -1)
    names = ["a", "b", "c", "strong", *(f"leak{number}" for number in range(leaks.shape[1]))]
    features = [
        Feature(name, kind if name.startswith("leak") else "number", **(more if name.startswith("leak") else {}))
        for name in names
    ]
    x = np.column_stack([NOISE[: len(y)], STRONG[: len(y)], leaks])
    preparation = Preparation("table", (x.shape[1],), tuple(features))
    return warn_of_leaks(task, x, np.asarray(y), np.arange(len(y)), preparation)


DISGUISES = {
    "a copy": LABELS,
    "scaled": (LABELS - 1.5) / 1.12,
    "negated": -3.0 * LABELS,
    "recoded": np.array([7, 1, 30, 2])[LABELS],
    "with a little noise": LABELS + 0.05 * RANDOM.standard_normal(ROWS),
    "bent": np.exp(LABELS),
    "many codes for each class": LABELS + 4 * RANDOM.integers(0, 6, ROWS),
}


@pytest.mark.parametrize("disguise", DISGUISES)
@pytest.mark.parametrize("rows", [100, ROWS])
def test_a_copy_of_the_class_is_found(disguise: str, rows: int) -> None:
    if disguise == "many codes for each class" and rows == 100:
        pytest.skip("24 codes for 100 rows say nothing")
    (warned,) = found(DISGUISES[disguise][:rows], LABELS[:rows])
    assert (warned.code, warned.pointer) == ("leakage_suspected", "/data/features")
    assert "'leak0' alone gives the target away" in warned.detail
    assert "strong" not in warned.detail


def test_the_one_hot_code_of_the_classes_is_found() -> None:
    (warned,) = found(np.eye(4)[LABELS], LABELS)
    assert "'leak0', 'leak1', 'leak2', 'leak3' together give the target away" in warned.detail
    # without one of them it is the same
    assert found(np.eye(4)[LABELS][:, 1:], LABELS)
    # that one class has a mark is an honest thing to know
    assert found(np.eye(4)[LABELS][:, :2], LABELS) == []


def test_a_text_of_which_each_value_is_one_class() -> None:
    cities = LABELS + 4 * RANDOM.integers(0, 5, ROWS)
    one_hot = np.eye(20)[cities]
    x = np.column_stack([NOISE, one_hot])
    features = [Feature(name, "number") for name in "abc"]
    features.append(Feature("city", "category", categories=tuple(f"c{n}" for n in range(20)), seen=(True,) * 20))
    preparation = Preparation("table", (23,), tuple(features))
    (warned,) = warn_of_leaks("classification", x, LABELS, np.arange(ROWS), preparation)
    assert "'city' alone" in warned.detail
    # an id of its own for each row predicts nothing
    ids = np.column_stack([NOISE, np.eye(ROWS)])
    features[-1] = Feature("id", "category", categories=tuple(map(str, range(ROWS))), seen=(True,) * ROWS)
    preparation = Preparation("table", (ROWS + 3,), tuple(features))
    assert warn_of_leaks("classification", ids, LABELS, np.arange(ROWS), preparation) == []


TARGET = np.exp(RANDOM.standard_normal(ROWS))


@pytest.mark.parametrize("leak", [TARGET, -2 * TARGET + 5, np.log(TARGET), TARGET + 0.001 * NOISE[:, 0]])
def test_a_copy_of_the_number_is_found(leak: Any) -> None:
    (warned,) = found(leak, TARGET[:, None], "regression")
    assert "'leak0' alone gives the target away in 600 training rows" in warned.detail


def test_what_is_merely_strong_is_left_alone() -> None:
    assert found(TARGET * (1 + 0.05 * NOISE[:, 0]), TARGET[:, None], "regression") == []
    assert found(LABELS + 0.3 * NOISE[:, 0], LABELS) == []
    # 20 rows in which classes happen not to overlap are chance
    assert found(LABELS[:20], LABELS[:20]) == []
    # nearly all rows are of one class, and a constant says which
    rare = (np.arange(ROWS) == 5).astype(int)
    assert found(np.zeros(ROWS), rare) == []
    assert found(rare, rare) == []


@pytest.mark.parametrize("name", [name for name in BUILTIN if name not in ("higgs", "jets", "seasonal")])
def test_no_built_in_set_is_suspected(name: str, tmp_path: Path) -> None:
    data = make_builtin(name, {}, tmp_path)
    body = {"data": {"dataset": name}, "network": {"family": "linear"}}
    plan = check_job(body, lambda _: data.schema, Limits())
    assert not [w for w in prepare(plan.spec, data.schema, data.data_path).warnings if w.code == "leakage_suspected"]


def table(tmp_path: Path, **data: Any) -> list[Warned]:
    """The warnings of a table with the species as text, a second column that tells it, and the two petals."""
    petals = [
        (0.2 + 0.9 * kind + 0.1 * (row % 7), 1.4 + 1.5 * kind + 0.1 * (row % 13))
        for row in range(120)
        for kind in [row % 3]
    ]
    lines = [
        f"{width:.2f},{length:.2f},{'xyz'[row % 3]},{'qrs'[row % 3]}" for row, (width, length) in enumerate(petals)
    ]
    source = tmp_path / "t.csv"
    source.write_text("width,length,species,latin\n" + "\n".join(lines) + "\n")
    made = ingest(source, "csv", tmp_path, Limits())
    body = {"data": {"dataset": "t", "target": "species", **data}, "network": {"family": "linear"}}
    plan = check_job(body, lambda _: made.schema, Limits())
    return list(prepare(plan.spec, made.schema, made.data_path).warnings)


def test_an_uploaded_table_with_the_label_among_its_features(tmp_path: Path) -> None:
    (warned,) = table(tmp_path)
    assert "the feature 'latin' alone gives the target away in 84 training rows" in warned.detail
    assert "leave it out of data.features" in warned.detail
    assert table(tmp_path, features=["width", "length"]) == []
