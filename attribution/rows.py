"""A row of post-training data in any of the usual forms -> its examples: what was asked, and one answer that is trained on.

One rule: a row is read as it is or named as bad; nothing is repaired.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import orjson

from core.types import Conversation, Reply, Tool, ToolCall, Turn
from detectors.markers import unfold
from detectors.rows import BadRow

Role = Literal["system", "user", "assistant", "tool"]
#: Who speaks, in the words of the data sets -> the role of the chat API.
ROLES: Final[Mapping[str, Role]] = {
    **dict.fromkeys(("system", "developer"), "system"),
    **dict.fromkeys(("user", "human", "prompter", "instruction"), "user"),
    **dict.fromkeys(("assistant", "gpt", "bot", "model", "chatgpt", "function_call"), "assistant"),
    **dict.fromkeys(("tool", "function", "observation", "function_response", "ipython"), "tool"),
}  # fmt: skip
#: Fields of a list of turns, of a prompt and of its answer, in the order in which they are looked for.
TURNS: Final = ("messages", "conversations", "conversation")
PAIRS: Final = (
    ("prompt", "response"),
    ("prompt", "completion"),
    ("instruction", "output"),
    ("instruction", "response"),
    ("question", "answer"),
    ("query", "response"),
    ("input", "output"),
)
#: Fields that name a row and the data set it came from.
ID_FIELDS: Final = ("id", "uuid", "row_id")
SOURCE_FIELDS: Final = ("source", "dataset")
#: Answers of one row that are looked at: the first ones.
MOST_ANSWERS: Final = 8


@dataclass(frozen=True, slots=True)
class Example:
    """One answer and what stood before it. `turn`: its place among the row's answers, from 0."""

    turn: int
    conversation: Conversation
    reply: Reply

    @property
    def prompt(self) -> str:
        """The last user turn."""
        user = self.conversation.last_user
        return user.text if user is not None else ""


def read_examples(row: Mapping[str, Any]) -> list[Example]:
    """The answers of a row that are trained on, at most MOST_ANSWERS; empty where it has only a prompt. Raises BadRow."""
    messages = _messages(row)
    tools = _tools(row.get("tools"))
    turns = tuple([_turn(message, place) for place, message in enumerate(messages)])
    if not any(turn.role == "user" for turn in turns):
        raise BadRow("no user turn")
    examples: list[Example] = []
    asked = False
    for place, turn in enumerate(turns):
        asked = asked or turn.role == "user"
        if turn.role == "assistant" and asked and _trained(messages[place]) and (turn.text.strip() or turn.tool_calls):
            reply = Reply(text=turn.text, tool_calls=turn.tool_calls, finish_reason="tool_calls" if turn.tool_calls else "stop")
            examples.append(Example(len(examples), Conversation(turns[:place], tools), reply))
            if len(examples) == MOST_ANSWERS:
                break
    return examples


def source_of(row: Mapping[str, Any], fallback: str, field: str = "") -> str:
    """The data set that a row names, in `field` where that is given, else the fallback."""
    for name in (field,) if field else SOURCE_FIELDS:
        value = row.get(name)
        if isinstance(value, str) and value:
            return value
    return fallback


def id_of(row: Mapping[str, Any], fallback: str) -> str:
    for name in ID_FIELDS:
        value = row.get(name)
        if isinstance(value, str | int) and not isinstance(value, bool) and value != "":
            return str(value)
    return fallback


def _messages(row: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    for field in TURNS:
        if row.get(field) is not None:
            return _listed(row[field], field)
    for asked, answered in PAIRS:
        if row.get(asked) is not None and answered in row:
            return _paired(row, asked, answered)
    raise BadRow("no known form: give 'messages', 'conversations', 'prompt' and 'response', or 'instruction' and 'output'")


def _paired(row: Mapping[str, Any], asked: str, answered: str) -> Sequence[Mapping[str, Any]]:
    prompt, answer = row[asked], row[answered]
    before: list[Mapping[str, Any]] = []
    if isinstance(row.get("system"), str) and row["system"]:
        before.append({"role": "system", "content": row["system"]})
    if isinstance(prompt, str):
        given = row.get("input") if asked == "instruction" else None
        if isinstance(given, str) and given.strip():
            prompt = f"{prompt}\n\n{given}"
        before += _unfolded(prompt)
    else:
        before += _listed(prompt, asked)
    if answer is None:
        return before
    if isinstance(answer, str):
        return [*before, {"role": "assistant", "content": answer}]
    if isinstance(answer, Mapping):
        return [*before, {"role": "assistant", **answer}]
    return [*before, *_listed(answer, answered)]


def _unfolded(prompt: str) -> list[Mapping[str, Any]]:
    try:
        return list(unfold(prompt).messages)
    except ValueError as error:
        raise BadRow(f"tools offered in the prompt cannot be read: {error}") from error


def _listed(value: Any, field: str) -> list[Mapping[str, Any]]:
    if isinstance(value, str):
        value = _json(value, field)
    if not isinstance(value, list) or not value or not all(isinstance(message, Mapping) for message in value):
        raise BadRow(f"'{field}' must be a list of turns")
    return value


def _turn(message: Mapping[str, Any], place: int) -> Turn:
    who = message.get("role", message.get("from"))
    role = ROLES.get(who.lower()) if isinstance(who, str) else None
    if role is None:
        raise BadRow(f"turn {place + 1}: unknown speaker {who!r}")
    text, media = _text(message.get("content", message.get("value", message.get("text"))), place)
    return Turn(role, text, place, media=media, tool_calls=_calls(message.get("tool_calls"), place))


def _text(content: Any, place: int) -> tuple[str, bool]:
    """The text of a turn, and whether it carries other parts."""
    if isinstance(content, str):
        return content, False
    if content is None:
        return "", False
    if not isinstance(content, list) or not all(isinstance(part, Mapping) for part in content):
        raise BadRow(f"turn {place + 1}: its content must be a string or a list of parts")
    texts = [part["text"] for part in content if isinstance(part.get("text"), str)]
    return "\n".join(texts), len(texts) < len(content)


def _calls(calls: Any, place: int) -> tuple[ToolCall, ...]:
    if not calls:
        return ()
    if not isinstance(calls, list):
        raise BadRow(f"turn {place + 1}: 'tool_calls' must be a list")
    made = []
    for call in calls:
        function = call.get("function", call) if isinstance(call, Mapping) else None
        if not isinstance(function, Mapping) or not isinstance(function.get("name"), str):
            raise BadRow(f"turn {place + 1}: a tool call without a name")
        arguments = function.get("arguments")
        made.append(ToolCall(function["name"], arguments if isinstance(arguments, str) else orjson.dumps(arguments).decode()))
    return tuple(made)


def _tools(tools: Any) -> tuple[Tool, ...]:
    if isinstance(tools, str) and tools.strip():
        tools = _json(tools, "tools")
    if not tools:
        return ()
    if not isinstance(tools, list):
        raise BadRow("'tools' must be a list")
    functions = [tool.get("function", tool) if isinstance(tool, Mapping) else None for tool in tools]
    made = []
    for function in functions:
        if not isinstance(function, Mapping) or not isinstance(function.get("name"), str):
            raise BadRow("a tool without a name")
        parameters = function.get("parameters")
        made.append(Tool(function["name"], parameters if isinstance(parameters, Mapping) else None))
    return tuple(made)


def _trained(message: Mapping[str, Any]) -> bool:
    """Whether loaders train on a turn: axolotl's `train` and OpenAI's `weight` switch it off."""
    return message.get("weight", 1) != 0 and message.get("train", True) is not False


def _json(text: str, field: str) -> Any:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise BadRow(f"'{field}' is not JSON: {error}") from error
