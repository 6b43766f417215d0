"""``python -m apps.streaming.relay``: the relay as a process, until SIGTERM."""

from __future__ import annotations

import os
import signal
import threading
from types import FrameType

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "controlplane.settings.dev")


def run() -> None:
    """Relay until SIGTERM or SIGINT."""
    django.setup()
    # Models can be imported only now.
    from django.conf import settings  # noqa: PLC0415

    from apps.streaming.forwarding import LiveForwarder  # noqa: PLC0415
    from apps.streaming.publishing import OutboxPublisher  # noqa: PLC0415
    from controlplane.checks import refuse_unsafe  # noqa: PLC0415
    from controlplane.observability import Heartbeat, serve  # noqa: PLC0415

    refuse_unsafe()
    stop = threading.Event()

    def end(_number: int, _frame: FrameType | None) -> None:
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, end)
    publisher = OutboxPublisher(stop)
    heartbeat = Heartbeat("relay", lambda: {"published": publisher.published, "leading": publisher.leading})
    if settings.GEKKO_METRICS_PORT:
        serve(settings.GEKKO_METRICS_PORT)
    heartbeat.start()
    LiveForwarder(stop).start()
    publisher.run()
    heartbeat.stop()


if __name__ == "__main__":
    run()
