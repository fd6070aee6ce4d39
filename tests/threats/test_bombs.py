"""Little that would become much: compressed bodies, patterns, globs, nested documents. Work stays near the input's size.

YAML bombs: tests/proxy/test_yaml_text.py. Each encoding's caps alone: tests/proxy/wire/test_encoding.py.
"""

from __future__ import annotations

import gzip
import io
import tracemalloc
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import process_time

import brotli
import pytest
import zstandard

from policies.loader import resolve
from proxy.routing import PassRules
from tests.proxy.fake_upstream import JSON, SSE, Answer, plain
from tests.proxy.rig import CODE_POLICY, DANUBE, WEATHER, rig
from tests.threats.raw import CHAT

MEGABYTES = 256
BOMBS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": lambda data: gzip.compress(data, 9),
    "deflate": lambda data: zlib.compress(data, 9),
    "br": lambda data: brotli.compress(data, quality=5),
    "zstd": lambda data: zstandard.compress(data, 3),
    "gzip, gzip": lambda data: gzip.compress(gzip.compress(data, 9), 9),
}


@contextmanager
def at_most(megabytes: int) -> Iterator[None]:
    """Python's memory grows by no more than this meanwhile."""
    tracemalloc.start()
    try:
        yield
        assert tracemalloc.get_traced_memory()[1] < megabytes << 20
    finally:
        tracemalloc.stop()


@pytest.fixture(scope="module")
def bombs() -> dict[str, bytes]:
    data = b'{"model":"m","messages":[' + b" " * (MEGABYTES << 20)
    return {name: pack(data) for name, pack in BOMBS.items()}


@pytest.mark.parametrize("coding", BOMBS)
async def test_a_request_that_explodes_is_refused(coding: str, bombs: dict[str, bytes]) -> None:
    async with rig({"policies": [CODE_POLICY]}, answers=[plain(DANUBE)]) as gate:
        with at_most(120):
            answer = await gate.fetch("POST", CHAT, [("Content-Encoding", coding)], io.BytesIO(bombs[coding]))
        assert (answer.status, gate.upstream.seen) == (400, [])
        assert (await gate.chat(WEATHER)).status == 200


@pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
@pytest.mark.parametrize("coding", BOMBS)
async def test_an_answer_that_explodes_is_passed_on_or_refused_and_never_unpacked(
    coding: str, stream: bool, bombs: dict[str, bytes]
) -> None:
    """What is relayed stays packed; what must be judged is refused."""
    answer = Answer([bombs[coding]], headers=[*(SSE if stream else JSON), ("Content-Encoding", coding)])
    hold = {"hold": {"default": "all", "on_trigger": "all"}}
    seen = {"name": "seen", "match": {"path_prefix": "/seen"}, "policies": [{"extends": "code", "enforcement": "observe"}]}
    async with rig({"policies": [{**CODE_POLICY, **hold}]}, seen, answers=[answer]) as gate:
        with at_most(200):
            held = await gate.chat(WEATHER, stream=stream)
            relayed = await gate.chat(WEATHER, prefix="/seen", stream=stream)
            await gate.app.observer.drain()
        assert (held.status, held.doc["error"]["code"]) == (502, "upstream_protocol_error")
        assert (relayed.status, relayed.body) == (200, bombs[coding])


@pytest.mark.parametrize(
    "body",
    [
        b"[" * 1_000_000,
        b'{"a":' * 200_000,
        b'{"model":"m","messages":' + b"[" * 500_000 + b"]" * 500_000 + b"}",
        b'{"model":"m","messages":[],"x":' + b"9" * 2_000_000 + b"}",
        b'{"model":"m","messages":[' + b",".join([b'{"role":"user","content":""}'] * 20_000) + b"]}",
        b'{"model":"m","messages":[],"tools":[{"type":"function","function":{"name":"' + b"a" * 1_000_000 + b'"}}]}',
        b'{"model":"m","n":1000000000,"messages":[]}',
    ],
    ids=["lists", "mappings", "nested messages", "number", "many messages", "long tool", "many choices"],
)
async def test_odd_documents_cost_little(body: bytes) -> None:
    async with rig({"policies": [CODE_POLICY]}, answers=[plain(DANUBE)]) as gate:
        began = process_time()
        answer = await gate.fetch("POST", CHAT, [("Content-Type", "application/json")], io.BytesIO(body))
        assert answer.status in (200, 400)
        assert process_time() - began < 20
        assert (await gate.chat(WEATHER)).status == 200


EVIL_PATTERNS = ["(a+)+$", "(a|a)*b", "(.*a){20}b", "([a-z]+)*\\d", "^(\\w+\\s?)*$"]


@pytest.mark.parametrize("pattern", EVIL_PATTERNS)
async def test_a_pattern_that_backtracks_elsewhere_is_linear_here(pattern: str) -> None:
    own = {**CODE_POLICY, "name": "own", "triggers": [{"name": "own", "regex": [pattern]}], "examples": {}}
    async with rig({"policies": [own]}, answers=[plain(DANUBE)]) as gate:
        began = process_time()
        assert (await gate.chat("a" * 50_000 + "!")).status == 200
        assert process_time() - began < 10


@pytest.mark.parametrize("pattern", ["a{1000}{1000}", "((a{100}){100}){100}", "(?=a)b", "(a)\\1", "[" * 5])
def test_a_pattern_that_is_too_large_or_not_linear_is_refused(pattern: str) -> None:
    own = {"extends": "code", "name": "own", "triggers": [{"name": "own", "regex": [pattern]}]}
    found, problems = resolve([own], "policies")
    assert [problem for problem in problems if "regex" in problem.key]
    assert found == ()


def test_globs_are_linear() -> None:
    rules = PassRules([f"GET /{'*a' * 40}b"])
    began = process_time()
    assert not rules.allow("GET", "/" + "a" * 5_000)
    assert process_time() - began < 5
