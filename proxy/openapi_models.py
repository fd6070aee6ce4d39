"""The documents that the proxy's own endpoints take and give, as pydantic models: what its OpenAPI document is made of.

One rule: they describe, they do not serve. Requests are read and answers written elsewhere; a test sends what these models
allow and holds every answer against them.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, WithJsonSchema

from core.types import Mode

Word = Literal["clear", "suspect", "misrouted"]
ModeScore = Literal["clear", "suspect", "misrouted", "unchecked"]


#: What is no text is left to the upstream to read.
Tokens = Annotated[Any, WithJsonSchema({"not": {"type": "string"}})]


class _Open(BaseModel):
    """Further fields belong to the provider and are kept."""

    model_config = ConfigDict(extra="allow")


class _Closed(BaseModel):
    model_config = ConfigDict(extra="forbid")


# ---- what clients send


class Asked(_Closed):
    """What a client wants of the proxy itself; never forwarded."""

    report: bool = Field(default=False, description="Add the `chunkguard` field to the body of the answer.")


class Message(_Open):
    """A turn. Roles that are not known count as the user's."""

    role: Any = Field(default="user", description="`system`, `developer`, `user`, `assistant`, `tool`.")
    content: str | list[Any] | None = Field(default=None, description="A text, or parts; others than texts count as media.")


class _Answerable(_Open):
    model: str | None = Field(default=None, description="May decide the route.")
    stream: bool | None = Field(default=None, description="Answer as server-sent events.")
    chunkguard: Asked = Field(default_factory=Asked)


class ChatRequest(_Answerable):
    """A request of OpenAI's chat completions API: what is read strictly. All else is forwarded as it is."""

    messages: list[Message]
    n: int | None = Field(default=None, ge=1)


class CompletionRequest(_Answerable):
    """A request of OpenAI's legacy completions API."""

    prompt: str | list[str] | list[Tokens] | None = Field(
        default="<|endoftext|>", description="Texts are guarded, tokens pass untouched."
    )
    n: int | None = Field(default=None, ge=1)


class ResponsesRequest(_Answerable):
    """A request of OpenAI's responses API."""

    input: str | list[dict[str, Any]] | None = None
    instructions: str | None = None


class MessagesRequest(_Answerable):
    """A request of Anthropic's messages API."""

    messages: list[Message]
    system: str | list[Any] | None = None


class ExchangeOfPrompt(_Open):
    """A question and its answer."""

    prompt: str
    response: str | Message = Field(description="The answer: a text, or a message with tool calls.")


class ExchangeOfMessages(_Open):
    """A conversation and its answer."""

    messages: list[Message]
    response: str | Message = Field(description="The answer: a text, or a message with tool calls.")
    tools: Any = Field(default=None, description="Tools that were declared: an array.")


# ---- what they are answered


class Found(_Closed):
    """A place in a text. `message`: index of the message; absent where it is the answer."""

    name: str
    message: int | None = None
    start: int
    end: int


class ModeVerdict(_Closed):
    """One mode in one answer."""

    verdict: ModeScore
    score: float = Field(ge=0, le=1, description="Probability that the behaviour is there and was not asked for.")
    evidence: list[Found]


class CheckVerdict(_Closed):
    """What an exchange is."""

    verdict: Word
    modes: dict[Mode, ModeVerdict]
    triggers: list[Found] = Field(description="What in the prompt raises suspicion beforehand.")


class Finding(_Closed):
    """A mode that was found in a choice of the answer."""

    mode: Mode
    choice: int
    verdict: Word
    score: float = Field(ge=0, le=1)
    policy: str
    evidence: list[Found]


class Injected(_Closed):
    """A boundary that was put into a prompt."""

    placement: str
    characters: int


class AttemptMade(_Closed):
    """One call of an upstream."""

    number: int
    change: list[str]
    injected: list[Injected]
    probe: bool
    verdict: Word | None
    complete: bool
    failure: str | None


class UsageTotal(_Closed):
    """Tokens of all attempts. `estimated`: at least one of them did not report its own."""

    prompt_tokens: int
    completion_tokens: int
    estimated: bool


class Report(_Closed):
    """The `chunkguard` field: what was decided, and why."""

    decision_id: str
    policy_revision: str
    verdict: Literal["clear", "suspect", "misrouted", "pending", "unchecked", "unjudged"]
    modes: list[Mode]
    findings: list[Finding]
    triggers: list[Found]
    unchecked: list[str]
    action: str
    chosen: int
    attempts: list[AttemptMade]
    flagged: bool
    rewritten: bool
    usage_total: UsageTotal


class Answer(_Open):
    """An upstream's own answer, byte for byte; `chunkguard` where it was asked for."""

    chunkguard: Report | None = None


class ErrorDetail(_Closed):
    """`code`: see the table of errors; of an upstream's own error anything."""

    message: str
    type: str
    param: str | None
    code: str | None


class Error(_Closed):
    """An error in the shape of OpenAI's API."""

    error: ErrorDetail


class MessagesErrorDetail(_Closed):
    """`type`: Anthropic's; `code`: the proxy's."""

    type: str
    message: str
    code: str | None
    param: str | None = None


class MessagesError(_Closed):
    """An error in the shape of Anthropic's API."""

    type: Literal["error"]
    error: MessagesErrorDetail


# ---- the admin listener


class Coverage(_Closed):
    """What is really enforceable for one route, endpoint, stream or not, and policy."""

    route: str
    endpoint: str
    stream: bool
    policy: str
    mode: Mode
    enforcement: str
    hold: str
    hold_on_trigger: str
    enforceable: str


class WorkerState(_Closed):
    """One worker of several."""

    worker: int
    ready: bool
    policy_revision: str


class Readiness(_Closed):
    """Whether requests are served as configured. With several workers: as of one that is ready, and the state of each."""

    ready: bool
    policy_revision: str = ""
    detectors: Literal["warm"] = "warm"
    routes: list[str] = Field(default_factory=list)
    coverage: list[Coverage] = Field(default_factory=list)
    workers: list[WorkerState] = Field(default_factory=list)


class Reloaded(_Closed):
    """The configuration was read again and is served."""

    reloaded: Literal[True]
    policy_revision: str


class Fault(_Closed):
    """One fault of a configuration. `key`: dotted path inside `file`."""

    file: str
    key: str
    reason: str


class Refused(_Closed):
    """The configuration cannot be used, and the running one goes on."""

    reloaded: Literal[False]
    problems: list[Fault] = Field(min_length=1)
