"""State machine of one client request: events in, commands out. Owns attempts, commit, ladder step and budgets.

Theory: the exchange never judges and never does. It asks its plan what a verdict means and tells the driver what to do; so
every interleaving of chunks, scores, failures and disconnects can be tested without a loop, a socket or a sleep.

Rules
1. Before commit nothing has left; after it no retry, fallback or other attempt is possible. `Send*` and `Relay` commit.
2. Bytes of two attempts are never mixed: after commit only the committed attempt's bytes leave.
3. Under Hold ALL nothing leaves before the final verdict; under PREFIX/WINDOW not before the verdict that covers it.
4. The first answer is never lost: it goes on being collected beside a retry until another attempt commits.
5. A failed, late or denied retry yields the best attempt at hand, flagged, never an error.
6. `Finish` is the last command, exactly once.

Every transition; `?` = at most one, `*` = any number, `|` = one of. "First answer" = attempt 1 still running beside a retry.

State      event            next state  commands
START      PromptScored     CALLING     CallUpstream
CALLING    UpstreamStarted  RELAYING    Relay                                  (hold NONE, or the first status is not 2xx)
CALLING    UpstreamStarted  HOLDING     StartHoldTimer?                        (a timer for PREFIX with a timeout)
CALLING    UpstreamStarted  COMMITTED   CancelUpstream Send? ScoreResponse?    (retry not 2xx: the first answer goes out)
CALLING    UpstreamStarted  DONE        CancelUpstream* Send|SendRewritten? Finish (retry not 2xx: best complete one)
CALLING    UpstreamChunk    CALLING     -                                      (first answer)
CALLING    UpstreamEnded    CALLING     -                                      (first answer)
CALLING    HoldExpired      CALLING     -                                      (first answer)
CALLING    UpstreamFailed   CALLING     -                                      (first answer)
CALLING    UpstreamFailed   COMMITTED   Send? ScoreResponse?                   (retry: the first answer goes out)
CALLING    UpstreamFailed   DONE        CancelUpstream? Send|SendRewritten? Finish (retry: best complete one; none: failed)
HOLDING    UpstreamChunk    HOLDING     ScoreResponse?                         (prefix or window is there)
HOLDING    UpstreamChunk    COMMITTED   Send ScoreResponse?                    (release_reasoning)
HOLDING    UpstreamEnded    HOLDING     ScoreResponse?                         (the whole; none while a score is awaited)
HOLDING    HoldExpired      HOLDING     ScoreResponse?
HOLDING    UpstreamFailed   HOLDING     -                                      (first answer)
HOLDING    UpstreamFailed   COMMITTED   Send? ScoreResponse?                   (as in CALLING)
HOLDING    UpstreamFailed   DONE        CancelUpstream? Send|SendRewritten? Finish (as in CALLING)
HOLDING    ResponseScored   HOLDING     ScoreResponse                          (complete meanwhile: judge the whole)
HOLDING    ResponseScored   CALLING     CancelUpstream* CallUpstream           (retry or fallback)
HOLDING    ResponseScored   COMMITTED   CancelUpstream* Send* ScoreResponse?   (released, more to come)
HOLDING    ResponseScored   DONE        CancelUpstream* Send|SendRewritten|SendBlocked? CancelUpstream* Finish
COMMITTED  UpstreamChunk    COMMITTED   Send? ScoreResponse?
COMMITTED  UpstreamEnded    COMMITTED   ScoreResponse?                         (the whole, for the record)
COMMITTED  HoldExpired      COMMITTED   ScoreResponse?                         (after release_reasoning)
COMMITTED  UpstreamFailed   DONE        Finish                                 (failed)
COMMITTED  ResponseScored   COMMITTED   Send* ScoreResponse?                   (none: of an attempt that failed meanwhile)
COMMITTED  ResponseScored   DONE        Send|SendBlocked? CancelUpstream? Finish
RELAYING   UpstreamEnded    DONE        Finish                                 (relayed)
RELAYING   UpstreamFailed   DONE        Finish                                 (failed)
any        ClientGone       DONE        CancelUpstream* Finish                 (client_gone)
"""

from __future__ import annotations

from enum import Enum, auto

from core.attempt import Attempt
from core.messages import (
    CallUpstream,
    CancelUpstream,
    ClientGone,
    Command,
    Event,
    Finish,
    HoldExpired,
    PromptScored,
    Relay,
    ResponseScored,
    ScoreResponse,
    Send,
    SendBlocked,
    SendRewritten,
    StartHoldTimer,
    UpstreamChunk,
    UpstreamEnded,
    UpstreamFailed,
    UpstreamStarted,
)
from core.types import (
    Action,
    ActionKind,
    Change,
    Failure,
    Hold,
    HoldKind,
    Level,
    Outcome,
    OutcomeKind,
    Plan,
    Reply,
    Scores,
    Step,
    Verdict,
)

#: What can happen to an attempt.
UpstreamEvent = UpstreamStarted | UpstreamChunk | UpstreamEnded | UpstreamFailed | HoldExpired


class State(Enum):
    """See the transition table above."""

    START = auto()
    CALLING = auto()
    HOLDING = auto()
    RELAYING = auto()
    COMMITTED = auto()
    DONE = auto()


class ProtocolViolation(Exception):
    """The driver fed an event that cannot happen in this state: a bug of the driver, never of a peer."""


class Exchange:
    """One client request. Call `receive` with every event and a monotonic clock reading; perform what it returns, in order."""

    def __init__(self) -> None:
        self.state = State.START
        self._plan: Plan
        self._choices = 1
        self._attempts: dict[int, Attempt] = {}
        self._current = 0
        self._chosen = 0
        self._ticket = 0
        self._pending: ScoreResponse | None = None
        self._pending_count = 0
        self._pending_last = False
        self._taken: list[Action] = []
        self._first_retry_at: float | None = None
        self._commands: list[Command] = []
        self._now = 0.0

    @property
    def committed(self) -> bool:
        """Whether a byte of an attempt has left, so that no other attempt can answer any more."""
        return self._chosen > 0

    def replies(self, attempt: int) -> tuple[Reply, ...]:
        """What an attempt has said so far, every choice of it; nothing of one that was never called or only relayed."""
        found = self._attempts.get(attempt)
        return found.replies() if found is not None else ()

    def receive(self, event: Event, now: float) -> list[Command]:
        """Take one event at clock reading `now` (seconds, monotonic) and return what to do. After Finish: nothing."""
        if self.state is State.DONE:
            return []
        self._now = now
        self._commands = []
        match event:
            case PromptScored(plan, choices):
                self._begin(plan, choices)
            case ResponseScored(ticket, scores):
                self._scored(ticket, scores)
            case ClientGone():
                self._finish("client_gone")
            case _:
                self._of_attempt(event)
        return self._commands

    # ---- events

    def _begin(self, plan: Plan, choices: int) -> None:
        if self.state is not State.START:
            raise ProtocolViolation("PromptScored twice")
        self._plan = plan
        self._choices = choices
        self._call(plan.first_change, None)

    def _of_attempt(self, event: UpstreamEvent) -> None:
        attempt = self._attempts.get(event.attempt)
        if attempt is None:
            raise ProtocolViolation(f"no attempt {event.attempt}")
        if not attempt.running:
            return  # on its way when the attempt was cancelled, or a timer of an attempt that is over
        match event:
            case UpstreamChunk(pieces=pieces):
                for piece in pieces:
                    attempt.feed(piece)
                self._advance(attempt)
            case UpstreamStarted(status=status):
                self._started(attempt, status)
            case UpstreamEnded():
                self._ended(attempt)
            case UpstreamFailed(failure=failure):
                self._failed(attempt, failure)
            case _:  # HoldExpired
                self._expired(attempt)

    def _started(self, attempt: Attempt, status: int) -> None:
        attempt.started = True
        if not 200 <= status < 300:
            # An error reply is the upstream's to give: untouched on the first attempt, no answer at all on a retry.
            if attempt.number == 1:
                self._relay(attempt)
            else:
                self._commands.append(CancelUpstream(attempt.number))
                self._failed(attempt, Failure("rejected", status=status))
            return
        hold = self._hold(attempt)
        if hold.kind is HoldKind.NONE:
            self._relay(attempt)
            return
        self.state = State.HOLDING
        if hold.kind is HoldKind.PREFIX and hold.timeout_ms:
            self._commands.append(StartHoldTimer(attempt.number, hold.timeout_ms))

    def _ended(self, attempt: Attempt) -> None:
        attempt.ended = True
        if self.state is State.RELAYING:
            self._finish("relayed")
            return
        attempt.valid = self._plan.valid(attempt.replies())
        self._advance(attempt)

    def _failed(self, attempt: Attempt, failure: Failure) -> None:
        attempt.failure = failure
        if attempt.number == self._chosen:
            self._finish("failed", failure=failure)
        elif attempt.number == self._current:
            self._pending = None
            self._settle_for_best()

    def _expired(self, attempt: Attempt) -> None:
        if self._pending is None and attempt.verdict is None and not attempt.tools_seen:
            attempt.expired = True
            self._advance(attempt)

    def _scored(self, ticket: int, scores: tuple[Scores, ...]) -> None:
        pending = self._pending
        if pending is None or pending.ticket != ticket:
            return  # of an attempt that failed meanwhile
        self._pending = None
        attempt = self._attempts[pending.attempt]
        verdict = self._plan.judge(pending.replies, scores, final=pending.final)
        verdict = attempt.judged(verdict, whole=pending.final and not any(reply.offset for reply in pending.replies))
        last = self._pending_last
        if last and self.committed and not attempt.holdback.held:
            self._finish("answered")  # all of it has left: this verdict is for the record
        elif verdict.refused:
            self._finish("unavailable", reason=", ".join(sorted(verdict.refused)))
        else:
            self._act(attempt, verdict, last)

    def _act(self, attempt: Attempt, verdict: Verdict, last: bool) -> None:
        if attempt.action is not None and attempt.action.probe:
            self._probed(attempt, attempt.action)
            return
        action = self._plan.choose_action(verdict, self._step())
        misrouted_retry = attempt.number > 1 and attempt.level is Level.MISROUTED
        match action.kind:
            case ActionKind.RETRY | ActionKind.FALLBACK if self._may_retry():
                self._retry(action)
            case ActionKind.BLOCK:
                self._block(attempt)
            case _ if (last or misrouted_retry) and not self.committed:
                self._settle_for_best()
            case _:
                self._release(attempt, last)

    # ---- holding and releasing

    def _advance(self, attempt: Attempt) -> None:
        """Score or send what new pieces, an end or an expired hold of this attempt allow."""
        if attempt.sending and not attempt.tools_seen:
            self._send_all(attempt)
        elif attempt.number == self._current == 1 and self._plan.release_reasoning:
            self._send_reasoning(attempt)  # of the first only: a retry must still be able to lose against it
        if attempt.number not in (self._current, self._chosen) or self._pending is not None:
            return
        if attempt.ended or (not attempt.sending and not attempt.tools_seen and self._early_ready(attempt)):
            self._score(attempt)

    def _early_ready(self, attempt: Attempt) -> bool:
        hold = self._hold(attempt)
        if hold.kind is HoldKind.WINDOW:
            return attempt.grown(hold.chars) and attempt.ready(hold.chars, self._choices)
        if hold.kind is HoldKind.PREFIX and attempt.verdict is None:
            return attempt.ready(hold.chars, self._choices) or (attempt.expired and attempt.said())
        return False

    def _score(self, attempt: Attempt) -> None:
        hold = self._hold(attempt)
        final = attempt.ended
        if hold.kind is HoldKind.WINDOW and (not final or hold.context):
            # Overlapping windows have read some characters twice already: the whole is not read again. Only a first window
            # that is the whole, and a tool call, which no earlier window contains, are judged as final.
            replies = attempt.window(hold.context)
            final = final and (attempt.tools_seen or not any(reply.offset for reply in replies))
        else:
            replies = attempt.replies()
        self._ticket += 1
        self._pending = ScoreResponse(self._ticket, attempt.number, replies, final)
        self._pending_count = attempt.holdback.count
        self._pending_last = attempt.ended
        self._commands.append(self._pending)

    def _release(self, attempt: Attempt, last: bool) -> None:
        """The verdict just in lets what it covers leave."""
        attempt.holdback.clear(self._pending_count)
        if attempt.ended and not last and not self.committed:
            self._score(attempt)  # complete meanwhile: judge the whole while a retry is still possible
            return
        attempt.sending = self._hold(attempt).kind is HoldKind.PREFIX
        self._commit(attempt)
        self._flush(attempt)
        if last:
            self._finish("answered")
        else:
            self._advance(attempt)

    def _send_all(self, attempt: Attempt) -> None:
        attempt.holdback.clear(attempt.holdback.count)
        self._flush(attempt)

    def _send_reasoning(self, attempt: Attempt) -> None:
        if attempt.tools_seen or attempt.said() or not any(d.reasoning for p in attempt.holdback.held for d in p.deltas):
            return
        attempt.holdback.clear(attempt.holdback.count)
        self._commit(attempt)
        self._flush(attempt)

    def _flush(self, attempt: Attempt) -> None:
        data = attempt.holdback.take()
        if data:
            self._commands.append(Send(attempt.number, data))

    def _commit(self, attempt: Attempt) -> None:
        self._chosen = self._current = attempt.number
        self.state = State.COMMITTED
        self._cancel_all(but=attempt.number)

    def _relay(self, attempt: Attempt) -> None:
        self._commit(attempt)
        self.state = State.RELAYING
        self._commands.append(Relay(attempt.number))

    def _block(self, attempt: Attempt) -> None:
        self._commit(attempt)
        self._commands.append(SendBlocked(attempt.number, attempt.holdback.held))
        self._finish("blocked")

    # ---- attempts

    def _hold(self, attempt: Attempt) -> Hold:
        # A probe or a lifted format demand can only be read in whole; other retries follow the plan.
        if attempt.action is not None and (attempt.action.probe or "neutralise" in attempt.change.names):
            return Hold(HoldKind.ALL)
        return self._plan.hold

    def _call(self, change: Change, action: Action | None) -> None:
        number = len(self._attempts) + 1
        self._attempts[number] = Attempt(number, change, action)
        self._current = number
        self.state = State.CALLING
        timeout = None
        if action is not None:
            timeout = max(0.0, (self._plan.budgets.added_ms - self._added_ms()) / 1000)
        self._commands.append(CallUpstream(number, change, retry=action is not None, timeout_s=timeout))

    def _retry(self, action: Action) -> None:
        if self._first_retry_at is None:
            self._first_retry_at = self._now
        self._taken.append(action)
        for attempt in self._attempts.values():
            if attempt.number > 1 and attempt.running:
                self._cancel(attempt)
        self._call(action.change, action)

    def _may_retry(self) -> bool:
        budgets = self._plan.budgets
        step = self._step()
        return (
            not step.committed
            and step.attempts < budgets.attempts
            and step.added_ms < budgets.added_ms
            and step.added_tokens + self._plan.estimate_tokens() <= budgets.added_tokens
        )

    def _added_ms(self) -> float:
        return 0.0 if self._first_retry_at is None else (self._now - self._first_retry_at) * 1000

    def _step(self) -> Step:
        if len(self._attempts) == 1:
            return Step(1, self.committed)
        retries = [attempt for attempt in self._attempts.values() if attempt.number > 1]
        spent = 0
        for attempt in retries:
            usage = attempt.usage
            spent += usage.prompt_tokens + usage.completion_tokens if usage else self._plan.estimate_tokens()
        return Step(len(self._attempts), self.committed, self._added_ms(), spent, tuple(self._taken))

    def _probed(self, probe: Attempt, action: Action) -> None:
        """A probe only decides about the first answer: it replaces it on disagreement, and is dropped otherwise."""
        first = self._attempts[1]
        disagrees = self._plan.disagrees(action, first.replies(), probe.replies())
        if disagrees and probe.valid and probe.level is not Level.MISROUTED:
            self._answer(probe)
            return
        if disagrees is False:
            first.settle(action.mode)
        self._settle_for_best()

    def _settle_for_best(self) -> None:
        """No more attempts will be made: send the best one. One still running goes out as its hold allows."""
        candidates = [a for a in self._attempts.values() if a.usable and not (a.action and a.action.probe)]
        best = candidates[0] if len(candidates) == 1 else min(candidates, key=Attempt.rank, default=None)
        if best is None:
            self._finish("failed", failure=self._attempts[1].failure or self._attempts[self._current].failure)
            return
        if best.level is Level.MISROUTED:
            best = candidates[0]
        if best.ended:
            self._answer(best)
        else:
            best.sending = self._hold(best).kind is HoldKind.PREFIX
            self._commit(best)
            self._advance(best)

    def _answer(self, attempt: Attempt) -> None:
        """Send a complete attempt, in the format the client demanded where the change lifted that demand."""
        self._commit(attempt)
        contents = None
        if attempt.action is not None:
            contents = self._plan.reapply(attempt.action, attempt.replies())
        if contents is not None:
            self._commands.append(SendRewritten(attempt.number, attempt.holdback.held, contents))
            self._finish("answered", rewritten=True)
            return
        self._send_all(attempt)
        self._finish("answered")

    def _cancel(self, attempt: Attempt) -> None:
        attempt.cancelled = True
        self._commands.append(CancelUpstream(attempt.number))

    def _cancel_all(self, but: int = 0) -> None:
        for attempt in self._attempts.values():
            if attempt.number != but and attempt.running:
                self._cancel(attempt)

    # ---- the end

    def _finish(self, kind: OutcomeKind, *, failure: Failure | None = None, rewritten: bool = False, reason: str = "") -> None:
        self._cancel_all()
        self.state = State.DONE
        chosen = self._attempts.get(self._chosen)
        first = self._attempts.get(1)
        level = chosen.level if chosen else Level.CLEAR
        flagged = kind == "answered" and level is not Level.CLEAR
        action = ActionKind.OBSERVE
        if kind == "blocked":
            action = ActionKind.BLOCK
        elif chosen and chosen.action:
            action = chosen.action.kind
        elif flagged:
            action = ActionKind.FLAG
        outcome = Outcome(
            kind=kind,
            chosen=self._chosen,
            verdict=chosen.verdict if chosen else None,
            first_verdict=first.verdict if first else None,
            action=action,
            attempts=tuple([attempt.summary() for attempt in self._attempts.values()]),
            flagged=flagged,
            rewritten=rewritten,
            hold_expired=any([attempt.expired for attempt in self._attempts.values()]),
            failure=failure,
            reason=reason,
        )
        self._commands.append(Finish(outcome))
