"""From the location that pydantic gives a fault to the path in the document that the user sent.

pydantic names the chosen member of a union in its locations (`network.layers.3.linear.units`); the document has no such
level. Walking the types beside the location tells the two apart, and finds the model whose fields were meant.
"""

from __future__ import annotations

import types
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel, Tag

from core.spec.findings import Path


@dataclass(frozen=True, slots=True)
class Location:
    """Where a fault is: `owner` is the model that holds it, `union_at` the path's length at a union of plain types."""

    path: Path
    owner: type[BaseModel] | None
    union_at: int | None


def locate(root: type[BaseModel], loc: tuple[str | int, ...], document: Any = None) -> Location:
    """The path in the document of a pydantic location; a field that stands there under a synonym is named so."""
    node: Any = root
    owner: type[BaseModel] | None = None
    path: list[str | int] = []
    union_at: int | None = None
    for index, part in enumerate(loc):
        node = _plain(node)
        members = union_members(node)
        if members and all(_model(member) for member in members):
            node = next((member for member in members if part == tag_of(member)), Any)
        elif members:
            union_at = len(path)
            node = _member_for(members, loc[index + 1 :])
        elif model := _model(node):
            owner = model
            field = model.model_fields.get(str(part))
            node = field.annotation if field else Any
            path.append(_as_written(model, part, at(document, path)))
        elif part != "[key]":
            node = _element(node)
            path.append(part)
    return Location(tuple(path), owner, union_at)


def at(document: Any, path: Sequence[str | int]) -> Any:
    """What stands in a document at a path, None where nothing does."""
    for part in path:
        if isinstance(document, dict):
            document = document.get(part)
        elif isinstance(document, list) and isinstance(part, int) and part < len(document):
            document = document[part]
        else:
            return None
    return document


def _as_written(model: type[BaseModel], part: str | int, holder: Any) -> str | int:
    """The name under which a field stands in its object."""
    if not isinstance(holder, dict) or part in holder:
        return part
    synonyms: Mapping[str, str] = getattr(model, "synonyms", {})
    return next((theirs for theirs, ours in synonyms.items() if ours == part and theirs in holder), part)


def union_members(node: Any) -> tuple[Any, ...]:
    """The members of a union but None; nothing for anything else, an optional type among them."""
    node = _plain(node)
    if get_origin(node) not in (Union, types.UnionType):
        return ()
    return tuple(each for each in get_args(node) if each is not types.NoneType)


def tag_of(member: Any) -> str:
    """What a member of a tagged union is called in a document: its `type`, or the tag it was given."""
    for extra in get_args(member)[1:] if get_origin(member) is Annotated else ():
        if isinstance(extra, Tag):
            return extra.tag
    model = _model(member)
    return str(model.model_fields["type"].default) if model and "type" in model.model_fields else ""


def _plain(node: Any) -> Any:
    """Without Annotated, and without the None of an optional type."""
    while True:
        if get_origin(node) is Annotated:
            node = get_args(node)[0]
        elif get_origin(node) in (Union, types.UnionType):
            members = [each for each in get_args(node) if each is not types.NoneType]
            if len(members) != 1:
                return node
            node = members[0]
        else:
            return node


def _model(node: Any) -> type[BaseModel] | None:
    node = _plain(node)
    return node if isinstance(node, type) and issubclass(node, BaseModel) else None


def _member_for(members: tuple[Any, ...], rest: tuple[str | int, ...]) -> Any:
    """The member of a union of plain types that the rest of the location leads into."""
    if not rest:
        return Any
    wanted = tuple if isinstance(rest[0], int) else dict
    return next((each for each in members if get_origin(_plain(each)) is wanted), Any)


def _element(node: Any) -> Any:
    arguments = get_args(_plain(node))
    if get_origin(_plain(node)) is dict:
        return arguments[1]
    return arguments[0] if arguments else Any
