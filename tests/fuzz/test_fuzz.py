"""Random and mangled bytes into everything that reads what others wrote: requests, streams, policies, configurations.

One rule: each target has one sentence that must hold for every input. `make fuzz` runs the same with FUZZ_EXAMPLES as many.
"""

from __future__ import annotations

import contextlib
import json
import os
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from policies.loader import resolve
from proxy.config import parse
from proxy.errors import ConfigError, GuardError, InvalidRequest, Problem
from proxy.routing import Router
from proxy.wire.codec import Codec
from proxy.wire.codecs import CODECS
from proxy.wire.encoding import decode
from tests.chaos.faults import EVERY
from tests.proxy.test_routing import ROUTES

fuzz = settings(
    max_examples=int(os.environ.get("FUZZ_EXAMPLES", "60")),
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
CODEC = st.sampled_from(list(CODECS.values()))
API = st.sampled_from([(CODECS[name], api) for name, api in EVERY.items()])  # type: ignore[index]
JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=8,
)


@st.composite
def mangled(draw: st.DrawFn, good: bytes) -> bytes:
    """Good bytes with some cut, doubled, swapped or replaced."""
    data = bytearray(good)
    for _ in range(draw(st.integers(0, 5))):
        at, to = sorted((draw(st.integers(0, len(data))), draw(st.integers(0, len(data)))))
        match draw(st.sampled_from(["cut", "double", "junk", "flip"])):
            case "cut":
                del data[at : min(to, at + 40)]
            case "double":
                data[at:at] = data[at : min(to, at + 40)]
            case "junk":
                data[at:at] = draw(st.binary(max_size=12))
            case "flip" if at < len(data):
                data[at] ^= draw(st.integers(1, 255))
    return bytes(data)


@fuzz
@given(CODEC, st.binary(max_size=200))
def test_any_body_is_a_request_or_an_invalid_one(codec: Codec, body: bytes) -> None:
    with contextlib.suppress(InvalidRequest):
        codec.parse_request(body)


@fuzz
@given(API, st.data())
def test_a_mangled_request_is_a_request_or_an_invalid_one(api: Any, data: st.DataObject) -> None:
    codec, own = api
    with contextlib.suppress(InvalidRequest):
        codec.parse_request(data.draw(mangled(own.body("Elucidate peace. é", stream=True, tools=[{"type": "function"}]))))


@fuzz
@given(API, st.dictionaries(st.sampled_from(["model", "messages", "input", "prompt", "n", "stream", "tools", "system"]), JSON))
def test_any_value_of_any_field_is_read_or_refused(api: Any, fields: dict[str, Any]) -> None:
    codec, own = api
    with contextlib.suppress(InvalidRequest):
        codec.parse_request(json.dumps({**own.ask("x"), **fields}).encode())


@fuzz
@given(API, st.booleans(), st.data())
def test_what_is_read_of_any_answer_is_its_bytes_however_it_is_cut(api: Any, stream: bool, data: st.DataObject) -> None:
    """The pieces, joined, are the body; and the cuts change nothing of what was read."""
    codec, own = api
    good = b"".join(own.stream("Peace is é more. " * 3)) if stream else own.plain("Peace is é more.")
    body = data.draw(mangled(good) | st.binary(max_size=80))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(body)), max_size=6)))
    whole = codec.ReplyDecoder(stream, 1)
    once = whole.feed(body) + whole.flush()
    cut = codec.ReplyDecoder(stream, 1)
    parts = [body[start:end] for start, end in zip([0, *cuts], [*cuts, len(body)], strict=True)]
    pieces = [piece for part in parts for piece in cut.feed(part)] + list(cut.flush())
    assert b"".join([piece.data for piece in pieces]) == body
    assert [piece.deltas for piece in once if piece.deltas] == [piece.deltas for piece in pieces if piece.deltas]
    assert (whole.complete, whole.malformed) == (cut.complete, cut.malformed)


@fuzz
@given(st.sampled_from(["gzip", "br", "zstd", "deflate", "gzip, br"]), st.binary(max_size=200))
def test_any_compressed_body_decodes_or_is_refused(coding: str, body: bytes) -> None:
    with contextlib.suppress(GuardError):
        decode(body, coding, max_bytes=1 << 20)


@fuzz
@given(st.sampled_from(["GET", "POST"]), st.text(max_size=40).map(lambda text: "/" + text))
def test_any_path_has_one_place(method: str, path: str) -> None:
    location = Router(ROUTES).locate(method, path)
    assert Router(ROUTES).locate(method, path) == location
    assert location.endpoint == "refused" or location.path.startswith("/")


@fuzz
@given(
    st.lists(
        JSON | st.fixed_dictionaries({"extends": st.sampled_from(["code", "refusal", "x"]), "check": JSON, "ladder": JSON})
    )
)
def test_any_policies_are_policies_or_problems(entries: list[Any]) -> None:
    entries = [entry for entry in entries if isinstance(entry, str | dict)]
    found, problems = resolve(entries, "policies")
    assert problems or len(found) == len(entries)
    assert all(problem.reason for problem in problems)


GOOD = b"""
listen: 127.0.0.1:0
upstreams: {main: {kind: openai, url: https://api.openai.com/v1, timeouts: {total_s: 5}}}
routes:
  - {name: a, match: {path_prefix: /a, model: 'gpt-*'}, upstream: main, policies: [code, {extends: refusal}]}
limits: {holdout: 0.1}
"""


@fuzz
@given(mangled(GOOD))
def test_any_configuration_is_one_or_says_what_is_wrong(text: bytes) -> None:
    problems: tuple[Problem, ...] = ()
    try:
        parse(text.decode(errors="replace"), source="c.yaml", folder=Path("/nowhere"), env={})
    except ConfigError as error:
        problems = error.problems
    assert all(problem.reason for problem in problems)
