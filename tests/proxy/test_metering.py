"""What an untouched answer has cost, read from a copy: whole, cut off, too large, unreadable."""

from __future__ import annotations

import gzip
from collections.abc import AsyncIterator, Sequence

import pytest

from proxy.config_keys import KeyLimits
from proxy.errors import ProtocolError, Unavailable
from proxy.limiting.limiter import Grant
from proxy.metering import COPY_BYTES, DECODED_BYTES, Metered
from proxy.routing import Endpoint
from proxy.upstream.base import Headers, UpstreamReply, UpstreamRequest, Whole
from tests.proxy.fake_upstream import DONE, USAGE, completion, event, events, message

SSE: Headers = [("Content-Type", "text/event-stream")]
ASKED = UpstreamRequest("POST", "/v1/chat/completions", [])


class Reply(Whole):
    """A reply with these chunks; an exception among them is raised."""

    def __init__(self, chunks: Sequence[bytes | Exception], headers: Headers, status: int = 200) -> None:
        self.status, self.reason, self.headers = status, "", headers
        self._chunks = chunks
        self.released = False

    async def chunks(self) -> AsyncIterator[bytes]:
        for chunk in self._chunks:
            if isinstance(chunk, Exception):
                raise chunk
            yield chunk

    def release(self) -> None:
        self.released = True

    def abort(self) -> None:
        self.released = True


class Upstream:
    name = "fake"

    def __init__(self, reply: Reply | Exception) -> None:
        self._reply = reply

    async def open(self, request: UpstreamRequest) -> UpstreamReply:
        if isinstance(self._reply, Exception):
            raise self._reply
        return self._reply

    async def close(self) -> None: ...


async def cost(reply: Reply, endpoint: Endpoint = "chat_completions", reserved: int = 5) -> int:
    charged: list[int] = []
    grant = Grant("app", [], reserved, KeyLimits(), lambda *_: None, lambda _, tokens: charged.append(tokens))
    metered = await Metered(Upstream(reply), endpoint, grant).open(ASKED)
    try:
        assert b"".join([chunk async for chunk in metered.chunks()]) == b"".join(reply._chunks)  # type: ignore[arg-type]
    except ProtocolError:
        pass
    finally:
        metered.release()
    assert reply.released
    assert len(charged) == 1
    return charged[0]


async def test_reported_usage_counts() -> None:
    assert await cost(Reply([completion(message("Hi"))], [])) == USAGE["total_tokens"]
    assert await cost(Reply(events("Hi there", usage=True), SSE)) == USAGE["total_tokens"]


async def test_without_a_report_prompt_and_text_are_estimated() -> None:
    assert await cost(Reply(events("x" * 40), SSE)) == 5 + 10


async def test_an_answer_that_broke_off_counts_as_far_as_it_came() -> None:
    broken: list[bytes | Exception] = [event({"content": "x" * 40}), ProtocolError("cut")]
    assert await cost(Reply(broken, SSE)) == 5 + 10


async def test_a_very_long_answer_counts_by_its_size() -> None:
    chunks = [event({"content": "x" * 1000})] * (COPY_BYTES // 1000)
    assert await cost(Reply([*chunks, DONE], SSE)) == 5 + sum(map(len, [*chunks, DONE])) // 4


async def test_an_encoding_that_cannot_be_read_counts_by_its_size() -> None:
    assert await cost(Reply([b"\x00" * 400], [("Content-Encoding", "gzip")])) == 5 + 100


async def test_a_bomb_counts_by_its_size_and_is_not_unpacked() -> None:
    bomb = gzip.compress(b" " * (DECODED_BYTES + 1))
    assert await cost(Reply([bomb], [("Content-Encoding", "gzip")])) == 5 + len(bomb) // 4


@pytest.mark.parametrize(("body", "tokens"), [(b'{"usage": {"total_tokens" : 71}}', 71), (b"{}", 0), (b"\xff\xfb" * 9, 0)])
async def test_other_endpoints_are_charged_what_they_report(body: bytes, tokens: int) -> None:
    assert await cost(Reply([body], []), "embeddings") == tokens


async def test_an_error_costs_nothing() -> None:
    assert await cost(Reply([b'{"error": {}}'], [], status=429)) == 0


async def test_no_answer_costs_nothing() -> None:
    charged: list[int] = []
    grant = Grant("app", [], 5, KeyLimits(), lambda *_: None, lambda _, tokens: charged.append(tokens))
    with pytest.raises(Unavailable):
        await Metered(Upstream(Unavailable("gone")), "chat_completions", grant).open(ASKED)
    assert charged == [0]
