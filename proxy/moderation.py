"""Asks a route's moderation endpoint whether a prompt is benign, where a suspected refusal hangs on it.

One rule: only a complete, readable answer that flags nothing is benign; everything else is unknown, and the refusal stays as it
is. The endpoint is shown the text of all user turns, its own key and nothing else of the client.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, Literal

import aiohttp
import orjson

from core.types import MODERATED, Conversation, Scores
from policies.decide import RoutePlan
from proxy.config_model import Moderation
from proxy.upstream.pool import QuietConnector

#: What an endpoint said. `unreadable`: there is nothing it could be shown, or parts that are no text.
Answer = Literal["benign", "flagged", "timeout", "error", "unreadable"]
ANSWERS: Final[tuple[Answer, ...]] = ("benign", "flagged", "timeout", "error", "unreadable")
#: Bytes of its reply that are read at most.
_MAX_REPLY: Final = 1 << 20


class Moderator:
    """One moderation endpoint, shared by all requests of a route. Must be made inside a running event loop."""

    def __init__(self, settings: Moderation) -> None:
        self._url = f"{settings.url}/moderations"
        self._model = settings.model
        self._session = aiohttp.ClientSession(
            connector=QuietConnector(limit=0, keepalive_timeout=15.0),
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={"Authorization": f"Bearer {settings.api_key.get_secret_value()}", "Content-Type": "application/json"},
            timeout=aiohttp.ClientTimeout(total=settings.timeout_s, ceil_threshold=float("inf")),
            trust_env=False,
        )

    async def ask(self, conversation: Conversation) -> Answer:
        """What the endpoint says of all user turns together. Never raises; cancelling it closes the connection."""
        texts = [turn.text for turn in conversation.user_turns if turn.text]
        if conversation.has_media or not texts:
            return "unreadable"
        body = {"input": texts} if self._model is None else {"input": texts, "model": self._model}
        try:
            async with self._session.post(self._url, data=orjson.dumps(body), allow_redirects=False) as response:
                if response.status != 200:
                    return "error"
                return read_answer(await _bounded(response), len(texts))
        except TimeoutError:
            return "timeout"
        except (aiohttp.ClientError, OSError, ValueError, RuntimeError):  # RuntimeError: its snapshot was closed meanwhile
            return "error"

    async def close(self) -> None:
        """Give the connections back."""
        await self._session.close()


async def _bounded(response: aiohttp.ClientResponse) -> bytes:
    body = b""
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) > _MAX_REPLY:
            raise ValueError("too long")
    return body


def read_answer(body: bytes, count: int) -> Answer:
    """The answer in a reply of the moderations API; `count`: the texts it was asked about, each of which needs a result."""
    try:
        doc: Any = orjson.loads(body)
    except ValueError:
        return "error"
    results = doc.get("results") if isinstance(doc, dict) else None
    if not isinstance(results, list):
        return "error"
    flags = [result.get("flagged") if isinstance(result, dict) else None for result in results]
    if any(flag is True for flag in flags):
        return "flagged"
    return "benign" if flags and len(flags) == count and all(flag is False for flag in flags) else "error"


@dataclass(slots=True)
class Settling:
    """The moderation of one request. `answer`: empty until its endpoint was asked, which happens once at most."""

    moderator: Moderator
    plan: RoutePlan
    conversation: Conversation
    answer: Answer | Literal[""] = field(default="", init=False)

    async def settle(self, scores: tuple[Scores, ...], *, ask: bool) -> tuple[Scores, ...]:
        """The scores of an attempt's choices, with what the endpoint says. `ask`: it may be asked if that could change
        anything; what it said before is added in any case, so that all attempts are judged alike."""
        if not self.answer and ask and self.plan.asks_moderation(scores):
            self.answer = await self.moderator.ask(self.conversation)
        return moderated(scores, self.answer) if self.answer else scores


def moderated(scores: Sequence[Scores], answer: Answer) -> tuple[Scores, ...]:
    """Scores with an endpoint's answer among their values."""
    value = 0.0 if answer == "benign" else 1.0
    return tuple(replace(score, values={**score.values, MODERATED: value}) for score in scores)
