"""An exchange that is over, with its texts and times, for those who may see more than a record: decision log and tracing.

One rule: nothing of this is made where nobody asks for it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from core.types import Conversation, Reply
from core.values import frozen
from proxy.records import DecisionRecord
from proxy.upstream.base import Headers


@frozen
class Seen:
    """`replies`: of the answer that was sent, empty where none could be read. `headers`: of the client, credentials included.

    By the clock of perf_counter: `began` and `ended` of the request, `calls`: (attempt, began, ended, status) of each upstream
    call, `checks`: (attempt, began, ended) of each look of the detectors, attempt 0 for the prompt."""

    record: DecisionRecord
    conversation: Conversation
    replies: tuple[Reply, ...]
    headers: Headers
    upstream: str
    began: float
    ended: float
    calls: Sequence[tuple[int, float, float, int]] = ()
    checks: Sequence[tuple[int, float, float]] = ()


Witness = Callable[[Seen], None]
