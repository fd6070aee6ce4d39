"""The codec of messages offers the whole of it: request in, change out, reply in, blocked out."""

from __future__ import annotations

import orjson

from core.types import Boundary, Change
from proxy.wire import messages
from tests.proxy.apis import MESSAGES


def test_a_request_and_its_reply() -> None:
    request = messages.parse_request(MESSAGES.body("hi"))
    assert messages.apply_change(request, Change()) is request.body
    changed = messages.apply_change(request, Change(("boundary",), (Boundary("B", "last_user_prefix"),)))
    assert orjson.loads(changed)["messages"][0]["content"][0]["text"] == "B\n\nhi"
    decoder = messages.ReplyDecoder(True)
    pieces = decoder.feed(b"".join(MESSAGES.stream("ho")))
    assert decoder.complete
    assert b"refusal" in messages.block(pieces, True)
