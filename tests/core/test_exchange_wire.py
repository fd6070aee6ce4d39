"""Real bytes through the codec and the exchange: however the network cuts a stream, the client gets the same bytes.

Cuts in the middle of a character, of a line and of a CRLF are all among them.
"""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

import orjson
import pytest

from core.exchange import Exchange
from core.messages import (
    CallUpstream,
    Command,
    Event,
    Finish,
    PromptScored,
    Relay,
    ResponseScored,
    ScoreResponse,
    Send,
    UpstreamChunk,
    UpstreamEnded,
    UpstreamStarted,
)
from core.types import Hold, Outcome
from proxy.wire.chat import ReplyDecoder
from tests.core.dsl import ALL, CLEAR, MISROUTED, RETRY, ScriptedPlan, prefix, step, window

Delta = dict[str, object]


def event(delta: Delta, *, choice: int = 0, finish: str | None = None, eol: str = "\n") -> bytes:
    doc = {"id": "c1", "choices": [{"index": choice, "delta": delta, "finish_reason": finish}]}
    return b"data: " + orjson.dumps(doc) + (eol * 2).encode()


GOOD = b"".join([
    b": keep-alive\n\n",
    event({"role": "assistant", "content": ""}),
    event({"reasoning_content": "考える"}, eol="\r\n"),
    event({"content": "Мир — это "}),
    event({"content": "平和 🕊️, "}, eol="\r\n"),
    event({"content": "Frieden."}, choice=1, eol="\r"),
    event({"content": "peace."}),
    event({"tool_calls": [{"index": 0, "id": "t", "function": {"name": "look", "arguments": '{"é"'}}]}, choice=1),
    event({"tool_calls": [{"index": 0, "function": {"arguments": ":1}"}}]}, choice=1),
    event({}, finish="stop"),
    event({}, choice=1, finish="tool_calls"),
    b'data: {"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 9}}\n\n',
    b"data: [DONE]\n\n",
])  # fmt: skip
BAD = event({"content": "Ж🙂```"}) + event({"content": " print()"}, finish="stop") + b"data: [DONE]\n\n"
HOLDS = [Hold(), prefix(4), prefix(400), window(3), window(5, 2), ALL]


def cut(body: bytes, places: Sequence[int]) -> list[bytes]:
    return [body[start:end] for start, end in zip([0, *places], [*places, len(body)], strict=True)]


class Client:
    """Plays an exchange whose attempts get these bodies in these cuts; a reply that begins with the bad text is misrouted."""

    def __init__(self, hold: Hold, bodies: Sequence[Sequence[bytes]], *, late: bool = False) -> None:
        self.bodies, self.late = bodies, late
        self.exchange, self.received, self.outcome = Exchange(), b"", Outcome("failed")
        self.todo: list[Event] = []
        self.scores: list[Event] = []
        self.relayed = False
        self.feed(PromptScored(ScriptedPlan(hold, ladder=[RETRY])))
        while self.todo or self.scores:  # scores come at once, or only when nothing else does
            self.feed(self.scores.pop(0) if self.scores and not (self.late and self.todo) else self.todo.pop(0))

    def feed(self, event: Event) -> None:
        if isinstance(event, UpstreamChunk) and self.relayed:
            self.received += b"".join(piece.data for piece in event.pieces)
            return
        for command in step(self.exchange, event, 0.0):
            self.perform(command)

    def perform(self, command: Command) -> None:
        match command:
            case CallUpstream(attempt):
                self.todo = [UpstreamStarted(attempt, 200), *self.stream(attempt), UpstreamEnded(attempt)]
            case ScoreResponse(ticket, _, replies):
                bad = [reply.text.startswith("Ж") for reply in replies]
                self.scores.append(ResponseScored(ticket, tuple(MISROUTED if item else CLEAR for item in bad)))
            case Send(_, data):
                self.received += data
            case Relay():
                self.relayed = True
            case Finish(outcome):
                self.outcome = outcome

    def stream(self, attempt: int) -> list[Event]:
        decoder = ReplyDecoder(streamed=True)
        events: list[Event] = [UpstreamChunk(attempt, decoder.feed(data)) for data in self.bodies[attempt - 1]]
        return [*events, UpstreamChunk(attempt, decoder.flush())]


def name(hold: Hold) -> str:
    return f"{hold.kind.name}-{hold.chars}-{hold.context}"


@pytest.mark.parametrize("hold", HOLDS, ids=name)
def test_every_cut_of_a_clear_answer_gives_its_bytes(hold: Hold) -> None:
    for place in range(len(GOOD) + 1):
        client = Client(hold, [cut(GOOD, [place])], late=place % 2 == 0)
        assert client.received == GOOD, place
        assert client.outcome.kind == ("answered" if hold.kind else "relayed")
        assert not client.outcome.flagged


@pytest.mark.parametrize("hold", HOLDS, ids=name)
def test_a_misrouted_answer_is_replaced_by_the_whole_retry_under_every_cut(hold: Hold) -> None:
    # While the first answer is held it goes on being read; here it has ended or is left behind when the retry begins.
    for place in range(0, len(GOOD) + 1, 3):
        client = Client(hold, [cut(BAD, [place % len(BAD)]), cut(GOOD, [place])], late=True)
        assert client.received == (GOOD if hold.kind else BAD), place
        assert client.outcome.chosen == (2 if hold.kind else 1)


@pytest.mark.parametrize("hold", HOLDS, ids=name)
def test_byte_by_byte_and_random_cuts(hold: Hold) -> None:
    cuts = [list(range(1, len(GOOD)))]
    cuts += [sorted(Random(seed).sample(range(1, len(GOOD)), Random(seed).randint(2, 60))) for seed in range(60)]
    for places in cuts:
        for late in (False, True):
            assert Client(hold, [cut(BAD, []), cut(GOOD, places)], late=late).received == (GOOD if hold.kind else BAD)


def test_a_plain_body_is_one_piece_whatever_the_cut() -> None:
    body = orjson.dumps({"choices": [{"index": 0, "message": {"content": "平和 🕊️"}, "finish_reason": "stop"}]})
    for place in range(len(body) + 1):
        decoder = ReplyDecoder(streamed=False)
        pieces = [piece for data in cut(body, [place]) for piece in decoder.feed(data)] + list(decoder.flush())
        assert [(piece.data, piece.deltas[0].text) for piece in pieces] == [(body, "平和 🕊️")]
