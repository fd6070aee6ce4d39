"""Answers that the provider keeps: OpenAI keeps a response unless `store` is false, so saying nothing means it is kept."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.proxy.apis import RESPONSES, output_message, response_of
from tests.proxy.fake_upstream import Answer, FakeUpstream, Seen
from tests.proxy.rig import CODE, CODE_POLICY, PEACE, PROSE, rig, until


def respond(seen: Seen) -> Answer:
    """The first answer is code, all others are prose; each has an id of its own."""
    if seen.method == "DELETE":
        return Answer([b'{"deleted":true}'], length=True)
    first = "Elucidate" in json.dumps(seen.doc)
    doc = response_of(output_message(CODE if first else PROSE), id="resp_code" if first else "resp_prose")
    return Answer([json.dumps(doc).encode()], length=True)


async def ask(**fields: Any) -> tuple[str, list[Seen]]:
    """The answer's id, and what the upstream was asked, deletions included."""
    async with rig({"policies": [CODE_POLICY]}, limits={"retry_share": 1}) as gate:
        upstream: FakeUpstream = gate.upstream
        upstream.respond = respond
        sent = [("Content-Type", "application/json"), ("Authorization", "Bearer sk-client")]
        answer = await gate.fetch("POST", "/v1/responses", sent, RESPONSES.body(PEACE, **fields))
        if fields.get("store") is None and not fields.get("background"):
            await until(lambda: any(seen.method == "DELETE" for seen in upstream.seen))
        return str(answer.doc["id"]), list(upstream.seen)


async def test_saying_nothing_keeps_one_answer_the_one_that_was_sent() -> None:
    identity, seen = await ask()
    assert (identity, [asked.method for asked in seen]) == ("resp_prose", ["POST", "POST", "DELETE"])
    assert seen[2].target == "/v1/responses/resp_code"
    assert seen[2].values("authorization") == ["Bearer sk-client"]


async def test_what_is_not_kept_is_not_deleted() -> None:
    identity, seen = await ask(store=False)
    assert (identity, [asked.method for asked in seen]) == ("resp_prose", ["POST", "POST"])


@pytest.mark.parametrize(
    "fields", [{"store": True}, {"background": True, "store": True}, {"conversation": "conv_1", "store": True}]
)
async def test_what_is_to_be_kept_is_asked_once(fields: dict[str, Any]) -> None:
    identity, seen = await ask(**fields)
    assert (identity, [asked.method for asked in seen]) == ("resp_code", ["POST"])
