"""H2O's server, which needs Java: a whole job of its deep learning, asked for over HTTP and waited for."""

from __future__ import annotations

import shutil

import h2o
import numpy as np
from h2o.estimators import H2ODeepLearningEstimator

from benchmarks.engine.workloads import Data, Workload
from benchmarks.peers.peer import Train


def prepare(workload: Workload, data: Data, threads: int) -> Train:
    """The server with the rows in it; it adapts its rates by itself (ADADELTA), as H2O does unless told otherwise."""
    if shutil.which("java") is None:
        raise RuntimeError("there is no java, which H2O's server needs")
    h2o.init(nthreads=threads, max_mem_size="1g", bind_to_localhost=True, verbose=False)
    h2o.no_progress()
    frame = h2o.H2OFrame(np.column_stack([data.x, data.y]).tolist())
    *features, target = frame.columns
    frame[target] = frame[target].asfactor()
    hidden = [layer["units"] for layer in workload.layers if layer["type"] == "linear"]

    def train(epochs: int) -> None:
        estimator = H2ODeepLearningEstimator(
            hidden=hidden,
            epochs=epochs,
            mini_batch_size=workload.batch,
            activation="Rectifier",
            stopping_rounds=0,
            overwrite_with_best_model=False,
            seed=0,
        )
        estimator.train(x=features, y=target, training_frame=frame)

    return train
