"""Changes of /v1/messages requests: where boundaries go, and that cache marks, tool results and all else stay."""

from __future__ import annotations

from typing import Any

import orjson

from core.types import Boundary, Change, Edit, Placement
from proxy.wire.messages_change import apply_change
from proxy.wire.messages_request import parse_request

MARK = {"cache_control": {"type": "ephemeral"}}


def changed(change: Change, *messages: Any, **fields: Any) -> Any:
    body = orjson.dumps({"model": "m", "messages": list(messages), "max_tokens": 9, **fields})
    return orjson.loads(apply_change(parse_request(body), change))


def boundary(placement: Placement) -> Change:
    return Change(("boundary",), (Boundary("B", placement),))


def user(content: Any) -> dict[str, Any]:
    return {"role": "user", "content": content}


def test_the_end_of_the_system_prompt() -> None:
    change = boundary("system_append")
    assert changed(change, user("q"))["system"] == "B"
    assert changed(change, user("q"), system="S")["system"] == "S\n\nB"
    block = {"type": "text", "text": "S", **MARK}
    assert changed(change, user("q"), system=[block])["system"] == [block, {"type": "text", "text": "B"}]
    assert changed(change, user("q"), system=[block])["messages"] == [user("q")]


def test_before_the_last_user_text_whatever_stands_earlier() -> None:
    earlier = [user([{"type": "text", "text": "old", **MARK}]), {"role": "assistant", "content": "a"}]
    for placement in ("last_user_prefix", "system_after_history"):
        doc = changed(boundary(placement), *earlier, user([{"type": "text", "text": "q", **MARK}]))  # type: ignore[arg-type]
        assert doc["messages"][:2] == earlier
        assert doc["messages"][2]["content"] == [{"type": "text", "text": "B\n\nq", **MARK}]
        assert "system" not in doc


def test_tool_results_stay_first() -> None:
    result = {"type": "tool_result", "tool_use_id": "t", "content": "4"}
    picture = {"type": "image", "source": {}}
    change = boundary("last_user_prefix")
    text = {"type": "text", "text": "B"}
    assert changed(change, user([result, picture]))["messages"][0]["content"] == [result, text, picture]
    assert changed(change, user([picture, 7]))["messages"][0]["content"] == [text, picture, 7]
    assert changed(change, user([result, {"type": "text", "text": "q"}]))["messages"][0]["content"][1]["text"] == "B\n\nq"


def test_without_a_user_turn_all_goes_to_the_system_prompt() -> None:
    assert changed(boundary("last_user_prefix"), {"role": "assistant", "content": "a"})["system"] == "B"


def test_edits_change_their_text_alone() -> None:
    parts = [{"type": "image", "source": {}}, {"type": "text", "text": "Elucidate peace.", **MARK}]
    doc = changed(Change(edits=(Edit(0, 0, 9, "Explain"),)), user(parts), tools=[], x_new={"a": None})
    assert doc["messages"][0]["content"] == [parts[0], {"type": "text", "text": "Explain peace.", **MARK}]
    assert list(doc) == ["model", "messages", "max_tokens", "tools", "x_new"]
