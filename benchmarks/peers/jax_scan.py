"""The least that a step can cost: one compiled JAX program an epoch, a `lax.scan` over its batches, Adam inside."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from benchmarks.engine.workloads import LR, Data, Workload
from benchmarks.peers.jax_networks import Values, first_values, objective
from benchmarks.peers.peer import Train

State = tuple[Values, Values, Values, Any]
Epoch = Callable[[State, Any], State]

_B1, _B2, _EPS = 0.9, 0.999, 1e-8


def adam(state: State, gradients: Values) -> State:
    """One step of Adam (Kingma and Ba 2015)."""
    w, m, v, k = state
    k = k + 1
    m = jax.tree.map(lambda m, g: _B1 * m + (1 - _B1) * g, m, gradients)
    v = jax.tree.map(lambda v, g: _B2 * v + (1 - _B2) * g * g, v, gradients)
    rate, root = LR / (1 - _B1**k), jnp.sqrt(1 - _B2**k)
    w = jax.tree.map(lambda w, m, v: w - rate * m / (jnp.sqrt(v) / root + _EPS), w, m, v)
    return w, m, v, k


def epoch_of(workload: Workload, x: Any, y: Any) -> Epoch:
    """(state, key) to the state an epoch later, compiled."""

    @partial(jax.jit, donate_argnums=0)
    def epoch(state: State, key: Any) -> State:
        order = jax.random.permutation(key, len(x)).reshape(workload.steps_per_epoch, workload.batch)

        def step(state: State, rows: Any) -> tuple[State, None]:
            gradients = jax.grad(partial(objective, workload))(state[0], x[rows], y[rows])
            return adam(state, gradients), None

        after: State = jax.lax.scan(step, state, order)[0]
        return after

    compiled: Epoch = epoch
    return compiled


def prepare(workload: Workload, data: Data, threads: int) -> Train:
    """The training, ready to go; the process is held on `threads` cores."""
    del threads
    epoch = epoch_of(workload, jnp.asarray(data.x), jnp.asarray(data.y))
    values = first_values(workload)
    state: State = (values, jax.tree.map(jnp.zeros_like, values), jax.tree.map(jnp.zeros_like, values), jnp.zeros(()))

    def train(epochs: int) -> None:
        nonlocal state
        for key in jax.random.split(jax.random.key(0), epochs):
            state = epoch(state, key)
        jax.block_until_ready(state)

    return train
