"""Events into the exchange and commands out of it: the effects of one client request, as values.

One rule: the driver performs commands in order and feeds what happened back as events; neither holds behaviour.
Every event reaches `Exchange.receive(event, now)` with a monotonic clock reading in seconds.
"""

from __future__ import annotations

from core.types import Change, Failure, Outcome, Piece, Plan, Reply, Scores
from core.values import frozen


@frozen
class PromptScored:
    """The prompt was scored and the policies made their plan: the first event. `choices`: the `n` asked for."""

    plan: Plan
    choices: int = 1


@frozen
class UpstreamStarted:
    """The head of an attempt's reply arrived."""

    attempt: int
    status: int


@frozen
class UpstreamChunk:
    """Bytes of an attempt's body arrived, already cut into pieces by wire."""

    attempt: int
    pieces: tuple[Piece, ...]


@frozen
class UpstreamEnded:
    """The body of an attempt is complete."""

    attempt: int


@frozen
class UpstreamFailed:
    """An attempt broke off, or the driver denied it (`budget`)."""

    attempt: int
    failure: Failure


@frozen
class ResponseScored:
    """The detectors' answer to ScoreResponse `ticket`: one Scores a reply, in the order of its replies."""

    ticket: int
    scores: tuple[Scores, ...]


@frozen
class HoldExpired:
    """The time a prefix may be held ran out."""

    attempt: int


@frozen
class ClientGone:
    """The client went away: stop everything, send nothing more."""


Event = (
    PromptScored | UpstreamStarted | UpstreamChunk | UpstreamEnded | UpstreamFailed | ResponseScored | HoldExpired | ClientGone
)


@frozen
class CallUpstream:
    """Start attempt `attempt` with the client's request changed by `change`.

    `timeout_s`: for retries, what is left of the time budget; over it, feed UpstreamFailed(budget). `retry`: ask the global
    retry share first and feed UpstreamFailed(budget) when it denies."""

    attempt: int
    change: Change
    retry: bool = False
    timeout_s: float | None = None


@frozen
class CancelUpstream:
    """Close an attempt's connection and feed no more of its events."""

    attempt: int


@frozen
class ScoreResponse:
    """Score these replies (one a choice) and feed ResponseScored with the same ticket. `final`: they are complete."""

    ticket: int
    attempt: int
    replies: tuple[Reply, ...]
    final: bool


@frozen
class StartHoldTimer:
    """Feed HoldExpired(attempt) after this time, unless the exchange finished before."""

    attempt: int
    after_ms: int


@frozen
class Send:
    """Write these bytes of attempt `attempt` to the client, with its status and headers if nothing was written yet. Commits."""

    attempt: int
    data: bytes


@frozen
class SendRewritten:
    """Write the attempt's envelope with each choice's content replaced and logprobs dropped. `pieces`: its whole body."""

    attempt: int
    pieces: tuple[Piece, ...]
    contents: tuple[str, ...]


@frozen
class SendBlocked:
    """Write the attempt's envelope with no content and `finish_reason: content_filter`. `pieces`: what of its body is held."""

    attempt: int
    pieces: tuple[Piece, ...]


@frozen
class Relay:
    """From here on write the attempt's bytes as they come, and feed only UpstreamEnded or UpstreamFailed for it."""

    attempt: int


@frozen
class Finish:
    """Nothing more will be sent. The last command of every exchange, exactly once."""

    outcome: Outcome


Command = CallUpstream | CancelUpstream | ScoreResponse | StartHoldTimer | Send | SendRewritten | SendBlocked | Relay | Finish
