"""JSON that keeps what it was not asked to change.

One rule: a document loaded here and dumped again says the same: key order, numbers of any length, lone surrogates. White
space and number spellings of equal value (`1e2`, `100.0`) may change; of duplicate keys the last wins, as in every upstream.

orjson does the work. It rounds integers beyond 64 bits and long decimals, and refuses lone surrogates (which JavaScript clients
send when they cut an emoji), so those documents, and only those, go through the json module.
"""

from __future__ import annotations

import json
import re
from typing import Any

import orjson
import re2

_LATIN = re2.Options()
_LATIN.encoding = re2.Options.Encoding.LATIN1  # bytes are bytes
#: Numbers that orjson may round (or base64 that looks like one, which then only costs time). Every changed request is searched:
#: re2 takes 4 microseconds for 2 kB, re 39.
_LONG_NUMBER = re2.compile(rb"[0-9.]{16}|[0-9][eE][+-]?[0-9]{3}", _LATIN)
_SURROGATE = re.compile("[\ud800-\udfff]")
_SHORT = 15


def load(data: bytes) -> Any:
    """Parse; strings may hold lone surrogates, numbers may be rounded. Raises ValueError on anything that is no JSON in
    UTF-8."""
    try:
        return orjson.loads(data)
    except ValueError:
        if b"\\u" not in data:
            raise
        return _slow_load(data)


def load_exact(data: bytes) -> Any:
    """As `load`, but numbers that orjson would round are kept as they are written, to be dumped and not to be read."""
    if _LONG_NUMBER.search(data) is None:
        return load(data)
    return _slow_load(data, parse_float=_fragment, parse_int=_integer)


def load_text(data: bytes) -> Any:
    """As `load`, with every lone surrogate replaced by U+FFFD: to be read and not to be dumped."""
    try:
        return orjson.loads(data)
    except ValueError:
        doc = load(data)
    try:
        return _scrub(doc)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error


def dump(doc: Any) -> bytes:
    """Serialise what `load` or `load_exact` gave. Raises ValueError on documents nested too deeply (about 250 levels)."""
    try:
        return orjson.dumps(doc)
    except TypeError:
        pass
    try:
        return orjson.dumps(_escape(doc))
    except (TypeError, RecursionError) as error:
        raise ValueError("the document cannot be serialised again") from error


def clean(text: str) -> str:
    """The text with lone surrogates replaced by U+FFFD; lengths and offsets stay."""
    if text.isascii():
        return text
    try:
        text.encode()
    except UnicodeEncodeError:
        return _SURROGATE.sub("\ufffd", text)
    return text


def _slow_load(data: bytes, **hooks: Any) -> Any:
    try:
        return json.loads(data.decode(), parse_constant=_refuse, **hooks)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error


def _refuse(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _fragment(number: str) -> orjson.Fragment:
    return orjson.Fragment(number)


def _integer(number: str) -> int | orjson.Fragment:
    return int(number) if len(number) <= _SHORT else orjson.Fragment(number)


def _scrub(doc: Any) -> Any:
    match doc:
        case str():
            return clean(doc)
        case list():
            return [_scrub(value) for value in doc]
        case dict():
            return {clean(key): _scrub(value) for key, value in doc.items()}
    return doc


def _escape(doc: Any) -> Any:
    """Strings with lone surrogates as the escapes they came as (keys: replaced, orjson has no way to write them)."""
    match doc:
        case str() if clean(doc) is not doc:
            return orjson.Fragment(json.dumps(doc))
        case list():
            return [_escape(value) for value in doc]
        case dict():
            return {clean(key): _escape(value) for key, value in doc.items()}
    return doc
