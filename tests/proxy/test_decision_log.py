"""The decision log, written by a whole gateway: how much of the texts, which decisions, and never a credential."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import orjson
import pytest

from proxy import config
from proxy.errors import ConfigError
from proxy.json_log import LOGGED
from tests.proxy.fake_upstream import plain, streamed
from tests.proxy.rig import CODE, CODE_POLICY, DANUBE, PEACE, PROSE, WEATHER, rig, until

KEY = "sk-planted-abcdefghijklmnop"
OBSERVING = {"extends": "code", "enforcement": "observe"}


async def log_of(tmp_path: Path, *prompts: str, policy: Any = CODE_POLICY, answers: Any = (), **decisions: Any) -> list[Any]:
    file = tmp_path / "decisions.jsonl"
    settings = {"file": str(file), **decisions}
    async with rig({"policies": [policy]}, answers=list(answers), decisions=settings) as gate:
        for prompt in prompts:
            await gate.chat(prompt, headers=[("Authorization", f"Bearer {KEY}")])
        await gate.recorded(len(prompts))
    return [orjson.loads(line) for line in (await asyncio.to_thread(file.read_bytes)).splitlines()]


async def test_without_content_a_line_is_that_of_the_log(tmp_path: Path) -> None:
    (line,) = await log_of(tmp_path, PEACE, answers=[plain(CODE), plain(PROSE)])
    assert tuple(line) == ("level", "event", *LOGGED)
    assert (line["fixed"], line["verdict"]) == (["code"], "clear")


@pytest.mark.parametrize("policy", [CODE_POLICY, OBSERVING])
async def test_full_content_is_what_was_asked_and_what_was_sent(tmp_path: Path, policy: Any) -> None:
    prompt = f"{WEATHER} My key is {KEY}, card 4111111111111111."
    (line,) = await log_of(
        tmp_path, prompt, policy=policy, answers=[plain(f"{DANUBE} {KEY}")], content="full", redact=[r"\b\d{16}\b"]
    )
    assert line["turns"] == [{"role": "user", "text": f"{WEATHER} My key is [redacted], card [redacted]."}]
    assert line["answers"][0]["text"] == f"{DANUBE} [redacted]"
    assert KEY not in str(line)


async def test_full_content_of_a_retried_answer_is_the_one_that_was_sent(tmp_path: Path) -> None:
    (line,) = await log_of(tmp_path, PEACE, answers=[plain(CODE), plain(PROSE)], content="full")
    assert [answer["text"] for answer in line["answers"]] == [PROSE]


async def test_streams_are_written_whole(tmp_path: Path) -> None:
    file = tmp_path / "decisions.jsonl"
    async with rig(
        {"policies": [OBSERVING]}, answers=[streamed("The Danube.")], decisions={"file": str(file), "content": "full"}
    ) as gate:
        await gate.chat(WEATHER, stream=True)
        await gate.recorded()
    (line,) = (await asyncio.to_thread(file.read_bytes)).splitlines()
    assert orjson.loads(line)["answers"][0]["text"] == "The Danube."


async def test_hashes_are_equal_for_equal_texts_and_need_the_key_to_be_guessed(tmp_path: Path) -> None:
    answers = [plain(DANUBE), plain(DANUBE), plain(PROSE)]
    one, two, three = await log_of(tmp_path, WEATHER, WEATHER, PEACE, answers=answers, content="hash", hash_key="a" * 16)
    assert one["prompt_hash"] == two["prompt_hash"] != three["prompt_hash"]
    assert one["answer_hashes"] == two["answer_hashes"] != three["answer_hashes"]
    other = tmp_path / "other"
    other.mkdir()
    (again,) = await log_of(other, WEATHER, answers=answers, content="hash", hash_key="b" * 16)
    assert again["last_user_hash"] != one["last_user_hash"]
    assert "Danube" not in str(one)
    assert "Vienna" not in str(one)


async def test_what_needs_eyes_is_written_whatever_the_share(tmp_path: Path) -> None:
    answers = [plain(DANUBE), plain(CODE), plain(CODE)]
    for content in ("none", "full"):
        folder = tmp_path / content
        folder.mkdir()
        (line,) = await log_of(folder, WEATHER, PEACE, answers=answers, sample=0, content=content)
        assert line["flagged"]


@pytest.mark.parametrize("wrong", [{"content": "hash"}, {"content": "everything"}, {"redact": ["("]}, {"max_bytes": 0}])
def test_wrong_settings_are_refused(tmp_path: Path, wrong: Any) -> None:
    data = {
        "upstreams": {"u": {"kind": "openai", "url": "http://127.0.0.1:9/v1"}},
        "routes": [{"name": "r", "upstream": "u"}],
        "decisions": {"file": "d.jsonl", **wrong},
    }
    with pytest.raises(ConfigError, match="decisions"):
        config.build(data, source="test", folder=tmp_path)


async def test_a_disk_without_room_costs_lines_that_are_counted_and_no_request(tmp_path: Path) -> None:
    gone = {"file": str(tmp_path / "no" / "such" / "folder" / "d.jsonl")}
    async with rig({"policies": [CODE_POLICY]}, answers=[plain(DANUBE)] * 3, decisions=gone) as gate:
        for _ in range(3):
            assert (await gate.chat(WEATHER)).status == 200
        await until(lambda: gate.metric("chunkguard_log_lost_total", log="decisions") == 3)
        assert gate.metric("chunkguard_log_lost_total", log="events") == 0
