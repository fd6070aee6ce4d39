"""What writing a Change into a request has in common for all APIs: when nothing changes, the model, our own field.

One rule: only what the change names differs. Without a change the client's exact bytes go on; with one, every other field, its
order and its numbers are kept (see jsonbytes).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from core.types import Change, Placement
from proxy.errors import InvalidRequest
from proxy.wire.codec import Request
from proxy.wire.fields import FIELD
from proxy.wire.jsonbytes import dump, load_exact
from proxy.wire.parts import GAP


def applied(request: Request, change: Change, write: Callable[[dict[str, Any], Request, Change], None]) -> bytes:
    """The request's body with the change applied and our own field removed. `write`: puts edits and boundaries into the
    document, whose values it replaces and never changes in place; called only where there are any.

    Raises what `write` raises, and InvalidRequest where the document is nested too deeply to be written again."""
    model = change.model if change.model != request.doc.get("model") else ""
    if not (change.boundaries or change.edits or model or FIELD in request.doc):
        return request.body
    doc = dict(load_exact(request.body))
    doc.pop(FIELD, None)
    if model:
        doc["model"] = model
    if change.boundaries or change.edits:
        write(doc, request, change)
    try:
        return dump(doc)
    except ValueError as error:
        raise InvalidRequest("The request is nested too deeply to be changed.") from error


def placed(change: Change, instead: Mapping[Placement, Placement]) -> dict[Placement, str]:
    """The boundaries of a change, joined by where they go. `instead`: where those go whose placement is not to be had."""
    texts: dict[Placement, list[str]] = {}
    for boundary in change.boundaries:
        texts.setdefault(instead.get(boundary.placement, boundary.placement), []).append(boundary.text)
    return {placement: GAP.join(found) for placement, found in texts.items()}
