"""The specs that stand in the lecture's pages, each with the picture that the service makes of it.

A block begins with ```json and, where it has a picture, the picture's recipe in the same line, which no reader of the
page sees: {"image": "images/depth.png", "of": {"type": "layers"}}. `of` is `curves` (default), `layers`, or the
request of an analysis; a block that is a request to the lab needs none. Curves may have a `change`: {"after_epoch": 30,
"to": {...}} is what PATCH is given then.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

FOLDER = Path(__file__).resolve().parents[1] / "docs" / "lecture"
_BLOCK = re.compile(r"^```json *(\{[^\n]*\})?\n(.*?)^```", flags=re.DOTALL | re.MULTILINE)

Kind = Literal["job", "optimizers", "init", "activations"]


@dataclass(frozen=True, slots=True)
class Block:
    """One spec of a page; `image` is None where no picture is made of it."""

    page: str
    number: int
    body: dict[str, Any]
    image: Path | None
    of: dict[str, Any]

    @property
    def kind(self) -> Kind:
        """What the body is: a job's spec, or a request to one of the lab's two benches."""
        if "network" in self.body and "data" in self.body and "optimizers" not in self.body:
            return "job"
        return "init" if "combinations" in self.body else "optimizers" if "optimizers" in self.body else "activations"

    def __str__(self) -> str:
        return f"{self.page}-{self.number}"


def read_blocks(folder: Path = FOLDER) -> list[Block]:
    """Every JSON block of every page, in order."""
    return [block for page in sorted(folder.glob("*.md")) for block in _of_page(page)]


def _of_page(page: Path) -> list[Block]:
    blocks = []
    for number, (recipe, body) in enumerate(_BLOCK.findall(page.read_text("utf-8")), 1):
        told = json.loads(recipe) if recipe else {}
        image = page.parent / told["image"] if "image" in told else None
        blocks.append(Block(page.stem, number, json.loads(body), image, told.get("of", {"type": "curves"})))
    return blocks


def digest(body: dict[str, Any], of: dict[str, Any]) -> str:
    """What a picture is of, in short: it stands in the file and tells when the picture is of an older spec."""
    return hashlib.sha256(json.dumps([body, of], sort_keys=True).encode()).hexdigest()[:16]
