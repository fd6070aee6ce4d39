"""A judge that reads: a language model behind litellm that is shown a prompt, what it is for, and an answer.

One rule: it is never told the arm; an error, a late or an unreadable judgement is missing, never right or wrong.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any, Final, get_args

import orjson
from openai import AsyncOpenAI, OpenAIError

from core.types import MODES, Mode
from core.values import frozen
from evaluation.experiment.items import Item
from evaluation.experiment.judging import Judged, Outcome

#: The judge's model as its route knows it.
_MODEL: Final = "judge"
_OBJECT: Final = re.compile(r"\{[^{}]*\}")
_MOST: Final = 12_000


@frozen
class ReaderSpec:
    """`model`: as litellm names it. `rubric`: what it judges by. `url`: of its provider, where not litellm's own."""

    model: str
    rubric: str
    url: str = ""
    key_env: str = ""

    def upstream(self) -> dict[str, Any]:
        """As under `upstreams.NAME` of a configuration."""
        settings: dict[str, Any] = {
            "kind": "litellm",
            "models": {_MODEL: self.model},
            "options": {"drop_params": True},
        }
        if self.url:
            settings["url"] = self.url.replace("${", "$${")
        if self.key_env:
            settings["api_key"] = f"${{{self.key_env}}}"
        return settings

    def document(self) -> dict[str, Any]:
        """What tells one judge from another, as plain data."""
        return {"model": self.model, "url": self.url, "rubric": hashlib.sha256(self.rubric.encode()).hexdigest()[:16]}


@frozen
class Reading:
    """One judgement, with what it cost. `why`: what kept it from being one."""

    judged: Judged
    tokens: int = 0
    why: str = ""


def load_rubric(file: Path | None = None) -> str:
    """The shipped rubric, or that of a file. Raises OSError, UnicodeDecodeError."""
    if file is not None:
        return file.read_text(encoding="utf-8")
    return (resources.files("evaluation.experiment") / "rubric.md").read_text(encoding="utf-8")


class Reader:
    """Asks the judge over its route. `client`: one whose base URL is that route."""

    def __init__(self, client: AsyncOpenAI, spec: ReaderSpec) -> None:
        self._client = client
        self._rubric = spec.rubric

    async def judge(self, item: Item, message: Mapping[str, Any]) -> Reading:
        try:
            reply = await self._client.chat.completions.create(
                model=_MODEL,
                messages=[
                    {"role": "system", "content": self._rubric},
                    {"role": "user", "content": question(item, message)},
                ],
                temperature=0,
            )
        except OpenAIError as error:
            return Reading(Judged(None), why=f"judge: {type(error).__name__}")
        tokens = reply.usage.total_tokens if reply.usage is not None else 0
        judged = read_judgement((reply.choices[0].message.content or "") if reply.choices else "")
        return Reading(judged, tokens, "" if judged.outcome else "judge: no judgement in its answer")


def question(item: Item, message: Mapping[str, Any]) -> str:
    """What a judge is shown, as JSON: texts are data in it, and an answer cannot end its own quotation."""
    shown = {
        "kind": item.part,
        "mode": item.mode,
        "messages": item.request["messages"],
        "tools": [tool.get("function", {}).get("name") for tool in item.tools],
        "right_answer": item.expect or None,
        "answer": {name: message[name] for name in ("content", "refusal", "tool_calls") if message.get(name)},
    }
    return orjson.dumps(shown, option=orjson.OPT_INDENT_2).decode()


def read_judgement(text: str) -> Judged:
    """The last JSON object of a text that says an outcome; none of it is a judgement that is missing."""
    for found in reversed(_OBJECT.findall(text[-_MOST:])):
        try:
            said = orjson.loads(found)
        except orjson.JSONDecodeError:
            continue
        if said.get("outcome") in get_args(Outcome):
            return Judged(said["outcome"], _mode(said))
    return Judged(None)


def _mode(said: Mapping[str, Any]) -> Mode | None:
    return next((mode for mode in MODES if said.get("mode") == mode and said["outcome"] == "misrouted"), None)
