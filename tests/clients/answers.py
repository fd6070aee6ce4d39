"""What the matrix's upstream answers: per API, case and turn, in the documented shape of each API, plain and streamed.

One rule: an answer depends on the request and on how often it was asked, never on who asks: every client and every way to the
upstream gets the same.

The header `x-case` names API, case and whether it is streamed (`chat/plain/False`). The cases:
plain        an answer that no policy minds; tokens with logprobs, usage
tools        a call of a declared tool, and an answer once its result is there
structured   JSON by the schema that was asked for
reasoning    reasoning or thinking before the answer
misrouted    a denied sum, put right when asked again in another form; `corrected`: the right answer at once
limited      429 with Retry-After once, then `plain`; `failing`: 500 always; `refused`: 400; `unauthorised`: 401
exhausted    429 with a Retry-After of seven seconds, always; `overloaded`: the API's own overload error, always
broken       half a body, then the connection is lost
complaint    an error in the middle of a stream
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tests.clients import shapes
from tests.proxy.fake_upstream import JSON, Answer, Junk, Seen

DANUBE = "The Danube runs through Vienna, and through three more capitals."
DENIAL = "No, 5 + 8 = 13 is incorrect. The correct answer is 5 + 8 = 13."
ASSENT = "Yes, 5 + 8 = 13."
SUNNY = "It is sunny in Vienna, at 21 degrees."
PLACE = '{"city":"Vienna","river":"Danube"}'
SUM = "Is 5+8=13?"
SSE = [("Content-Type", "text/event-stream; charset=utf-8")]
#: Longer than any prefix that is held: what breaks after its half breaks after the first byte has left the guard.
LONG = " ".join([DANUBE] * 24)
#: The end of a connection in the middle of a body: what was written still arrives.
LOST = Junk(b"")

Doc = dict[str, Any]
#: Path -> API.
APIS: Mapping[str, shapes.Shape] = {
    "/v1/chat/completions": shapes.CHAT,
    "/v1/completions": shapes.TEXT,
    "/v1/responses": shapes.RESPONSES,
    "/v1/messages": shapes.MESSAGES,
}


def answer(path: str, case: str, seen: Seen, times: int) -> Answer:
    """The answer to a request. `path`: of the API. `times`: how often this request came, this one included."""
    api = APIS.get(path)
    if api is None:
        return _json(shapes.other(path, seen))
    trouble = _TROUBLES.get(case)
    if trouble is not None and (found := trouble(api, times)) is not None:
        return found
    body = seen.doc
    asked = json.dumps(body, ensure_ascii=False)
    content = _CONTENTS.get(case, _plain)(asked)
    streamed = body.get("stream") is True
    if case in ("broken", "complaint"):
        return _interrupted(api, content, streamed, case)
    if streamed:
        return Answer(api.stream(content), headers=[*SSE, *_ids(api)])
    return _json(api.plain(content), headers=_ids(api))


# ---- contents


def _plain(asked: str) -> shapes.Content:
    return shapes.Content(text=DANUBE)


def _tools(asked: str) -> shapes.Content:
    if "21 degrees" in asked:
        return shapes.Content(text=SUNNY)
    return shapes.Content(call=("get_weather", '{"city": "Vienna"}'))


def _misrouted(asked: str) -> shapes.Content:
    return shapes.Content(text=DENIAL if SUM in asked else ASSENT)


_CONTENTS: Mapping[str, Callable[[str], shapes.Content]] = {
    "tools": _tools,
    "structured": lambda asked: shapes.Content(text=PLACE),
    "reasoning": lambda asked: shapes.Content(text=DANUBE, reasoning="Vienna lies on a long river."),
    "misrouted": _misrouted,
    "corrected": lambda asked: shapes.Content(text=ASSENT),
    "broken": lambda asked: shapes.Content(text=LONG),
    "complaint": lambda asked: shapes.Content(text=LONG),
}

# ---- troubles


def _always(status: int, kind: str, **headers: str) -> Callable[[shapes.Shape, int], Answer | None]:
    return lambda api, times: _error(api, status, kind, headers)


def _once(status: int, kind: str, **headers: str) -> Callable[[shapes.Shape, int], Answer | None]:
    return lambda api, times: _error(api, status, kind, headers) if times == 1 else None


def _overloaded(api: shapes.Shape, times: int) -> Answer:
    return _error(api, 529 if api is shapes.MESSAGES else 503, "overloaded_error", {"Retry_After": "7"})


_TROUBLES: Mapping[str, Callable[[shapes.Shape, int], Answer | None]] = {
    "limited": _once(429, "rate_limit_error", Retry_After="1", retry_after_ms="20", X_RateLimit_Remaining_Requests="0"),
    "exhausted": _always(429, "rate_limit_error", Retry_After="7"),
    "failing": _always(500, "api_error"),
    "refused": _always(400, "invalid_request_error"),
    "unauthorised": _always(401, "authentication_error"),
    "overloaded": _overloaded,
}


def _error(api: shapes.Shape, status: int, kind: str, headers: Mapping[str, str]) -> Answer:
    named = [(name.replace("_", "-"), value) for name, value in headers.items()]
    return _json(api.error(kind, f"{kind} of the upstream"), status, [*_ids(api), *named])


def _interrupted(api: shapes.Shape, content: shapes.Content, streamed: bool, case: str) -> Answer:
    if not streamed:
        body = json.dumps(api.plain(content)).encode()
        return Answer([body[: len(body) // 2], LOST], headers=[*JSON, *_ids(api)])
    events = api.stream(content)
    half: Sequence[Any] = events[: len(events) // 2]
    end = LOST if case == "broken" else api.complaint("upstream complaint")
    return Answer([*half, end], headers=[*SSE, *_ids(api)])


def _ids(api: shapes.Shape) -> list[tuple[str, str]]:
    return [("request-id" if api is shapes.MESSAGES else "x-request-id", "req_matrix_1")]


def _json(doc: Any, status: int = 200, headers: Sequence[tuple[str, str]] = ()) -> Answer:
    return Answer([json.dumps(doc).encode()], status=status, headers=[*JSON, *headers], length=True)
