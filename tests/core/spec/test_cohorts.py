"""Who may ride with whom: what a key holds and what it leaves to each; and how many are worth it."""

from __future__ import annotations

from typing import Any

import pytest

from core.changes import LIVE_FIELDS
from core.services.merge_patch import merge_patch
from core.spec.cohorts import Load, cohort_key
from core.spec.job import JobSpec
from core.spec.training import CheckpointsSpec, MonitorSpec, RegularizationSpec, TrainingSpec
from tests.core.spec.sets import job, plan


def layers(units: int = 32, p: float = 0.1, slope: float = 0.25, **linear: Any) -> list[dict[str, Any]]:
    return [
        {"type": "linear", "units": units, **linear},
        {"type": "batch_norm"},
        {"type": "prelu", "slope": slope},
        {"type": "dropout", "p": p},
        {"type": "swish", "learnable": True},
    ]


BASE = job("digits", *layers(), optimizer={"type": "adam", "lr": 0.01})


def key(body: dict[str, Any], project: str = "default", dataset: str = "digits") -> str | None:
    return cohort_key(plan(body).spec, project=project, dataset=dataset)


def patched(**patch: Any) -> dict[str, Any]:
    body = merge_patch(BASE, patch)
    assert isinstance(body, dict)
    return body


OWN: dict[str, dict[str, Any]] = {
    "name": {"name": "other", "tags": {"a": "b"}},
    "lr": {"optimizer": {"lr": 0.1}},
    "betas": {"optimizer": {"betas": [0.5, 0.9], "eps": 1e-6, "weight_decay": 0.1}},
    "schedule": {"schedule": {"type": "cosine"}},
    "penalties": {"regularization": {"l1": 0.1, "l2": 0.2}},
    "seed": {"training": {"seed": 7}},
    "epochs": {"training": {"epochs": 3}},
    "stopping": {"training": {"early_stopping": {"patience": 3}}},
    "compile": {"training": {"compile": "never"}},
    "checkpoints": {"checkpoints": {"every_epochs": 5, "keep_last": 3, "keep_best": False}},
    "network_init": {"network": {"init": {"type": "he"}}},
    "layer_init": {"network": {"layers": layers(init={"type": "he"}, bias_init={"type": "zeros"})}},
    "dropout": {"network": {"layers": layers(p=0.5)}},
    "prelu": {"network": {"layers": layers(slope=0.1)}},
    "swish": {"network": {"layers": [*layers()[:-1], {"type": "swish", "learnable": True, "beta": 2.0}]}},
    "synonym": {"network": {"layers": [{"type": "linear", "out_features": 32}, *layers()[1:]]}},
    "head": {"network": {"head": [{"type": "linear", "units": 10}]}},
}
SHARED: dict[str, dict[str, Any]] = {
    "units": {"network": {"layers": layers(units=33)}},
    "bias": {"network": {"layers": layers(bias=False)}},
    "activation": {"network": {"layers": [*layers()[:-1], {"type": "relu"}]}},
    "norm": {"network": {"layers": [layers()[0], {"type": "batch_norm", "momentum": 0.2}, *layers()[2:]]}},
    "depth": {"network": {"layers": layers()[:-1]}},
    "optimizer": {"optimizer": {"type": "adamw"}},
    "amsgrad": {"optimizer": {"amsgrad": True}},
    "batch": {"training": {"batch_size": 64}},
    "shuffle": {"training": {"shuffle": False}},
    "precision": {"training": {"precision": "float64"}},
    "tf32": {"training": {"tf32": True}},
    "clip": {"training": {"clip_grad_norm": 1.0}},
    "loss": {"loss": {"type": "focal"}},
    "smoothing": {"loss": {"label_smoothing": 0.1}},
    "metrics": {"metrics": ["f1"]},
    "split": {"data": {"split": {"seed": 1}}},
    "preprocess": {"data": {"preprocess": {"scale": "minmax"}}},
    "features": {"data": {"features": ["pixel_1", "pixel_2"]}},
    "rows": {"monitor": {"every_steps": 5}},
    "device": {"training": {"device": "cpu"}},
}
ALONE: dict[str, dict[str, Any]] = {
    "lbfgs": {"optimizer": {"type": "lbfgs", "lr": 1.0}},
    "folds": {"data": {"split": {"folds": 5, "test": 0.0}}},
    "baselines": {"baselines": ["linear"]},
    "layers": {"monitor": {"layers": True}},
    "cuda": {"training": {"device": "cuda"}},
    "time": {"training": {"time_limit_s": 60.0}},
    "bfloat16": {"training": {"precision": "bfloat16"}},
    "float16": {"training": {"precision": "float16"}},
    "compiled": {"training": {"compile": "always"}},
    "noise": {"network": {"layers": [{"type": "noise", "std": 0.1}]}},
    "block": {"network": {"layers": [{"type": "residual", "layers": [{"type": "linear", "units": 64}]}]}},
    "rbf": {"network": {"layers": [{"type": "rbf", "units": 8}]}},
}


@pytest.mark.parametrize("what", OWN)
def test_each_has_its_own(what: str) -> None:
    assert key(patched(**OWN[what])) == key(BASE)


@pytest.mark.parametrize("what", SHARED)
def test_all_have_the_same(what: str) -> None:
    other = key(patched(**SHARED[what]))
    assert other is not None
    assert other != key(BASE)


@pytest.mark.parametrize("what", ALONE)
def test_some_ride_alone(what: str) -> None:
    assert key(patched(**ALONE[what])) is None


def test_a_limit_of_the_gradient_may_be_another_but_not_none() -> None:
    assert key(patched(training={"clip_grad_norm": 1.0})) == key(patched(training={"clip_grad_norm": 2.0}))
    assert key(patched(training={"clip_grad_value": 1.0})) != key(patched(training={"clip_grad_norm": 1.0}))


@pytest.mark.parametrize("kind", ["sgd", "rmsprop"])
def test_momentum_is_one_more_buffer(kind: str) -> None:
    def with_momentum(momentum: float) -> str | None:
        return key(patched(optimizer={"type": kind, "lr": 0.1, "momentum": momentum, "betas": None}))

    assert with_momentum(0.9) == with_momentum(0.5)
    assert with_momentum(0.9) != with_momentum(0.0)


def test_project_and_data_set_are_part_of_it() -> None:
    assert key(BASE) is not None
    assert len({key(BASE), key(BASE, project="other"), key(BASE, dataset="ds_1")}) == 3


def test_a_data_set_goes_by_its_id_and_not_by_what_the_spec_calls_it() -> None:
    resolved = plan(BASE).spec
    renamed = resolved.model_copy(update={"data": resolved.data.model_copy(update={"dataset": "ds_1"})})
    assert cohort_key(renamed, project="default", dataset="digits") == key(BASE)


def test_a_family_rides_with_the_layers_that_it_expands_to() -> None:
    family = {"family": "feed_forward", "hidden": [32], "activation": "relu"}
    plain = [{"type": "linear", "units": 32}, {"type": "relu"}]
    assert key({**BASE, "network": family}) == key({**BASE, "network": {"layers": plain}})


def test_what_changes_while_a_job_lives_changes_no_key() -> None:
    moved = {"lr": 0.5, "epochs": 7, "early_stopping": {"patience": 2}}
    assert set(moved) == set(LIVE_FIELDS)
    patch: dict[str, Any] = {}
    for name, (section, field) in LIVE_FIELDS.items():
        patch.setdefault(section, {})[field] = moved[name]
    assert key(patched(**patch)) == key(BASE)


def test_every_field_of_a_spec_is_tried() -> None:
    """A field that is new is to be thought about: is it each job's own, or the same in all?"""
    tried: dict[str, set[str]] = {}
    for patch in (*OWN.values(), *SHARED.values(), *ALONE.values()):
        for section, fields in patch.items():
            tried.setdefault(section, set()).update(fields)
    assert set(tried) | {"task"} == set(JobSpec.model_fields)
    for section, model in (
        ("training", TrainingSpec),
        ("checkpoints", CheckpointsSpec),
        ("regularization", RegularizationSpec),
        ("monitor", MonitorSpec),
    ):
        left_out = {"clip_grad_value", "layers_every_steps"}
        assert set(model.model_fields) - tried[section] <= left_out, section


class TestLoad:
    def test_counts_what_a_step_computes(self) -> None:
        # 64-32-10 in batches of 32: three passes, two operations a weight, one a bias
        load = Load.of(plan(job("digits", {"type": "linear", "units": 32}, {"type": "relu"})))
        assert load.step_operations == 3 * 32 * ((2 * 64 + 1) * 32 + 32 + (2 * 32 + 1) * 10)
        assert load.most_together(64, 10**9) == 64

    def test_full_batches_count_all_rows(self) -> None:
        small, full = (Load.of(plan(patched(training={"batch_size": size}))) for size in (2, "full"))
        assert 2 * full.step_operations == 1257 * small.step_operations

    @pytest.mark.parametrize(
        ("load", "most"),
        [
            (Load(10, 10, 1.0), 64),
            (Load(100, 10, 1.0), 10),
            (Load(10**6, 10, 1.0), 1),
            (Load(10, 10**7, 1.0), 4),
            (Load(10, 10**9, 1.0), 1),
        ],
        ids=["count", "memory", "too_large", "arithmetic", "bound"],
    )
    def test_memory_and_arithmetic_bound_a_cohort(self, load: Load, most: int) -> None:
        assert load.most_together(64, 1000) == most

    def test_reads_what_it_wrote(self) -> None:
        load = Load.of(plan(BASE))
        assert Load.read(load.to_json()) == load
