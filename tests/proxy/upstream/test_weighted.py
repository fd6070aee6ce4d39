"""Upstreams share the requests by weight; what is tied to one stays with the first."""

from __future__ import annotations

import random

import pytest

from proxy.upstream.weighted import WeightedUpstream
from tests.proxy.upstream.members import CHAT, KEPT, Member


def members() -> list[Member]:
    return [Member("a"), Member("b"), Member("c")]


@pytest.mark.parametrize(
    ("chance", "name"), [(0.0, b"a"), (0.69, b"a"), (0.7, b"b"), (0.89, b"b"), (0.9, b"c"), (0.999999, b"c")]
)
async def test_the_draw_decides(chance: float, name: bytes) -> None:
    reply = await WeightedUpstream("w", members(), [7, 2, 1], lambda: chance).open(CHAT)
    assert await reply.read() == name


async def test_shares_come_out_as_the_weights_say() -> None:
    made = members()
    upstream = WeightedUpstream("w", made, [7, 2, 1], random.Random(1).random)
    for _ in range(2000):
        await upstream.open(CHAT)
    shares = [len(member.asked) / 2000 for member in made]
    assert shares == pytest.approx([0.7, 0.2, 0.1], abs=0.03)
    await upstream.close()


async def test_what_is_tied_to_one_goes_to_the_first() -> None:
    made = members()
    await WeightedUpstream("w", made, [1, 1, 8], lambda: 0.99).open(KEPT)
    assert [len(member.asked) for member in made] == [1, 0, 0]


async def test_the_clients_credentials_are_for_the_first_alone() -> None:
    made = members()
    for chance in (0.0, 0.5, 0.99):
        await WeightedUpstream("w", made, [1, 1, 1], lambda chance=chance: chance).open(CHAT)  # type: ignore[misc]
    assert [member.asked[0].credentials for member in made] == [True, False, False]
