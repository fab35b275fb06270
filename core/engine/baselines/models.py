"""scikit-learn's models on what the network sees: its split, its prepared inputs, its metrics. No torch here.

Legend: N rows, F numbers a row (images, sequences and windows laid flat), T targets.
"""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import (
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.multioutput import MultiOutputRegressor
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

from core.data.preparation import Feature
from core.data.prepare import Prepared, prepare
from core.engine.metrics import classification_metrics, regression_metrics
from core.spec.baselines import Baseline
from core.spec.dataset import DatasetSchema
from core.spec.job import JobSpec

Array = NDArray[Any]
Floats = NDArray[np.float64]
# boosting fits a model for each output
_MOST_BOOSTED_OUTPUTS = 20


class Unfit(Exception):
    """The model cannot be had for these data, in words for the user."""


@dataclass(frozen=True, slots=True)
class Fitting:
    """What a model is made of: a seed and the threads it may use."""

    seed: int
    threads: int


_CLASSIFIERS: dict[str, Callable[[Fitting], Any]] = {
    "linear": lambda _: LogisticRegression(max_iter=1000),
    "tree": lambda f: DecisionTreeClassifier(random_state=f.seed),
    "random_forest": lambda f: RandomForestClassifier(random_state=f.seed, n_jobs=f.threads),
    "boosting": lambda f: HistGradientBoostingClassifier(random_state=f.seed),
}
_REGRESSORS: dict[str, Callable[[Fitting], Any]] = {
    "linear": lambda _: Ridge(),
    "tree": lambda f: DecisionTreeRegressor(random_state=f.seed),
    "random_forest": lambda f: RandomForestRegressor(random_state=f.seed, n_jobs=f.threads),
    "boosting": lambda f: HistGradientBoostingRegressor(random_state=f.seed),
}
MODELS = {*_CLASSIFIERS, "naive"}
# what a reader asks first about each; all else is scikit-learn's default
_SETTINGS = ("C", "alpha", "max_iter", "n_estimators", "learning_rate", "max_leaf_nodes", "max_depth")


def baseline(name: Baseline, spec: JobSpec, schema: DatasetSchema, data_path: Path, threads: int) -> dict[str, Any]:
    """`metrics` of the validation and test rows, `time_s` to fit and to predict, `settings` and, if any, a `note`.

    With folds every one is fitted, and metrics are means. Raises `Unfit`, or TrainingFailed as `prepare` does.
    """
    told: dict[str, Any] = {}
    each: list[dict[str, float]] = []
    took = 0.0
    for fold in range(spec.data.split.folds or 1):
        prepared = prepare(spec, schema, data_path, fold)
        began = time.perf_counter()
        predict, told = _fitted(name, spec, prepared, Fitting(spec.training.seed % 2**32, threads))
        each.append(_figures(spec, prepared, predict))
        took += time.perf_counter() - began
    means = {name: float(np.mean([values[name] for values in each])) for name in each[0]}
    metrics = {name: value if math.isfinite(value) else None for name, value in means.items()}
    return {"metrics": metrics, "time_s": round(took, 4), **told}


Predict = Callable[[NDArray[np.int64]], Floats]


def _fitted(name: Baseline, spec: JobSpec, prepared: Prepared, fitting: Fitting) -> tuple[Predict, dict[str, Any]]:
    """(probabilities (N, C), or numbers (N, T) in the network's scale, of rows; what to tell)."""
    if name == "naive":
        last = _last_values(prepared)
        return last, {"settings": {"estimator": "the last value of each column"}}
    is_classification = spec.task == "classification"
    x, y, w = _training(prepared)
    model = (_CLASSIFIERS if is_classification else _REGRESSORS)[name](fitting)
    settings = {key: value for key, value in model.get_params().items() if key in _SETTINGS and value is not None}
    told: dict[str, Any] = {"settings": {"estimator": type(model).__name__, **settings}}
    if not is_classification:
        model = _for_outputs(name, model, y.shape[1])
        y = y[:, 0] if y.shape[1] == 1 else y
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            model.fit(x, y, sample_weight=w)
        except ValueError as fault:
            raise Unfit(str(fault).partition("\n")[0][:300]) from fault
    if any(issubclass(each.category, ConvergenceWarning) for each in caught):
        told["note"] = f"stopped after {settings.get('max_iter')} iterations without having converged"
    if is_classification:
        return lambda rows: _all_classes(model, _flat(prepared, rows), len(prepared.preparation.classes or ())), told
    outputs = 1 if y.ndim == 1 else y.shape[1]
    return lambda rows: np.asarray(model.predict(_flat(prepared, rows)), dtype=np.float64).reshape(-1, outputs), told


def _flat(prepared: Prepared, rows: NDArray[np.int64]) -> Array:
    return prepared.x[rows].reshape(len(rows), -1)


def _training(prepared: Prepared) -> tuple[Array, Array, Floats | None]:
    """Rows to fit. No estimator takes negative weights, so those rows are left out; in the metrics they count."""
    rows = prepared.train
    w = None if prepared.weight is None else prepared.weight[rows].astype(np.float64)
    if w is not None and (w < 0).any():
        rows, w = rows[w >= 0], w[w >= 0]
    assert prepared.y is not None, "a reconstruction has no baselines"
    return _flat(prepared, rows), prepared.y[rows], w


def _for_outputs(name: Baseline, model: Any, outputs: int) -> Any:
    """The regressor for so many outputs; boosting has one only."""
    if name != "boosting" or outputs == 1:
        return model
    if outputs > _MOST_BOOSTED_OUTPUTS:
        raise Unfit(f"boosting fits a model for each of {outputs} outputs, and {_MOST_BOOSTED_OUTPUTS} are the most")
    return MultiOutputRegressor(model)


def _all_classes(model: Any, x: Array, classes: int) -> Floats:
    """(N, C): a class that no training row has gets 0."""
    p = np.zeros((len(x), classes))
    p[:, model.classes_] = model.predict_proba(x)
    return p


def _last_values(prepared: Prepared) -> Predict:
    """Every row of the horizon as the last row seen."""
    preparation = prepared.preparation
    assert preparation.window is not None, "the spec asks for windows with naive"
    horizon = preparation.window.horizon
    places: dict[str, tuple[int, Feature]] = {}
    place = 0
    for feature in preparation.features:
        places[feature.name] = (place, feature)
        place += feature.width
    if unseen := [name for name in preparation.targets if name not in places]:
        raise Unfit(f"the network does not see {unseen[0]!r}, so its last value is not known; name it in data.features")
    shift, scale = (np.zeros(1), np.ones(1))
    if preparation.target_shift is not None and preparation.target_scale is not None:
        shift, scale = np.array(preparation.target_shift), np.array(preparation.target_scale)

    def predict(rows: NDArray[np.int64]) -> Floats:
        last = prepared.x[rows, -1].astype(np.float64)
        seen = [places[name] for name in preparation.targets]
        values = np.column_stack([last[:, at] * feature.scale + feature.shift for at, feature in seen])
        return np.tile((values - shift) / scale, horizon)

    return predict


def _figures(spec: JobSpec, prepared: Prepared, predict: Predict) -> dict[str, float]:
    """The run's metrics of the validation and test rows, by the functions that judge the network."""
    assert prepared.y is not None, "a reconstruction has no baselines"
    names = spec.metrics or ()
    values: dict[str, float] = {}
    for split, rows in (("validation", prepared.validation), ("test", prepared.test)):
        if not len(rows):
            continue
        w = None if prepared.weight is None else prepared.weight[rows].astype(np.float64)
        found, y = predict(rows), prepared.y[rows]
        if spec.task == "classification":
            figures = classification_metrics(names, y, found, w)
        else:
            unit = prepared.preparation.unscale_target
            figures = regression_metrics(names, unit(y.astype(np.float64)), unit(found), w, prepared.target_width)
        values |= {f"{split}.{name}": value for name, value in figures.items()}
    return values
