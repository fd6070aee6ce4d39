"""The codec of POST /v1/chat/completions, whole: what the driver calls, and nothing else.

One rule: each API's codec module offers the names of `Codec`.
"""

from proxy.wire.chat_change import apply_change, strip_report
from proxy.wire.chat_render import DONE_EVENT, add_report, block, rewrite, split_done
from proxy.wire.chat_reply import ReplyDecoder
from proxy.wire.chat_request import parse_request
from proxy.wire.decoding import is_done
from proxy.wire.render import error_event, render, render_event

__all__ = [
    "DONE_EVENT",
    "ReplyDecoder",
    "add_report",
    "apply_change",
    "block",
    "error_event",
    "is_done",
    "parse_request",
    "render",
    "render_event",
    "rewrite",
    "split_done",
    "strip_report",
]
