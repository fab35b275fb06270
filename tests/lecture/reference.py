"""A network of one hidden layer in float64 NumPy, written from the formulas, to hold the engine against.

Legend: N rows, F features, H hidden units; X (N, F), y (N,) in {0, 1}; W (H, F), b (H,), w (H,), c ().
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def sigmoid(z: Floats) -> Floats:
    return 1 / (1 + np.exp(-z))


@dataclass
class Net:
    """y = s(w^T tanh(Wx + b) + c), trained on the binary cross entropy; all weights in one vector."""

    features: int
    hidden: int
    theta: Floats

    def parts(self) -> tuple[Floats, Floats, Floats, Floats]:
        """Views of W, b, w, c in the order of a checkpoint's tensors."""
        h, f = self.hidden, self.features
        ends = np.cumsum([h * f, h, h, 1])
        W, b, w, c = np.split(self.theta, ends[:-1])
        return W.reshape(h, f), b, w, c

    def gradient(self, X: Floats, y: Floats, reduction: str = "mean") -> Floats:
        """dL/dtheta by the chain rule, from the loss back to the input."""
        W, b, w, c = self.parts()
        hidden = np.tanh(X @ W.T + b)
        output = sigmoid(hidden @ w + c)
        d_output = (output - y) / (len(y) if reduction == "mean" else 1)
        d_hidden = np.outer(d_output, w) * (1 - hidden**2)
        return np.concatenate([(d_hidden.T @ X).ravel(), d_hidden.sum(0), d_output @ hidden, [d_output.sum()]])


Rule = Callable[[Net, Callable[[], Floats], float], None]


def gradient_descent(net: Net, gradient: Callable[[], Floats], eta: float) -> None:
    """w <- w - eta g."""
    net.theta -= eta * gradient()


def momentum(beta: float) -> Rule:
    """v <- beta v - eta g; w <- w + v."""
    v: Floats | float = 0.0

    def rule(net: Net, gradient: Callable[[], Floats], eta: float) -> None:
        nonlocal v
        v = beta * v - eta * gradient()
        net.theta += v

    return rule


def nesterov(beta: float) -> Rule:
    """The gradient at w + beta v."""
    v: Floats | float = 0.0

    def rule(net: Net, gradient: Callable[[], Floats], eta: float) -> None:
        nonlocal v
        here = net.theta.copy()
        net.theta += beta * v
        g = gradient()
        v = beta * v - eta * g
        net.theta[:] = here + v

    return rule


def rmsprop(alpha: float, eps: float) -> Rule:
    """w <- w - eta g / sqrt(E[g^2] + eps)."""
    mean: Floats | float = 0.0

    def rule(net: Net, gradient: Callable[[], Floats], eta: float) -> None:
        nonlocal mean
        g = gradient()
        mean = alpha * mean + (1 - alpha) * g**2
        net.theta -= eta * g / np.sqrt(mean + eps)

    return rule


def adam(b1: float, b2: float, eps: float) -> Rule:
    """Momentum and RMSprop, each divided by the share of it that has been seen."""
    m: Floats | float = 0.0
    s: Floats | float = 0.0
    k = 0

    def rule(net: Net, gradient: Callable[[], Floats], eta: float) -> None:
        nonlocal m, s, k
        k += 1
        g = gradient()
        m = b1 * m + (1 - b1) * g
        s = b2 * s + (1 - b2) * g**2
        net.theta -= eta * (m / (1 - b1**k)) / (np.sqrt(s / (1 - b2**k)) + eps)

    return rule
