"""How weights move: one update rule for each name in `core.spec.optimizers`, on the flat buffers.

w are the weights, g the gradient (a rule may overwrite it), lr the learning rate of this step, k its number from 1;
other letters as in the papers named in the spec. The arithmetic is `torch.optim`'s, operation by operation. It is
written here because one flat buffer needs no groups, hooks or foreach lists (which cost as much as the arithmetic),
because building a `torch.optim` object imports torch._dynamo (0.8 s), and because rules that are plain functions of
tensors work on a stack of models as well.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Protocol

import torch
from torch import Tensor

from core.engine.flat import FlatParameters
from core.engine.lbfgs import LBFGS
from core.engine.muon import muon
from core.spec import optimizers as spec

Evaluate = Callable[[], tuple[Tensor, Tensor]]
"""Computes the gradients and returns the objective and the network's outputs, both detached."""

Rule = Callable[[Tensor, Tensor, Any, Any], None]
"""(w, g, lr, k); where a step is compiled, lr and k are tensors () that stand for every step's."""
Slots = dict[str, Tensor]


class Optimizer(Protocol):
    """What the loop needs of an optimizer; `reads_objective` says whether it is more to it than its gradient."""

    reads_objective: bool

    def step(self, evaluate: Evaluate, lr: float, k: int) -> Tensor:
        """Moves the weights; returns the outputs of the first evaluation."""

    def tensors(self) -> dict[str, Tensor]:
        """Its state, live; with `numbers` all that a resume needs."""

    def numbers(self) -> dict[str, Any]:
        """The part of its state that is no tensor, JSON-safe."""

    def load(self, tensors: dict[str, Tensor], numbers: dict[str, Any]) -> None:
        """Puts a state back."""


class FirstOrder:
    """An optimizer that evaluates once a step, between `begin` and `update`; its state are the rule's own slots."""

    reads_objective = False

    def __init__(self, flat: FlatParameters, rule: Rule, slots: Slots) -> None:
        self._flat = flat
        self._rule = rule
        self._slots = slots

    def step(self, evaluate: Evaluate, lr: float, k: int) -> Tensor:
        self.begin()
        _, outputs = evaluate()
        self.update(lr, k)
        return outputs

    def begin(self) -> None:
        """Puts the weights where the gradient is to be taken."""

    def give_up(self) -> None:
        """Puts the weights back to where they were before `begin`: no update follows."""

    def update(self, lr: float | Tensor, k: int | Tensor) -> None:
        """Moves the weights by the gradients in the flat buffer; tensors () are numbers of a step that is compiled."""
        self._rule(self._flat.values, self._flat.gradients, lr, k)

    def tensors(self) -> dict[str, Tensor]:
        return self._slots

    def numbers(self) -> dict[str, Any]:
        return {}

    def load(self, tensors: dict[str, Tensor], numbers: dict[str, Any]) -> None:  # noqa: ARG002 - it has none
        for name, slot in self._slots.items():
            slot.copy_(tensors[name])


class LookAhead(FirstOrder):
    """Nesterov's momentum as textbooks have it: the gradient is taken where the velocity would carry the weights."""

    def __init__(self, flat: FlatParameters, rule: Rule, slots: Slots, momentum: float) -> None:
        super().__init__(flat, rule, slots)
        self._momentum = momentum

    def begin(self) -> None:
        self._here = self._flat.values.clone()
        self._flat.values.add_(self._slots["v"], alpha=self._momentum)

    def give_up(self) -> None:
        self._flat.values.copy_(self._here)

    def update(self, lr: float | Tensor, k: int | Tensor) -> None:
        self.give_up()
        super().update(lr, k)


def build_optimizer(optimizer: spec.Optimizer, flat: FlatParameters) -> Optimizer:
    """The optimizer of a spec at work on `flat`."""
    if isinstance(optimizer, spec.LBFGS):
        return LBFGS(optimizer, flat)
    if isinstance(optimizer, spec.Muon):
        return FirstOrder(flat, *muon(optimizer, flat))
    rule, slots = RULES[type(optimizer)](optimizer, flat.values)
    if isinstance(optimizer, spec.SGD) and optimizer.nesterov and optimizer.form == "textbook":
        return LookAhead(flat, rule, slots, optimizer.momentum)
    return FirstOrder(flat, rule, slots)


def _sgd(o: spec.SGD, w: Tensor) -> tuple[Rule, Slots]:
    v = torch.zeros_like(w) if o.momentum else torch.empty(0)

    def rule(w: Tensor, g: Tensor, lr: float, k: int) -> None:
        if o.weight_decay:
            g.add_(w, alpha=o.weight_decay)
        if not o.momentum:
            w.add_(g, alpha=-lr)
            return
        # the first step takes the whole gradient, whatever the dampening
        share = 1 - o.dampening if o.dampening and k > 1 else 1.0
        if o.form == "textbook":
            w.add_(v.mul_(o.momentum).add_(g, alpha=-lr * share))
            return
        v.mul_(o.momentum).add_(g, alpha=share)
        w.add_(g.add_(v, alpha=o.momentum) if o.nesterov else v, alpha=-lr)

    return rule, {"v": v} if o.momentum else {}


def _rmsprop(o: spec.RMSprop, w: Tensor) -> tuple[Rule, Slots]:
    slots = {"mean_square": torch.zeros_like(w)}
    square = slots["mean_square"]
    mean = slots.setdefault("mean", torch.zeros_like(w)) if o.centered else None
    v = slots.setdefault("v", torch.zeros_like(w)) if o.momentum else None

    def rule(w: Tensor, g: Tensor, lr: float, k: int) -> None:  # noqa: ARG001 - the same at every step
        if o.weight_decay:
            g.add_(w, alpha=o.weight_decay)
        square.mul_(o.alpha).addcmul_(g, g, value=1 - o.alpha)
        variance = square if mean is None else square.addcmul(mean.lerp_(g, 1 - o.alpha), mean, value=-1)
        root = variance.add(o.eps).sqrt_() if o.eps_inside_root else variance.sqrt().add_(o.eps)
        if v is None:
            w.addcdiv_(g, root, value=-lr)
        else:
            w.add_(v.mul_(o.momentum).addcdiv_(g, root), alpha=-lr)

    return rule, slots


def _adam(o: spec.Adam | spec.AdamW, w: Tensor) -> tuple[Rule, Slots]:
    slots = {"m": torch.zeros_like(w), "v": torch.zeros_like(w)}
    m, v = slots["m"], slots["v"]
    greatest = [slots.setdefault("greatest_v", torch.zeros_like(w))] if o.amsgrad else []
    b1, b2 = o.betas
    # one kernel in place of six: these two are what most runs use
    kernel = torch._fused_adamw_ if isinstance(o, spec.AdamW) else torch._fused_adam_
    count = torch.zeros((), dtype=torch.float32, device=w.device)
    # the lists that the kernel takes, made once
    ws, gs, ms, vs, counts = [w], [w], [m], [v], [count]

    def rule(w: Tensor, g: Tensor, lr: float, k: int) -> None:
        if isinstance(lr, Tensor):
            _plain_adam(o, (w, g, m, v, *greatest), lr, k)
            return
        ws[0], gs[0] = w, g
        count.fill_(k)
        kernel(
            ws,
            gs,
            ms,
            vs,
            greatest,
            counts,
            lr=lr,
            beta1=b1,
            beta2=b2,
            weight_decay=o.weight_decay,
            eps=o.eps,
            amsgrad=o.amsgrad,
            maximize=False,
        )

    return rule, slots


def _plain_adam(o: spec.Adam | spec.AdamW, tensors: tuple[Tensor, ...], lr: Tensor, k: Any) -> None:
    """Adam in plain operations, which a compiler makes one of its own of."""
    w, g, m, v, *greatest = tensors
    b1, b2 = o.betas
    if o.weight_decay and isinstance(o, spec.AdamW):
        w.mul_(1 - lr * o.weight_decay)
    elif o.weight_decay:
        g.add_(w, alpha=o.weight_decay)
    m.lerp_(g, 1 - b1)
    v.mul_(b2).addcmul_(g, g, value=1 - b2)
    for most in greatest:
        torch.maximum(most, v, out=most)
    root = (greatest[0] if greatest else v).sqrt().div_((1 - b2**k).sqrt()).add_(o.eps)
    w.addcdiv_(m, root, value=-lr / (1 - b1**k))


def _nadam(o: spec.NAdam, w: Tensor) -> tuple[Rule, Slots]:
    # the product of all mu so far, in double like the Python numbers that it is made of
    slots = {"m": torch.zeros_like(w), "v": torch.zeros_like(w), "mu_product": torch.ones((), dtype=torch.float64)}
    m, v, product = slots["m"], slots["v"], slots["mu_product"]
    b1, b2 = o.betas

    def rule(w: Tensor, g: Tensor, lr: float, k: int) -> None:
        if o.weight_decay:
            g.add_(w, alpha=o.weight_decay)
        mu = b1 * (1 - 0.5 * 0.96 ** (k * o.momentum_decay))
        mu_next = b1 * (1 - 0.5 * 0.96 ** ((k + 1) * o.momentum_decay))
        so_far = float(product.mul_(mu))
        m.lerp_(g, 1 - b1)
        v.mul_(b2).addcmul_(g, g, value=1 - b2)
        root = v.div(1 - b2**k).sqrt_().add_(o.eps)
        w.addcdiv_(g, root, value=-lr * (1 - mu) / (1 - so_far))
        w.addcdiv_(m, root, value=-lr * mu_next / (1 - so_far * mu_next))

    return rule, slots


def _radam(o: spec.RAdam, w: Tensor) -> tuple[Rule, Slots]:
    slots = {"m": torch.zeros_like(w), "v": torch.zeros_like(w)}
    m, v = slots["m"], slots["v"]
    b1, b2 = o.betas
    rho_inf = 2 / (1 - b2) - 1

    def rule(w: Tensor, g: Tensor, lr: float, k: int) -> None:
        if o.weight_decay:
            g.add_(w, alpha=o.weight_decay)
        m.lerp_(g, 1 - b1)
        v.mul_(b2).addcmul_(g, g, value=1 - b2)
        rho = rho_inf - 2 * k * b2**k / (1 - b2**k)
        step = -lr / (1 - b1**k)
        if rho <= 5:
            # the variance of v is not known yet: momentum alone
            w.add_(m, alpha=step)
            return
        rectified = (rho - 4) * (rho - 2) * rho_inf / ((rho_inf - 4) * (rho_inf - 2) * rho)
        w.addcdiv_(m, v.sqrt().add_(o.eps), value=step * math.sqrt(rectified * (1 - b2**k)))

    return rule, slots


def _adagrad(o: spec.Adagrad, w: Tensor) -> tuple[Rule, Slots]:
    total = torch.full_like(w, o.initial_accumulator)

    def rule(w: Tensor, g: Tensor, lr: float, k: int) -> None:
        if o.weight_decay:
            g.add_(w, alpha=o.weight_decay)
        total.addcmul_(g, g)
        w.addcdiv_(g, total.sqrt().add_(o.eps), value=-lr / (1 + (k - 1) * o.lr_decay))

    return rule, {"sum_of_squares": total}


def _adadelta(o: spec.Adadelta, w: Tensor) -> tuple[Rule, Slots]:
    slots = {"mean_square": torch.zeros_like(w), "mean_square_step": torch.zeros_like(w)}
    square, moved = slots["mean_square"], slots["mean_square_step"]

    def rule(w: Tensor, g: Tensor, lr: float, k: int) -> None:  # noqa: ARG001 - the same at every step
        if o.weight_decay:
            g.add_(w, alpha=o.weight_decay)
        square.mul_(o.rho).addcmul_(g, g, value=1 - o.rho)
        delta = moved.add(o.eps).sqrt_().div_(square.add(o.eps).sqrt_()).mul_(g)
        moved.mul_(o.rho).addcmul_(delta, delta, value=1 - o.rho)
        w.add_(delta, alpha=-lr)

    return rule, slots


def _adamax(o: spec.Adamax, w: Tensor) -> tuple[Rule, Slots]:
    slots = {"m": torch.zeros_like(w), "u": torch.zeros_like(w)}
    m, u = slots["m"], slots["u"]
    b1, b2 = o.betas

    def rule(w: Tensor, g: Tensor, lr: float, k: int) -> None:
        if o.weight_decay:
            g.add_(w, alpha=o.weight_decay)
        m.lerp_(g, 1 - b1)
        torch.maximum(u.mul_(b2), g.abs_().add_(o.eps), out=u)
        w.addcdiv_(m, u, value=-lr / (1 - b1**k))

    return rule, slots


RULES: dict[type[Any], Callable[[Any, Tensor], tuple[Rule, Slots]]] = {
    spec.SGD: _sgd,
    spec.RMSprop: _rmsprop,
    spec.Adam: _adam,
    spec.AdamW: _adam,
    spec.NAdam: _nadam,
    spec.RAdam: _radam,
    spec.Adagrad: _adagrad,
    spec.Adadelta: _adadelta,
    spec.Adamax: _adamax,
}
