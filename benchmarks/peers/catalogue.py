"""All rows. To add one: a module with `prepare`, and its line here."""

from __future__ import annotations

from collections.abc import Mapping

from benchmarks.peers.peer import Peer

NETMILL = "netmill"

_DENSE_ALONE = dict.fromkeys(("cnn", "lstm"), "it has dense networks alone")
_SLOW_IN_LOOPS = {"cnn": "XLA compiles a convolution inside a loop to slow code on processors, which is no limit"}
_CEILING: Mapping[str, str] = dict.fromkeys(("digits", "cnn", "lstm"), "")

PEERS: dict[str, Peer] = {
    peer.name: peer
    for peer in (
        Peer("netmill", "Netmill, training alone", "netmill_alone", venv=NETMILL),
        Peer("netmill_whole", "Netmill, with evaluation and checkpoints", "netmill_whole", venv=NETMILL),
        Peer("netmill_unrecorded", "Netmill, with evaluation and no checkpoints", "netmill_unrecorded", venv=NETMILL),
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
