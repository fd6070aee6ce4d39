"""Which requests any upstream of a group may answer."""

from __future__ import annotations

import gzip
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from proxy.upstream.base import Body, UpstreamRequest
from proxy.upstream.stateless import may_move

CHAT: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}
ASK: dict[str, Any] = {"model": "m", "input": "hi", "store": False}
MESSAGE: dict[str, Any] = {**CHAT, "max_tokens": 5}
TOOL = {"type": "function", "name": "f", "parameters": {}}


def request(path: str, body: Any, method: str = "POST", **headers: str) -> UpstreamRequest:
    given: Body = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
    return UpstreamRequest(method, path, [(name.replace("_", "-"), value) for name, value in headers.items()], given)


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/chat/completions", CHAT),
        ("/v1/chat/completions?api-version=1", {**CHAT, "tools": [{"type": "function", "function": {"name": "f"}}]}),
        ("/v1/completions", {"model": "m", "prompt": "hi"}),
        ("/v1/messages", {**MESSAGE, "tools": [{"name": "f", "input_schema": {}}]}),
        ("/v1/messages/count_tokens", MESSAGE),
        ("/v1/responses", {**ASK, "tools": [TOOL], "previous_response_id": None}),
        ("/v1/embeddings", {"input": "hi"}),
    ],
)
def test_what_leaves_nothing_behind_may_move(path: str, body: Any) -> None:
    assert may_move(request(path, body))


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/chat/completions", {**CHAT, "store": True}),
        ("/v1/chat/completions", {**CHAT, "web_search_options": {}}),
        ("/v1/chat/completions", b"{"),
        ("/v1/messages", {**MESSAGE, "mcp_servers": [{"url": "x"}]}),
        ("/v1/responses", {"model": "m", "input": "hi"}),
        ("/v1/responses", {**ASK, "store": True}),
        ("/v1/responses", {**ASK, "background": True}),
        ("/v1/responses", {**ASK, "previous_response_id": "resp_1"}),
        ("/v1/responses", {**ASK, "tools": [{"type": "web_search"}]}),
        ("/v1/responses/resp_1/cancel", None),
        ("/v1/files", b"x"),
        ("/openai/deployments/x/chat/completions", CHAT),
    ],
)
def test_what_is_tied_to_one_upstream_stays(path: str, body: Any) -> None:
    assert not may_move(request(path, body))


def test_what_is_stored_is_read_where_it_lies() -> None:
    assert may_move(request("/v1/models", None, "GET"))
    assert not may_move(request("/v1/responses/resp_1", None, "GET"))
    assert not may_move(request("/v1/responses/resp_1", None, "DELETE"))


def test_a_packed_body_is_read_and_one_that_cannot_be_stays() -> None:
    packed = gzip.compress(json.dumps(CHAT).encode())
    assert may_move(request("/v1/chat/completions", packed, Content_Encoding="gzip"))
    assert not may_move(request("/v1/chat/completions", packed[:9], Content_Encoding="gzip"))
    assert not may_move(request("/v1/chat/completions", packed))


def test_a_body_that_streams_by_is_gone_after_the_first() -> None:
    async def body() -> AsyncIterator[bytes]:
        yield b"{}"

    assert not may_move(UpstreamRequest("POST", "/v1/embeddings", [], body()))
