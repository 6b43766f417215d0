"""The projector's process: ``gekko projector``, or ``python -m workers.live.projector``."""

from __future__ import annotations

import os
import signal
from types import FrameType

import django


def run() -> None:
    """Project the execution journal into PostgreSQL until SIGTERM or SIGINT."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "controlplane.settings.dev")
    django.setup()
    # Models can be imported only now.
    from django.conf import settings  # noqa: PLC0415

    from controlplane.checks import refuse_unsafe  # noqa: PLC0415
    from controlplane.observability import Heartbeat, serve  # noqa: PLC0415
    from workers.live.projection import Projector  # noqa: PLC0415

    refuse_unsafe()
    projector = Projector()

    def ask_to_stop(_number: int, _frame: FrameType | None) -> None:
        projector.stop()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, ask_to_stop)
    heartbeat = Heartbeat("projector", projector.detail)
    if settings.GEKKO_METRICS_PORT:
        serve(settings.GEKKO_METRICS_PORT, lambda: not projector.problem)
    heartbeat.start()
    projector.run()
    heartbeat.stop()


if __name__ == "__main__":
    run()
