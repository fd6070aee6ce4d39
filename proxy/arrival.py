"""A client's request as it arrives: its body is waited for, but not for ever.

One rule: a body that is here already - nearly every one - costs no timer.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from aiohttp import web

from proxy.errors import RequestTimeout


class ArrivingRequest(web.BaseRequest):
    """aiohttp's request; `patience_s`: for a whole body, or for the next bytes of one that is streamed on."""

    def __init__(self, *args: Any, patience_s: float, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._patience_s = patience_s

    async def read(self) -> bytes:
        """The whole body. Raises RequestTimeout."""
        if self.content.is_eof():
            return await super().read()
        try:
            async with asyncio.timeout(self._patience_s):
                return await super().read()
        except TimeoutError:
            raise self._late() from None

    async def chunks(self) -> AsyncIterator[bytes]:
        """The body as it comes. Raises RequestTimeout."""
        content = self.content
        while True:
            try:
                async with asyncio.timeout(self._patience_s):
                    chunk = await content.readany()
            except TimeoutError:
                raise self._late() from None
            if not chunk:
                return
            yield chunk

    def _late(self) -> RequestTimeout:
        return RequestTimeout(f"the body did not come within {self._patience_s:g} s")
