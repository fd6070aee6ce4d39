"""Fields that the requests of all APIs share, and strict readings of them.

One rule: what decides how many answers come and in which form is read strictly, for an upstream that reads it otherwise would
answer in a form we do not expect.
"""

from __future__ import annotations

from typing import Any

from proxy.errors import InvalidRequest
from proxy.wire.jsonbytes import clean, dump, load

#: The opt-in body field `{"chunkguard": {"report": true}}`; it is ours and never forwarded.
FIELD = "chunkguard"


def read_object(body: bytes) -> dict[str, Any]:
    """A request's document. Raises InvalidRequest.

    Of duplicate keys the last counts; NaN and Infinity are refused; lone surrogates live."""
    try:
        doc = load(body)
    except ValueError as error:
        raise InvalidRequest("The body is not valid JSON in UTF-8.", code="invalid_json") from error
    if not isinstance(doc, dict):
        raise InvalidRequest("The body must be a JSON object.", code="invalid_json")
    return doc


def list_of(doc: dict[str, Any], name: str) -> list[Any]:
    """The array of a field, empty where it is none."""
    value = doc.get(name)
    return value if isinstance(value, list) else []


def model_of(doc: dict[str, Any]) -> str:
    """Raises InvalidRequest where `model` is given and no text."""
    model = doc.get("model")
    if model is None:
        return ""
    if not isinstance(model, str):
        raise InvalidRequest("'model' must be a string.", param="model")
    return clean(model)


def stream_of(doc: dict[str, Any]) -> bool:
    """Raises InvalidRequest where `stream` is given and no boolean."""
    # Strict: an upstream that reads "true" as true would answer in a form we do not expect.
    stream = doc.get("stream")
    if stream is not None and not isinstance(stream, bool):
        raise InvalidRequest("'stream' must be a boolean.", param="stream")
    return bool(stream)


def n_of(doc: dict[str, Any]) -> int:
    """Choices asked for. Raises InvalidRequest where `n` is given and no positive integer; JSON has one kind of number."""
    n = doc.get("n")
    if n is None:
        return 1
    if isinstance(n, float) and n.is_integer():
        n = int(n)
    if not isinstance(n, int) or isinstance(n, bool) or n < 1:
        raise InvalidRequest("'n' must be a positive integer.", param="n")
    return n


def tokens_of(doc: dict[str, Any], *names: str) -> int | None:
    """The first of these fields that is an integer."""
    for name in names:
        value = doc.get(name)
        if isinstance(value, int) and not isinstance(value, bool):
            return value
    return None


def report_of(doc: dict[str, Any]) -> bool:
    """Whether the client wants the `chunkguard` field. Raises InvalidRequest where the wish cannot be read."""
    if FIELD not in doc:
        return False
    wish = doc[FIELD]
    if not isinstance(wish, dict) or wish.keys() - {"report"} or not isinstance(wish.get("report", False), bool):
        raise InvalidRequest(f"'{FIELD}' takes one boolean field, 'report'.", param=FIELD)
    return bool(wish.get("report"))


def kind_of(part: dict[str, Any]) -> str | None:
    """The `type` of an object; None where it has none, empty where it is no text."""
    kind = part.get("type")
    return kind if isinstance(kind, str | None) else ""


def string(value: Any) -> str:
    """The value where it is a text, else an empty one."""
    return value if isinstance(value, str) else ""


def arguments_text(arguments: Any) -> str:
    """Arguments as text; some servers give an object where the API says string. Empty where they nest beyond writing."""
    if isinstance(arguments, str):
        return arguments
    try:
        return "" if arguments is None else dump(arguments).decode()
    except ValueError:
        return ""
