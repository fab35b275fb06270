"""The learning curve is a picture whatever the history holds."""

from __future__ import annotations

import math
import struct
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from api.drawing import Curves, Row, draw
from api.pictures import curves as plots

CLASSIFICATION: list[Row] = [
    (
        epoch,
        epoch * 50,
        {
            "train.loss": math.exp(-epoch / 5),
            "validation.loss": 0.1 + math.exp(-epoch / 5),
            "train.accuracy": 1 - math.exp(-epoch / 4),
            "validation.accuracy": 0.95 - math.exp(-epoch / 4),
            "validation.auc": 0.99,
            "lr": 0.001,
        },
    )
    for epoch in range(1, 21)
]


def labels(curves: Curves) -> list[tuple[str, list[str]]]:
    return [
        (axes.get_title(loc="left"), [str(line.get_label()) for line in axes.get_lines()])
        for axes in plots.draw(curves).axes
    ]


def test_loss_and_scores_have_a_panel_each() -> None:
    assert labels(Curves("digits", "succeeded", CLASSIFICATION, best_epoch=17)) == [
        ("loss", ["train loss", "validation loss", "best (epoch 17)"]),
        ("score", ["validation accuracy", "train accuracy", "validation AUC", "best (epoch 17)"]),
    ]


def test_the_lines_are_the_numbers() -> None:
    line = plots.draw(Curves("digits", "succeeded", CLASSIFICATION)).axes[0].get_lines()[0]
    assert list(line.get_xdata()) == list(range(1, 21))
    assert list(line.get_ydata()) == [row[2]["train.loss"] for row in CLASSIFICATION]


def test_regression_shows_errors_apart_from_scores() -> None:
    rows: list[Row] = [
        (e, e, {"train.loss": 9.0 / e, "validation.r2": 0.5, "validation.mse": 9.0 / e}) for e in range(1, 9)
    ]
    assert [title for title, _ in labels(Curves("x", "running", rows))] == ["loss", "score", "error"]


def test_metrics_are_told_apart_by_their_table() -> None:
    """Those that carry a number in their name too."""
    names = ("scaled_mse", "calibration_error", "tpr_at_fpr_0_001", "top_3_accuracy", "auc")
    rows: list[Row] = [(e, e, {"train.loss": 1.0, **{f"validation.{name}": 0.5 for name in names}}) for e in (1, 2, 3)]
    assert labels(Curves("x", "running", rows))[1:] == [
        ("score", ["validation AUC", "validation tpr at fpr 0 001", "validation top 3 accuracy"]),
        ("error", ["validation calibration error", "validation scaled mse"]),
    ]


def test_several_rows_an_epoch_are_drawn_over_steps() -> None:
    rows: list[Row] = [(1, step, {"train.loss": 1.0 / step}) for step in range(1, 100)]
    axes = plots.draw(Curves("x", "running", rows)).axes[0]
    assert axes.get_xlabel() == "step"
    assert axes.get_yscale() == "log"


ODD: list[list[Row]] = [
    [],
    [(1, 1, {"train.loss": None})],
    [(1, 1, {"train.loss": 0.0}), (2, 2, {"train.loss": -1.0}), (3, 3, {"train.loss": 1e300})],
    [(1, 1, {"lr": 0.1})],
    [(epoch, epoch, {"validation.accuracy": 1.0}) for epoch in range(1, 4)],
]


@pytest.mark.parametrize("rows", ODD)
@pytest.mark.parametrize("title", ["plain", "two $dollars$ and \\frac{", "<script>&\x01\n\ud7ff", "x" * 500])
def test_nothing_in_a_history_or_a_name_breaks_it(rows: list[Row], title: str) -> None:
    assert ET.fromstring(draw("svg", Curves(title, "failed", rows)))[0] is not None


def test_png_has_the_size_of_its_panels() -> None:
    content = draw("png", Curves("digits", "succeeded", CLASSIFICATION))
    assert content.startswith(b"\x89PNG")
    width, height = struct.unpack(">II", content[16:24])
    assert width > 2 * height > 800


def test_the_same_curves_give_the_same_bytes() -> None:
    curves = Curves("digits", "succeeded", CLASSIFICATION, 17)
    assert draw("svg", curves) == draw("svg", curves)


def test_pyplot_is_never_loaded() -> None:
    program = (
        "import sys; from api.drawing import Curves, draw; draw('png', Curves('a', 'queued', []));"
        "assert 'matplotlib.pyplot' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program], cwd=Path(__file__).parents[2], check=True)


def test_folds_are_one_line_of_means_and_a_band() -> None:
    rows: list[Row] = [
        (epoch, 100 * fold + epoch, {"validation.loss": 1.0 / epoch + fold})
        for fold in range(3)
        for epoch in range(1, 6 - (fold == 2))
    ]
    folds = [row[1] // 100 for row in rows]
    axes = plots.draw(Curves("k", "succeeded", rows, None, folds)).axes[0]
    line = axes.get_lines()[0]
    assert list(line.get_xdata()) == [1, 2, 3, 4, 5]
    # the third fold ended an epoch before the others
    assert list(line.get_ydata()) == pytest.approx([2.0, 1.5, 1 / 3 + 1, 1.25, 0.7])
    band = axes.collections[0].get_paths()[0].vertices
    assert band[:, 1].max() == pytest.approx(2.0 + math.sqrt(2 / 3))
