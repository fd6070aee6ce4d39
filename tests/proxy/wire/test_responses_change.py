"""Changes of /v1/responses requests: where boundaries go, whether the provider keeps the answer or not."""

from __future__ import annotations

from typing import Any

import orjson

from core.types import Boundary, Change, Edit, Placement
from proxy.wire.responses_change import apply_change
from proxy.wire.responses_request import parse_request

OURS = {"role": "system", "content": "B"}


def changed(change: Change, **fields: Any) -> Any:
    return orjson.loads(apply_change(parse_request(orjson.dumps({"model": "m", **fields})), change))


def boundary(placement: Placement) -> Change:
    return Change(("boundary",), (Boundary("B", placement),))


def user(text: str) -> dict[str, Any]:
    return {"role": "user", "content": [{"type": "input_text", "text": text}]}


def test_an_answer_that_is_kept_has_it_in_its_instructions() -> None:
    change = boundary("system_append")
    assert changed(change, input="q") == {"model": "m", "input": "q", "instructions": "B"}
    assert changed(change, input="q", instructions="S")["instructions"] == "S\n\nB"
    assert changed(change, instructions="S", prompt={"id": "p"}) == {
        "model": "m",
        "instructions": "S\n\nB",
        "prompt": {"id": "p"},
        "input": [],
    }


def test_one_that_is_not_kept_has_it_as_an_item() -> None:
    change = boundary("system_append")
    doc = changed(change, input="q", instructions="S", store=False)
    assert (doc["instructions"], doc["input"]) == ("S", [OURS, {"role": "user", "content": "q"}])


def test_the_operators_leading_message_comes_first() -> None:
    items = [{"role": "developer", "content": "S"}, user("q")]
    for store in (True, False):
        doc = changed(boundary("system_append"), input=items, store=store)
        assert doc["input"] == [{"role": "developer", "content": "S\n\nB"}, user("q")]
        assert "instructions" not in doc


def test_before_the_last_user_message() -> None:
    items = [user("old"), {"role": "assistant", "content": "a"}, user("q"), {"type": "reasoning", "id": "r", "summary": []}]
    doc = changed(boundary("last_user_prefix"), input=items)
    assert doc["input"] == [*items[:2], user("B\n\nq"), items[3]]
    doc = changed(boundary("system_after_history"), input=items)
    assert doc["input"] == [*items[:2], OURS, *items[2:]]
    assert changed(boundary("last_user_prefix"), input="q")["input"] == "B\n\nq"
    assert changed(boundary("system_after_history"), input="q")["input"] == [OURS, {"role": "user", "content": "q"}]
    picture = [{"type": "input_image", "image_url": "data:"}]
    doc = changed(boundary("last_user_prefix"), input=[{"role": "user", "content": picture}])
    assert doc["input"][0]["content"] == [{"type": "input_text", "text": "B"}, *picture]


def test_without_a_user_message_all_goes_to_the_instructions() -> None:
    assert changed(boundary("last_user_prefix"), input=[{"role": "assistant", "content": "a"}])["instructions"] == "B"


def test_edits_change_their_text_alone() -> None:
    change = Change(edits=(Edit(0, 0, 9, "Explain"),))
    assert changed(change, input="Elucidate peace.", x_new=[1])["input"] == "Explain peace."
    assert changed(change, input=[user("Elucidate peace.")])["input"] == [user("Explain peace.")]
