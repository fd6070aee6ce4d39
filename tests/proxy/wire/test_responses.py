"""The codec of responses offers the whole of it: request in, change out, reply in, blocked out."""

from __future__ import annotations

import orjson

from core.types import Boundary, Change
from proxy.wire import responses
from tests.proxy.apis import RESPONSES


def test_a_request_and_its_reply() -> None:
    request = responses.parse_request(RESPONSES.body("hi"))
    assert responses.apply_change(request, Change()) is request.body
    changed = responses.apply_change(request, Change(("boundary",), (Boundary("B", "last_user_prefix"),)))
    assert orjson.loads(changed)["input"][0]["content"][0]["text"] == "B\n\nhi"
    decoder = responses.ReplyDecoder(True)
    pieces = decoder.feed(b"".join(RESPONSES.stream("ho")))
    assert decoder.complete
    assert b"content_filter" in responses.block(pieces, True)
