"""What this process has: one loop host with its bridges, made from the settings when the worker starts."""

from __future__ import annotations

from functools import cache
from typing import Any

import structlog
from django.conf import settings

from apps.audit.services.keys import signing_key
from controlplane.celery import app
from controlplane.environment import words
from workers.adapters.forecast_client import ForecastClient
from workers.adapters.live_bus import LiveBus
from workers.live.execution.config import LoopConfig, VenueAccess
from workers.live.execution.desired import DesiredPoll
from workers.live.execution.dialects import check
from workers.live.execution.host import LoopHost

WORKER = "execution"

log = structlog.get_logger(__name__)


def config_from_settings() -> LoopConfig:
    """The loop's settings; live mode trades on the exchange itself, in GEKKO_SYMBOLS, paper mode at no exchange."""
    return LoopConfig(
        venue=settings.GEKKO_VENUE_NAME,
        worker=WORKER,
        journal_dir=settings.GEKKO_STATE_DIR / "journal",
        venue_url=settings.GEKKO_VENUE_URL if settings.GEKKO_MODE == "paper" else None,
        api_key=settings.GEKKO_VENUE_API_KEY,
        api_secret=settings.GEKKO_VENUE_API_SECRET,
        limits_key=signing_key().public_key().public_bytes_raw(),
        symbols=tuple(words("GEKKO_SYMBOLS", [])),
        code=settings.GEKKO_VENUE_CODE,
        api_password=settings.GEKKO_VENUE_API_PASSWORD,
        rest_url=settings.GEKKO_VENUE_REST_URL,
        stream_url=settings.GEKKO_VENUE_STREAM_URL,
        live=settings.GEKKO_MODE == "live",
        others=tuple(VenueAccess(**{**one._asdict(), "url": one.url or None}) for one in settings.GEKKO_OTHER_VENUES),
    )


class ExecutionProcess:
    """The host and its bridges to Redis, Celery and PostgreSQL, started and stopped together."""

    def __init__(self, config: LoopConfig) -> None:
        """Raises VenueSetupError for a venue that cannot or must not be traded at with these settings."""
        check(config)
        self.host = LoopHost(config)
        self.bus = LiveBus(settings.REDIS_URL, WORKER, self.detail)
        self.forecasts = ForecastClient(
            app=app, url=settings.REDIS_URL, worker=config.worker, on_reply=self.host.take_reply
        )
        self.poll = DesiredPoll(config.venue, self.host.take_desired)

    def detail(self) -> dict[str, Any] | None:
        """The heartbeat's content; None when the loop does not turn, so that its silence is noticed."""
        return self.host.status() if self.host.alive() else None

    def start(self) -> None:
        """Start the loop first: it must have the journal before anything asks of it."""
        self.host.start(self.forecasts, self.bus)
        self.bus.start()
        self.forecasts.start()
        self.poll.start()

    def stop(self) -> None:
        """Stop what asks, then the loop, then what shows."""
        self.poll.close()
        self.forecasts.close()
        self.host.stop()
        self.bus.close()


@cache
def process() -> ExecutionProcess:
    """This process's one loop."""
    return ExecutionProcess(config_from_settings())
