"""Machine code for a function of tensors, by PyTorch's inductor and the C++ compiler of this machine.

Importing this takes a second or two, so that only what compiles does it, by name.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, cast
from unittest import mock

import torch
from torch import Tensor
from torch._inductor import config
from torch._inductor.compile_fx import compile_fx
from torch._inductor.runtime.cache_dir_utils import cache_dir
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.fx import GraphModule
from torch.fx.experimental.proxy_tensor import make_fx

from core.engine.code_cache import using

# Everything in C++, the calls of one piece of code after another too; in this process alone; kept for the next run.
# Headers of PyTorch that are compiled ahead take 300 MB, and longer than a run's own code does without them.
_OPTIONS = {
    "cpp_wrapper": True,
    "compile_threads": 1,
    "fx_graph_cache": True,
    "cpp_cache_precompile_headers": False,
}


def compiled(
    function: Callable[..., tuple[Tensor, ...]], examples: Sequence[Tensor], compiler: str
) -> Callable[..., tuple[Tensor, ...]]:
    """The function as machine code for tensors of the shapes of `examples`, which it does not touch.

    `compiler` names what compiles: code of another is not taken from the cache.
    """
    # under `no_grad`, as the caller of a step has it
    with torch.no_grad(), using(Path(cache_dir())), _cache_of(compiler), config.patch(_OPTIONS):
        graph = make_fx(function)(*(each.clone() for each in examples))
        _describe_inputs(graph, examples)
        return cast("Callable[..., tuple[Tensor, ...]]", compile_fx(graph, list(examples)))


def _describe_inputs(graph: GraphModule, examples: Sequence[Tensor]) -> None:
    """Tells the compiler what comes in, in one description of tensors without their memory."""
    mode = FakeTensorMode()
    given = iter(examples)
    for node in graph.graph.nodes:
        node.meta.clear()
        if node.op == "placeholder":
            node.meta["val"] = mode.from_tensor(next(given))


def _cache_of(compiler: str) -> AbstractContextManager[Any]:
    name = hashlib.sha256(f"{torch.__version__} {compiler}".encode()).hexdigest()[:16]
    return mock.patch.dict(os.environ, {"TORCHINDUCTOR_CACHE_DIR": str(Path(cache_dir()) / name)})
