"""What every upstream shares: which headers go on, and renaming a model in a body."""

from __future__ import annotations

from collections.abc import AsyncIterator

import orjson
import pytest

from proxy.upstream.base import CREDENTIALS, UpstreamRequest, end_to_end, rename_model, request_headers


def test_headers_of_the_connection_are_dropped_and_those_it_names() -> None:
    headers = [
        ("Connection", "close, X-Own"), ("x-own", "1"), ("Keep-Alive", "timeout=5"), ("TE", "trailers"), ("Trailer", "x"),
        ("Transfer-Encoding", "chunked"), ("Upgrade", "h2c"), ("Proxy-Authorization", "p"), ("X-Kept", "1"), ("x-kept", "2"),
    ]  # fmt: skip
    assert end_to_end(headers) == [("X-Kept", "1"), ("x-kept", "2")]


async def _body() -> AsyncIterator[bytes]:
    yield b""


def test_a_body_in_hand_has_its_own_length_and_a_streamed_one_keeps_the_clients() -> None:
    headers = [("Content-Length", "5"), ("Host", "a"), ("Expect", "100-continue"), ("X-Chunkguard-Report", "1"), ("B", "1")]
    assert request_headers(UpstreamRequest("POST", "/", headers, b"x"), drop_credentials=False) == [("B", "1")]
    kept = request_headers(UpstreamRequest("POST", "/", headers, _body()), drop_credentials=False)
    assert kept == [("Content-Length", "5"), ("B", "1")]


@pytest.mark.parametrize("name", sorted(CREDENTIALS))
def test_credentials_are_dropped_on_either_word(name: str) -> None:
    headers = [(name.title(), "secret")]
    assert request_headers(UpstreamRequest("GET", "/", headers), drop_credentials=False) == headers
    assert request_headers(UpstreamRequest("GET", "/", headers), drop_credentials=True) == []
    assert request_headers(UpstreamRequest("GET", "/", headers, credentials=False), drop_credentials=False) == []


def test_only_the_model_changes_when_it_is_renamed() -> None:
    body = b'{ "model" :  "a", "seed": 12345678901234567890123, "x": "\\"model\\": \\"a\\"" }'
    assert rename_model(body, {"a": "b/c"}) == body.replace(b'"a"', b'"b/c"', 1)


def test_a_model_named_in_two_places_is_renamed_at_the_top() -> None:
    body = b'{"inner": {"model": "a"}, "model": "a", "seed": 12345678901234567890123}'
    renamed = rename_model(body, {"a": "b"})
    assert isinstance(renamed, bytes)
    doc = orjson.loads(renamed)
    assert (doc["model"], doc["inner"]["model"]) == ("b", "a")
    assert b"12345678901234567890123" in renamed


@pytest.mark.parametrize("body", [None, b"", b"[]", b"{", b'{"model": 1}', b'{"model": "z"}'])
def test_bodies_without_a_model_of_the_table_pass(body: bytes | None) -> None:
    assert rename_model(body, {"a": "b"}) is body
