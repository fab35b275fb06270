"""Which parts of an uploaded file are meant, for formats that hold more than one thing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from core.errors import FieldError, Invalid

TAKES: dict[str, tuple[str, ...]] = {
    "csv": (),
    "parquet": (),
    "npz": ("channels",),
    "npy": ("channels",),
    "root": ("tree", "label"),
    "hdf5": ("x", "y", "weight", "split", "table", "label", "channels"),
}
"""Every format that is read, and what a selection may say of it."""

CHANNELS = ("first", "last")
MAX_PARTS = 100


class Selection(NamedTuple):
    """Names in the order given; plain values, for the child that reads does not import pydantic.

    Several trees, tables or `x` are put below each other, `label` then names the class of each. `channels` says where
    images have that axis; they are stored with it in front.
    """

    tree: tuple[str, ...] = ()
    label: tuple[str, ...] = ()
    x: tuple[str, ...] = ()
    y: tuple[str, ...] = ()
    weight: tuple[str, ...] = ()
    split: tuple[str, ...] = ()
    table: tuple[str, ...] = ()
    channels: str = "first"

    def json(self) -> dict[str, list[str] | str]:
        return {name: value if isinstance(value, str) else list(value) for name, value in self._asdict().items()}

    @classmethod
    def of(cls, json: Mapping[str, list[str] | str]) -> Selection:
        """What `json` gave."""
        values = {name: value if isinstance(value, str) else tuple(value) for name, value in json.items()}
        return cls(**values)  # type: ignore[arg-type]  # written by `json` alone


WHOLE = Selection()
"""What is meant when nothing is said."""


def read_selection(format_name: str, given: Mapping[str, Sequence[str] | None]) -> Selection:
    """The selection that query parameters make, each repeated or with commas; Invalid with all that is wrong."""
    faults = []
    values: dict[str, tuple[str, ...]] = {}
    for name, texts in given.items():
        parts = tuple(part.strip() for text in texts or () for part in text.split(","))
        if not parts:
            continue
        if name not in TAKES[format_name]:
            expected = ", ".join(TAKES[format_name]) or "no such parameter"
            faults.append(_fault(name, f"received {name} for the format {format_name}, expected {expected}"))
        elif "" in parts or len(parts) > MAX_PARTS:
            faults.append(_fault(name, f"received {len(parts)} names, expected 1 to {MAX_PARTS}, none of them empty"))
        else:
            values[name] = parts
    channels = values.pop("channels", ("first",))
    if len(channels) > 1 or channels[0] not in CHANNELS:
        faults.append(_fault("channels", f"received {', '.join(channels)[:50]!r}, expected first or last"))
    selection = Selection(**values, channels=channels[0])
    faults += _disagreements(selection)
    if faults:
        raise Invalid("the parameters of the upload do not fit", errors=faults)
    return selection


def _disagreements(chosen: Selection) -> list[FieldError]:
    faults = []
    arrays = bool(chosen.x or chosen.y or chosen.weight or chosen.split)
    if chosen.table and arrays:
        faults.append(_fault("table", "received table and arrays together, expected one or the other"))
    parts = len(chosen.tree or chosen.table or chosen.x)
    if chosen.label and len(chosen.label) != parts:
        what = f"received {len(chosen.label)} labels for {parts} trees, tables or x"
        faults.append(_fault("label", f"{what}, expected one for each; do name them in the same order"))
    if chosen.label and chosen.y:
        faults.append(_fault("label", "received label and y together, expected one: both say the class of each row"))
    for name in ("y", "weight", "split"):
        count = len(getattr(chosen, name))
        if count not in (0, max(1, len(chosen.x))):
            faults.append(_fault(name, f"received {count} names for {max(1, len(chosen.x))} x, expected as many"))
    return faults


def _fault(name: str, detail: str) -> FieldError:
    return FieldError(f"/{name}", "bad_parameter", detail)


def unfit(name: str, detail: str, hint: str | None = None) -> Invalid:
    """The error for a parameter that names nothing in the file, with what there is in `detail`."""
    return Invalid(detail, code="bad_data", hint=hint, errors=[FieldError(f"/{name}", "not_in_the_file", detail)])
