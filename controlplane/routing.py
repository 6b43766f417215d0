"""Websocket routes."""

from __future__ import annotations

from channels.routing import URLRouter

websocket = URLRouter([])
