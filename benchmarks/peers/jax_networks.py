"""The workloads' networks in plain JAX, as functions of a list of arrays."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.engine.workloads import Workload

Values = list[Any]


def first_values(workload: Workload) -> Values:
    """One dictionary of arrays for each layer; PyTorch's bounds."""
    random = np.random.default_rng(0)
    shape, values = workload.shape, []
    for layer in _layers(workload):
        mine, shape = _values(layer, shape, random)
        values.append(mine)
    return values


def objective(workload: Workload, values: Values, x: Any, y: Any) -> Any:
    """Mean cross-entropy of a batch, x (N, *shape), y (N,); images take their channels to the last axis."""
    if x.ndim == 4:
        x = jnp.moveaxis(x, 1, -1)
    for layer, mine in zip(_layers(workload), values, strict=True):
        x = _apply(layer, mine, x)
    if workload.outputs == 1:
        logits = x[:, 0]
        return jnp.mean(jnp.logaddexp(0.0, logits) - y * logits)
    return -jnp.mean(jnp.take_along_axis(jax.nn.log_softmax(x), y[:, None], axis=1))


def _layers(workload: Workload) -> tuple[dict[str, Any], ...]:
    return (*workload.layers, {"type": "linear", "units": workload.outputs})


def _values(  # noqa: PLR0911 - one for each type of layer
    layer: dict[str, Any], shape: tuple[int, ...], random: np.random.Generator
) -> tuple[Any, tuple[int, ...]]:
    """(the layer's values, shape of what it gives for a row of `shape`)."""

    def uniform(fan_in: int, *axes: int) -> Any:
        bound = fan_in**-0.5
        return jnp.asarray(random.uniform(-bound, bound, axes), jnp.float32)

    match layer["type"]:
        case "linear":
            units, fan_in = layer["units"], shape[0]
            return {"w": uniform(fan_in, fan_in, units), "b": uniform(fan_in, units)}, (units,)
        case "conv2d":
            channels, size = layer["channels"], layer["kernel_size"]
            fan_in = shape[0] * size * size
            w = uniform(fan_in, size, size, shape[0], channels)
            return {"w": w, "b": uniform(fan_in, channels)}, (channels, *shape[1:])
        case "batch_norm":
            return {"scale": jnp.ones(shape[0]), "shift": jnp.zeros(shape[0])}, shape
        case "max_pool2d":
            size = layer["kernel_size"]
            return {}, (shape[0], shape[1] // size, shape[2] // size)
        case "flatten":
            return {}, (shape[0] * shape[1] * shape[2],)
        case "lstm":
            units, features = layer["units"], shape[1]
            w = {"w": uniform(units, features, 4 * units), "u": uniform(units, units, 4 * units)}
            return w | {"b": uniform(units, 4 * units)}, (units,)
        case _:
            return {}, shape


def _apply(layer: dict[str, Any], values: Any, x: Any) -> Any:  # noqa: PLR0911 - one for each type of layer
    match layer["type"]:
        case "linear":
            return x @ values["w"] + values["b"]
        case "relu":
            return jnp.maximum(x, 0)
        case "conv2d":
            axes = ("NHWC", "HWIO", "NHWC")
            return jax.lax.conv_general_dilated(x, values["w"], (1, 1), "SAME", dimension_numbers=axes) + values["b"]
        case "batch_norm":
            # statistics of the batch; the running ones are left out, which only makes the limit lower
            mean, variance = x.mean((0, 1, 2)), x.var((0, 1, 2))
            return (x - mean) * jax.lax.rsqrt(variance + 1e-5) * values["scale"] + values["shift"]
        case "max_pool2d":
            window = (1, layer["kernel_size"], layer["kernel_size"], 1)
            return jax.lax.reduce_window(x, -jnp.inf, jax.lax.max, window, window, "VALID")
        case "flatten":
            return x.reshape(len(x), -1)
        case "lstm":
            return _last_state(values, x)
        case other:
            raise ValueError(f"received layer {other!r}, which no workload has; add it here")


def _last_state(values: Any, x: Any) -> Any:
    """(N, units) after the last step of x (N, T, F); gates in the order i, f, g, o."""
    count, units = len(x), values["u"].shape[0]
    # the input's part of all steps is one product
    inputs = jnp.swapaxes(x @ values["w"] + values["b"], 0, 1)

    def step(state: tuple[Any, Any], gates: Any) -> tuple[tuple[Any, Any], None]:
        h, c = state
        i, f, g, o = jnp.split(gates + h @ values["u"], 4, axis=1)
        c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
        return (jax.nn.sigmoid(o) * jnp.tanh(c), c), None

    start = (jnp.zeros((count, units)), jnp.zeros((count, units)))
    return jax.lax.scan(step, start, inputs)[0][0]
