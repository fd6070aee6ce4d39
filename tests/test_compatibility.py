"""The tables of docs/compatibility.md against the code and the official clients: what is read, changed, passed and refused.

One rule: what a codec looks at is watched, not listed here; a field that a client can send and no table names fails.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import orjson
import pytest
from anthropic.types.message_create_params import MessageCreateParamsBase
from openai.types.chat.completion_create_params import CompletionCreateParamsBase as ChatParams
from openai.types.completion_create_params import CompletionCreateParamsBase as TextParams
from openai.types.responses.response_create_params import ResponseCreateParamsBase

from core.types import Boundary, Change, Edit, Placement
from proxy.errors import InvalidRequest
from proxy.routing import Router
from proxy.wire import chat_request, completions, messages_request, responses_request
from proxy.wire.codecs import CODECS

PAGE = Path(__file__).resolve().parent.parent / "docs" / "compatibility.md"
PATHS = {
    "chat_completions": "/v1/chat/completions",
    "responses": "/v1/responses",
    "messages": "/v1/messages",
    "completions": "/v1/completions",
}
#: What the official clients can send.
CLIENTS: dict[str, Any] = {
    "chat_completions": ChatParams,
    "responses": ResponseCreateParamsBase,
    "messages": MessageCreateParamsBase,
    "completions": TextParams,
}
MODULES: dict[str, Any] = {
    "chat_completions": chat_request,
    "responses": responses_request,
    "messages": messages_request,
    "completions": completions,
}
_USER = [{"role": "user", "content": "Elucidate peace."}]
#: The least that each API reads as a question.
ASKED: dict[str, dict[str, Any]] = {
    "chat_completions": {"messages": _USER},
    "responses": {"input": _USER},
    "messages": {"messages": _USER},
    "completions": {"prompt": "Elucidate peace."},
}
PLACEMENTS: tuple[Placement, ...] = ("system_append", "system_after_history", "last_user_prefix")

each_api = pytest.mark.parametrize("endpoint", CODECS)


@cache
def table(endpoint: str) -> dict[str, str]:
    """Field -> what the page says of it."""
    (section,) = re.findall(
        rf"^### `POST {PATHS[endpoint]}`\n(.*?)^#", PAGE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE
    )
    rows = re.findall(r"^\| (`.+?`) \| (\w+) \|", section, re.MULTILINE)
    found = [(field, kind) for fields, kind in rows for field in re.findall(r"`(\w+)`", fields)]
    assert len(found) == len(dict(found)), "a field stands in two rows"
    return dict(found)


def fields(endpoint: str, *kinds: str) -> set[str]:
    return {field for field, kind in table(endpoint).items() if kind in kinds}


class Watched(dict[str, Any]):
    """A document that remembers which of its fields somebody looked at."""

    def __init__(self, doc: dict[str, Any]) -> None:
        super().__init__(doc)
        self.seen: set[str] = set()

    def get(self, key: str, default: Any = None) -> Any:
        self.seen.add(key)
        return super().get(key, default)

    def __getitem__(self, key: str) -> Any:
        self.seen.add(key)
        return super().__getitem__(key)

    def __contains__(self, key: object) -> bool:
        self.seen.add(str(key))
        return super().__contains__(key)


def everything(endpoint: str) -> dict[str, Any]:
    """A request with every field of the table; null where the API's own default will do."""
    return {**dict.fromkeys(table(endpoint)), **ASKED[endpoint], "model": "m", "chunkguard": {}}


@each_api
def test_what_is_read_is_what_the_page_says(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    watched = Watched(everything(endpoint))
    monkeypatch.setattr(MODULES[endpoint], "read_object", lambda body: watched)
    CODECS[endpoint].parse_request(b"")
    assert watched.seen == fields(endpoint, "read", "changed")


@each_api
def test_every_field_of_the_official_client_stands_in_the_table(endpoint: str) -> None:
    assert set(CLIENTS[endpoint].__annotations__) - table(endpoint).keys() == set()
    assert set(table(endpoint).values()) == {"read", "changed", "passed"}


def changes() -> Iterator[Change]:
    yield Change(model="other", edits=(Edit(0, 0, 9, "Explain"),))
    yield from (Change(("boundary",), (Boundary("Prose.", placement),)) for placement in PLACEMENTS)


@each_api
def test_only_what_the_page_says_is_ever_changed(endpoint: str) -> None:
    codec = CODECS[endpoint]
    sent = {**everything(endpoint), "x_new": {"a": [1, None]}}
    changed: set[str] = set()
    for change in changes():
        for kept in ({}, {"store": False} if "store" in sent else {}):
            doc = {**sent, **kept}
            after = orjson.loads(codec.apply_change(codec.parse_request(orjson.dumps(doc)), change))
            changed |= {field for field in doc.keys() | after.keys() if doc.get(field) != after.get(field)}
    assert changed == fields(endpoint, "changed") | {"chunkguard"}


REFUSED: dict[str, list[dict[str, Any]]] = {
    "chat_completions": [{"messages": "x"}, {"messages": ["x"]}, {"n": 0}],
    "responses": [{"input": 7}, {"input": ["x"]}, {"instructions": 7}],
    "messages": [{"messages": "x"}, {"messages": ["x"]}, {"system": 7}],
    "completions": [{"prompt": 7}, {"prompt": ["x", 7]}, {"n": 0}],
}


@each_api
def test_what_the_page_says_is_refused_is_refused(endpoint: str) -> None:
    for wrong in (*REFUSED[endpoint], {"model": 7}, {"stream": "true"}, {"chunkguard": 7}):
        with pytest.raises(InvalidRequest):
            CODECS[endpoint].parse_request(orjson.dumps({**ASKED[endpoint], **wrong}))


@pytest.mark.parametrize("unread", [{"prompt": [1]}, {"prompt": None}, {"prompt": []}, {"suffix": "x"}, {"echo": True}])
def test_what_the_page_says_passes_untouched_is_not_read(unread: dict[str, Any]) -> None:
    assert CODECS["completions"].parse_request(orjson.dumps({"prompt": "x", **unread})).unread


def test_the_endpoints_are_those_of_the_code() -> None:
    guarded = re.findall(r"^\| `POST (/\S+)` \| guarded \| guarded \|", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    router = Router([])
    assert {router.locate("POST", path).endpoint for path in guarded} == CODECS.keys()
    for path in ("/v1/responses/r", "/v1/messages/count_tokens", "/v1/messages/batches", "/v1/embeddings"):
        assert not router.locate("POST", path).guarded
