"""The codec of Anthropic's POST /v1/messages, whole.

One rule: each API's codec module offers the names of `Codec`.
"""

from proxy.wire.messages_change import apply_change
from proxy.wire.messages_render import add_report, block, error_event, is_done, render, render_event, rewrite
from proxy.wire.messages_reply import ReplyDecoder
from proxy.wire.messages_request import parse_request

__all__ = [
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
]
