"""What every process shows of itself: /healthz, /readyz and /metrics on a port of its own, and a heartbeat."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable, Iterable
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

import redis
import structlog
from django.conf import settings
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

log = structlog.get_logger(__name__)

HEARTBEAT_KEY = "gekko:heartbeat"
HEARTBEAT_S = 1.0
Check = Callable[[], bool]


class _QuietHandler(WSGIRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name is the base class's
        """Scrapes each few seconds are not news."""


def serve(port: int, ready: Check = lambda: True) -> WSGIServer:
    """Serve /healthz, /readyz and /metrics on loopback in a daemon thread."""

    def answer(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        path = environ.get("PATH_INFO", "")
        if path == "/metrics":
            start_response("200 OK", [("Content-Type", CONTENT_TYPE_LATEST)])
            return [generate_latest()]
        if path == "/healthz" or (path == "/readyz" and ready()):
            start_response("200 OK", [("Content-Type", "text/plain")])
            return [b"ok\n"]
        status = "503 Service Unavailable" if path == "/readyz" else "404 Not Found"
        start_response(status, [("Content-Type", "text/plain")])
        return [status.encode() + b"\n"]

    server = make_server("127.0.0.1", port, answer, handler_class=_QuietHandler)
    threading.Thread(target=server.serve_forever, name="metrics", daemon=True).start()
    return server


class Heartbeat:
    """Tells once a second, from a daemon thread, that this process lives; a silence of seconds raises an incident."""

    def __init__(self, name: str, detail: Callable[[], dict[str, Any]] = dict) -> None:
        self.name = name
        self.detail = detail
        self._stop = threading.Event()
        self._redis = redis.Redis.from_url(settings.REDIS_URL, socket_timeout=1, socket_connect_timeout=1)

    def start(self) -> None:
        threading.Thread(target=self._run, name="heartbeat", daemon=True).start()

    def stop(self) -> None:
        """End, and take the heartbeat away: a process that ended well is not a lost one."""
        self._stop.set()
        try:
            self._redis.hdel(HEARTBEAT_KEY, self.name)
        except redis.RedisError as error:
            log.warning("heartbeat not taken away", error=str(error))

    def _run(self) -> None:
        while not self._stop.wait(HEARTBEAT_S):
            beat = {"name": self.name, "pid": os.getpid(), "ts": time.time(), "detail": self.detail()}
            try:
                self._redis.hset(HEARTBEAT_KEY, self.name, json.dumps(beat))
            except redis.RedisError as error:
                log.warning("heartbeat not delivered", error=str(error))
