"""A websocket client inside the process, over ASGI."""

from __future__ import annotations

from typing import Any

from asgiref.testing import ApplicationCommunicator


class SocketClient(ApplicationCommunicator):
    """Speaks to an ASGI application as a browser's websocket would."""

    def __init__(self, application: Any, path: str, headers: list[tuple[bytes, bytes]]) -> None:
        scope = {"type": "websocket", "path": path, "query_string": b"", "headers": headers, "subprotocols": []}
        super().__init__(application, scope)

    async def connect(self, seconds: float = 5) -> bool:
        """Open; False when the server refused the handshake."""
        await self.send_input({"type": "websocket.connect"})
        answer = await self.receive_output(seconds)
        return bool(answer["type"] == "websocket.accept")

    async def send_text(self, text: str) -> None:
        await self.send_input({"type": "websocket.receive", "text": text})

    async def receive_text(self, seconds: float = 5) -> str:
        message = await self.receive_output(seconds)
        assert message["type"] == "websocket.send", message
        return str(message["text"])

    async def disconnect(self) -> None:
        await self.send_input({"type": "websocket.disconnect", "code": 1000})
        await self.wait(5)
