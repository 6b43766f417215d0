"""A websocket connection that hands frames over at the moment they are read off the socket.

``websockets`` queues messages for ``recv``, which adds a task switch and hides how long a message waited. Here the
receive time is taken when the bytes come out of the socket, and the handler runs at once, in the event loop's read
callback. No queue grows behind it: while the handler works nothing is read, the kernel's socket buffer fills, and
TCP slows the sender down.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from websockets.asyncio.client import ClientConnection
from websockets.client import ClientProtocol
from websockets.frames import DATA_OPCODES, Frame
from websockets.protocol import Event

FrameHandler = Callable[[bytes, int, int], None]
"""Called with the message, the receive time by the wall clock, and the same by the monotonic timer, both in ns."""


class DirectConnection(ClientConnection):
    """Passes every message to ``on_frame``; ``recv`` gets nothing. What ``on_frame`` raises ends the connection."""

    def __init__(
        self,
        protocol: ClientProtocol,
        *,
        on_frame: FrameHandler,
        clock_ns: Callable[[], int],
        timer_ns: Callable[[], int],
        **options: Any,
    ) -> None:
        super().__init__(protocol, **options)
        self._on_frame = on_frame
        self._clock_ns = clock_ns
        self._timer_ns = timer_ns
        self._read_ns = 0
        self._read_timer_ns = 0
        self._fragments: list[bytes] = []

    def data_received(self, data: bytes) -> None:
        """Bytes came off the socket."""
        self._read_timer_ns = self._timer_ns()
        self._read_ns = self._clock_ns()
        super().data_received(data)

    def process_event(self, event: Event) -> None:
        """One frame, or the answer to the handshake."""
        if not isinstance(event, Frame) or event.opcode not in DATA_OPCODES:
            super().process_event(event)
            return
        if not event.fin:
            self._fragments.append(bytes(event.data))
            return
        message = bytes(event.data)
        if self._fragments:
            message = b"".join([*self._fragments, message])
            self._fragments.clear()
        self._on_frame(message, self._read_ns, self._read_timer_ns)


def direct_connection(
    on_frame: FrameHandler, clock_ns: Callable[[], int], timer_ns: Callable[[], int]
) -> type[ClientConnection]:
    """A connection class for ``websockets.connect`` that is bound to one handler."""

    class Bound(DirectConnection):
        def __init__(self, protocol: ClientProtocol, **options: Any) -> None:
            super().__init__(protocol, on_frame=on_frame, clock_ns=clock_ns, timer_ns=timer_ns, **options)

    return Bound
