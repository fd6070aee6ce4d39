"""The file of a replay upstream: one JSON object a line, each a recorded exchange. For tests, demos and reproductions.

One rule: a bad line is named with file, line and key, and all bad lines are named at once. Blank lines and lines that
begin with `#` are skipped.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Literal

import orjson
from pydantic import BaseModel, ConfigDict, Field, NonNegativeInt, PositiveInt, ValidationError, model_validator

from proxy.errors import ConfigError, Problem

_CHAT = "/v1/chat/completions"


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ReplayMatch(_Model):
    """What a request must be to get the answer; all that is given must hold, and nothing given takes any chat request."""

    path: str = Field(default=_CHAT, description="Path of the request, without query.")
    model: str | None = Field(default=None, description="Glob over the model.")
    stream: bool | None = Field(default=None, description="Whether a stream was asked for.")
    contains: list[str] = Field(default_factory=list, description="Texts that stand somewhere in the messages, each of them.")
    absent: list[str] = Field(default_factory=list, description="Texts that stand nowhere in the messages.")
    system_contains: list[str] = Field(default_factory=list, description="Texts in system or developer messages.")
    system_absent: list[str] = Field(default_factory=list, description="Texts not in system or developer messages.")
    last_user: str | None = Field(default=None, description="The whole text of the last user message.")
    last_user_contains: list[str] = Field(default_factory=list, description="Texts in the last user message.")
    last_user_absent: list[str] = Field(default_factory=list, description="Texts not in the last user message.")
    tools: list[str] | None = Field(default=None, description="Names of tools that are declared; an empty list: none at all.")

    def takes(self, path: str, doc: Mapping[str, Any]) -> bool:
        """Whether a request of this path and parsed body matches."""
        if path != self.path or not self._takes_fields(doc):
            return False
        texts = [(message.get("role"), text_of(message)) for message in _messages(doc)]
        users = [text for role, text in texts if role == "user"]
        last_user = users[-1] if users else ""
        return (
            (self.last_user is None or last_user == self.last_user)
            and _holds(last_user, self.last_user_contains, self.last_user_absent)
            and _holds("\n".join(text for _, text in texts), self.contains, self.absent)
            and _holds(
                "\n".join(text for role, text in texts if role in ("system", "developer")),
                self.system_contains,
                self.system_absent,
            )
        )

    def _takes_fields(self, doc: Mapping[str, Any]) -> bool:
        if self.model is not None and not fnmatchcase(str(doc.get("model", "")), self.model):
            return False
        if self.stream is not None and (doc.get("stream") is True) != self.stream:
            return False
        if self.tools is None:
            return True
        declared = {_tool_name(tool) for tool in doc.get("tools") or ()}
        return set(self.tools) <= declared if self.tools else not declared


class ReplayReplySpec(_Model):
    """The answer: `content`, or `message`, or `choices`; a bare text is the content."""

    content: str | None = Field(default=None, description="Text of the one choice.")
    message: dict[str, Any] | None = Field(default=None, description="Message of the one choice, in the chat API's form.")
    choices: list[dict[str, Any]] | None = Field(
        default=None, min_length=1, description="Choices in the chat API's form; the first `n` of them are answered."
    )
    tool_calls: list[dict[str, Any]] | None = Field(default=None, description="Tool calls added to the message.")
    finish_reason: str | None = Field(default=None, description="Default: `stop`, or `tool_calls` where there are any.")
    usage: dict[str, Any] | None = Field(default=None, description="Default: estimated from lengths.")

    def all_choices(self) -> list[dict[str, Any]]:
        """The choices, each with `message` and `finish_reason`."""
        if self.choices is not None:
            return [_completed(choice) for choice in self.choices]
        message: dict[str, Any] = dict(self.message or {"role": "assistant", "content": self.content})
        if self.tool_calls:
            message["tool_calls"] = self.tool_calls
        return [_completed({"message": message, "finish_reason": self.finish_reason})]


class ReplayExchange(_Model):
    """One line."""

    name: str = Field(default="", description="For people; part of the answer's id.")
    match: ReplayMatch = Field(default_factory=ReplayMatch, description="The request it answers.")
    reply: ReplayReplySpec | None = Field(default=None, description="A chat answer.")
    body: Any = Field(default=None, description="The whole JSON body instead of `reply`: errors and other endpoints.")
    status: int = Field(default=200, ge=200, le=599, description="Status of the answer.")
    chunks: PositiveInt | list[str] | None = Field(
        default=None,
        description="How many deltas each text is cut into, or the deltas of the first choice. Default: every 20 characters.",
    )
    chunk_bytes: NonNegativeInt = Field(
        default=0, description="Cut the body into network chunks of so many bytes; 0: one an event."
    )
    delay_ms: NonNegativeInt = Field(default=0, description="Wait before the head.")
    chunk_ms: NonNegativeInt = Field(default=0, description="Wait between network chunks.")
    fault: Literal["refuse", "reset_after_bytes", "stall", "junk"] | None = Field(
        default=None,
        description="Fail: no connection, lost after `after_bytes`, silent after `after_bytes`, or bytes that mean nothing.",
    )
    after_bytes: NonNegativeInt = Field(default=0, description="Bytes of the body that come before the fault.")

    @model_validator(mode="before")
    @classmethod
    def _bare_text(cls, data: object) -> object:
        if isinstance(data, dict) and isinstance(data.get("reply"), str):
            return {**data, "reply": {"content": data["reply"]}}
        return data

    @model_validator(mode="after")
    def _answers(self) -> ReplayExchange:
        if (self.reply is None) == (self.body is None) and self.fault not in ("refuse", "junk"):
            raise ValueError("needs either `reply` or `body`")
        if isinstance(self.chunks, list) and self.reply is not None:
            text = self.reply.all_choices()[0]["message"].get("content") or ""
            if "".join(self.chunks) != text:
                raise ValueError("`chunks` joined must be the content of the first choice")
        return self


def read_exchanges(file: Path, shown: str) -> list[ReplayExchange]:
    """All exchanges of a file, in order. `shown` names it in problems. Raises ConfigError with every problem."""
    try:
        lines = file.read_bytes().split(b"\n")
    except OSError as error:
        raise ConfigError([Problem(shown, "", f"cannot be read: {error.strerror}")]) from None
    exchanges: list[ReplayExchange] = []
    problems: list[Problem] = []
    for number, line in enumerate(lines, start=1):
        if not line.strip() or line.lstrip().startswith(b"#"):
            continue
        try:
            exchanges.append(ReplayExchange.model_validate(orjson.loads(line)))
        except orjson.JSONDecodeError as error:
            problems.append(Problem(f"{shown}:{number}", "", f"is not JSON: {error}"))
        except ValidationError as error:
            problems.extend(
                Problem(f"{shown}:{number}", _path(item["loc"]), item["msg"].removeprefix("Value error, "))
                for item in error.errors(include_url=False, include_context=False, include_input=False)
            )
    if not exchanges and not problems:
        problems.append(Problem(shown, "", "holds no exchange"))
    if problems:
        raise ConfigError(problems)
    return exchanges


def text_of(message: Mapping[str, Any]) -> str:
    """The text of a message: its content, or its text parts joined by newlines."""
    content = message.get("content")
    if isinstance(content, str):
        return content
    parts = [part.get("text") for part in content if isinstance(part, dict)] if isinstance(content, list) else []
    return "\n".join(part for part in parts if isinstance(part, str))


def _path(loc: tuple[str | int, ...]) -> str:
    return re.sub(r"\.\[", "[", ".".join(f"[{part}]" if isinstance(part, int) else part for part in loc))


def _messages(doc: Mapping[str, Any]) -> list[dict[str, Any]]:
    messages = doc.get("messages")
    return [message for message in messages if isinstance(message, dict)] if isinstance(messages, list) else []


def _tool_name(tool: object) -> str:
    function = tool.get("function") if isinstance(tool, dict) else None
    return str(function.get("name", "")) if isinstance(function, dict) else ""


def _holds(text: str, contains: list[str], absent: list[str]) -> bool:
    return all(item in text for item in contains) and not any(item in text for item in absent)


def _completed(choice: dict[str, Any]) -> dict[str, Any]:
    message = {"role": "assistant", "content": None, **(choice.get("message") or {})}
    reason = choice.get("finish_reason") or ("tool_calls" if message.get("tool_calls") else "stop")
    return {**choice, "message": message, "finish_reason": reason}
