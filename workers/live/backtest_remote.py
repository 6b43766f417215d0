"""``gekko backtest --remote``: the run happens on the workers of the running desk, this only asks and watches."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any, Final

import django

from workers.backtest.config import BacktestError

POLL_S: Final = 0.5


def run_remote(
    *, strategy: str, data: str, params: Mapping[str, Any], settings: Mapping[str, Any], told: Callable[[float], None]
) -> dict[str, Any]:
    """Ask for the run, wait for it, return its public row; an interrupt cancels it.

    BacktestError says why it failed."""
    django.setup()
    # Models can be imported only now.
    from apps.core.context import service_context  # noqa: PLC0415
    from apps.core.errors import DomainError  # noqa: PLC0415
    from apps.trading.rows_backtests import backtest_row  # noqa: PLC0415
    from apps.trading.selectors_backtests import get_backtest  # noqa: PLC0415
    from apps.trading.services import backtests as services  # noqa: PLC0415

    ctx = service_context("command", origin="command")
    try:
        run = services.request_backtest(ctx, strategy=strategy, data=data, params=params, settings=settings)
    except DomainError as error:
        raise BacktestError(error.detail) from error
    try:
        while run.state not in services.FINAL:
            time.sleep(POLL_S)
            run = get_backtest(run.pk)
            told(run.progress)
    except KeyboardInterrupt:
        services.cancel_backtest(ctx, run_id=run.pk)
        raise
    if run.state != "done":
        raise BacktestError(f"the run {run.state}: {run.detail}")
    return backtest_row(run)
