"""Independent random streams from one seed: each is a pure function of the seed and of what it is for."""

from __future__ import annotations

import hashlib

import torch
from torch import Tensor


def derived_seed(seed: int, purpose: str, index: int = 0) -> int:
    """A seed of 63 bits for one use; nothing that is drawn elsewhere moves it."""
    digest = hashlib.sha256(f"{seed}/{purpose}/{index}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def generator(seed: int, purpose: str, index: int = 0) -> torch.Generator:
    """A generator of its own on the CPU, so that the numbers are the same on every device."""
    return torch.Generator().manual_seed(derived_seed(seed, purpose, index))


def seed_process(seed: int, device: torch.device) -> None:
    """Seeds the generators that layers draw from: the CPU's and, for a run on one, the GPU's.

    `torch.manual_seed` seeds those of all devices and, without any, writes down who asked: a third of a millisecond.
    """
    torch.default_generator.manual_seed(seed)
    if device.type == "cuda":
        torch.cuda.manual_seed(seed)


def epoch_order(seed: int, epoch: int, rows: int) -> Tensor:
    """The order of the training rows in an epoch, (rows,) int64: known without having run the epochs before."""
    return torch.randperm(rows, generator=generator(seed, "order", epoch))
