"""The codec of legacy completions: which prompts are read, how they change, and how answers are read and rendered."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from core.types import Boundary, Change, Edit, Piece, Usage
from proxy.errors import InvalidRequest
from proxy.wire.completions import ReplyDecoder, add_report, apply_change, block, parse_request, rewrite
from tests.proxy.apis import COMPLETIONS, docs_of, text_completion

BOUNDARY = Change(("boundary",), (Boundary("Prose only.", "system_append"), Boundary("Be brief.", "last_user_prefix")))


def request(**fields: Any) -> Any:
    return parse_request(orjson.dumps({"model": "m", **fields}))


def test_a_prompt_is_a_user_turn() -> None:
    conversation = request(prompt="Is 5+8=13?", n=2, stream=True, max_tokens=7).conversation
    assert [(turn.role, turn.text, turn.index) for turn in conversation.turns] == [("user", "Is 5+8=13?", 0)]
    assert (conversation.n, conversation.stream, conversation.max_tokens, conversation.separate) == (2, True, 7, False)
    assert request(prompt="x", response_format={"type": "json_object"}).conversation.structured
    assert parse_request(b'{"model":"m"}').conversation.turns[0].text == "<|endoftext|>"


def test_several_prompts_are_asked_on_their_own() -> None:
    conversation = request(prompt=["a", "b", "c"], n=2).conversation
    assert (conversation.n, conversation.separate) == (6, True)
    assert [conversation.asking(choice).turns[0].text for choice in range(6)] == ["a", "a", "b", "b", "c", "c"]
    assert conversation.asking(9).turns[0].index == 2


@pytest.mark.parametrize(
    "fields",
    [
        {"prompt": [1, 2]},
        {"prompt": [[1], [2]]},
        {"prompt": None},
        {"prompt": []},
        {"prompt": "x", "suffix": "y"},
        {"prompt": "x", "echo": True},
    ],
)
def test_what_is_no_question_is_not_read(fields: dict[str, Any]) -> None:
    assert request(**fields).unread


def test_a_question_is() -> None:
    assert not request(prompt="x", suffix="", echo=False).unread


@pytest.mark.parametrize("prompt", [7, {"a": 1}, ["a", 1], ["a", [1]]])
def test_a_prompt_of_another_type_is_refused(prompt: Any) -> None:
    with pytest.raises(InvalidRequest) as caught:
        request(prompt=prompt)
    assert caught.value.param == "prompt"


def test_a_boundary_stands_before_every_prompt() -> None:
    assert orjson.loads(apply_change(request(prompt="x"), BOUNDARY))["prompt"] == "Prose only.\n\nBe brief.\n\nx"
    change = Change(("boundary",), BOUNDARY.boundaries[:1], (Edit(1, 0, 1, "B"),))
    assert orjson.loads(apply_change(request(prompt=["a", "b"]), change))["prompt"] == ["Prose only.\n\na", "Prose only.\n\nB"]
    assert orjson.loads(apply_change(parse_request(b'{"model":"m"}'), BOUNDARY))["prompt"].endswith("<|endoftext|>")
    with pytest.raises(ValueError, match="no message"):
        apply_change(request(prompt="x"), Change(edits=(Edit(1, 0, 0, "y"),)))


def pieces(streamed: bool, body: bytes, n: int = 1) -> tuple[ReplyDecoder, list[Piece]]:
    decoder = ReplyDecoder(streamed, n)
    return decoder, [*decoder.feed(body), *decoder.flush()]


@pytest.mark.parametrize("streamed", [True, False])
def test_an_answer_is_read_whole(streamed: bool) -> None:
    body = b"".join(COMPLETIONS.stream("A b c.")) if streamed else COMPLETIONS.plain("A b c.")
    decoder, found = pieces(streamed, body)
    assert "".join(delta.text for piece in found for delta in piece.deltas) == "A b c."
    assert (decoder.complete, decoder.id, decoder.malformed) == (True, "cmpl-1", 0)
    assert [piece.usage for piece in found if piece.usage] == [Usage(5, 7)]
    assert [d.finish_reason for p in found for d in p.deltas if d.finish_reason] == ["stop"]


def test_odd_answers_are_read_on_the_careful_side() -> None:
    decoder, found = pieces(False, orjson.dumps({"choices": [{"message": {"content": "chat"}}, {"text": 7}]}))
    assert ([delta.text for delta in found[0].deltas], decoder.malformed) == (["chat", ""], 1)


def test_rewritten_texts_lose_their_logprobs() -> None:
    _, found = pieces(False, text_completion("a", "b"))
    doc = orjson.loads(rewrite(found, ("Yes.", "No."), False))
    assert [(c["text"], c["logprobs"], c["finish_reason"]) for c in doc["choices"]] == [
        ("Yes.", None, "stop"),
        ("No.", None, "stop"),
    ]
    assert (doc["x_new"], doc["usage"]["total_tokens"]) == ({"a": [1, None]}, 12)
    with pytest.raises(ValueError, match="no JSON"):
        rewrite([Piece(b"junk")], (), False)


def test_a_rewritten_stream_says_the_new_text_once() -> None:
    _, found = pieces(True, b"".join(COMPLETIONS.stream("A b c.")))
    body = rewrite(found, ("Yes.",), True)
    assert (COMPLETIONS.said(docs_of(body)), body.endswith(b"data: [DONE]\n\n")) == ("Yes.", True)
    assert docs_of(body)[-1]["usage"]["total_tokens"] == 12


@pytest.mark.parametrize("streamed", [True, False])
def test_a_block_has_every_choice_and_the_usage(streamed: bool) -> None:
    body = b"".join(COMPLETIONS.stream("secret")) if streamed else COMPLETIONS.plain("secret")
    blocked = block(pieces(streamed, body)[1], streamed, 2)
    docs = docs_of(blocked) if streamed else [orjson.loads(blocked)]
    assert b"secret" not in blocked
    assert [c["finish_reason"] for doc in docs for c in doc["choices"]] == ["content_filter"] * 2
    assert docs[-1]["usage"]["total_tokens"] == 12
    assert b"content_filter" in block([], streamed)


def test_the_report() -> None:
    assert orjson.loads(add_report(b'{"a":1}', {"v": 1}, False)) == {"a": 1, "chunkguard": {"v": 1}}
    (doc,) = docs_of(add_report(COMPLETIONS.stream("x")[0], {"v": 1}, True))
    assert (doc["id"], doc["choices"], doc["chunkguard"]) == ("cmpl-1", [], {"v": 1})
    assert docs_of(add_report(b"", {"v": 1}, True))[0]["object"] == "text_completion"
