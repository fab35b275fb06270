"""What a table of builders holds."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import nn

from core.spec.base import Shape

Builder = Callable[[Any, Shape], nn.Module]
"""From a layer of the spec and the shape of one sample to the module; its first values are set afterwards."""
