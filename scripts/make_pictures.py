"""`make pictures`: trains the zoo and the specs of the lecture's pages on a service, and keeps the pictures it makes.

Only what is missing or of an older spec is made; names on the command line choose some of them (moons_hidden, depth-1).
"""

from __future__ import annotations

import io
import sys
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from rich.console import Console

from core.spec.zoo import list_specs, picture_path
from scripts.local_service import service
from scripts.pages import Kind, digest, read_blocks

_STAMP = "netmill"
_COLOURS = 256
_TIMEOUT_S = 1800


@dataclass(frozen=True, slots=True)
class Order:
    """A picture to be made: of what, and where it goes."""

    name: str
    kind: Kind
    body: dict[str, Any]
    of: dict[str, Any]
    path: Path

    @property
    def stamp(self) -> str:
        return digest(self.body, self.of)

    @property
    def suffix(self) -> str:
        return self.path.suffix


def orders() -> list[Order]:
    """Every picture of the zoo and of the lecture."""
    zoo = [
        Order(entry["name"], "job", entry["spec"], entry["picture"], picture_path(entry["name"]))
        for entry in list_specs()
    ]
    lecture = [
        Order(str(block), block.kind, block.body, block.of, block.image) for block in read_blocks() if block.image
    ]
    return zoo + lecture


def stamp_of(path: Path) -> str | None:
    """The digest that a picture bears; None when there is no picture."""
    if not path.exists():
        return None
    if path.suffix == ".svg":
        return path.read_text("utf-8").rpartition(f"<!-- {_STAMP} ")[2].partition(" ")[0]
    with Image.open(path) as image:
        stamp: str | None = image.info.get(_STAMP)
        return stamp


def main(names: Iterable[str]) -> int:
    """The exit status: 1 when a picture could not be made."""
    console, wanted = Console(), set(names)
    open_orders = [
        order for order in orders() if order.name in wanted or (not wanted and stamp_of(order.path) != order.stamp)
    ]
    if not open_orders:
        console.print("every picture is there and of its spec")
        return 0
    failed = 0
    with tempfile.TemporaryDirectory(prefix="netmill-pictures-") as folder, service(Path(folder), console) as url:
        client = httpx.Client(base_url=url, timeout=_TIMEOUT_S)
        for order in open_orders:
            try:
                picture = _MAKERS[order.kind](client, order)
            except (httpx.HTTPError, RuntimeError) as error:
                console.print(f"[red]{order.name}: {error}[/]", highlight=False)
                failed += 1
                continue
            order.path.parent.mkdir(parents=True, exist_ok=True)
            size = _keep(picture, order)
            console.print(f"{order.name}: {order.path.name}, {size / 1000:.0f} kB", highlight=False)
    return 1 if failed else 0


def _of_job(client: httpx.Client, order: Order) -> bytes:
    job = _sound(client.post("/v1/jobs", json=order.body)).json()
    if "change" in order.of:
        _change(client, job["id"], order.of["change"])
    while not job["terminal"]:
        job = _sound(client.get(f"/v1/jobs/{job['id']}", params={"wait": 30})).json()
    # a run that was meant to diverge has its curves all the same
    if job["status"] == "failed" and order.of["type"] not in ("curves", "layers"):
        raise RuntimeError(f"the job failed: {job['error']['detail']}")
    root = f"/v1/jobs/{job['id']}"
    if order.of["type"] in ("curves", "layers"):
        name = "plot" if order.of["type"] == "curves" else "layers"
        return _sound(client.get(f"{root}/{name}{order.suffix}")).content
    return _of_answer(client, f"{root}/analyses", order.of, order.suffix)


def _change(client: httpx.Client, job_id: str, change: dict[str, Any]) -> None:
    """Changes the run once `after_epoch` epochs are over: at a step that depends on how quick the machine is."""
    after, query = 0, {"wait": 10, "limit": 1000}
    while True:
        page = _sound(client.get(f"/v1/jobs/{job_id}/metrics", params={"after": after, **query})).json()
        if page["data"] and page["data"][-1]["epoch"] >= change["after_epoch"]:
            break
        after = page["next_after"]
    _sound(client.patch(f"/v1/jobs/{job_id}", json=change["to"]))


def _of_lab(client: httpx.Client, order: Order) -> bytes:
    return _of_answer(client, f"/v1/lab/{order.kind}", order.body, order.suffix)


def _of_answer(client: httpx.Client, path: str, request: dict[str, Any], suffix: str) -> bytes:
    """The picture of an analysis or of an experiment, once it is answered."""
    answer = _sound(client.post(path, json=request, params={"wait": 60})).json()
    while answer["status"] in ("queued", "running"):
        answer = _sound(client.get(answer["links"]["self"], params={"wait": 30})).json()
    if answer["status"] != "succeeded":
        raise RuntimeError(f"no picture: {answer['error']}")
    return _sound(client.get(answer["links"][suffix[1:]])).content


_MAKERS: dict[Kind, Callable[[httpx.Client, Order], bytes]] = {
    "job": _of_job,
    "optimizers": _of_lab,
    "init": _of_lab,
    "activations": _of_lab,
}


def _sound(response: httpx.Response) -> httpx.Response:
    if response.is_error:
        raise RuntimeError(f"{response.request.method} {response.request.url.path}: {response.text[:1000]}")
    return response


def _keep(picture: bytes, order: Order) -> int:
    """Writes the picture with its stamp, a PNG with few colours; the bytes written."""
    if order.suffix == ".svg":
        order.path.write_bytes(picture.rstrip() + f"\n<!-- {_STAMP} {order.stamp} -->\n".encode())
    else:
        info = PngInfo()
        info.add_text(_STAMP, order.stamp)
        with Image.open(io.BytesIO(picture)) as image:
            # the rarest colours are those of the points: they are kept, where the median cut would mix them away
            few = image.convert("RGB").quantize(_COLOURS, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
            few.save(order.path, optimize=True, pnginfo=info)
    return order.path.stat().st_size


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
