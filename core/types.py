"""The whole contract between the packages: what wire makes, detectors score, policies judge and the exchange acts on.

Owns every value type that crosses a package border. One rule: values only - frozen, no I/O, no clocks, no imports of ours.
Variables carry the lower-case type name everywhere: conversation, reply, scores, plan, verdict, action, exchange.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import field, replace
from enum import IntEnum
from typing import Any, Literal, Protocol

from core.values import frozen

Mode = Literal["rebuttal", "code", "tool_call", "refusal", "math", "analytic", "fiction", "extraction"]
#: The eight modes, in the order of the mode table; boundaries are concatenated in this order.
MODES: tuple[Mode, ...] = ("rebuttal", "code", "tool_call", "refusal", "math", "analytic", "fiction", "extraction")
#: Modes that can be judged on the first characters of an answer; the others need the whole of it.
EARLY_MODES: frozenset[Mode] = frozenset({"refusal", "rebuttal", "fiction"})

#: Score of a reply that a moderation endpoint gives: 0 = it called the prompt benign, 1 = it did not, or could not say.
MODERATED = "harm.moderated"

#: `Span.message` of a span that lies in the response, not in a message of the prompt.
RESPONSE = -1


@frozen
class Span:
    """A named stretch of text: characters `[start, end)` of `Turn.text` of message `message`, or of `Reply.text` (RESPONSE)."""

    name: str
    message: int
    start: int
    end: int


@frozen
class Tool:
    """A tool the request declares. `parameters`: its JSON Schema, None where none was given."""

    name: str
    parameters: Mapping[str, Any] | None = None


@frozen
class ToolCall:
    """A complete tool call. `arguments` is the text as the model wrote it, which may not be JSON."""

    name: str
    arguments: str
    id: str = ""


@frozen
class Turn:
    """One message of the prompt.

    `text`: its text parts joined by newlines. `index`: its place in the request's `messages` (the `message` of spans).
    `media`: it carries image, audio or file parts. `role`: system (developer included), user, assistant, tool.
    """

    role: Literal["system", "user", "assistant", "tool"]
    text: str
    index: int
    media: bool = False
    tool_calls: tuple[ToolCall, ...] = ()


@frozen
class Conversation:
    """What was asked: the request without its transport. Carries no header and no credential, ever.

    `structured`: the response format demands JSON. `hosted_tools`: the provider runs tools itself (hosted, MCP).
    `stored`: the provider keeps the response (`store`, `background`). `max_tokens`: None where the request sets none.
    `separate`: its user turns are prompts that know nothing of each other; the `n` choices answer them in order, each equally
    often.
    """

    turns: tuple[Turn, ...]
    tools: tuple[Tool, ...] = ()
    model: str = ""
    stream: bool = False
    n: int = 1
    max_tokens: int | None = None
    structured: bool = False
    hosted_tools: bool = False
    stored: bool = False
    separate: bool = False

    def asking(self, choice: int) -> Conversation:
        """What a choice answers: of separate prompts its own, else the whole conversation."""
        if not self.separate:
            return self
        place = min(choice * len(self.turns) // self.n, len(self.turns) - 1)
        return replace(self, turns=(self.turns[place],), n=1, separate=False)

    @property
    def last_user(self) -> Turn | None:
        """The last user turn: the only one whose triggers act."""
        for turn in reversed(self.turns):
            if turn.role == "user":
                return turn
        return None

    @property
    def user_turns(self) -> tuple[Turn, ...]:
        return tuple([turn for turn in self.turns if turn.role == "user"])

    @property
    def has_tool_result(self) -> bool:
        return any(turn.role == "tool" for turn in self.turns)

    @property
    def has_media(self) -> bool:
        return any(turn.media for turn in self.turns)


@frozen
class Reply:
    """What was answered, one choice of it. `finish_reason`: None while incomplete. `refusal`: the API's own refusal text.

    `offset`: characters of the answer before `text`, above 0 only for a later window of a stream (its opening is elsewhere).
    """

    choice: int = 0
    text: str = ""
    reasoning: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    finish_reason: str | None = None
    refusal: str = ""
    offset: int = 0


@frozen
class Scores:
    """What detectors say and all that policies read.

    `values`: name -> probability in [0, 1]. Of a prompt: `asks_code`, `asks_math`, `asks_fiction`, `asks_extraction`,
    `asks_check`, `asks_tool`, `distress`, `harm`. Of a reply: `<mode>` = the probability that the mode is present and not
    licensed by the prompt, and `<mode>.present` = that it is present at all; and MODERATED, where somebody was asked.
    `spans`: of a prompt, the trigger hits (name = trigger); of a reply, the evidence (name = `<mode>.<what>`).
    It may be a mapping that computes a name when it is first read: the trained prompt scores cost most and matter seldom.
    `missing`: names that could not be computed (timeout, crash, no measured language); absent from `values`. A name that is
    computed on reading is in neither until then.
    `scanned`: characters really read.
    """

    values: Mapping[str, float] = field(default_factory=dict)
    spans: tuple[Span, ...] = ()
    missing: frozenset[str] = frozenset()
    scanned: int = 0


@frozen
class TriggerSpec:
    """A user-defined trigger: any keyword, or any RE2 pattern, or a prompt-side score of at least `at_least`."""

    name: str
    keywords: tuple[str, ...] = ()
    patterns: tuple[str, ...] = ()
    score: str = ""
    at_least: float = 1.0


class Level(IntEnum):
    """The three values of a verdict. SUSPECT: the truth is not in the text, a probe must settle it."""

    CLEAR = 0
    SUSPECT = 1
    MISROUTED = 2


@frozen
class Finding:
    """One policy's judgement of one choice. `acting`: the policy enforces, so this finding may change the answer.

    `cleared`: a suspected refusal that counts as MISROUTED because a moderation endpoint called the prompt benign."""

    mode: Mode
    choice: int
    level: Level
    score: float
    policy: str = ""
    acting: bool = True
    spans: tuple[Span, ...] = ()
    cleared: bool = False


@frozen
class Verdict:
    """All findings above CLEAR over all choices. `unchecked`: policies that could not judge. `refused`: they fail closed."""

    findings: tuple[Finding, ...] = ()
    unchecked: frozenset[str] = frozenset()
    refused: frozenset[str] = frozenset()

    @property
    def level(self) -> Level:
        return max([finding.level for finding in self.findings], default=Level.CLEAR) if self.findings else Level.CLEAR

    @property
    def acting(self) -> tuple[Finding, ...]:
        return tuple([finding for finding in self.findings if finding.acting]) if self.findings else ()

    @property
    def acting_level(self) -> Level:
        return max([finding.level for finding in self.acting], default=Level.CLEAR) if self.findings else Level.CLEAR

    @property
    def modes(self) -> tuple[Mode, ...]:
        """The modes found, in the order of the mode table."""
        found = {finding.mode for finding in self.findings}
        return tuple(mode for mode in MODES if mode in found)


class HoldKind(IntEnum):
    """How much is kept back before a verdict; a higher value is stricter."""

    NONE = 0
    PREFIX = 1
    WINDOW = 2
    ALL = 3


@frozen
class Hold:
    """`chars`: of PREFIX its length, of WINDOW its size. `context`: characters before a window scored again with it
    (at most `chars`). `timeout_ms`: PREFIX only, 0 = none. Lengths count the characters of one choice's text."""

    kind: HoldKind = HoldKind.NONE
    chars: int = 0
    context: int = 0
    timeout_ms: int = 0


class ActionKind(IntEnum):
    """What may be done about a verdict; a higher value is a stronger action."""

    OBSERVE = 0
    FLAG = 1
    RETRY = 2
    FALLBACK = 3
    BLOCK = 4


@frozen
class Edit:
    """Replace characters `[start, end)` of `Turn.text` of message `message` by `text`. Edits of a message do not overlap."""

    message: int
    start: int
    end: int
    text: str


Placement = Literal["system_append", "system_after_history", "last_user_prefix"]


@frozen
class Boundary:
    """A boundary prompt and where it goes."""

    text: str
    placement: Placement


@frozen
class Change:
    """How an attempt's request differs from the client's. The empty change leaves the client's bytes untouched.

    `names`: what it does (`boundary`, `neutralise`, `probe`), for records. `upstream`, `model`: another one to ask.
    """

    names: tuple[str, ...] = ()
    boundaries: tuple[Boundary, ...] = ()
    edits: tuple[Edit, ...] = ()
    upstream: str = ""
    model: str = ""

    @property
    def empty(self) -> bool:
        return not (self.boundaries or self.edits or self.upstream or self.model)


@frozen
class Action:
    """What to do next. RETRY and FALLBACK carry the change of the next attempt.

    `probe`: the retry only settles a suspicion."""

    kind: ActionKind
    change: Change = Change()
    policy: str = ""
    mode: Mode | None = None
    probe: bool = False
    reason: str = ""


@frozen
class Budgets:
    """`attempts`: upstream calls in all, the first included. `added_ms`, `added_tokens`: what all retries may add together."""

    attempts: int = 3
    added_ms: int = 30_000
    added_tokens: int = 8_192


@frozen
class Step:
    """Where an exchange stands when an action is chosen. `added_ms`, `added_tokens`: spent by retries so far.
    `taken`: actions that led to attempts, in order."""

    attempts: int
    committed: bool
    added_ms: float = 0.0
    added_tokens: int = 0
    taken: tuple[Action, ...] = ()


class Plan(Protocol):
    """What the policies of a route want for one conversation. The exchange asks it; it never asks back. Pure."""

    @property
    def first_change(self) -> Change: ...
    @property
    def hold(self) -> Hold: ...
    @property
    def budgets(self) -> Budgets: ...
    @property
    def release_reasoning(self) -> bool:
        """Whether reasoning text may leave before its choice is clear; doing so commits."""
        ...

    def judge(self, replies: Sequence[Reply], scores: Sequence[Scores], *, final: bool) -> Verdict:
        """Judge all choices of one attempt. `final=False`: a prefix or window; only EARLY_MODES are judged on it."""
        ...

    def choose_action(self, verdict: Verdict, step: Step) -> Action:
        """What to do about a verdict at this step: OBSERVE or FLAG release it; RETRY/FALLBACK ask again; BLOCK withholds it."""
        ...

    def estimate_tokens(self) -> int:
        """Tokens to reserve for one more attempt."""
        ...

    def disagrees(self, action: Action, first: Sequence[Reply], probe: Sequence[Reply]) -> bool | None:
        """Whether a probe's answer contradicts the first one; only True may change the answer. None: it cannot be told."""
        ...

    def valid(self, replies: Sequence[Reply]) -> bool:
        """Whether every choice has the form the request demanded (JSON where it demanded JSON)."""
        ...

    def reapply(self, action: Action, replies: Sequence[Reply]) -> tuple[str, ...] | None:
        """The content of each choice in the format the client demanded, where the change lifted that demand; else None."""
        ...


@frozen
class Usage:
    """Tokens as the upstream reported them, or `estimated` where it was cancelled before it did."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    estimated: bool = False


@frozen
class ToolDelta:
    """A fragment of tool call `index` of a choice."""

    index: int
    id: str = ""
    name: str = ""
    arguments: str = ""


@frozen
class Delta:
    """What one chunk adds to one choice."""

    choice: int
    text: str = ""
    reasoning: str = ""
    refusal: str = ""
    tools: tuple[ToolDelta, ...] = ()
    finish_reason: str | None = None


@frozen
class Piece:
    """The smallest thing that is sent or held: raw bytes of the reply (one SSE event, or a whole JSON body) and what they say.

    The bytes of all pieces of an attempt, joined, are the upstream's body."""

    data: bytes
    deltas: tuple[Delta, ...] = ()
    usage: Usage | None = None


FailureKind = Literal["unavailable", "timeout", "protocol", "rejected", "budget", "cancelled"]


@frozen
class Failure:
    """Why an attempt has no complete answer. `budget`: the retry was denied or ran out of it."""

    kind: FailureKind
    message: str = ""
    status: int = 0


@frozen
class AttemptSummary:
    """One attempt as records and metrics see it. `verdict`: None where it was never judged."""

    number: int
    change: Change
    action: Action | None
    complete: bool
    verdict: Verdict | None
    usage: Usage | None
    failure: Failure | None


OutcomeKind = Literal["answered", "relayed", "failed", "blocked", "unavailable", "client_gone"]


@frozen
class Outcome:
    """How an exchange ended.

    `chosen`: number of the attempt whose bytes were sent, 0 for none. `verdict`: of the chosen attempt, None where it is
    judged later (relayed) or never. `first_verdict`: of the first attempt. `flagged`: sent although misrouted or suspect.
    `rewritten`: content replaced by a format re-application. `hold_expired`: a prefix was judged early.
    """

    kind: OutcomeKind
    chosen: int = 0
    verdict: Verdict | None = None
    first_verdict: Verdict | None = None
    action: ActionKind = ActionKind.OBSERVE
    attempts: tuple[AttemptSummary, ...] = ()
    flagged: bool = False
    rewritten: bool = False
    hold_expired: bool = False
    failure: Failure | None = None
    reason: str = ""
