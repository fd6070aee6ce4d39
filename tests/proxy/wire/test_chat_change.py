"""A change touches what it names and nothing else."""

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.types import Boundary, Change, Edit, Placement
from proxy.errors import InvalidRequest
from proxy.wire.chat_change import apply_change, strip_report
from proxy.wire.chat_request import parse_request


def changed(messages: list[Any], *edits: Edit, **placed: str) -> list[Any]:
    names: dict[str, Placement] = {"append": "system_append", "late": "system_after_history", "prefix": "last_user_prefix"}
    boundaries = tuple(Boundary(text, names[name.rstrip("2")]) for name, text in placed.items())
    body = orjson.dumps({"model": "m", "messages": messages, "x": 1})
    doc = orjson.loads(apply_change(parse_request(body), Change(boundaries=boundaries, edits=edits)))
    assert {key: doc[key] for key in doc if key != "messages"} == {"model": "m", "x": 1}
    result: list[Any] = doc["messages"]
    return result


def user(content: Any, **more: Any) -> dict[str, Any]:
    return {"role": "user", "content": content, **more}


def system(content: Any, role: str = "system") -> dict[str, Any]:
    return {"role": role, "content": content}


def text(text: str, **more: Any) -> dict[str, Any]:
    return {"type": "text", "text": text, **more}


SPACED = b'{ "model" : "m",\n "messages": [ {"role":"user", "content":"hi"} ], "seed": 12345678901234567890123, "t": 1e2 }'


@pytest.mark.parametrize("change", [Change(), Change(upstream="other"), Change(model="m")])
def test_without_a_change_the_clients_bytes_go_on(change: Change) -> None:
    request = parse_request(SPACED)
    assert apply_change(request, change) is request.body
    assert strip_report(request) is request.body


def test_our_own_field_is_never_forwarded() -> None:
    body = b'{"chunkguard":{"report":true},"z":1,"messages":[],"a":12345678901234567890123}'
    assert strip_report(parse_request(body)) == b'{"z":1,"messages":[],"a":12345678901234567890123}'


def test_numbers_and_order_survive_a_change() -> None:
    body = apply_change(parse_request(SPACED), Change(model="other"))
    want = b'{"model":"other","messages":[{"role":"user","content":"hi"}],"seed":12345678901234567890123,"t":1e2}'
    assert body == want


def test_the_request_itself_never_changes() -> None:
    request = parse_request(orjson.dumps({"messages": [system("s"), user([text("a")])]}))
    before = orjson.dumps(request.doc)
    first, second = Boundary("b", "system_append"), Boundary("c", "last_user_prefix")
    change = Change(boundaries=(first, second), edits=(Edit(1, 0, 1, "z"),), model="n")
    assert apply_change(request, change) == apply_change(request, change)
    assert orjson.dumps(request.doc) == before


@pytest.mark.parametrize(
    ("messages", "result"),
    [
        ([user("u")], [system("B"), user("u")]),
        ([], [system("B")]),
        ([system("s"), user("u")], [system("s\n\nB"), user("u")]),
        ([system(""), user("u")], [system("B"), user("u")]),
        ([system(None), user("u")], [system("B"), user("u")]),
        ([system("s"), system("d", "developer"), user("u")], [system("s"), system("d\n\nB", "developer"), user("u")]),
        ([user("u"), system("late")], [system("B"), user("u"), system("late")]),
        (
            [system([text("s", cache_control={"type": "ephemeral"})]), user("u")],
            [system([text("s", cache_control={"type": "ephemeral"}), text("B")]), user("u")],
        ),
        (
            [system([{"type": "input_text", "text": "s"}])],
            [system([{"type": "input_text", "text": "s"}, {"type": "input_text", "text": "B"}])],
        ),
        ([system(["s"])], [system(["s", text("B")])]),
        ([system("s")], [system("s\n\nB")]),
    ],
)
def test_system_append(messages: list[Any], result: list[Any]) -> None:
    assert changed(messages, append="B") == result


def test_system_after_history_stands_just_before_the_last_user_turn() -> None:
    history = [system("s"), user("one"), {"role": "assistant", "content": "a"}]
    assert changed([*history, user("two")], late="B") == [*history, system("B"), user("two")]
    assert changed([user("u")], late="B") == [system("B"), user("u")]


@pytest.mark.parametrize(
    ("content", "result"),
    [
        ("u", "B\n\nu"),
        ("", "B"),
        (None, "B"),
        ([text("u", k=1), text("v")], [text("B\n\nu", k=1), text("v")]),
        ([{"type": "image_url"}, "u"], [{"type": "image_url"}, "B\n\nu"]),
        ([{"type": "image_url"}], [text("B"), {"type": "image_url"}]),
    ],
)
def test_last_user_prefix(content: Any, result: Any) -> None:
    history = [user("one"), {"role": "assistant", "content": "a"}]
    tail = {"role": "assistant", "content": "begun"}
    assert changed([*history, user(content, name="n"), tail], prefix="B") == [*history, user(result, name="n"), tail]


@pytest.mark.parametrize("place", ["late", "prefix"])
def test_without_a_user_turn_boundaries_are_appended(place: str) -> None:
    assert changed([system("s")], **{place: "B"}) == [system("s\n\nB")]


def test_all_placements_together_keep_the_order_of_boundaries() -> None:
    result = changed([system("s"), user("u")], append="A", late="L", prefix="P", append2="A2", late2="L2", prefix2="P2")
    assert result == [system("s\n\nA\n\nA2"), system("L\n\nL2"), user("P\n\nP2\n\nu")]
    assert changed([user("u")], append="A", late="L") == [system("A"), system("L"), user("u")]


@pytest.mark.parametrize(
    ("content", "edits", "result"),
    [
        ("elucidate it", [(0, 9, "explain")], "explain it"),
        ("a b c", [(4, 5, "C"), (0, 1, "A")], "A b C"),
        ("ab", [(1, 1, "-")], "a-b"),
        ("ab", [(0, 2, "")], ""),
        ([text("one"), text("two")], [(4, 7, "2")], [text("one"), text("2")]),
        ([text("one"), text("two")], [(3, 3, "!"), (4, 4, "?")], [text("one!"), text("?two")]),
        ([text("one"), {"type": "image_url"}, "two"], [(0, 7, "x\ny")], [text("x"), {"type": "image_url"}, "y"]),
        ([text("one"), {"type": "image_url"}, "two"], [(2, 5, "X")], [text("onX"), {"type": "image_url"}, "wo"]),
        ([text("one"), text("two")], [(0, 7, "all")], [text("all")]),
        ([text("one"), text("two")], [(0, 7, "")], [text("")]),
        ([text("a"), text("b"), text("c")], [(0, 5, "x\ny")], [text("x\ny")]),
        ([text("a"), text(""), text("c")], [(0, 1, "x")], [text("x"), text(""), text("c")]),
        ([{"type": "refusal", "refusal": "no"}], [(0, 2, "yes")], [{"type": "refusal", "refusal": "yes"}]),
        ("a🤖b", [(1, 2, "-")], "a-b"),
    ],
)
def test_edits(content: Any, edits: list[tuple[int, int, str]], result: Any) -> None:
    assert changed([user("x"), user(content, k=1)], *(Edit(1, *edit) for edit in edits)) == [user("x"), user(result, k=1)]


def test_edits_come_before_boundaries() -> None:
    assert changed([user("elucidate")], Edit(0, 0, 9, "explain"), prefix="B") == [user("B\n\nexplain")]


@pytest.mark.parametrize(
    ("content", "edits"),
    [
        ("abc", [Edit(0, 0, 4, "")]),
        ("abc", [Edit(0, 2, 1, "")]),
        ("abc", [Edit(0, -1, 1, "")]),
        ("abc", [Edit(1, 0, 1, "")]),
        ("abc", [Edit(-1, 0, 1, "")]),
        ("abc", [Edit(0, 0, 2, ""), Edit(0, 1, 3, "")]),
        ([text("abc")], [Edit(0, 0, 4, "")]),
        ([text("abc")], [Edit(0, 4, 4, "")]),
        ([text("abc")], [Edit(0, -1, 1, "")]),
        ([text("abc")], [Edit(0, 2, 1, "")]),
        ([{"type": "image_url"}], [Edit(0, 0, 0, "x")]),
        (None, [Edit(0, 0, 0, "x")]),
    ],
)
def test_edits_outside_the_text_are_a_mistake(content: Any, edits: list[Edit]) -> None:
    with pytest.raises(ValueError, match="edit"):
        changed([user(content)], *edits)


def test_a_request_too_deep_to_be_written_is_invalid() -> None:
    deep = b'{"messages":[{"role":"user","content":"u"}],"x":' + b"[" * 400 + b"]" * 400 + b"}"
    request = parse_request(deep)
    assert apply_change(request, Change()) is request.body
    with pytest.raises(InvalidRequest):
        apply_change(request, Change(model="other"))


_PART = st.one_of(st.text(max_size=6), st.text(max_size=6).map(text), st.just({"type": "image_url", "image_url": {"url": "u"}}))


@given(st.data(), st.one_of(st.text(max_size=20), st.lists(_PART, min_size=1, max_size=5)))
def test_the_edited_text_reads_as_if_the_whole_text_was_edited(data: st.DataObject, content: Any) -> None:
    body = orjson.dumps({"messages": [user(content)]})
    request = parse_request(body)
    whole = request.conversation.turns[0].text
    if not isinstance(content, str) and all(isinstance(part, dict) and "text" not in part for part in content):
        return
    start = data.draw(st.integers(0, len(whole)))
    end = data.draw(st.integers(start, len(whole)))
    new = data.draw(st.text(st.sampled_from("xyz"), max_size=4))
    after = parse_request(apply_change(request, Change(edits=(Edit(0, start, end, new),)))).conversation.turns[0]
    # Newlines between parts may stay or go with an emptied part; every other character is where a plain edit puts it.
    assert after.text.replace("\n", "") == (whole[:start] + new + whole[end:]).replace("\n", "")
    assert after.media == request.conversation.turns[0].media
