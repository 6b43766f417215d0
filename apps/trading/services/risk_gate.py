"""Asks the trading loop what its gate would say: it alone knows feeds, reservations and throttles of this moment."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import redis
from celery import current_app
from celery.exceptions import CeleryError
from celery.exceptions import TimeoutError as TaskTimeout
from kombu.exceptions import OperationalError

WAIT_S: Final = 3.0
_IMPATIENT: Final = {"max_retries": 0, "socket_timeout": 2, "socket_connect_timeout": 1}


def gate_verdicts(orders: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """``{available, detail, verdicts}``: one verdict per order, each as if it were the only one.

    Without the loop's answer within three seconds ``available`` is false, ``detail`` says why, and nothing is assumed.
    """
    try:
        options = {**(current_app.conf.broker_transport_options or {}), **_IMPATIENT}
        with current_app.connection_for_write(connect_timeout=1, transport_options=options) as connection:
            asked = current_app.send_task(
                "gekko.execution.what_if",
                kwargs={"orders": list(orders)},
                connection=connection,
                retry=False,
                expires=WAIT_S,
            )
        answer = asked.get(timeout=WAIT_S, disable_sync_subtasks=False)
    except TaskTimeout:
        return _silent(f"the trading loop did not answer within {WAIT_S:g} s; is the execution worker up?")
    except (OperationalError, redis.RedisError, CeleryError, OSError) as error:
        return _silent(f"the trading loop cannot be asked: {error}")
    if answer["error"]:
        return _silent(str(answer["error"]))
    return {"available": True, "detail": "", "verdicts": answer["verdicts"]}


def _silent(detail: str) -> dict[str, Any]:
    return {"available": False, "detail": detail, "verdicts": []}
