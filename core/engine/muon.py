"""Muon (Jordan et al. 2024): momentum made orthogonal for weight matrices, AdamW for all else."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from core.engine.flat import FlatParameters
from core.spec import optimizers as spec

# coefficients of the quintic iteration that Jordan et al. tuned for a steep start
_A, _B, _C = 3.4445, -4.7750, 2.0315
_BETA_1, _BETA_2, _EPS = 0.9, 0.999, 1e-8


def orthogonalised(matrix: Tensor, steps: int) -> Tensor:
    """U V' of the singular value decomposition U S V', roughly: singular values come out between 0.7 and 1.2.

    Newton-Schulz in the matrix's own type: bfloat16, which the authors use, saves nothing on a CPU.
    """
    x: Tensor = matrix / torch.linalg.vector_norm(matrix).clamp_min(1e-7)
    if matrix.shape[0] > matrix.shape[1]:
        x = x.T
    for _ in range(steps):
        gram = x @ x.T
        x = _A * x + (_B * gram + _C * gram @ gram) @ x
    return x.T if matrix.shape[0] > matrix.shape[1] else x


def muon(o: spec.Muon, flat: FlatParameters) -> tuple[Callable[[Tensor, Tensor, float, int], None], dict[str, Tensor]]:
    """The rule and its slots; the matrices are the first part of the flat buffer, all else the second."""
    split = flat.num_matrix_values
    rest = flat.values[split:]
    slots = {"v": torch.zeros_like(flat.values[:split]), "m": torch.zeros_like(rest), "s": torch.zeros_like(rest)}
    v, m, s = slots["v"], slots["m"], slots["s"]

    def rule(w: Tensor, g: Tensor, lr: float, k: int) -> None:
        v.lerp_(g[:split], 1 - o.momentum)
        ahead = g[:split].lerp(v, o.momentum) if o.nesterov else v
        w[:split].mul_(1 - lr * o.weight_decay)
        for start, shape in flat.matrices():
            end = start + shape.numel()
            matrix = ahead[start:end].view(shape[0], -1)
            # steps of tall matrices are as long for each output as those of square ones
            scale = math.sqrt(max(1.0, matrix.shape[0] / matrix.shape[1]))
            w[start:end].add_(orthogonalised(matrix, o.ns_steps).reshape(-1), alpha=-lr * scale)
        m.lerp_(g[split:], 1 - _BETA_1)
        s.mul_(_BETA_2).addcmul_(g[split:], g[split:], value=1 - _BETA_2)
        root = s.sqrt().div_(math.sqrt(1 - _BETA_2**k)).add_(_EPS)
        w[split:].addcdiv_(m, root, value=-lr * (o.adamw_lr / o.lr) / (1 - _BETA_1**k))

    return rule, slots
