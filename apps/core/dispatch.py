"""Commands to workers: sent by name after commit. A lost one heals itself, because workers poll what is wanted."""

from __future__ import annotations

import functools
from typing import Any, Final

import structlog
from celery import current_app
from django.db import transaction
from kombu.exceptions import OperationalError

_IMPATIENT: Final = {"max_retries": 0, "socket_timeout": 2, "socket_connect_timeout": 1}
"""Whoever halts must not wait for a broker that is away: left to itself, kombu tries for six seconds."""

log = structlog.get_logger(__name__)


def send_after_commit(task: str, /, *, _countdown: float = 0, **kwargs: Any) -> None:
    """Send ``task`` with ``kwargs`` when the transaction has committed; never raises for a broker that is down.

    ``_countdown``: seconds that the worker waits first.
    """
    transaction.on_commit(functools.partial(_send, task, _countdown, kwargs))


def _send(task: str, countdown: float, kwargs: dict[str, Any]) -> None:
    try:
        options = {**(current_app.conf.broker_transport_options or {}), **_IMPATIENT}
        with current_app.connection_for_write(connect_timeout=1, transport_options=options) as connection:
            current_app.send_task(
                task,
                kwargs=kwargs,
                countdown=countdown or None,
                connection=connection,
                retry=False,
                ignore_result=True,
            )
    except (OperationalError, OSError) as error:
        log.warning("command not sent; the worker will find it when it polls", task=task, error=str(error))
