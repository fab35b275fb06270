"""Results as plain JSON values: arrays as lists, what is not finite as None."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray


def json_safe(value: Any) -> Any:
    """The same with plain lists, numbers, texts and None; arrays and tensors may stand anywhere in it."""
    if isinstance(value, torch.Tensor):
        value = value.detach().cpu().numpy()
    if isinstance(value, np.ndarray):
        if value.dtype.kind != "f" or np.isfinite(value).all():
            return value.tolist()
        value = value.tolist()
    if isinstance(value, dict):
        return {str(key): json_safe(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [json_safe(each) for each in value]
    if isinstance(value, np.generic):
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value


def short(values: Any, digits: int = 5) -> NDArray[np.float64]:
    """The numbers to so many significant digits, for what is only looked at: pixels, points, grids."""
    x = np.asarray(values, dtype=np.float64)
    with np.errstate(all="ignore"):
        magnitude = np.where((x == 0) | ~np.isfinite(x), 0, np.floor(np.log10(np.abs(x))))
        decimals = 10.0 ** np.clip(digits - 1 - magnitude, -300, 300)
        rounded = np.round(x * decimals) / decimals
    return np.where(np.isfinite(rounded), rounded, x)
