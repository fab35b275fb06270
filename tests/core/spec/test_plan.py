"""The plan: what is decided for the loss, metrics and monitors, what is counted, and what it warns of."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest
from hypothesis import given, settings

from core.spec.dataset import ArrayInfo, DatasetSchema
from core.spec.job import JobSpec
from core.spec.limits import Limits
from core.spec.optimizers import Optimizer
from core.spec.plan import check_job
from tests.core.spec.sets import LINEAR, faults, job, plan
from tests.core.spec.strategies import values_of


def _warnings(body: dict[str, Any]) -> dict[str, str]:
    return {warning.code: warning.pointer for warning in plan(body).warnings}


@pytest.mark.parametrize(
    ("body", "loss"),
    [
        (job("digits"), "cross_entropy"),
        (job("people", data={"target": "bought"}), "bce"),
        (job("people", data={"target": "income"}), "mse"),
        (job("people"), "mse"),
    ],
)
def test_auto_decides_the_loss(body: dict[str, Any], loss: str) -> None:
    assert plan(body).spec.loss.type == loss


def test_options_of_an_auto_loss_are_kept() -> None:
    loss = plan(job(loss={"type": "auto", "reduction": "sum", "label_smoothing": 0.1})).spec.loss
    assert (loss.type, loss.reduction, loss.label_smoothing) == ("cross_entropy", "sum", 0.1)


_STOP = "/training/early_stopping/monitor"
_INCOME = {"target": "income"}
_UNVALIDATED = {"split": {"validation": 0}}


def _stop(monitor: str) -> dict[str, Any]:
    return {"early_stopping": {"monitor": monitor}}


@pytest.mark.parametrize(
    ("body", "where", "code"),
    [
        (job(loss={"type": "mae"}), "/loss/type", "wrong_task"),
        (job(loss={"type": "bce"}), "/loss/type", "wrong_task"),
        (job("people", data={"target": "income"}, loss={"type": "hinge"}), "/loss/type", "wrong_task"),
        (job("people", data={"target": "change"}, loss={"type": "poisson"}), "/loss/type", "negative_target"),
        (
            job("people", data=_INCOME, loss={"type": "mse", "label_smoothing": 0.1}),
            "/loss/label_smoothing",
            "wrong_task",
        ),
        (job(loss={"type": "hinge", "label_smoothing": 0.1}), "/loss/label_smoothing", "wrong_task"),
        (
            job("people", data=_INCOME, loss={"type": "mse", "class_weight": "balanced"}),
            "/loss/class_weight",
            "wrong_task",
        ),
        (job(loss={"type": "auto", "class_weight": [1, 2]}), "/loss/class_weight", "wrong_length"),
        (job("people", data={"target": "member"}, loss={"class_weight": [0, 0]}), "/loss/class_weight", "no_weight"),
        (job(loss={"type": "auto", "class_weight": {"12": 1}}), "/loss/class_weight/12", "unknown_class"),
        (job(metrics=["r2"]), "/metrics/0", "wrong_task"),
        (job(metrics=["tpr_at_fpr"]), "/metrics/0", "wrong_task"),
        (job(metrics=["scaled_mse"]), "/metrics/0", "wrong_task"),
        (job(metrics=["top_200_accuracy"]), "/metrics/0", "too_many_classes"),
        (job(metrics=[{"type": "tpr_at_fpr", "fpr": 2.0}]), "/metrics/0/fpr", "bad_metric"),
        (job(schedule={"type": "cosine", "min_lr": 0.1}), "/schedule/min_lr", "above_peak"),
        (
            job("digits", {"type": "batch_norm"}, training={"batch_size": 1}),
            "/training/batch_size",
            "batch_norm_of_one",
        ),
        (job(training=_stop("test.accuracy")), _STOP, "not_reported"),
        (job(training=_stop("validation.f1")), _STOP, "not_reported"),
        (job(data=_UNVALIDATED, training={"early_stopping": {}}), _STOP, "not_reported"),
        (job(data=_UNVALIDATED, schedule={"type": "plateau"}), "/schedule/monitor", "not_reported"),
    ],
)
def test_what_does_not_go_together(body: dict[str, Any], where: str, code: str) -> None:
    assert faults(body) == {where: code}


def test_class_weights_stand_in_the_order_of_the_classes() -> None:
    body = job("people", data={"target": "member"}, loss={"type": "auto", "class_weight": {"true": 3}})
    assert plan(body).spec.loss.class_weight == (1.0, 3.0)
    balanced = job(loss={"type": "cross_entropy", "class_weight": "balanced"})
    assert plan(balanced).spec.loss.class_weight == "balanced"


def test_metrics_are_those_of_the_task_and_those_asked_for() -> None:
    assert plan(job()).spec.metrics == ("accuracy",)
    binary = job("people", data={"target": "bought"}, metrics=["f1", "auc"])
    assert plan(binary).spec.metrics == ("accuracy", "auc", "f1")
    assert plan(job("people", data={"target": "age"})).spec.metrics == ("mse", "rmse", "mae", "r2")


def test_figures_of_the_digits_example() -> None:
    planned = plan(job("digits", {"type": "linear", "units": 32}, {"type": "relu"}))
    assert planned.parameters == 64 * 32 + 32 + 32 * 10 + 10
    assert planned.flops_per_sample == (2 * 64 + 1) * 32 + 32 + (2 * 32 + 1) * 10
    assert planned.split_sizes == {"train": 1257, "validation": 270, "test": 270}
    assert (planned.steps_per_epoch, planned.total_steps) == (40, 800)
    assert [(layer.index, layer.type, layer.path) for layer in planned.layers] == [
        (0, "linear", "/network/layers/0"),
        (1, "relu", "/network/layers/1"),
        (2, "linear", "/network/head/0"),
    ]
    assert planned.memory_bytes > 4 * 1797 * 64
    assert planned.time_estimate_s > 0


def test_the_answer_has_the_names_of_the_api() -> None:
    answer = plan(job()).to_json()
    names = {
        "spec",
        "layers",
        "parameters",
        "flops_per_sample",
        "memory_bytes",
        "time_estimate_s",
        "lr_preview",
        "warnings",
    }
    assert names <= set(answer)
    assert set(answer["layers"][0]) == {"index", "type", "output_shape", "parameters", "path"}
    json.dumps(answer, allow_nan=False)


def test_the_preview_shows_first_peak_and_last_rate() -> None:
    body = job(optimizer={"type": "sgd", "lr": 0.5}, schedule={"type": "cosine", "warmup_steps": 80})
    preview = plan(body).lr_preview
    assert (preview[0]["step"], preview[-1]["step"]) == (0, 799)
    assert 45 <= len(preview) <= 50
    assert preview[-1]["lr"] == pytest.approx(0.0, abs=1e-9)
    assert max(point["lr"] for point in preview) == pytest.approx(0.5, rel=0.01)


def test_full_batch_is_one_step_an_epoch() -> None:
    assert plan(job(training={"batch_size": "full", "epochs": 7})).total_steps == 7


@pytest.mark.parametrize(
    ("body", "code", "pointer"),
    [
        (job("digits", {"type": "linear", "units": 8}, {"type": "dropout", "p": 0.1}), "linear_stack", "/network/head"),
        (
            job("digits", {"type": "linear", "units": 8}, {"type": "linear", "units": 8}, {"type": "relu"}),
            "linear_stack",
            "/network/layers/1",
        ),
        (
            job(network={"family": "deep_feed_forward", "hidden": [8] * 12, "activation": "sigmoid"}),
            "vanishing_gradients",
            "/network/activation",
        ),
        (
            job("digits", {"type": "linear", "units": 8, "init": {"type": "zeros"}}, {"type": "relu"}),
            "symmetric_init",
            "/network/layers/0",
        ),
        (job(optimizer={"type": "adam", "lr": 10}), "lr_too_high", "/optimizer/lr"),
        (job(optimizer={"type": "sgd", "lr": 10}), "lr_too_high", "/optimizer/lr"),
        (job(loss={"type": "auto", "reduction": "sum"}), "sum_reduction", "/loss/reduction"),
        (job(schedule={"type": "constant", "warmup_steps": 9999}), "warmup_too_long", "/schedule/warmup_steps"),
        (job(schedule={"type": "multi_step", "milestones": [99]}), "milestone_too_late", "/schedule/milestones"),
        (job(optimizer={"type": "lbfgs"}), "lbfgs_minibatch", "/training/batch_size"),
        (job(data={"split": {"validation": 0}}), "no_validation_rows", "/data/split/validation"),
        (job(data={"split": {"test": 0}}), "no_test_rows", "/data/split/test"),
        (job("digits", {"type": "linear", "units": 4000}, {"type": "relu"}), "overfitting", "/network"),
        (job("people", data={"target": "income"}), "unscaled_target", "/data/preprocess/target_scale"),
        (
            job("people", data={"target": "age", "preprocess": {"scale": "none"}}),
            "unscaled_inputs",
            "/data/preprocess/scale",
        ),
        (job("people"), "no_target", "/data/target"),
    ],
)
def test_warnings_point_at_what_to_change(body: dict[str, Any], code: str, pointer: str) -> None:
    assert _warnings(body)[code] == pointer


def test_an_activation_behind_the_output_is_warned_of() -> None:
    body = job("people", data={"target": "bought"})
    body["network"]["head"] = [{"type": "linear", "units": 1}, {"type": "sigmoid"}]
    assert _warnings(body)["activation_after_output"] == "/network/head/1"


def test_the_code_of_an_autoencoder_is_no_stack_of_linear_layers() -> None:
    layers = [{"type": "linear", "units": 8}]
    assert "linear_stack" not in _warnings(job("digits", *layers, task="reconstruction"))
    layers += [{"type": "linear", "units": 32}, {"type": "linear", "units": 32}]
    assert "linear_stack" not in _warnings(job("digits", *layers, task="reconstruction"))
    wide = [{"type": "linear", "units": 32}, {"type": "linear", "units": 16}, {"type": "relu"}, *layers]
    assert _warnings(job("digits", *wide, task="reconstruction"))["linear_stack"] == "/network/layers/1"


def test_a_plain_job_has_no_warnings() -> None:
    assert _warnings(job("digits", {"type": "linear", "units": 32}, {"type": "relu"})) == {}
    assert _warnings(job("digits", network=LINEAR)) == {}


@settings(max_examples=40, deadline=None)
@given(values_of(Optimizer))
def test_every_optimizer_is_planned(body: dict[str, Any]) -> None:
    assert plan(job(optimizer=body)).spec.optimizer.type == body["type"]


def test_the_spec_loads_nothing_heavy() -> None:
    """What checks a body of JSON imports neither arrays nor networks nor databases."""
    code = (
        "import sys, core.spec.plan, core.spec.catalog, core.spec.zoo, core.spec.parsing;"
        "heavy = {'torch', 'numpy', 'polars', 'sqlalchemy', 'celery', 'fastapi'} & set(sys.modules);"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


@pytest.mark.parametrize(
    ("section", "fields", "kind"),
    [
        ("optimizer", {"lr": 0.5}, "adam"),
        ("schedule", {"warmup_steps": 3}, "constant"),
        ("loss", {"reduction": "sum"}, "auto"),
    ],
)
def test_a_section_without_its_type_is_of_the_default_one(section: str, fields: dict[str, Any], kind: str) -> None:
    body = {"data": {"dataset": "iris"}, "network": {"family": "linear"}}
    spec = JobSpec.model_validate({**body, section: fields})
    assert spec == JobSpec.model_validate({**body, section: {"type": kind, **fields}})


@pytest.mark.parametrize(
    ("shape", "told"), [((30, 30, 1), True), ((8, 8, 3), True), ((3, 8, 3), False), ((1, 30, 30), False)]
)
def test_images_with_their_channels_last_are_told(shape: tuple[int, ...], told: bool) -> None:
    x = ArrayInfo(name="x", shape=shape, dtype="float32")
    y = ArrayInfo(name="y", shape=(), dtype="int64", categories=(0, 1), counts=(250, 250))
    schema = DatasetSchema(kind="arrays", rows=500, arrays=(x, y))
    body = {"data": {"dataset": "pictures"}, "network": {"family": "convolutional", "channels": [4]}}
    planned = check_job(body, lambda _: schema, Limits())
    assert ("channels_last" in [one.code for one in planned.warnings]) == told
