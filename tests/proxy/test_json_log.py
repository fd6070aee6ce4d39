"""The log: one object a line, only listed fields, and never a word of anybody's text."""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import io
import json
import logging
from typing import Any

import orjson
import pytest

from proxy.json_log import EVENT_FIELDS, LOGGED, JsonLog, LibraryLog
from proxy.records import DecisionRecord, FindingRecord, Place

RECORD = DecisionRecord(
    "d1" * 16,
    2.5,
    "r",
    "chat_completions",
    findings=(FindingRecord(1, 0, "code", "misrouted", 0.9, "code", True, (Place("x", 0, 1, 2),)),),
)


def lines(sink: io.BytesIO) -> list[dict[str, Any]]:
    return [orjson.loads(line) for line in sink.getvalue().splitlines()]


def test_a_decision_is_one_line_with_every_listed_field() -> None:
    sink = io.BytesIO()
    JsonLog(sink).record(RECORD)
    assert sink.getvalue().count(b"\n") == 1
    (line,) = lines(sink)
    assert tuple(line) == ("level", "event", *LOGGED)
    assert (line["event"], line["level"], line["findings"][0]["spans"]) == (
        "decision", "info", [{"name": "x", "message": 0, "start": 1, "end": 2}]
    )  # fmt: skip


def test_the_list_of_fields_is_that_of_the_record() -> None:
    assert set(LOGGED) == {field.name for field in dataclasses.fields(DecisionRecord)}


@pytest.mark.parametrize("change", [{"flagged": True}, {"unchecked": ("code",)}, {"failure": "timeout"}])
def test_what_needs_eyes_is_a_warning(change: dict[str, Any]) -> None:
    sink = io.BytesIO()
    log = JsonLog(sink, "warning")
    log.record(RECORD)
    log.record(dataclasses.replace(RECORD, **change))
    assert [line["level"] for line in lines(sink)] == ["warning"]


def test_an_event_keeps_listed_fields_only() -> None:
    sink = io.BytesIO()
    log = JsonLog(sink)
    log.event("info", "reloaded", revision="abc", headers={"Authorization": "Bearer sk-planted"}, body="sk-planted")
    log.event("debug", "quiet")
    (line,) = lines(sink)
    assert (line["event"], line["revision"]) == ("reloaded", "abc")
    assert set(line) - {"level", "event", "time"} <= EVENT_FIELDS
    assert b"sk-planted" not in sink.getvalue()


def test_what_libraries_say_is_not_quoted() -> None:
    sink = io.BytesIO()
    logger = logging.Logger("some.library")
    logger.addHandler(LibraryLog(JsonLog(sink)))
    try:
        raise ValueError("sk-planted in an error")
    except ValueError:
        logger.exception("request with sk-planted failed")
    logger.warning("sk-planted %s", "x")
    assert [(line["logger"], line["kind"], line["level"]) for line in lines(sink)] == [
        ("some.library", "ValueError", "error"), ("some.library", "", "warning")
    ]  # fmt: skip
    assert b"sk-planted" not in sink.getvalue()


def test_a_broken_sink_costs_lines_and_nothing_else() -> None:
    class Broken(io.BytesIO):
        def write(self, data: Any, /) -> int:
            raise BrokenPipeError

    lost: list[None] = []
    log = JsonLog(Broken(), on_lost=lambda: lost.append(None))
    log.record(RECORD)
    log.event("info", "x")
    assert len(lost) == 2


def test_a_share_of_usual_decisions_is_logged_and_all_that_need_eyes() -> None:
    sink, other = io.BytesIO(), io.BytesIO()
    records = [dataclasses.replace(RECORD, decision_id=f"{number * 0x0147_AE15:08x}{'0' * 24}") for number in range(200)]
    for to in (sink, other):
        log = JsonLog(to, sample=0.25)
        for record in records:
            log.record(record)
    assert len(lines(sink)) == 50
    assert sink.getvalue() == other.getvalue()
    none = io.BytesIO()
    log = JsonLog(none, sample=0)
    for record in records:
        log.record(record)
        log.record(dataclasses.replace(record, flagged=True))
    assert [line["flagged"] for line in lines(none)] == [True] * 200


class FullDisk(io.BytesIO):
    """Takes a part of what is written while `full`, and drops the rest."""

    full = False

    def write(self, data: Any, /) -> int:
        if self.full:
            super().write(data[:30])
            raise OSError(errno.ENOSPC, "No space left on device")
        return super().write(data)


def test_a_disk_that_was_full_leaves_whole_lines() -> None:
    disk = FullDisk()
    lost: list[None] = []
    log = JsonLog(disk, on_lost=lambda: lost.append(None))
    for number in range(9):
        disk.full = 3 <= number < 6
        log.event("info", "x", count=number)
    assert len(lost) == 3
    whole = []
    for line in disk.getvalue().splitlines():
        with contextlib.suppress(ValueError):
            whole.append(json.loads(line)["count"])
    assert whole == [0, 1, 2, 6, 7, 8]
