"""The next upstream answers where one before it cannot, and only then."""

from __future__ import annotations

import pytest

from proxy.errors import CircuitOpen, ProtocolError, Timeout, Unavailable, UpstreamError
from proxy.upstream.fallback import MOVES, FallbackUpstream
from tests.proxy.upstream.members import CHAT, KEPT, Member


def group(*answers: int | UpstreamError) -> tuple[FallbackUpstream, list[Member]]:
    members = [Member(f"m{place}", answer) for place, answer in enumerate(answers)]
    return FallbackUpstream("both", members, [429, 500, 503]), members


@pytest.mark.parametrize("answer", [200, 400, 401, 404, 418])
async def test_the_first_answers_what_it_can(answer: int) -> None:
    upstream, (first, second) = group(answer, 200)
    reply = await upstream.open(CHAT)
    assert (reply.status, await reply.read(), second.asked) == (answer, b"m0", [])
    assert first.asked == [CHAT]
    await upstream.close()


@pytest.mark.parametrize("answer", [429, 500, 503, Unavailable("x"), Timeout("x"), ProtocolError("x")])
async def test_the_next_answers_what_the_first_cannot(answer: int | UpstreamError) -> None:
    upstream, members = group(answer, answer, 200)
    reply = await upstream.open(CHAT)
    assert (reply.status, await reply.read()) == (200, b"m2")
    assert [len(member.asked) for member in members] == [1, 1, 1]
    assert all(said.ended for member in members[:2] for said in member.said)


async def test_every_move_is_told_with_its_reason() -> None:
    moves: list[tuple[str, str]] = []
    answers = (503, Unavailable("x"), Timeout("x"), ProtocolError("x"), CircuitOpen("x"), 200)
    members = [Member(f"m{place}", answer) for place, answer in enumerate(answers)]
    upstream = FallbackUpstream("all", members, [503], lambda *told: moves.append(told))
    assert (await upstream.open(CHAT)).status == 200
    assert moves == [("m0", "status"), ("m1", "unavailable"), ("m2", "timeout"), ("m3", "protocol"), ("m4", "unavailable")]
    assert {why for _, why in moves} == set(MOVES)


async def test_the_clients_credentials_are_for_the_first_alone() -> None:
    upstream, (first, second) = group(500, 200)
    await upstream.open(CHAT)
    assert (first.asked[0].credentials, second.asked[0].credentials) == (True, False)


async def test_the_last_answers_as_it_does() -> None:
    upstream, _ = group(429, 500)
    assert (await upstream.open(CHAT)).status == 500
    upstream, _ = group(500, Unavailable("gone"))
    with pytest.raises(Unavailable, match="gone"):
        await upstream.open(CHAT)


async def test_what_is_tied_to_the_first_stays_there() -> None:
    upstream, (_, second) = group(500, 200)
    assert (await upstream.open(KEPT)).status == 500
    upstream, (_, third) = group(Timeout("late"), 200)
    with pytest.raises(Timeout):
        await upstream.open(KEPT)
    assert second.asked == third.asked == []


async def test_groups_nest() -> None:
    inner, (first, second) = group(503, 503)
    spare = Member("spare")
    reply = await FallbackUpstream("outer", [inner, spare], [503]).open(CHAT)
    assert await reply.read() == b"spare"
    assert [member.asked[0].credentials for member in (first, second, spare)] == [True, False, False]
