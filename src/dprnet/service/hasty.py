"""Connections that send a request's head byte by byte are hung up on (slow-loris); bodies are the guard's."""

from __future__ import annotations

import asyncio

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol


def hasty(head_s: float) -> type[H11Protocol]:
    """The server's protocol, with ``head_s`` seconds for the head of a request to come."""

    class Hasty(H11Protocol):
        _late: asyncio.TimerHandle | None = None

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            self._wait()

        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            half_a_head = self.conn.their_state is h11.IDLE and self.conn.trailing_data[0]
            if half_a_head:
                self._wait()
            else:
                self._stop_waiting()  # between two requests the server's own timer runs

        def connection_lost(self, exc: Exception | None) -> None:
            self._stop_waiting()
            super().connection_lost(exc)

        def _wait(self) -> None:
            if self._late is None:
                self._late = self.loop.call_later(head_s, self.transport.close)

        def _stop_waiting(self) -> None:
            if self._late is not None:
                self._late.cancel()
                self._late = None

    return Hasty
