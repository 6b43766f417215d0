"""What is not kept for ever: old backtests, proposals that nobody approved, and the fine grain of the equity series.

Orders, fills, positions, the ledger, halts and the audit trail are evidence and are never removed here; neither is a
rebalance whose trades were made. Each run removes a bounded number of rows in one transaction, with its audit entry.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Final

from django.conf import settings
from django.db import connection, transaction
from django.db.models import QuerySet

from apps.audit import services as audit
from apps.core.context import Context
from apps.trading.models import Backtest, RebalanceRun, RebalanceSchedule, RebalanceState
from apps.trading.models.backtests import BacktestKind, BacktestState

BACKTESTS_AT_ONCE: Final = 50
REBALANCES_AT_ONCE: Final = 500
BUCKETS_AT_ONCE: Final = 48
"""Hours or days of the equity series."""
_OVER: Final = (BacktestState.DONE, BacktestState.FAILED, BacktestState.CANCELLED)
_IDLE: Final = (RebalanceState.DONE, RebalanceState.REFUSED, RebalanceState.FAILED)


@dataclass(frozen=True, kw_only=True)
class Retention:
    """How many of the newest are kept, and how long in days; 0 keeps everything."""

    backtests: int
    backtest_days: int
    rebalances: int
    rebalance_days: int
    equity_full_days: int
    """So long every valuation is kept; after that the last, lowest and highest of each hour."""
    equity_hourly_days: int
    """So long these; after that the last, lowest and highest of each UTC day, for ever."""


def retention() -> Retention:
    """As the settings say."""
    kept: Mapping[str, int] = settings.GEKKO_RETENTION
    return Retention(**kept)


@transaction.atomic
def prune(ctx: Context) -> dict[str, int]:
    """Remove what need not be kept any more, a bounded part of it; return how many rows of each kind.

    Nothing is written where there was nothing to remove.
    """
    keep, now = retention(), ctx.now()
    removed = {
        "backtests": _backtests(keep, now),
        "rebalances": _rebalances(keep, now),
        "equity_points": _thin("hour", keep.equity_full_days, now) + _thin("day", keep.equity_hourly_days, now),
    }
    if any(removed.values()):
        audit.record(
            ctx,
            event="trading.records.pruned",
            object_type="retention",
            object_id="trading",
            after={"removed": removed, "retention": asdict(keep)},
        )
    return removed


def _backtests(keep: Retention, now: datetime) -> int:
    """Runs and searches that are over, searches with their trials."""
    over = Backtest.objects.exclude(kind=BacktestKind.TRIAL).filter(state__in=_OVER)
    old = _too_old(over, keep.backtests, keep.backtest_days, now)
    gone = list(old.order_by("requested_at", "id").values_list("pk", flat=True)[:BACKTESTS_AT_ONCE])
    trials, _ = Backtest.objects.filter(search_id__in=gone).only("pk").delete()
    runs, _ = Backtest.objects.filter(pk__in=gone).only("pk").delete()
    return trials + runs


def _rebalances(keep: Retention, now: datetime) -> int:
    """Runs that are over and whose trades were never made; what a schedule may still work stays."""
    last = RebalanceSchedule.objects.filter(ended_at=None, last_run__isnull=False).values("last_run")
    over = RebalanceRun.objects.filter(state__in=_IDLE)
    old = _too_old(over, keep.rebalances, keep.rebalance_days, now).filter(execution=None).exclude(pk__in=last)
    gone = list(old.order_by("requested_at", "id").values_list("pk", flat=True)[:REBALANCES_AT_ONCE])
    removed, _ = RebalanceRun.objects.filter(pk__in=gone).only("pk").delete()
    return removed


def _too_old(over: QuerySet, most: int, days: int, now: datetime) -> QuerySet:  # type: ignore[type-arg]  # of either model
    """Those asked for before the newest ``most``, or longer than ``days`` ago; none where both are 0."""
    limits = [now - timedelta(days=days)] if days else []
    if most:
        beyond = over.order_by("-requested_at", "-id").values_list("requested_at", flat=True)[most - 1 : most]
        limits += beyond
    return over.filter(requested_at__lt=max(limits)) if limits else over.none()


_CROWDED: Final = """
SELECT venue_id, date_trunc(%(width)s, at, 'UTC') AS bucket FROM trading_equitypoint
WHERE at < %(until)s GROUP BY 1, 2 HAVING count(*) > 3 ORDER BY 2 LIMIT %(most)s
"""
_THIN: Final = """
DELETE FROM trading_equitypoint WHERE id IN (
    SELECT id FROM (
        SELECT id, row_number() OVER (ORDER BY at DESC, seq DESC) AS last,
               row_number() OVER (ORDER BY equity, at, seq) AS low,
               row_number() OVER (ORDER BY equity DESC, at, seq) AS high
        FROM trading_equitypoint WHERE venue_id = %(venue)s AND at >= %(start)s AND at < %(end)s
    ) AS ranked WHERE last > 1 AND low > 1 AND high > 1
)
"""


def _thin(width: str, days: int, now: datetime) -> int:
    """Leave three points of each whole ``width`` (hour or day) that ended over ``days`` ago: last, lowest, highest."""
    if not days:
        return 0
    until = (now - timedelta(days=days)).replace(minute=0, second=0, microsecond=0)
    if width == "day":
        until = until.replace(hour=0)
    span, removed = timedelta(**{f"{width}s": 1}), 0
    with connection.cursor() as cursor:
        cursor.execute(_CROWDED, {"width": width, "until": until, "most": BUCKETS_AT_ONCE})
        for venue, start in cursor.fetchall():
            cursor.execute(_THIN, {"venue": venue, "start": start, "end": start + span})
            removed += cursor.rowcount
    return removed
