"""What a policy file may say: one frozen pydantic model per block, every field described.

One rule: this file holds the shape and what can be judged of one field alone; what fields must hold together is in `rules.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal, NamedTuple

import re2
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from core.types import ActionKind, Budgets, Hold, HoldKind, Mode, Placement, TriggerSpec

#: The shipped prompt triggers and the mode each belongs to; detectors report hits under exactly these names.
TRIGGERS: Final[Mapping[str, Mode]] = {
    "equality_check": "rebuttal",
    "verdict_only": "rebuttal",
    "origin_question": "rebuttal",
    "user_material": "rebuttal",
    "formal_vocabulary": "code",
    "riddle": "code",
    "framework_ask": "code",
    "draw_ask": "code",
    "stray_import": "code",
    "latex_math": "tool_call",
    "sensitive_word": "refusal",
    "credentials": "refusal",
    "redaction_marks": "refusal",
    "bypass_word": "refusal",
    "product_name": "refusal",
    "abstract_calculation": "math",
    "framed_distress": "analytic",
    "short_how_why": "fiction",
    "passage_scaffold": "extraction",
}
#: Prompt-side scores that a custom trigger or a licence may read.
PROMPT_SCORES: Final[tuple[str, ...]] = (
    "asks_code",
    "asks_math",
    "asks_fiction",
    "asks_extraction",
    "asks_check",
    "asks_tool",
    "distress",
    "harm",
)
#: Languages a boundary text may be written in.
LANGUAGES: Final[tuple[str, ...]] = ("en", "zh", "ru", "es", "fr", "de", "it", "pt", "ja", "ko", "pl", "no")
#: Longest RE2 program of one custom pattern, in bytes: RE2 is linear in the text, this bounds its constant.
_PATTERN_MEMORY: Final = 1 << 20


class Problem(NamedTuple):
    """One reason why a policy cannot be used: which file, which key (dotted), and why."""

    source: str
    key: str
    reason: str

    def __str__(self) -> str:
        return f"{self.source}: {self.key}: {self.reason}" if self.key else f"{self.source}: {self.reason}"


def _check_pattern(pattern: str) -> str:
    options = re2.Options()
    options.max_mem = _PATTERN_MEMORY
    options.log_errors = False
    try:
        re2.compile(pattern, options)
    except re2.error as error:
        reason = error.args[0].decode() if error.args and isinstance(error.args[0], bytes) else str(error)
        raise ValueError(f"not a valid RE2 pattern: {reason}") from None
    return pattern


def _known_score(name: str) -> str:
    if name and name not in PROMPT_SCORES:
        raise ValueError(f"unknown prompt score {name!r}; known: {', '.join(PROMPT_SCORES)}")
    return name


def _known_language(name: str) -> str:
    if name not in LANGUAGES:
        raise ValueError(f"unknown language {name!r}; known: {', '.join(LANGUAGES)}")
    return name


def _as_tuple(value: Any) -> Any:
    return (value,) if isinstance(value, str) else value


def _named(value: Any) -> Any:
    return {"name": value} if isinstance(value, str) else value


def _kinded(value: Any) -> Any:
    # YAML 1.1 reads a bare `none` as text but `null` and nothing as None: both plainly mean no hold.
    return {"kind": value} if isinstance(value, str) else value


def _spelled(value: Any) -> Any:
    # YAML 1.1 reads the unquoted key `no` (Norwegian) as False.
    return {("no" if key is False else key): text for key, text in value.items()} if isinstance(value, dict) else value


Probability = Annotated[float, Field(ge=0.0, le=1.0)]
Pattern = Annotated[str, Field(min_length=1, max_length=1000), AfterValidator(_check_pattern)]
ScoreName = Annotated[str, AfterValidator(_known_score)]
Language = Annotated[str, AfterValidator(_known_language)]
Enforcement = Literal["observe", "enforce"]
FailureMode = Literal["fail_open", "fail_closed"]
ChangeName = Literal["boundary", "neutralise", "probe"]


class Block(BaseModel):
    """Base of all blocks: frozen, and an unknown field is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Trigger(Block):
    """A prompt feature. A bare text names a shipped trigger; a mapping with any of the other fields defines a new one."""

    name: str = Field(pattern=r"^[a-z][a-z0-9_]{0,63}$", description="Name of a shipped trigger, or of the one defined here.")
    keywords: tuple[Annotated[str, Field(min_length=1)], ...] = Field(
        default=(), description="Words or phrases; any of them is a hit."
    )
    regex: Annotated[tuple[Pattern, ...], BeforeValidator(_as_tuple)] = Field(
        default=(), description="RE2 patterns (linear time), one or several; any match is a hit."
    )
    score: ScoreName = Field(default="", description="A prompt-side score to compare with `at_least`.")
    at_least: Probability = Field(default=0.5, description="The trigger is raised when `score` reaches this value.")

    @property
    def custom(self) -> bool:
        """Whether it defines something, rather than naming a shipped trigger."""
        return bool(self.keywords or self.regex or self.score)

    def spec(self) -> TriggerSpec:
        """The form in which detectors take a custom trigger."""
        return TriggerSpec(self.name, self.keywords, self.regex, self.score, self.at_least)


class BoundarySpec(Block):
    """A short text that says what the answer should and should not be, and when it is added to the prompt."""

    inject: Literal["never", "always", "on_trigger", "on_retry"] = Field(
        default="on_retry",
        description="When it is added: never, to every request, when a trigger is raised, or by a rung only.",
    )
    placement: Placement | None = Field(
        default=None, description="Where it goes. Default: system_append for `always`, last_user_prefix for the others."
    )
    text: Annotated[dict[Language, Annotated[str, Field(min_length=1)]], BeforeValidator(_spelled)] = Field(
        default_factory=dict, description="The text per language of the last user turn; `en` is used for every other language."
    )
    max_chars: int = Field(default=400, ge=1, le=4000, description="Longest text allowed, in characters.")

    @property
    def place(self) -> Placement:
        """The placement that holds: the one given, else the default of `inject`."""
        return self.placement or ("system_append" if self.inject == "always" else "last_user_prefix")


class CheckSpec(Block):
    """Thresholds on the calibrated probability that the mode is present and not licensed by the prompt."""

    suspect_at: Probability = Field(default=0.4, description="From here on the verdict is `suspect`: a probe must settle it.")
    misrouted_at: Probability = Field(default=0.7, description="From here on the verdict is `misrouted`.")


class HoldSpec(Block):
    """How much of the answer is kept back. A bare text is the kind."""

    kind: Literal["none", "prefix", "window", "all"] = Field(description="none, prefix, window or all.")
    chars: int = Field(default=0, ge=0, description="Characters of the prefix, or of one window.")
    timeout_ms: int = Field(default=0, ge=0, description="prefix only: judge what is there after this time; 0 waits.")
    context: int = Field(
        default=0, ge=0, description="window only: characters before the window that are scored again with it."
    )

    def value(self) -> Hold:
        """The form in which the exchange takes it."""
        return Hold(HoldKind[self.kind.upper()], self.chars, self.context, self.timeout_ms)


HoldField = Annotated[HoldSpec, BeforeValidator(_kinded)]


class HoldsSpec(Block):
    """The hold with and without a raised trigger."""

    default: HoldField = Field(default=HoldSpec(kind="none"), description="The hold of a request that raises no trigger.")
    on_trigger: HoldField | None = Field(default=None, description="The hold of a request that does. Default: as `default`.")

    @property
    def triggered(self) -> HoldSpec:
        """The hold once a trigger is raised."""
        return self.on_trigger or self.default


class Rung(Block):
    """One step of the ladder: what to do, and how the prompt changes for it."""

    action: Literal["retry", "fallback", "block", "flag"] = Field(
        description="retry asks again, fallback asks another upstream or model, block withholds, flag marks and passes."
    )
    change: tuple[ChangeName, ...] = Field(
        default=(), description="boundary adds the text, neutralise removes the incidental feature, probe settles a suspicion."
    )
    upstream: str = Field(default="", description="fallback: name of another configured upstream.")
    model: str = Field(default="", description="fallback: another model to ask.")

    @property
    def attempts(self) -> bool:
        """Whether it asks an upstream again."""
        return self.action in ("retry", "fallback")

    @property
    def probe(self) -> bool:
        """Whether it only settles a suspicion."""
        return "probe" in self.change

    @property
    def kind(self) -> ActionKind:
        """Its action as the exchange names it."""
        return ActionKind[self.action.upper()]


class BudgetsSpec(Block):
    """What retries of one request may cost together."""

    attempts: int = Field(default=3, ge=1, le=8, description="Upstream calls in all, the first included.")
    added_ms: int = Field(default=30_000, ge=0, description="Milliseconds that all retries may add.")
    added_tokens: int = Field(
        default=8_192, ge=0, description="Tokens that all retries may add, as reserved before each attempt."
    )
    estimate_tokens: int = Field(
        default=1_024, ge=1, description="Tokens reserved for one choice of an attempt, where the request does not allow fewer."
    )

    def value(self) -> Budgets:
        """The form in which the exchange takes it."""
        return Budgets(self.attempts, self.added_ms, self.added_tokens)


class Example(Block):
    """An exchange that must, or must not, match the policy."""

    prompt: str = Field(default="", description="The prompt, when it is a single user turn.")
    messages: tuple[dict[str, Any], ...] = Field(default=(), description="The prompt as chat messages, instead of `prompt`.")
    response: str | None = Field(default=None, description="The answer to judge. Without it only the triggers are looked at.")
    tools: tuple[dict[str, Any], ...] = Field(default=(), description="Tools that the request declares, as in the chat API.")
    expect: Literal["clear", "suspect", "misrouted"] | None = Field(
        default=None, description="The verdict expected. Default: any above clear in match, clear in no_match."
    )
    triggers: tuple[str, ...] | None = Field(default=None, description="Exactly the triggers that the prompt must raise.")


class Examples(Block):
    """Run by `validate` and by the tests."""

    match: tuple[Example, ...] = Field(default=(), description="Exchanges that the policy must find.")
    no_match: tuple[Example, ...] = Field(default=(), description="Look-alikes that it must leave alone.")


class Policy(Block):
    """What to do about one mode: what raises it, what is said before, what is checked and what happens then."""

    name: str = Field(pattern=r"^[a-z][a-z0-9_.-]{0,63}$", description="Unique name; shows in headers, records and metrics.")
    mode: Mode = Field(description="Which of the eight behaviours it guards against.")
    extends: str = Field(default="", description="A shipped or earlier policy; its fields hold where this gives none.")
    description: str = Field(default="", description="What goes wrong, in a sentence.")
    why: str = Field(default="", description="Why models do it.")
    evidence: str = Field(default="", description="What was measured, by whom.")
    triggers: tuple[Annotated[Trigger, BeforeValidator(_named)], ...] = Field(
        default=(), description="Prompt features that raise the policy: names of shipped triggers, or custom ones."
    )
    licence: tuple[Annotated[str, Field(min_length=1), AfterValidator(_known_score)], ...] = Field(
        default=(),
        description="Prompt-side scores that say the behaviour was asked for; any at 0.5 or more silences the triggers.",
    )
    boundary: BoundarySpec = Field(default=BoundarySpec(inject="never"), description="The boundary text and when it is added.")
    check: CheckSpec = Field(default=CheckSpec(), description="Thresholds of the verdict.")
    hold: HoldsSpec = Field(default=HoldsSpec(), description="How much of the answer is kept back until it is judged.")
    ladder: tuple[Rung, ...] = Field(default=(), description="What is tried about a misrouted answer, in order. Empty: flag.")
    enforcement: Enforcement = Field(default="observe", description="observe only reports; enforce may change the answer.")
    failure_mode: FailureMode = Field(default="fail_open", description="Where the answer cannot be judged: pass it, or refuse.")
    budgets: BudgetsSpec = Field(default=BudgetsSpec(), description="What retries may cost.")
    rerun_safe: bool = Field(
        default=False, description="Retry even where the provider runs tools itself or stores the response."
    )
    release_reasoning: bool = Field(default=False, description="Let reasoning leave at once; its first byte commits.")
    harm_at_most: Probability | None = Field(
        default=None, description="Highest harm score of the prompt at which a retry is allowed. Required to retry a refusal."
    )
    examples: Examples = Field(default=Examples(), description="Exchanges that must and must not match.")

    @property
    def enforcing(self) -> bool:
        """Whether it may change an answer."""
        return self.enforcement == "enforce"

    @property
    def retries(self) -> bool:
        """Whether its ladder asks an upstream again."""
        return any(rung.attempts for rung in self.ladder)
