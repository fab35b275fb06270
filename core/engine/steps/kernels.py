"""Forward and backward of each kind of layer, written out for a stack of networks of one architecture.

Legend: M networks, N rows each, F features; x and y are (M, N, F), g the objective's gradient with respect to y.
`forward` keeps what `backward` needs; `backward` writes the gradients of the layer's own parameters into the stack and
returns the gradient with respect to x; `infer` is the layer in evaluation mode.

What one network of a stack comes to must not depend, not by a bit, on how many others are in it. Sums, exp and tanh are
so by themselves. Other functions round the last few values of a memory block differently, where the processor's vectors
no longer fit, and matrix products by where a block begins in its line of 64 bytes: there each network gets a block of
its own that begins as it would alone (`apart`, `in_line`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol

import torch
from torch import Tensor

from core.engine.steps.blocks import LINE_BYTES, apart, in_line
from core.engine.steps.products import by_blas, product_for


class Kernel(Protocol):
    """One layer of a stack."""

    def forward(self, x: Tensor) -> Tensor: ...

    def infer(self, x: Tensor) -> Tensor:
        """y of a network that is used and not trained: nothing is kept, dropped or moved."""

    def backward(self, g: Tensor) -> Tensor: ...


Parameter = tuple[Tensor, Tensor]
"""(M, *shape) values of a parameter, and room for its gradients."""


class Linear:
    """y = x W' + b."""

    def __init__(self, weight: Parameter, bias: Parameter | None, *, is_first: bool) -> None:
        self._w, self._w_gradient = weight
        self._transposed = self._w.transpose(1, 2)
        self._is_first = is_first
        self._alone = len(self._w) == 1
        self._b = None if bias is None else bias[0].unsqueeze(1)
        self._b_gradient = None if bias is None else bias[1]
        self._rows = 0

    def forward(self, x: Tensor) -> Tensor:
        if not self._alone:
            x = in_line(x)
        if x.shape[1] != self._rows:
            self._choose(x.shape[1])
        self._x = x
        return self._times_weights(x, self._transposed, self._b)

    def infer(self, x: Tensor) -> Tensor:
        if not self._alone:
            x = in_line(x)
        return product_for(self._transposed, x.shape[1])(x, self._transposed, self._b)

    def backward(self, g: Tensor) -> Tensor:
        if not self._alone:
            g = in_line(g)
        if self._writes_in_place:
            torch.bmm(g.transpose(1, 2), self._x, out=self._w_gradient)
        else:
            self._w_gradient.copy_(self._times_rows(g.transpose(1, 2), self._x, None))
        if self._b_gradient is not None:
            torch.sum(g, 1, out=self._b_gradient)
        # nothing learns before the first linear layer
        return g if self._is_first else self._back(g, self._w, None)

    def _choose(self, rows: int) -> None:
        """Chooses how the products are computed for batches of so many rows."""
        networks, units, inputs = self._w.shape
        self._rows = rows
        self._times_weights = product_for(self._transposed, rows)
        self._back = product_for(self._w, rows)
        self._times_rows = product_for(self._w.new_empty(1).expand(networks, rows, inputs), units)
        starts_in_line = self._w_gradient.data_ptr() % LINE_BYTES == 0
        self._writes_in_place = self._alone and starts_in_line and self._times_rows is by_blas


class Relu:
    """max(x, 0); its derivative is told by y alone, so that y may stand where x did."""

    def __init__(self, *, may_overwrite: bool) -> None:
        self._function = torch.relu_ if may_overwrite else torch.relu

    def forward(self, x: Tensor) -> Tensor:
        self._y = self._function(x)
        return self._y

    def infer(self, x: Tensor) -> Tensor:
        return torch.relu(x)

    def backward(self, g: Tensor) -> Tensor:
        torch.ops.aten.threshold_backward.grad_input(g, self._y, 0, grad_input=g)
        return g


class Tanh:
    """tanh x, derivative 1 - y^2."""

    def forward(self, x: Tensor) -> Tensor:
        self._y = torch.tanh(x)
        return self._y

    def infer(self, x: Tensor) -> Tensor:
        return torch.tanh(x)

    def backward(self, g: Tensor) -> Tensor:
        return g.addcmul_(g * self._y, self._y, value=-1)


class Sigmoid:
    """1/(1 + exp -x), derivative y (1 - y)."""

    def forward(self, x: Tensor) -> Tensor:
        self._y = apart(x).sigmoid()
        return self._y

    def infer(self, x: Tensor) -> Tensor:
        return apart(x).sigmoid()

    def backward(self, g: Tensor) -> Tensor:
        return g.mul_(self._y).addcmul_(g, self._y, value=-1)


@contextmanager
def _one_library() -> Iterator[None]:
    """PyTorch's own code for every layout: oneDNN's, where it may be used, rounds differently."""
    before = torch._C._get_mkldnn_enabled()  # noqa: SLF001 - its public form sets a dozen other things, and warns
    torch._C._set_mkldnn_enabled(False)  # noqa: SLF001
    try:
        yield
    finally:
        torch._C._set_mkldnn_enabled(before)  # noqa: SLF001


class Elementwise:
    """Any other activation, by what autograd knows of this one function; `parameters` are those that it learns."""

    def __init__(self, function: Callable[..., Tensor], parameters: Sequence[Parameter] = ()) -> None:
        self._function = function
        self._parameters = [values for values, _ in parameters]
        self._gradients = [gradients for _, gradients in parameters]

    def forward(self, x: Tensor) -> Tensor:
        with torch.enable_grad(), _one_library():
            self._inputs = [apart(x).detach().requires_grad_()]
            self._inputs += [p.detach().reshape(len(x), 1, -1).requires_grad_() for p in self._parameters]
            self._y = self._function(*self._inputs)
        return self._y.detach()

    def infer(self, x: Tensor) -> Tensor:
        with torch.no_grad(), _one_library():
            return self._function(apart(x), *(p.reshape(len(x), 1, -1) for p in self._parameters))

    def backward(self, g: Tensor) -> Tensor:
        with _one_library():
            first, *others = torch.autograd.grad(self._y, self._inputs, apart(g))
        for room, gradient in zip(self._gradients, others, strict=True):
            room.copy_(gradient.reshape(room.shape))
        return first.contiguous()


class Dropout:
    """x times a mask that `draw` makes for the step under way."""

    def __init__(self, draw: Callable[[Tensor], Tensor]) -> None:
        self._draw = draw

    def forward(self, x: Tensor) -> Tensor:
        self._mask = self._draw(x)
        return x * self._mask

    def infer(self, x: Tensor) -> Tensor:
        return x

    def backward(self, g: Tensor) -> Tensor:
        return g.mul_(self._mask)


class Flatten:
    """(M, N, ...) to (M, N, F)."""

    def forward(self, x: Tensor) -> Tensor:
        self._shape = x.shape
        return x.flatten(2)

    def infer(self, x: Tensor) -> Tensor:
        return x.flatten(2)

    def backward(self, g: Tensor) -> Tensor:
        return g.view(self._shape)
