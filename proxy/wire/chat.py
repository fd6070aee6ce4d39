"""The codec of POST /v1/chat/completions, whole: what the driver calls, and nothing else.

One rule: each API's codec module offers these names, so that the driver holds a codec and asks not which.
"""

from proxy.wire.chat_change import apply_change, strip_report
from proxy.wire.chat_render import DONE_EVENT, add_report, block, rewrite, split_done
from proxy.wire.chat_reply import ReplyDecoder, is_done
from proxy.wire.chat_request import ChatRequest, parse_request

__all__ = [
    "DONE_EVENT",
    "ChatRequest",
    "ReplyDecoder",
    "add_report",
    "apply_change",
    "block",
    "is_done",
    "parse_request",
    "rewrite",
    "split_done",
    "strip_report",
]
