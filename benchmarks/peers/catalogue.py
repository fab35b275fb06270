"""All rows. To add one: a module with `prepare`, and its line here."""

from __future__ import annotations

from collections.abc import Mapping

from benchmarks.engine.workloads import TOGETHER
from benchmarks.peers.peer import Peer

NETMILL = "netmill"

_DENSE_ALONE = dict.fromkeys(("cnn", "lstm"), "it has dense networks alone")
_SLOW_IN_LOOPS = {"cnn": "XLA compiles a convolution inside a loop to slow code on processors, which is no limit"}
# an empty reason: the row means something on one network alone, and is told of no other
_CEILING: Mapping[str, str] = dict.fromkeys(("digits", "cnn", "lstm"), "")

PEERS: dict[str, Peer] = {
    peer.name: peer
    for peer in (
        Peer("netmill", "Netmill, training alone", "netmill_alone", venv=NETMILL),
        Peer("netmill_whole", "Netmill, with evaluation and checkpoints", "netmill_whole", venv=NETMILL),
        Peer("netmill_compiled", "Netmill, training alone, compiled", "netmill_compiled", venv=NETMILL),
        Peer(
            "netmill_cohort",
            f"Netmill, {TOGETHER} in a cohort, one step of one of them",
            "netmill_cohort",
            dict.fromkeys(("mlp", "cnn", "lstm"), ""),
            venv=NETMILL,
            models=TOGETHER,
        ),
        Peer("scikit_learn", "scikit-learn MLPClassifier", "scikit_learn", _DENSE_ALONE),
        Peer("pytorch_usual", "PyTorch, the usual loop with a DataLoader", "pytorch_usual"),
        Peer("pytorch_well", "PyTorch done well: batches sliced in memory, fused Adam", "pytorch_well"),
        Peer("pytorch_compiled", "PyTorch done well, compiled", "pytorch_compiled"),
        Peer("lightning", "Lightning", "lightning_trainer"),
        Peer("skorch", "skorch", "skorch_net"),
        Peer("keras_jax", "Keras on JAX", "keras_model", environment={"KERAS_BACKEND": "jax"}, pinned=True),
        Peer("keras_torch", "Keras on PyTorch", "keras_model", environment={"KERAS_BACKEND": "torch"}),
        Peer("jax_scan", "JAX, one compiled scan over the epoch (the limit)", "jax_scan", _SLOW_IN_LOOPS, pinned=True),
        Peer("matmul", "the step's matrix products alone, torch.mm", "matmul", _CEILING),
        Peer("matmul_onednn", "the step's matrix products alone, oneDNN", "matmul_onednn", _CEILING),
    )
}

# whole jobs: `prepare` and `train` as above, the time being that of all epochs
JOB_PEERS: dict[str, Peer] = {
    peer.name: peer
    for peer in (
        PEERS["scikit_learn"],
        PEERS["pytorch_usual"],
        Peer("h2o", "H2O's server", "h2o_job"),
        Peer("pytorch_fits", "PyTorch, the usual loop once for each job", "pytorch_fits"),
        Peer("joblib_fits", "scikit-learn with joblib on two processes", "joblib_fits"),
    )
}
