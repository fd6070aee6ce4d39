"""Runs the examples of a policy: what must match does, and its look-alikes do not.

One rule: it brings no detectors; the caller hands in what scores an exchange.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal, cast

from core.types import Conversation, Level, Reply, Scores, Tool, ToolCall, Turn
from policies.plan import CompiledRoute, compile_route
from policies.schema import Example, Policy, Problem

#: Scores a prompt, and its answer where there is one.
Score = Callable[[Conversation, Reply | None], tuple[Scores, Scores | None]]
Role = Literal["system", "user", "assistant", "tool"]


def read_conversation(example: Example) -> Conversation:
    """The prompt of an example as detectors take it. Parts that are not text count as media."""
    messages = example.messages or ({"role": "user", "content": example.prompt},)
    turns = tuple(_turn(index, message) for index, message in enumerate(messages))
    return Conversation(turns, tuple(_tool(tool) for tool in example.tools))


def _turn(index: int, message: Mapping[str, Any]) -> Turn:
    role = str(message.get("role", "user"))
    role = "system" if role == "developer" else role
    content = message.get("content") or ""
    parts = [{"type": "text", "text": content}] if isinstance(content, str) else list(content)
    texts = [str(part.get("text", "")) for part in parts if part.get("type") == "text"]
    calls = tuple(_call(call) for call in message.get("tool_calls") or ())
    known = cast(Role, role if role in ("system", "user", "assistant", "tool") else "user")
    return Turn(known, "\n".join(texts), index, len(texts) < len(parts), calls)


def _call(call: Mapping[str, Any]) -> ToolCall:
    function = call.get("function") or {}
    return ToolCall(str(function.get("name", "")), str(function.get("arguments", "")), str(call.get("id", "")))


def _tool(tool: Mapping[str, Any]) -> Tool:
    function = tool.get("function") or tool
    return Tool(str(function.get("name", "")), function.get("parameters"))


def verify_examples(policy: Policy, score: Score, source: str = "") -> tuple[Problem, ...]:
    """Every example of the policy that does not come out as it says. `score` is called once an example."""
    # Enforcement changes no verdict, but a route is planned only from policies that stand alone.
    route = compile_route((policy,))
    where = source or policy.name
    problems = []
    for side, examples in (("match", policy.examples.match), ("no_match", policy.examples.no_match)):
        for number, example in enumerate(examples):
            reason = _verify(route, example, score, wanted=side == "match")
            if reason:
                problems.append(Problem(where, f"examples.{side}.{number}", reason))
    return tuple(problems)


def _verify(route: CompiledRoute, example: Example, score: Score, *, wanted: bool) -> str:
    conversation = read_conversation(example)
    reply = None if example.response is None else Reply(text=example.response, finish_reason="stop")
    prompt, answered = score(conversation, reply)
    reason = _verify_triggers(route, conversation, prompt, example, wanted=wanted)
    if reason or reply is None:
        return reason
    if answered is None:
        return "its response was not scored"
    verdict = route.make_plan(conversation, prompt, stream=False).judge((reply,), (answered,), final=True)
    if verdict.unchecked:
        return "its response could not be judged"
    level = verdict.level
    if example.expect is not None:
        return "" if level is Level[example.expect.upper()] else f"verdict {level.name.lower()}, expected {example.expect}"
    if (level is not Level.CLEAR) != wanted:
        return f"verdict {level.name.lower()}, expected {'suspect or misrouted' if wanted else 'clear'}"
    return ""


def _verify_triggers(
    route: CompiledRoute, conversation: Conversation, prompt: Scores, example: Example, *, wanted: bool
) -> str:
    raised = {span.name for span in route.raised(conversation, prompt).get(0, ())}
    shown = ", ".join(sorted(raised)) or "none"
    if example.triggers is not None:
        expected = ", ".join(sorted(example.triggers)) or "none"
        return "" if raised == set(example.triggers) else f"triggers raised: {shown}; expected: {expected}"
    if example.response is not None or bool(raised) == wanted:
        return ""
    return f"triggers raised: {shown}; expected {'some' if wanted else 'none'}"
