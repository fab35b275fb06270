"""Which kernel a module of the network has."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from core.engine.layer_types.activations import Swish
from core.engine.layer_types.norms import RMSNorm
from core.engine.steps.blocks import apart
from core.engine.steps.kernels import (
    Dropout,
    Elementwise,
    Flatten,
    Kernel,
    Linear,
    Parameter,
    Relu,
    Sigmoid,
    Tanh,
)
from core.engine.steps.norms import BatchNorm, RowNorm


@dataclass(frozen=True, slots=True)
class Site:
    """One layer of M networks: modules that are alike, their parameters by name, and where the layer stands."""

    modules: Sequence[nn.Module]
    parameters: dict[str, Parameter]
    draw: Callable[[Tensor], Tensor]
    """Makes the mask of the step under way for x."""
    is_first: bool
    """No layer before it learns."""
    may_overwrite: bool
    """Nobody else needs its input."""

    def affine(self) -> list[Parameter]:
        """gamma and beta of a norm, as far as it has them."""
        return [self.parameters[name] for name in ("weight", "bias") if name in self.parameters]


def _linear(site: Site) -> Kernel:
    return Linear(site.parameters["weight"], site.parameters.get("bias"), is_first=site.is_first)


def _row_norm(site: Site) -> Kernel:
    norm = site.modules[0]
    assert isinstance(norm, (nn.LayerNorm, nn.GroupNorm, RMSNorm))
    groups = norm.num_groups if isinstance(norm, nn.GroupNorm) else 1
    return RowNorm(site.affine(), groups=groups, eps=norm.eps, centred=not isinstance(norm, RMSNorm))


def _prelu(site: Site) -> Kernel:
    return Elementwise(lambda z, slope: torch.where(z > 0, z, slope * z), [site.parameters["weight"]])


def _swish(site: Site) -> Kernel:
    beta = site.modules[0].beta
    if site.parameters:
        return Elementwise(lambda z, beta: z * torch.sigmoid(apart(beta * z)), [site.parameters["beta"]])
    if beta == 1:
        return _activation(site)
    return Elementwise(lambda z: z * torch.sigmoid(apart(beta * z)))


def _activation(site: Site) -> Kernel:
    return Elementwise(site.modules[0])


_OTHER_ACTIVATIONS = (nn.LeakyReLU, nn.ELU, nn.SELU, nn.GELU, nn.Softplus, nn.Mish, nn.Hardtanh, nn.Softsign)

KERNELS: dict[type[nn.Module], Callable[[Site], Kernel]] = {
    nn.Linear: _linear,
    nn.Flatten: lambda _site: Flatten(),
    nn.Dropout: lambda site: Dropout(site.draw),
    nn.ReLU: lambda site: Relu(may_overwrite=site.may_overwrite),
    nn.Tanh: lambda _site: Tanh(),
    nn.Sigmoid: lambda _site: Sigmoid(),
    nn.PReLU: _prelu,
    Swish: _swish,
    **dict.fromkeys(_OTHER_ACTIVATIONS, _activation),
    nn.BatchNorm1d: lambda site: BatchNorm(site.modules, site.affine()),
    **dict.fromkeys((nn.LayerNorm, nn.GroupNorm, RMSNorm), _row_norm),
}
"""For samples of one axis."""


def gives_away(kernel: Kernel) -> bool:
    """Whether a kernel does not need its output again, so that the layer behind it may write over it."""
    return isinstance(kernel, (Linear, RowNorm, BatchNorm, Dropout))
