"""The processes that answer questions about trained models; both are forked by the zygote.

`main` lives long and keeps models in memory: one JSON line in (`{"id", "content", "request"}`), one out
(`{"id", "answer"}` or `{"id", "error"}`). `export_main` writes one file and ends, so that a slow conversion
and the libraries it loads hold up no prediction and stay in no memory.
"""

from __future__ import annotations

from collections import OrderedDict
from pathlib import Path
from typing import Any

from core.engine.export import export
from core.engine.trained import TrainedModel, load_trained
from worker import posix
from worker.serving import serve

_MODELS = 32
_MODEL_BYTES = 1024**3


class Models:
    """The models used last, by their content; the file's size stands for what one takes in memory."""

    def __init__(self, most: int = _MODELS, most_bytes: int = _MODEL_BYTES) -> None:
        self._most, self._most_bytes = most, most_bytes
        self._loaded: OrderedDict[str, tuple[TrainedModel, int]] = OrderedDict()

    def get(self, sha256: str, content: Path) -> TrainedModel:
        """The model of this content, read from the file unless it is here already."""
        if sha256 not in self._loaded:
            self._loaded[sha256] = (load_trained(content), content.stat().st_size)
        self._loaded.move_to_end(sha256)
        while len(self._loaded) > 1 and self._too_many():
            self._loaded.popitem(last=False)
        return self._loaded[sha256][0]

    def _too_many(self) -> bool:
        return len(self._loaded) > self._most or sum(size for _, size in self._loaded.values()) > self._most_bytes


def main(control: int, events: int) -> int:
    """Answers until the control pipe closes, then ends at once whatever it is doing."""
    posix.set_name("netmill-predict")
    models = Models()

    def predict(question: dict[str, Any]) -> dict[str, Any]:
        request = question["request"]
        model = models.get(question["sha256"], Path(question["content"]))
        return model.predict(
            rows=request.get("rows"),
            inputs=request.get("inputs"),
            output=request.get("output") or "prediction",
            n=request.get("n"),
            seed=request.get("seed") or 0,
        )

    return serve(control, events, predict)


def export_main(control: int, events: int) -> int:
    """Writes one exported file and answers with nothing but that."""
    posix.set_name("netmill-export")

    def convert(question: dict[str, Any]) -> dict[str, Any]:
        export(Path(question["content"]), question["request"]["format"], Path(question["out"]))
        return {}

    return serve(control, events, convert)
