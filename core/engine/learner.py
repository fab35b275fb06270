"""The objective of one batch and its gradients."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from core.engine.auxiliary import adding_to_loss, take_extra_loss
from core.engine.flat import FlatParameters
from core.engine.losses import Loss
from core.engine.mixed import Mixed
from core.spec.training import RegularizationSpec

# What `Tensor.backward` ends in, without the checks before it: they cost a fifth of a small network's step.
_backward = torch.autograd.Variable._execution_engine.run_backward  # noqa: SLF001


class Learner:
    """Forward, backward, penalties, clipping; `gradient_norm` is that of the last call, before clipping.

    `extra_loss` is what layers added to the objective of the last call (KL of a latent code, sparsity), None without.
    """

    def __init__(
        self,
        network: nn.Module,
        flat: FlatParameters,
        loss: Loss,
        penalties: RegularizationSpec,
        *,
        clip_norm: float | None = None,
        clip_value: float | None = None,
        mixed: Mixed | None = None,
    ) -> None:
        self.network = network
        self.flat = flat
        self.loss = loss
        self.gradient_norm: Tensor | None = None
        self.extra_loss: Tensor | None = None
        self._adding = adding_to_loss(network)
        self.after_backward: Callable[[Tensor], None] | None = None
        """Called with the batch's loss when its gradients stand in `flat.gradients`, before penalties and clipping."""
        self._l1, self._l2 = penalties.l1, penalties.l2
        self._clip_norm, self._clip_value = clip_norm, clip_value
        self._mixed = mixed
        self._scale = mixed.scale if mixed is not None else None
        # what the loss counts in the gradients that come back
        self._factor = torch.ones((), dtype=flat.values.dtype, device=flat.values.device)
        if self._scale is not None:
            self._factor = self._scale.factor
        self.has_penalty = bool(self._l1 or self._l2)
        self.has_clip = bool(clip_norm or clip_value)

    def gradients(self, x: Tensor, target: Tensor, weight: Tensor | None) -> tuple[Tensor, Tensor]:
        """The objective () and the outputs (N, ...); the gradients stand in `flat.gradients` afterwards."""
        loss, outputs = self.backward(x, target, weight)
        self.finish()
        return self.objective(loss), outputs

    def backward(self, x: Tensor, target: Tensor, weight: Tensor | None) -> tuple[Tensor, Tensor]:
        """The batch's loss () and the outputs (N, ...); its gradients stand in `flat.gradients`."""
        self.flat.gradients.zero_()
        outputs = self.network(x) if self._mixed is None else self._mixed.forward(self.network, x)
        loss = self.loss(outputs, target, weight)
        if self._adding:
            loss = loss + self._extra(weight)
        _backward((loss,), (self._factor,), False, False, (), allow_unreachable=True, accumulate_grad=True)
        if self._scale is not None:
            self._scale.unscale(self.flat.gradients)
        loss = loss.detach()
        if self.after_backward is not None:
            self.after_backward(loss)
        return loss, outputs.detach()

    def finish(self) -> None:
        """Adds the penalties' gradients to those of the batch's loss, and clips."""
        if self._scale is not None and self._scale.overflowed:
            # no numbers, whose length would spoil the epoch's mean
            self.gradient_norm = None
            return
        if self.has_penalty:
            self._add_penalty_gradients()
        if self.has_clip:
            self._clip()

    def objective(self, loss: Tensor) -> Tensor:
        """() the batch's loss and the penalties."""
        return loss + self.penalty() if self.has_penalty else loss

    def _extra(self, weight: Tensor | None) -> Tensor | float:
        """() what the layers add, weighed by row as the loss is."""
        each = take_extra_loss(self._adding)
        if each is None:
            return 0.0
        extra = self.loss.reduced(each, weight)
        self.extra_loss = extra.detach()
        return extra

    def penalty(self) -> Tensor:
        """l2 sum w^2 + l1 sum |w| over the weights, without biases and norms."""
        w = self.flat.values[: self.flat.num_matrix_values]
        return self._l2 * w.square().sum() + self._l1 * w.abs().sum()

    def _add_penalty_gradients(self) -> None:
        """d/dw of `penalty`, written out: cheaper than carrying it through the graph."""
        w = self.flat.values[: self.flat.num_matrix_values]
        g = self.flat.gradients[: self.flat.num_matrix_values]
        if self._l2:
            g.add_(w, alpha=2 * self._l2)
        if self._l1:
            g.add_(w.sign(), alpha=self._l1)

    def _clip(self) -> None:
        """Each component to [-value, value] first, then the whole to the length `norm`."""
        g = self.flat.gradients
        self.gradient_norm = torch.linalg.vector_norm(g)
        if self._clip_value:
            g.clamp_(-self._clip_value, self._clip_value)
        if self._clip_norm:
            length = torch.linalg.vector_norm(g) if self._clip_value else self.gradient_norm
            # as torch.nn.utils.clip_grad_norm_ has it
            g.mul_((self._clip_norm / (length + 1e-6)).clamp_max(1.0))
