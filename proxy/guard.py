"""One guarded request from its bytes to its record: parse, score the prompt, plan, drive, observe, record.

One rule: every guarded request ends in exactly one DecisionRecord, whatever became of it.
"""

from __future__ import annotations

import random
from asyncio import CancelledError
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from time import perf_counter, time
from typing import Final

from core.types import Conversation, Outcome, Plan, Reply, Scores, Span
from core.values import frozen
from proxy.admission import RetryShare
from proxy.attempts import AttemptCalls, new_key
from proxy.deleter import Deleter, Deletion, dropped
from proxy.driver import Driver
from proxy.errors import InvalidRequest
from proxy.limiting.limiter import Grant
from proxy.moderation import Settling
from proxy.observer import Judged, Observation, Observer
from proxy.outflow import Outflow
from proxy.present import Presenter
from proxy.records import DecisionRecord, Seconds, from_outcome
from proxy.reply import ClientReply
from proxy.routing import Endpoint
from proxy.snapshot import Route, Snapshot
from proxy.upstream.base import Headers
from proxy.wire.codec import Codec, Request
from proxy.wire.encoding import decode
from proxy.witness import Seen, Witness

#: A prompt that decides nothing is scored when its answer is.
_UNSCORED: Final = Scores()


@frozen
class Guarded:
    """One request to a guarded endpoint. `raw`: its body as sent; `body`: the same decoded. `path`: no prefix, with query.

    `endpoint`: its label; `codec`: of its API."""

    raw: bytes
    body: bytes
    path: str
    headers: Headers
    endpoint: Endpoint
    codec: Codec


@dataclass(slots=True)
class Guard:
    """What all guarded requests of a worker share. `sink` takes every record. `deleter`: None leaves what was stored.
    `witness`: sees every exchange with its texts, after the sink; None where nobody may."""

    observer: Observer
    retry_share: RetryShare
    sink: Callable[[DecisionRecord], None]
    chance: Callable[[], float] = field(default=random.random)
    deleter: Deleter | None = None
    witness: Witness | None = None

    async def handle(
        self,
        snapshot: Snapshot,
        route: Route,
        request: Request,
        sent: Guarded,
        reply: ClientReply,
        grant: Grant | None = None,
    ) -> None:
        """Serve one request of a route that has policies. Raises GuardError only while nothing was sent. `grant`: is charged
        what the record says was used."""
        assert route.compiled is not None
        assert route.runner is not None
        began = perf_counter()
        limits = snapshot.settings.config.limits
        conversation = request.conversation
        holdout = route.enforcing and limits.holdout > 0 and self.chance() < limits.holdout
        compiled = route.holdout if holdout and route.holdout is not None else route.compiled
        report = route.settings.report or request.report
        prompt, detector = None, 0.0
        if compiled.acts or report:
            try:
                prompt = await route.runner.score_prompt(conversation)
            except CancelledError:
                self._record_gone(snapshot, route, sent, conversation, began)
                if grant is not None:
                    grant.charge(0)
                raise
            detector = perf_counter() - began
        plan = compiled.make_plan(conversation, prompt or _UNSCORED, stream=conversation.stream)
        presenter = Presenter(new_key(), snapshot.revision, not route.enforcing, plan.triggers)
        outflow = Outflow(
            reply,
            presenter,
            sent.codec,
            streamed=conversation.stream,
            report=report,
            n=conversation.n,
        )
        calls = AttemptCalls(
            request=request,
            raw=sent.raw,
            path=sent.path,
            headers=sent.headers,
            primary=route.settings.upstream,
            upstreams=snapshot.upstreams,
            codec=sent.codec,
            credentials=not snapshot.keys,
            identity=outflow.report,
        )
        self.retry_share.request()
        driver = Driver(
            plan=plan,
            prompt=prompt or _UNSCORED,
            calls=calls,
            runner=route.runner,
            outflow=outflow,
            retry_share=self.retry_share,
            keepalive_s=limits.keepalive_s,
            answer_bytes=limits.answer_bytes,
            settling=Settling(route.moderator, plan, conversation) if route.moderator is not None else None,
        )
        if self.witness is not None:
            driver.timings.checks = [(0, began, began + detector)] if prompt is not None else []
        try:
            await driver.run()
        finally:
            if driver.outcome is not None:
                driver.timings.detector += detector
                context = _Context(snapshot, route, sent.endpoint, plan, prompt, presenter, driver, began, holdout, grant)
                self._record(context, request, outflow)
                if request.kept and self.deleter is not None:
                    for attempt in dropped(driver.outcome):
                        stored = Deletion(route.name, calls, attempt.change, driver.response_id(attempt.number))
                        self.deleter.offer(stored)

    def _record_gone(self, snapshot: Snapshot, route: Route, sent: Guarded, conversation: Conversation, began: float) -> None:
        """The client left before anybody was asked."""
        ended = perf_counter()
        record = from_outcome(
            Outcome("client_gone"),
            decision_id=new_key(),
            time=time(),
            route=route.name,
            endpoint=sent.endpoint,
            streamed=conversation.stream,
            status=0,
            seconds=Seconds(total=ended - began),
            policy_revision=snapshot.revision,
        )
        self.sink(record)
        if self.witness is not None:
            self.witness(Seen(record, conversation, (), sent.headers, route.settings.upstream, began, ended))

    def _record(self, context: _Context, request: Request, outflow: Outflow) -> None:
        """Record now, or once was judged what nobody waits for: a relayed answer, and a prompt that decided nothing."""
        outcome = context.driver.outcome
        assert outcome is not None
        inflow, copy = outflow.inflow, outflow.copy
        relayed = outcome.kind == "relayed" and outcome.verdict is None and inflow is not None and inflow.status < 300
        if not relayed:
            copy = None
        if copy is not None or context.prompt is None:

            def done(judged: Judged, seconds: float) -> None:
                context.driver.timings.detector += seconds
                context.driver.timings.scanned += judged.scanned
                context.driver.timings.scans += copy is not None
                ended = judged.settle(outcome) if copy is not None else outcome
                self._end(context, ended, outflow.status, judged.triggers, judged.replies)

            assert context.route.runner is not None
            seen = Observation(request.conversation, context.plan, context.prompt, inflow, copy, done)
            if self.observer.offer(context.route.runner, seen):
                return
        self._end(context, outcome, outflow.status, context.presenter.triggers, ())

    def _end(
        self, context: _Context, outcome: Outcome, status: int, triggers: Sequence[Span], replies: tuple[Reply, ...]
    ) -> None:
        record = context.record(outcome, status, triggers)
        self.sink(record)
        if context.grant is not None:
            charge(context.grant, record)
        if self.witness is not None:
            self.witness(context.seen(record, replies))


def charge(grant: Grant, record: DecisionRecord) -> None:
    """Charge all attempts. Where none told of its prompt, that is what was reserved for it, unless nothing was answered."""
    tokens = record.prompt_tokens + record.completion_tokens
    if record.status >= 400:
        tokens = sum(a.prompt_tokens + a.completion_tokens for a in record.attempts if not a.estimated)
    elif record.tokens_estimated and not record.prompt_tokens:
        tokens += grant.reserved
    grant.charge(tokens)


@frozen
class _Context:
    """What a record needs beside the outcome. `prompt`: None where it was not scored."""

    snapshot: Snapshot
    route: Route
    endpoint: Endpoint
    plan: Plan
    prompt: Scores | None
    presenter: Presenter
    driver: Driver
    began: float
    holdout: bool
    grant: Grant | None = None
    at: float = field(default_factory=time)
    ended: float = field(default_factory=perf_counter)

    def record(self, outcome: Outcome, status: int, triggers: Sequence[Span]) -> DecisionRecord:
        """The record of the exchange."""
        timings = self.driver.timings
        total = self.ended - self.began
        return from_outcome(
            outcome,
            decision_id=self.presenter.decision_id,
            time=self.at,
            route=self.route.name,
            endpoint=self.endpoint,
            streamed=self.driver.calls.request.conversation.stream,
            status=status,
            hold=self.plan.hold.kind,
            triggers=triggers,
            seconds=Seconds(max(0.0, total - timings.first), timings.upstream, timings.detector, total),
            scanned_characters=timings.scanned,
            scans=timings.scans,
            holdout=self.holdout,
            policy_revision=self.snapshot.revision,
            moderation=self.driver.settling.answer if self.driver.settling is not None else "",
        )

    def seen(self, record: DecisionRecord, replies: tuple[Reply, ...]) -> Seen:
        """The exchange for a witness. `replies`: of a relayed answer; a held one has its own."""
        driver = self.driver
        return Seen(
            record,
            driver.calls.request.conversation,
            replies or driver.replies(record.chosen),
            driver.calls.headers,
            self.route.settings.upstream,
            self.began,
            self.ended,
            driver.calls_made(),
            driver.timings.checks or (),
        )


def decoded(raw: bytes, headers: Headers, max_bytes: int) -> bytes:
    """A request's body without its content encoding. Raises InvalidRequest."""
    encoding = next((value for name, value in headers if name.lower() == "content-encoding"), "")
    return decode(raw, encoding, max_bytes=max_bytes, error=InvalidRequest) if encoding else raw
