"""The Celery application. Queues: control, gpu, execution, backtest (backtests and rebalances)."""

from __future__ import annotations

import os
from typing import Any

from celery import Celery
from celery.signals import beat_init, celeryd_init
from django.core.exceptions import ImproperlyConfigured

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "controlplane.settings.dev")

app = Celery("gekko")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()


@celeryd_init.connect  # type: ignore[untyped-decorator]  # celery has no types
@beat_init.connect  # type: ignore[untyped-decorator]  # celery has no types
def refuse(**_: Any) -> None:
    """Before anything is taken from the queue. An error in a signal would only be logged; leaving is not."""
    from controlplane.checks import refuse_unsafe  # noqa: PLC0415 - the settings are ready only now

    try:
        refuse_unsafe()
    except ImproperlyConfigured as error:
        raise SystemExit(str(error)) from error
