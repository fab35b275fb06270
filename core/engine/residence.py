"""Where the rows of a run stand: on its device as long as they leave enough of it free, else in the host's memory."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

_MOST_OF_FREE = 0.6
"""What rows may take of the memory that is free; the rest is for activations, the optimizer and other runs."""

CPU = torch.device("cpu")


def free_bytes(device: torch.device) -> int:
    """Bytes of a GPU that nobody has taken yet, or that PyTorch keeps for this process and nothing uses."""
    unused = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return torch.cuda.mem_get_info(device)[0] + unused


def home_of(num_bytes: int, device: torch.device, free: Callable[[torch.device], int] = free_bytes) -> torch.device:
    """The device for rows of so many bytes that fit there, the CPU for others; a CPU has all rows in any case."""
    if device.type == "cpu" or num_bytes <= _MOST_OF_FREE * free(device):
        return device
    return CPU


def is_home(rows: Tensor, device: torch.device) -> bool:
    """Whether rows stand on the device that computes; a run has one of a type, whose number is not always said."""
    return rows.device.type == device.type


def sent(rows: Tensor, device: torch.device) -> Tensor:
    """Some rows on the device that computes; those of a GPU are on their way while the host goes on.

    A copy that waits for nobody has to start in pinned memory, which PyTorch lends again once the copy is done.
    """
    if is_home(rows, device):
        return rows
    return (rows.pin_memory() if device.type == "cuda" else rows).to(device, non_blocking=True)
