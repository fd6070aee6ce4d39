"""Where one worker among several sits.

One rule: what is shared belongs to the supervisor; a worker only borrows it.
"""

from __future__ import annotations

import socket
from pathlib import Path

from core.values import frozen


@frozen
class Seat:
    """The place of a worker among several. `listener`: bound by the supervisor, which keeps it open when the worker dies.
    `admin`: the worker's own Unix socket, in a folder that only this user can enter."""

    worker: int
    listener: socket.socket
    admin: Path
