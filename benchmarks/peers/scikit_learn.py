"""scikit-learn's MLPClassifier: `fit` with as many iterations as there are epochs, and never an early end."""

from __future__ import annotations

import warnings

from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier
from threadpoolctl import threadpool_limits

from benchmarks.engine.workloads import LR, Data, Workload
from benchmarks.peers.peer import Train


def classifier(workload: Workload, epochs: int) -> MLPClassifier:
    """One that trains for exactly so many epochs."""
    hidden = tuple(layer["units"] for layer in workload.layers if layer["type"] == "linear")
    return MLPClassifier(
        hidden,
        solver="adam",
        alpha=0.0,
        batch_size=workload.batch,
        learning_rate_init=LR,
        max_iter=epochs,
        tol=0.0,
        n_iter_no_change=epochs + 1,
        random_state=0,
    )


def prepare(workload: Workload, data: Data, threads: int) -> Train:
    """The training, ready to go."""
    warnings.simplefilter("ignore", ConvergenceWarning)
    threadpool_limits(threads)

    def train(epochs: int) -> None:
        model = classifier(workload, epochs).fit(data.x, data.y)
        assert model.n_iter_ == epochs, f"received {model.n_iter_} epochs, expected {epochs}"

    return train
