"""Images turned for a GPU: the same network, its checkpoint included."""

from __future__ import annotations

import copy

import torch
from torch import nn

from core.engine.checkpoint import network_tensors
from core.engine.flat import FlatParameters
from core.engine.layout import with_channels_last


def test_convolutions_see_channels_last_and_nothing_else_changes() -> None:
    torch.manual_seed(0)
    plain = nn.Sequential(
        nn.Conv2d(2, 4, 3, padding=1),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.ConvTranspose2d(4, 3, 3),
        nn.Flatten(),
        nn.Linear(147, 2),
    ).double()
    turned = copy.deepcopy(plain)
    with_channels_last(turned)
    flats = FlatParameters(plain), FlatParameters(turned)
    seen: list[torch.Tensor] = []
    turned[4].register_forward_hook(lambda _module, inputs, _output: seen.append(inputs[0]))
    x = torch.randn(5, 2, 10, 10, dtype=torch.float64)
    outputs = [network(x) for network in (plain, turned)]
    torch.testing.assert_close(*outputs)
    assert seen[0].is_contiguous(memory_format=torch.channels_last)
    assert not seen[0].is_contiguous()
    for output in outputs:
        output.square().sum().backward()
    torch.testing.assert_close(flats[0].gradients, flats[1].gradients)
    assert torch.equal(flats[0].values, flats[1].values)
    assert network_tensors(plain).keys() == network_tensors(turned).keys()
