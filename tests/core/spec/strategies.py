"""Random specs: a strategy for every model, made from its own fields so that a new field is tested by itself."""

from __future__ import annotations

import types
from functools import cache
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from core.spec.job import JobSpec

_BOUNDS = {"ge": "ge", "gt": "gt", "le": "le", "lt": "lt", "min_length": "min_length", "max_length": "max_length"}


@cache
def documents_of(model: type[BaseModel]) -> st.SearchStrategy[dict[str, Any]]:
    """JSON objects that the model accepts; optional fields are left out at random."""
    required = {name: values_of(_annotation(f)) for name, f in model.model_fields.items() if f.is_required()}
    tag = {"type": st.just(model.model_fields["type"].default)} if "type" in model.model_fields else {}
    if get_origin(_plain(model.model_fields.get("family", FieldInfo()).annotation)) is Literal:
        tag["family"] = st.just(model.model_fields["family"].default)
    optional = {
        name: values_of(_annotation(field))
        for name, field in model.model_fields.items()
        if not field.is_required() and name not in tag
    }
    return st.fixed_dictionaries({**required, **tag}, optional=optional).filter(lambda body: accepts(model, body))


def jobs() -> st.SearchStrategy[dict[str, Any]]:
    return documents_of(JobSpec)


def accepts(model: type[BaseModel], body: dict[str, Any]) -> bool:
    try:
        model.model_validate(body)
    except ValidationError:
        return False
    return True


def values_of(annotation: Any, bounds: dict[str, Any] | None = None) -> st.SearchStrategy[Any]:
    bounds = dict(bounds or {})
    if get_origin(annotation) is Annotated:
        inner, *extras = get_args(annotation)
        for extra in extras:
            for item in (*getattr(extra, "metadata", ()), extra):
                bounds |= {key: getattr(item, key) for key in _BOUNDS if getattr(item, key, None) is not None}
                if getattr(item, "pattern", None):
                    return st.sampled_from(["validation.loss", "train.loss", "validation.accuracy"])
        return values_of(inner, bounds)
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin in (Union, types.UnionType):
        return st.one_of([values_of(each, bounds) for each in arguments])
    if origin is Literal:
        return st.sampled_from(arguments)
    if origin is tuple and arguments[-1:] == (...,):
        least = bounds.get("min_length", 0)
        return st.lists(values_of(arguments[0]), min_size=least, max_size=max(least, 3))
    if origin is tuple:
        return st.tuples(*(values_of(each) for each in arguments)).map(list)
    if origin is dict:
        return st.dictionaries(values_of(arguments[0]), values_of(arguments[1]), max_size=3)
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        # deferred: layers hold layers
        return st.deferred(lambda: documents_of(annotation))
    return _scalar(annotation, bounds)


def _scalar(annotation: Any, bounds: dict[str, Any]) -> st.SearchStrategy[Any]:
    if annotation is int:
        least, most = bounds.get("ge", -1000), min(bounds.get("le", 10**6), bounds.get("lt", 10**6 + 1) - 1)
        return st.integers(least, most)
    if annotation is float:
        return st.floats(
            min_value=bounds.get("ge", bounds.get("gt", -1e6)),
            max_value=bounds.get("le", bounds.get("lt", 1e6)),
            exclude_min="gt" in bounds,
            exclude_max="lt" in bounds,
        )
    if annotation is str:
        letters = st.characters(exclude_categories=("Cs",), exclude_characters="\0")
        return st.text(letters, min_size=bounds.get("min_length", 0), max_size=8)
    assert annotation in (bool, types.NoneType), annotation
    return st.booleans() if annotation is bool else st.none()


def _annotation(field: FieldInfo) -> Any:
    return Annotated[(field.annotation, *field.metadata)] if field.metadata else field.annotation


def _plain(annotation: Any) -> Any:
    return get_args(annotation)[0] if get_origin(annotation) is Annotated else annotation
