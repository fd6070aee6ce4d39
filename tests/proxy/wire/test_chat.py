"""The codec as the driver uses it, read by the official client."""

from collections.abc import Iterator

import httpx
import openai
import orjson
import pytest

from core.types import Boundary, Change, Piece
from proxy.wire import chat

BODY = {
    "id": "c1",
    "object": "chat.completion",
    "created": 17,
    "model": "m-1",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "No, 13 is wrong."}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7},
}


def stream() -> Iterator[bytes]:
    head = {**{key: BODY[key] for key in ("id", "created", "model")}, "object": "chat.completion.chunk"}
    for delta, finish in (({"role": "assistant", "content": ""}, None), ({"content": "No, 13 is wrong."}, None), ({}, "stop")):
        choice = {"index": 0, "delta": delta, "finish_reason": finish}
        yield b"data: " + orjson.dumps({**head, "choices": [choice]}) + b"\n\n"
    yield b"data: [DONE]\n\n"


def pieces(streamed: bool) -> tuple[Piece, ...]:
    decoder = chat.ReplyDecoder(streamed)
    body = b"".join(stream()) if streamed else orjson.dumps(BODY)
    return decoder.feed(body) + decoder.flush()


def ask(body: bytes, streamed: bool) -> tuple[str, str | None, object]:
    """(content, finish reason, report) as the official client sees them."""
    kind = "text/event-stream" if streamed else "application/json"
    transport = httpx.MockTransport(lambda request: httpx.Response(200, content=body, headers={"content-type": kind}))
    http = httpx.Client(transport=transport)
    with openai.OpenAI(api_key="k", base_url="http://proxy.test/v1", max_retries=0, http_client=http) as client:
        if not streamed:
            answer = client.chat.completions.create(model="m", messages=[])
            choice = answer.choices[0]
            return choice.message.content or "", choice.finish_reason, (answer.model_extra or {}).get("chunkguard")
        text, finish, report = "", None, None
        for chunk in client.chat.completions.create(model="m", messages=[], stream=True):
            report = (chunk.model_extra or {}).get("chunkguard", report)
            for part in chunk.choices:
                text, finish = text + (part.delta.content or ""), part.finish_reason or finish
        return text, finish, report


@pytest.mark.parametrize("streamed", [False, True])
def test_rewritten_and_blocked_answers(streamed: bool) -> None:
    assert ask(chat.rewrite(pieces(streamed), ("Yes.",), streamed), streamed) == ("Yes.", "stop", None)
    assert ask(chat.block(pieces(streamed), streamed), streamed) == ("", "content_filter", None)


@pytest.mark.parametrize("streamed", [False, True])
def test_a_report_beside_the_upstreams_own_bytes(streamed: bool) -> None:
    held = pieces(streamed)
    report = {"verdict": "clear"}
    if streamed:
        before, done = chat.split_done(held)
        extra = Piece(chat.add_report(before[-1].data, report, True))
        body = b"".join(piece.data for piece in (*before, extra, *done))
    else:
        body = chat.add_report(held[0].data, report, False)
    assert ask(body, streamed) == ("No, 13 is wrong.", "stop", report)


def test_the_official_clients_request_is_read_and_changed() -> None:
    seen: list[bytes] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request.content)
        return httpx.Response(200, json=BODY)

    http = httpx.Client(transport=httpx.MockTransport(answer))
    with openai.OpenAI(api_key="k", base_url="http://proxy.test/v1", http_client=http) as client:
        client.chat.completions.create(
            model="m",
            messages=[{"role": "user", "content": "Is 5+8=13? 🤖"}],
            extra_body={"chunkguard": {"report": True}},
        )
    request = chat.parse_request(seen[0])
    assert request.report
    assert request.conversation.turns[0].text == "Is 5+8=13? 🤖"
    change = Change(boundaries=(Boundary("Compute, then compare.", "last_user_prefix"),))
    assert orjson.loads(chat.apply_change(request, change)) == {
        "messages": [{"role": "user", "content": "Compute, then compare.\n\nIs 5+8=13? 🤖"}],
        "model": "m",
    }
    assert "chunkguard" not in orjson.loads(chat.strip_report(request))
