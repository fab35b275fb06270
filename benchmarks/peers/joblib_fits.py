"""scikit-learn on two processes by joblib: as many fits as there are jobs, each with its seed, the pool kept warm."""

from __future__ import annotations

import warnings

from joblib import Parallel, delayed
from sklearn.exceptions import ConvergenceWarning

from benchmarks.engine.workloads import TOGETHER, Classes, Data, Floats, Workload
from benchmarks.peers.peer import Train
from benchmarks.peers.scikit_learn import classifier


def fit(workload: Workload, x: Floats, y: Classes, epochs: int, seed: int) -> int:
    """The epochs done; runs in a process of the pool."""
    warnings.simplefilter("ignore", ConvergenceWarning)
    done: int = classifier(workload, epochs).set_params(random_state=seed).fit(x, y).n_iter_
    return done


def prepare(workload: Workload, data: Data, threads: int) -> Train:
    """All fits, ready to go; `threads` is what each of them computes with, and joblib sees to it."""
    del threads
    pool = Parallel(n_jobs=2)

    def train(epochs: int) -> None:
        done = pool(delayed(fit)(workload, data.x, data.y, epochs, seed) for seed in range(TOGETHER))
        assert done == [epochs] * TOGETHER

    return train
