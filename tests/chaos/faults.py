"""What a misbehaving upstream does, as data: one script a fault, and how a request that meets it may end.

One rule: a script is a function of API, stream and nonce alone, so the client knows every byte that the upstream wrote, and
an answer that is not this request's own cannot pass for it.
"""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from tests.proxy import fake_upstream as fake
from tests.proxy.apis import APIS, Api
from tests.proxy.rig import CODE, PROSE

CHAT = Api(
    name="chat_completions",
    path="/v1/chat/completions",
    ask=lambda prompt, **fields: {"model": "m", "messages": [{"role": "user", "content": prompt}], **fields},
    plain=lambda text: fake.completion(fake.message(text)),
    stream=lambda text: fake.events(text, usage=True),
    read=lambda doc: str(doc["choices"][0]["message"]["content"]),
    said=lambda docs: "".join(choice["delta"].get("content") or "" for doc in docs for choice in doc["choices"]),
    error=lambda doc: str(doc["error"]["type"]),
    blocked=lambda doc: False,
)
EVERY: Mapping[str, Api] = {api.name: api for api in (CHAT, *APIS)}
NONCE = re.compile(rb"nonce-[0-9a-f]{12}")
EVIL = "nonce-eeeeeeeeeeee"

#: What becomes of the connection: bytes are written, pauses waited; RST and FIN end it, HANG never goes on.
RST, FIN, HANG = "rst", "fin", "hang"


@dataclass(frozen=True)
class Pause:
    """Seconds before the next step."""

    seconds: float


Step = bytes | Pause | str
#: How a request may end. `same`: status and body as the upstream sent them, whole. `cut`: the head and a part of the body, and
#: the connection breaks. `retried`: the answer to the changed request. `first`: the first answer, after a retry that failed.
#: Others are error codes of the gateway.
End = Literal[
    "same", "cut", "retried", "first", "upstream_unavailable", "upstream_protocol_error", "upstream_timeout", "upstream_error"
]


@dataclass(frozen=True)
class Script:
    """What is written, and what of it is the message: `status` and `body` as a client without a gateway would read them."""

    steps: Sequence[Step]
    status: int
    body: bytes


@dataclass(frozen=True)
class Fault:
    """`relayed`: ends where nothing is judged before it is sent; `held`: where the answer is."""

    script: Callable[[Api, bool, str], Script]
    relayed: frozenset[End]
    held: frozenset[End]


def text_of(nonce: str) -> str:
    """A good answer, told from all others by its nonce; not all of its characters are one byte long."""
    return f"{PROSE} Straße, 平和, \U0001f54a. Ref {nonce}, which ends here. " + "Peace takes time and many small steps. " * 4


def misrouted_text(nonce: str) -> str:
    """Program code that nobody asked for."""
    return f"{CODE}\n# {nonce}\n"


def head(status: str, headers: Mapping[str, str]) -> bytes:
    lines = [f"HTTP/1.1 {status}", *(f"{name}: {value}" for name, value in headers.items())]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def chunk(data: bytes) -> bytes:
    return f"{len(data):x}\r\n".encode() + data + b"\r\n"


LAST = b"0\r\n\r\n"
_SSE = {"Content-Type": "text/event-stream", "Transfer-Encoding": "chunked"}
_JSON = {"Content-Type": "application/json"}


def parts_of(api: Api, stream: bool, text: str) -> list[bytes]:
    """The body in the pieces in which it is written."""
    if stream:
        return list(api.stream(text))
    body = api.plain(text)
    return [body[: len(body) // 2], body[len(body) // 2 :]]


def whole(api: Api, stream: bool, text: str, **headers: str) -> Script:
    """A proper answer."""
    parts = parts_of(api, stream, text)
    body = b"".join(parts)
    if stream:
        return Script([head("200 OK", {**_SSE, **headers}), *map(chunk, parts), LAST], 200, body)
    return Script([head("200 OK", {**_JSON, "Content-Length": str(len(body)), **headers}), *parts], 200, body)


def ok(api: Api, stream: bool, nonce: str) -> Script:
    return whole(api, stream, text_of(nonce))


def misrouted(api: Api, stream: bool, nonce: str) -> Script:
    return whole(api, stream, misrouted_text(nonce))


def slow_drip(api: Api, stream: bool, nonce: str) -> Script:
    made = ok(api, stream, nonce)
    steps: list[Step] = []
    for step in made.steps:
        assert isinstance(step, bytes)
        steps += [step[: len(step) // 3], Pause(0.003), step[len(step) // 3 :]]
    return Script(steps, made.status, made.body)


def endless_drip(api: Api, stream: bool, nonce: str) -> Script:
    """Slower than the time that a whole answer may take."""
    made = ok(api, stream, nonce)
    return Script([*made.steps[:2], *[step for _ in range(600) for step in (Pause(0.05), b"")], HANG], 200, made.body)


def reset_at_once(api: Api, stream: bool, nonce: str) -> Script:
    return Script([RST], 0, b"")


def closed_at_once(api: Api, stream: bool, nonce: str) -> Script:
    return Script([FIN], 0, b"")


def cut_in_head(end: str) -> Callable[[Api, bool, str], Script]:
    return lambda api, stream, nonce: Script([b"HTTP/1.1 200 OK\r\nContent-Ty", end], 0, b"")


def cut_in_chunk(end: str) -> Callable[[Api, bool, str], Script]:
    """In the middle of a chunk, or of the announced length."""

    def script(api: Api, stream: bool, nonce: str) -> Script:
        made = ok(api, stream, nonce)
        return Script([*made.steps[:1], made.steps[1][:-9], Pause(0.02), end], 200, made.body)

    return script


def cut_in_character(api: Api, stream: bool, nonce: str) -> Script:
    """Between two bytes of a character."""
    made = whole(api, stream, text_of(nonce).replace("Peace is", "平和 is"))
    raw = [part.replace(json.dumps("平和")[1:-1].encode(), "平和".encode()) for part in parts_of(api, stream, text_of(nonce))]
    body = b"".join(raw)
    at = body.index("平".encode()) + 1
    sent = chunk(body[:at]) if stream else body[:at]
    opening = head("200 OK", _SSE if stream else {**_JSON, "Content-Length": str(len(body))})
    return Script([opening, sent, Pause(0.02), RST], made.status, body)


def bad_chunk(api: Api, stream: bool, nonce: str) -> Script:
    """A chunk whose size is no number."""
    parts = parts_of(api, stream, text_of(nonce))
    opening = head("200 OK", _SSE if stream else {**_JSON, "Transfer-Encoding": "chunked"})
    return Script([opening, chunk(parts[0]), b"zz\r\n" + parts[1] + b"\r\n", FIN], 200, b"".join(parts))


def length_too_long(api: Api, stream: bool, nonce: str) -> Script:
    body = b"".join(parts_of(api, stream, text_of(nonce)))
    kind = "text/event-stream" if stream else "application/json"
    return Script([head("200 OK", {"Content-Type": kind, "Content-Length": str(len(body) + 10)}), body, FIN], 200, body + b"?")


def length_too_short(api: Api, stream: bool, nonce: str) -> Script:
    """Ten bytes too few are announced: the rest is junk on the connection."""
    body = b"".join(parts_of(api, stream, text_of(nonce)))
    kind = "text/event-stream" if stream else "application/json"
    opening = head("200 OK", {"Content-Type": kind, "Content-Length": str(len(body) - 40)})
    return Script([opening + body], 200, body[:-40])


def second_answer(api: Api, stream: bool, nonce: str) -> Script:
    """A whole answer, and at once another one that nobody asked for."""
    evil = whole(api, stream, text_of(EVIL))
    made = ok(api, stream, nonce)
    return Script([b"".join([*made.steps, *evil.steps])], 200, made.body)  # type: ignore[list-item]


def late_second_answer(api: Api, stream: bool, nonce: str) -> Script:
    """The same, when the connection already waits for its next request."""
    evil, made = whole(api, stream, text_of(EVIL)), ok(api, stream, nonce)
    return Script([*made.steps, Pause(0.01), b"".join(evil.steps)], 200, made.body)  # type: ignore[arg-type]


def status(line: str, **headers: str) -> Callable[[Api, bool, str], Script]:
    def script(api: Api, stream: bool, nonce: str) -> Script:
        body = json.dumps({"error": {"message": f"no {nonce}", "type": "server_error", "param": None, "code": "boom"}}).encode()
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        opening = head(line, {**_JSON, **named, "Content-Length": str(len(body))})
        return Script([opening, body], int(line[:3]), body)

    return script


def hang(api: Api, stream: bool, nonce: str) -> Script:
    return Script([HANG], 0, b"")


def hang_in_head(api: Api, stream: bool, nonce: str) -> Script:
    return Script([b"HTTP/1.1 200 OK\r\nContent-Ty", HANG], 0, b"")


def hang_in_body(api: Api, stream: bool, nonce: str) -> Script:
    made = ok(api, stream, nonce)
    return Script([*made.steps[:2], HANG], 200, made.body)


def garbage(api: Api, stream: bool, nonce: str) -> Script:
    """Events that are no JSON, or a body that is none; HTTP itself is in order."""
    body = (b"data: {]\n\nevent: \xff\ndata: \x00\xfe garbage\n\n: hm\n\ndata\n\n" + nonce.encode() + b"\r\r\n\n") * 3
    if not stream:
        body = b"\xff<html>" + body
    return Script([head("200 OK", {**_SSE}) if stream else head("200 OK", {**_JSON, **_CHUNKED}), chunk(body), LAST], 200, body)


_CHUNKED = {"Transfer-Encoding": "chunked"}


def long_line(api: Api, stream: bool, nonce: str) -> Script:
    """An answer in one line of two megabytes."""
    return whole(api, stream, f"{nonce} " + "peace,and,quiet," * 130_000)


def long_header(api: Api, stream: bool, nonce: str) -> Script:
    return whole(api, stream, text_of(nonce), **{"X-Long": "a" * 200_000})


def done_twice(api: Api, stream: bool, nonce: str) -> Script:
    if not stream:
        return ok(api, stream, nonce)
    parts = [*parts_of(api, stream, text_of(nonce)), fake.DONE, fake.DONE]
    return Script([head("200 OK", _SSE), *map(chunk, parts), LAST], 200, b"".join(parts))


def cut_json(api: Api, stream: bool, nonce: str) -> Script:
    """Proper HTTP around half an answer: a document, or a stream, that just stops."""
    parts = parts_of(api, stream, text_of(nonce))
    parts = [parts[0], parts[1][:-11]] if stream else parts[:1]
    opening = head("200 OK", _SSE if stream else {**_JSON, **_CHUNKED})
    return Script([opening, *map(chunk, parts), LAST], 200, b"".join(parts))


def plain_for_stream(api: Api, stream: bool, nonce: str) -> Script:
    """A document, whatever was asked for."""
    return ok(api, False, nonce)


def page(api: Api, stream: bool, nonce: str) -> Script:
    """What a captive portal says."""
    body = f"<html><body>Sign in {nonce}</body></html>".encode()
    return Script([head("200 OK", {"Content-Type": "text/html", "Content-Length": str(len(body))}), body], 200, body)


def compressed(api: Api, stream: bool, nonce: str) -> Script:
    made = ok(api, stream, nonce)
    body = gzip.compress(made.body, mtime=0)
    kind = "text/event-stream" if stream else "application/json"
    opening = head("200 OK", {"Content-Type": kind, "Content-Encoding": "gzip", **_CHUNKED})
    return Script([opening, chunk(body[:50]), chunk(body[50:]), LAST], 200, body)


def badly_compressed(api: Api, stream: bool, nonce: str) -> Script:
    made = compressed(api, stream, nonce)
    body = made.body[:60] + b"\x00" * 30
    kind = "text/event-stream" if stream else "application/json"
    return Script(
        [head("200 OK", {"Content-Type": kind, "Content-Encoding": "gzip", **_CHUNKED}), chunk(body), LAST], 200, body
    )


def interim(api: Api, stream: bool, nonce: str) -> Script:
    """Two interim answers before the real one."""
    made = ok(api, stream, nonce)
    hints = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n"
    return Script([hints, Pause(0.005), *made.steps], 200, made.body)


def closes_after(api: Api, stream: bool, nonce: str) -> Script:
    """A whole answer; then the connection, which was to be kept, is closed."""
    made = ok(api, stream, nonce)
    return Script([*made.steps, Pause(0.005), FIN], 200, made.body)


def no_length(api: Api, stream: bool, nonce: str) -> Script:
    """A body that ends with its connection."""
    body = b"".join(parts_of(api, stream, text_of(nonce)))
    kind = "text/event-stream" if stream else "application/json"
    return Script([head("200 OK", {"Content-Type": kind}), body, FIN], 200, body)


def reset_no_length(api: Api, stream: bool, nonce: str) -> Script:
    """A body that would end with its connection, whose connection is reset."""
    made = no_length(api, stream, nonce)
    assert isinstance(made.steps[1], bytes)
    return Script([made.steps[0], made.steps[1][:-20], Pause(0.02), RST], 200, made.body)


def odd_head(line: bytes) -> Callable[[Api, bool, str], Script]:
    """A head that no parser should take."""
    return lambda api, stream, nonce: Script([b"HTTP/1.1 200 OK\r\n" + line + b"\r\n\r\n{}", FIN], 0, b"")


def _ends(relayed: str, held: str = "") -> tuple[frozenset[End], frozenset[End]]:
    first = frozenset(relayed.split())
    return first, frozenset((held or relayed).split())  # type: ignore[return-value]


_BAD, _GONE, _LATE = "upstream_protocol_error", "upstream_unavailable", "upstream_timeout"
_CUT = f"cut {_BAD}"
_REFUSED_HELD = f"cut {_BAD}"

FAULTS: Mapping[str, Fault] = {
    "ok": Fault(ok, *_ends("same")),
    "misrouted": Fault(misrouted, *_ends("same", "retried first same")),
    "slow_drip": Fault(slow_drip, *_ends("same")),
    "endless_drip": Fault(endless_drip, *_ends(f"cut {_LATE}")),
    "reset_at_once": Fault(reset_at_once, *_ends(_GONE)),
    "closed_at_once": Fault(closed_at_once, *_ends(_GONE)),
    "reset_in_head": Fault(cut_in_head(RST), *_ends(f"{_GONE} {_BAD}")),
    "closed_in_head": Fault(cut_in_head(FIN), *_ends(_BAD)),
    "reset_in_chunk": Fault(cut_in_chunk(RST), *_ends(_CUT)),
    "closed_in_chunk": Fault(cut_in_chunk(FIN), *_ends(_CUT)),
    "reset_in_character": Fault(cut_in_character, *_ends(_CUT)),
    "bad_chunk": Fault(bad_chunk, *_ends(_CUT)),
    "length_too_long": Fault(length_too_long, *_ends(_CUT)),
    "length_too_short": Fault(length_too_short, *_ends(f"same {_CUT}")),
    "second_answer": Fault(second_answer, *_ends("same")),
    "late_second_answer": Fault(late_second_answer, *_ends("same")),
    "reset_no_length": Fault(reset_no_length, *_ends(_CUT)),
    "status_429": Fault(status("429 Too Many Requests"), *_ends("same")),
    "status_429_later": Fault(status("429 Too Many Requests", Retry_After="7"), *_ends("same")),
    "status_500": Fault(status("500 Internal Server Error"), *_ends("same")),
    "status_500_later": Fault(status("500 Internal Server Error", Retry_After="3"), *_ends("same")),
    "status_503": Fault(status("503 Service Unavailable"), *_ends("same")),
    "status_503_later": Fault(status("503 Service Unavailable", Retry_After="2"), *_ends("same")),
    "redirect": Fault(status("307 Temporary Redirect", Location="http://127.0.0.1:9/v1/x"), *_ends("same")),
    "hang": Fault(hang, *_ends(_LATE)),
    "hang_in_head": Fault(hang_in_head, *_ends(_LATE)),
    "hang_in_body": Fault(hang_in_body, *_ends(f"cut {_LATE}")),
    "garbage": Fault(garbage, *_ends("same", f"same {_REFUSED_HELD}")),
    "long_line": Fault(long_line, *_ends("same")),
    "long_header": Fault(long_header, *_ends(_BAD)),
    "done_twice": Fault(done_twice, *_ends("same")),
    "cut_json": Fault(cut_json, *_ends("same", _REFUSED_HELD)),
    "plain_for_stream": Fault(plain_for_stream, *_ends("same")),
    "page": Fault(page, *_ends("same", f"same {_REFUSED_HELD}")),
    "compressed": Fault(compressed, *_ends("same")),
    "badly_compressed": Fault(badly_compressed, *_ends("same", _REFUSED_HELD)),
    "interim": Fault(interim, *_ends("same")),
    "closes_after": Fault(closes_after, *_ends("same")),
    "no_length": Fault(no_length, *_ends("same")),
    "two_lengths": Fault(odd_head(b"Content-Length: 2\r\nContent-Length: 3"), *_ends(_BAD)),
    "length_and_chunks": Fault(odd_head(b"Content-Length: 2\r\nTransfer-Encoding: chunked"), *_ends(_BAD)),
    "split_head": Fault(odd_head(b"X-A: a\rX-B: b\x00"), *_ends(_BAD)),
}
#: Faults after which the connection says what nobody asked for. Not for many requests at once: what an upstream says after it
#: was asked again is an answer, and nobody can tell whose it should have been.
STRAY = ("second_answer", "late_second_answer", "length_too_short")
#: Faults that last until a timeout.
SLOW = ("endless_drip", "hang", "hang_in_head", "hang_in_body")
