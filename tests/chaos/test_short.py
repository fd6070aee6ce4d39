"""The short part of the fault campaign: every part of `make chaos` that needs no long rest, on a small scale and one stage.

One rule: the parts are the campaign's own; nothing is judged more loosely here.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.chaos.bars import SHORT, Part
from tests.chaos.parts_upstream import failing_retries, long_answers, quick_faults, refused, slow_faults, strays
from tests.chaos.parts_world import broken_reloads, crashing_detectors, full_disk, jumping_clock, killed, stopped
from tests.chaos.stage import Stage, staged

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(180)]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stage() -> AsyncIterator[Stage]:
    async with staged() as running:
        yield running


@pytest.mark.parametrize(
    "part",
    [
        quick_faults, slow_faults, strays, failing_retries, refused, long_answers, crashing_detectors, full_disk,
        jumping_clock, broken_reloads, stopped, killed,
    ],
    ids=lambda part: part.__name__,
)  # fmt: skip
async def test_every_bar_holds(stage: Stage, part: Part) -> None:
    assert stage.worker is not None
    if stage.worker.poll() is not None:
        await stage.start_worker()
    assert [str(bar) for bar in await part(stage, SHORT) if not bar.holds] == []
