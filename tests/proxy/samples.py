"""Documents of every documented shape, made from the types of the official clients.

One rule: nothing is listed by hand. A field, item or event that a client's release adds is sampled with its next installation.
"""

from __future__ import annotations

import types
from collections.abc import Iterator
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel

#: Beyond this depth a shape is cut short: shapes that hold themselves have no end.
_DEPTH = 7
_PLAIN: dict[Any, Any] = {
    str: "Vienna",
    int: 1,
    float: 0.5,
    bool: True,
    object: {"x": 1},
    Any: {"x": 1},
    type(None): None,
    bytes: "AA==",
}


def samples(shape: Any, depth: int = 0) -> Iterator[Any]:
    """Documents of a type: one with the first form of every field, and one more for each other form of each."""
    shape = _bare(shape)
    if shape in _PLAIN:
        yield _PLAIN[shape]
    elif isinstance(shape, type) and issubclass(shape, BaseModel):
        yield from _models(shape, depth)
    elif get_origin(shape) is Literal:
        yield from get_args(shape)[:3]
    elif get_origin(shape) in (Union, types.UnionType):
        for part in get_args(shape):
            yield from samples(part, depth)
    elif get_origin(shape) in (list, tuple):
        inner = [] if depth > _DEPTH else list(samples(get_args(shape)[0], depth + 1))
        yield inner[:1]
        yield from ([item] for item in inner[1:])
    elif get_origin(shape) is dict or shape is dict:
        yield {"key": "value"}
    else:
        yield "Vienna"


def _models(model: type[BaseModel], depth: int) -> Iterator[dict[str, Any]]:
    if depth > _DEPTH:
        return
    forms: dict[str, list[Any]] = {}
    for name, field in model.model_fields.items():
        key = field.alias or name
        found = list(samples(field.annotation, depth + 1))
        if found:
            forms[key] = found
    first = {key: found[0] for key, found in forms.items()}
    yield first
    for key, found in forms.items():
        for other in found[1:]:
            yield {**first, key: other}


def members(union: Any) -> list[type[BaseModel]]:
    """The models of a union."""
    union = _bare(union)
    if isinstance(union, type):
        return [union]
    return [model for part in get_args(union) for model in members(part)]


def _bare(shape: Any) -> Any:
    while True:
        if get_origin(shape) is Annotated:
            shape = get_args(shape)[0]
        else:
            return shape
