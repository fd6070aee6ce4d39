"""What all APIs' changes share: the client's own bytes without a change, and with one nothing but what it names."""

from __future__ import annotations

from typing import Any

import pytest

from core.types import Boundary, Change
from proxy.errors import InvalidRequest
from proxy.wire.change import applied, placed
from proxy.wire.codec import Request
from proxy.wire.completions import parse_request

BODY = b'{ "seed":12345678901234567890123, "model":"m", "prompt":"x", "z":1.50 }'


def nothing(doc: dict[str, Any], request: Request, change: Change) -> None:
    raise AssertionError


def test_without_a_change_the_bytes_are_the_clients() -> None:
    request = parse_request(BODY)
    assert applied(request, Change(), nothing) is request.body
    assert applied(request, Change(upstream="other", model="m"), nothing) is request.body


def test_another_model_and_our_own_field() -> None:
    assert applied(parse_request(BODY), Change(model="n"), nothing) == BODY.replace(b'"m"', b'"n"').replace(b" ", b"")
    request = parse_request(BODY[:-2] + b', "chunkguard":{"report":true}}')
    assert applied(request, Change(), nothing) == BODY.replace(b" ", b"")


def test_what_cannot_be_written_again_is_the_clients_error() -> None:
    request = parse_request(b'{"model":"m","prompt":"x","z":' + b"[" * 400 + b"]" * 400 + b"}")
    with pytest.raises(InvalidRequest):
        applied(request, Change(model="n"), nothing)


def test_boundaries_are_joined_where_they_go() -> None:
    change = Change(
        boundaries=(Boundary("a", "system_append"), Boundary("b", "last_user_prefix"), Boundary("c", "system_after_history"))
    )
    assert placed(change, {"system_after_history": "last_user_prefix"}) == {"system_append": "a", "last_user_prefix": "b\n\nc"}
