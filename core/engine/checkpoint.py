"""A run's state as two safetensors files: the model that leaves the house, and all else that a resume needs.

The bytes are a function of the run alone (no time, no path): the same run gives the same sha256.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any
from weakref import WeakKeyDictionary

import torch
from safetensors import safe_open
from safetensors.numpy import save
from torch import Tensor

from core.events import Checkpoint

FORMAT_VERSION = 1
# one key alone: safetensors keeps metadata in a hash map, whose order is not fixed
_KEY = "netmill"
_PLACES: WeakKeyDictionary[torch.nn.Module, list[tuple[str, dict[str, Any], str]]] = WeakKeyDictionary()
# of these a state has copies to begin with, which no step changes
_COPIES = ("rng.", "best.")


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Everything of a run at one step; the tensors are live until `frozen`."""

    epoch: int
    step: int
    content: dict[str, Tensor]
    content_meta: dict[str, Any]
    state: dict[str, Tensor]
    state_meta: dict[str, Any]
    is_best: bool = False
    monitor: str | None = None
    monitor_value: float | None = None
    end_of_epoch: bool = True

    def frozen(self, spare: Snapshot | None = None) -> Snapshot:
        """The same with copies of the tensors, for a run that goes on; they take the place of those of `spare`, a
        frozen one that nobody needs any more.
        """
        live = {name: tensor for name, tensor in self.state.items() if not name.startswith(_COPIES)}
        old = {**spare.state, **spare.content} if spare else {}
        # all of them in one call: a copy each costs as much as the arithmetic of a small step
        copies = copied({**live, **self.content}, old)
        content = {name: copies[name] for name in self.content}
        return replace(self, content=content, state={**self.state, **{name: copies[name] for name in live}})


def copied(tensors: dict[str, Tensor], spare: Mapping[str, Tensor] = MappingProxyType({})) -> dict[str, Tensor]:
    """Copies that later steps leave alone; in the tensors of `spare`, of the same run, that have their shapes."""
    sources = [tensor.detach() for tensor in tensors.values()]
    places = [spare[name] for name in tensors if name in spare]
    if [place.shape for place in places] == [source.shape for source in sources] and places:
        torch._foreach_copy_(places, sources)
    else:
        places = [source.clone() for source in sources]
    return dict(zip(tensors, places, strict=True))


def write_snapshot(snapshot: Snapshot, folder: Path) -> Checkpoint:
    """Writes the two files into `folder` and returns the event that names them."""
    content_path = folder / f"{snapshot.step:012d}.content.safetensors"
    state_path = folder / f"{snapshot.step:012d}.state.safetensors"
    return Checkpoint(
        epoch=snapshot.epoch,
        step=snapshot.step,
        content_path=str(content_path),
        content_sha256=_write(content_path, snapshot.content, snapshot.content_meta),
        state_path=str(state_path),
        state_sha256=_write(state_path, snapshot.state, snapshot.state_meta),
        is_best=snapshot.is_best,
        monitor=snapshot.monitor,
        monitor_value=snapshot.monitor_value,
        end_of_epoch=snapshot.end_of_epoch,
    )


def read_tensors(path: Path, device: str = "cpu") -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Tensors and metadata of a file that `write_snapshot` wrote; ValueError for a format of another version."""
    with safe_open(str(path), framework="pt", device=device) as file:
        meta: dict[str, Any] = json.loads((file.metadata() or {}).get(_KEY, "{}"))
        if meta.get("format_version") != FORMAT_VERSION:
            raise ValueError(f"{path.name}: format {meta.get('format_version')}, expected {FORMAT_VERSION}")
        # A copy each: within the file tensors lie at any address, and sums over unaligned memory round differently.
        return {name: file.get_tensor(name).clone() for name in file.keys()}, meta  # noqa: SIM118 - no dictionary


def read_meta(path: Path) -> dict[str, Any]:
    """Metadata of a file that `write_snapshot` wrote; no tensor is read."""
    with safe_open(str(path), framework="pt") as file:
        meta: dict[str, Any] = json.loads((file.metadata() or {}).get(_KEY, "{}"))
        return meta


def part(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """The tensors under `prefix.`, without it."""
    return {name[len(prefix) + 1 :]: tensor for name, tensor in tensors.items() if name.startswith(prefix + ".")}


def prefixed(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """The tensors with `prefix.` before their names."""
    return {f"{prefix}.{name}": tensor for name, tensor in tensors.items()}


def _write(path: Path, tensors: dict[str, Tensor], meta: dict[str, Any]) -> str:
    text = json.dumps({"format_version": FORMAT_VERSION, **meta}, allow_nan=False, separators=(",", ":"))
    arrays = {name: tensor.detach().cpu().contiguous().numpy() for name, tensor in tensors.items()}
    data = save(arrays, metadata={_KEY: text})
    path.write_bytes(data)
    return hashlib.sha256(data).hexdigest()


def network_tensors(network: torch.nn.Module) -> dict[str, Tensor]:
    """Every parameter and buffer by PyTorch's name, live."""
    if network not in _PLACES:
        _PLACES[network] = list(_places(network))
    return {name: holder[key].detach() for name, holder, key in _PLACES[network]}


def _places(network: torch.nn.Module) -> Iterator[tuple[str, dict[str, Any], str]]:
    """(name, where its module keeps it, its key there) of each tensor of `state_dict`, which is ten times as slow."""
    for name, value in network.state_dict().items():
        if isinstance(value, Tensor):
            path, _, key = name.rpartition(".")
            module = network.get_submodule(path)
            yield name, module._parameters if key in module._parameters else module._buffers, key  # noqa: SLF001
