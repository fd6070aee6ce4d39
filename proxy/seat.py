"""Where one worker among several sits.

One rule: what is shared belongs to the supervisor; a worker only borrows it.
"""

from __future__ import annotations

import socket
from pathlib import Path

from core.values import frozen


@frozen
class Seat:
    """The place of a worker among several. `listeners`: of all places, bound by the supervisor, which keeps them open; the
    worker takes connections from its own, and from that of another while nobody sits there. `admin`: the worker's own Unix
    socket, in a folder that only this user can enter."""

    worker: int
    listeners: tuple[socket.socket, ...]
    admin: Path
