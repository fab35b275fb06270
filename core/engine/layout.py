"""How images lie in the memory of a GPU."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn


def with_channels_last(network: nn.Module) -> None:
    """Lets convolutions of images read and write them channel by channel within a pixel, as the matrix units of a GPU
    want them; pooling, norms and activations between them keep the order, which is no other number anywhere.

    It is the inputs that are turned, and weights are left as they lie: they are parts of the flat buffer, and a
    checkpoint is the same on every device. A convolution follows its input. On CPUs nothing is gained.
    """
    for module in network.modules():
        if isinstance(module, (nn.Conv2d, nn.ConvTranspose2d)):
            module.register_forward_pre_hook(_turned)


def _turned(_module: nn.Module, inputs: tuple[Any, ...]) -> tuple[Tensor]:
    return (inputs[0].contiguous(memory_format=torch.channels_last),)
