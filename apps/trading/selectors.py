"""Reading trading records: for workers that poll, for the API, for topic snapshots."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Final

from django.db import connection
from django.db.models import QuerySet

from apps.accounts.permissions import Capability, require
from apps.core.context import Context
from apps.core.errors import Invalid, NotFound
from apps.core.money import plain
from apps.policies import selectors as policies
from apps.trading import rows
from apps.trading.choices import STILL_OPEN
from apps.trading.domain import trace
from apps.trading.models import (
    Balance,
    EquityPoint,
    FeedObservation,
    Fill,
    Halt,
    Instrument,
    JournalCursor,
    Order,
    Position,
    ReconciliationRun,
    ResumeRequest,
    RunObservation,
    TradingControl,
    Venue,
)
from apps.trading.selectors_scopes import scope_rows
from workers.engine.vocabulary import OrderStatus

MAX_POINTS: Final = 1500
SNAPSHOT_ROWS: Final = 200
RESUME_ROWS: Final = 20
DEFAULT_SPAN: Final = timedelta(hours=24)


def may_view(ctx: Context, what: str) -> None:
    """Return when the caller may read trading records; PermissionRefused, which is recorded, otherwise."""
    require(ctx, Capability.TRADING_VIEW, object_type=what, object_id="")


def desired_control(venue: str) -> dict[str, Any]:
    """What the worker must obey: state, version, reason, by; and the version of the last order to cancel everything."""
    control = get_control(venue)
    return {
        "state": control.desired_state,
        "version": control.version,
        "reason": control.reason,
        "by": control.by,
        "cancel_version": control.cancel_version,
        "cancel_reason": control.cancel_reason,
        "cancel_by": control.cancel_by,
        "cancel_at": control.cancel_at,
    }


def journal_cursor(worker: str) -> dict[str, Any]:
    """Where projection of ``worker``'s journal stands; seq 0 and 64 zeros before the first record."""
    cursor = JournalCursor.objects.filter(worker=worker).first() or JournalCursor(worker=worker)
    return {
        "seq": cursor.seq,
        "hash": cursor.hash,
        "epoch": cursor.epoch,
        "anchored_seq": cursor.anchored_seq,
        "projected_at": cursor.projected_at,
        "event_at": cursor.event_at,
    }


def get_venue(name: str) -> Venue:
    """The venue; NotFound."""
    venue = Venue.objects.filter(name=name).first()
    if venue is None:
        raise NotFound(f"there is no venue {name!r}")
    return venue


def listed(venue: str, symbol: str) -> Instrument:
    """The instrument of ``venue``; NotFound for the venue, Invalid for the symbol."""
    instrument = Instrument.objects.filter(venue_id=get_venue(venue).name, symbol=symbol).first()
    if instrument is None:
        raise Invalid(f"{venue} does not list {symbol!r}", field="symbol")
    return instrument


def get_control(venue: str) -> TradingControl:
    """The venue's control row; NotFound."""
    control = TradingControl.objects.filter(venue_id=venue).first()
    if control is None:
        raise NotFound(f"there is no venue {venue!r}")
    return control


def get_order(client_id: str) -> Order:
    """One order; NotFound."""
    order = Order.objects.filter(client_id=client_id).first()
    if order is None:
        raise NotFound(f"there is no order {client_id!r}")
    return order


def orders(venue: str | None = None, *, open_only: bool = False) -> QuerySet[Order]:
    """Orders, newest first."""
    found = Order.objects.all()
    if venue is not None:
        found = found.filter(venue_id=venue)
    if open_only:
        found = found.filter(status__in=STILL_OPEN)
    return found.order_by("-created_at", "-id")


def order_trace(client_id: str) -> dict[str, Any]:
    """How one order came to be and what became of it: signal, verdict with its limits, fills, fees, times; NotFound."""
    order = get_order(client_id)
    decision = order.decision
    # The decision of an order that the gate refused holds the verdict's numbers alone.
    denied = order.status == OrderStatus.DENIED
    inputs = decision if denied else decision.get("risk", {})
    version = order.limits_version or int(inputs.get("limits_version") or 0)
    limits = policies.limits_versions().filter(number=version).first()
    executions = list(Fill.objects.filter(client_id=client_id).order_by("executed_at", "id"))
    run = run_observation(order.run_id)
    return {
        "client_id": order.client_id,
        "quote": _quote_of(order),
        "run_id": order.run_id,
        "strategy": "" if run is None else run.strategy,
        "signal": [] if denied else trace.signal_values(decision),
        "passed": not denied,
        "judged": bool(inputs),
        "limits_version": version,
        "numbers": trace.verdict_numbers(inputs, {} if limits is None else limits.limits, order.symbol),
        "fills": [rows.fill_row(fill) for fill in executions],
        "fees": trace.fees_by_asset((fill.fee_asset, fill.fee) for fill in executions),
        "latency": trace.latency(order.stages, order.timeline),
    }


def _quote_of(order: Order) -> str:
    instrument = Instrument.objects.filter(venue_id=order.venue_id, symbol=order.symbol).first()
    return order.venue.quote if instrument is None else instrument.quote


def fills(venue: str | None = None) -> QuerySet[Fill]:
    """Executions, newest first."""
    found = Fill.objects.all() if venue is None else Fill.objects.filter(venue_id=venue)
    return found.order_by("-executed_at", "-id")


def positions(venue: str | None = None) -> QuerySet[Position]:
    """Positions by symbol, flat ones included."""
    return Position.objects.all() if venue is None else Position.objects.filter(venue_id=venue)


def balances(venue: str) -> QuerySet[Balance]:
    return Balance.objects.filter(venue_id=venue)


def instruments(venue: str | None = None) -> QuerySet[Instrument]:
    return Instrument.objects.all() if venue is None else Instrument.objects.filter(venue_id=venue)


def lot_sizes(symbol: str) -> dict[str, Decimal]:
    """Lot size in the base asset by venue, of an instrument."""
    return dict(Instrument.objects.filter(symbol=symbol).values_list("venue_id", "lot"))


def venue_modes() -> set[str]:
    """Modes of the venues there are: paper, live."""
    return set(Venue.objects.values_list("mode", flat=True))


def halts(venue: str | None = None) -> QuerySet[Halt]:
    return Halt.objects.all() if venue is None else Halt.objects.filter(venue_id=venue)


def resume_requests(venue: str | None = None) -> QuerySet[ResumeRequest]:
    return ResumeRequest.objects.all() if venue is None else ResumeRequest.objects.filter(venue_id=venue)


def reconciliations(venue: str | None = None) -> QuerySet[ReconciliationRun]:
    return ReconciliationRun.objects.all() if venue is None else ReconciliationRun.objects.filter(venue_id=venue)


def run_observation(run_id: str) -> RunObservation | None:
    """The run as the loop reported it; None before it did."""
    return RunObservation.objects.filter(run_id=run_id).first()


def latest_mark(venue: str) -> EquityPoint | None:
    """The newest valuation; None before the first."""
    return EquityPoint.objects.filter(venue_id=venue).order_by("-at", "-seq").first()


def account(venue: str) -> dict[str, Any]:
    """The account at a glance: equity, P&L, cash and exposure at the newest mark, balances, control and feeds.

    All amounts but the balances belong to one moment, ``marked_at``, so that they add up; null before the first mark.
    """
    place = get_venue(venue)
    mark = latest_mark(venue)
    return {
        "venue": place.name,
        "mode": place.mode,
        "market": place.market,
        "label": place.label,
        "quote": place.quote,
        "equity": None if mark is None else plain(mark.equity),
        "realised": None if mark is None else plain(mark.realised),
        "unrealised": None if mark is None else plain(mark.unrealised),
        "fees": None if mark is None else plain(mark.fees),
        "cash": None if mark is None else plain(mark.cash),
        "gross": None if mark is None else plain(mark.gross),
        "drawdown": None if mark is None else plain(mark.drawdown),
        "marked_at": None if mark is None else mark.at.isoformat(),
        "open_orders": orders(venue, open_only=True).count(),
        "balances": [rows.balance_row(row) for row in balances(venue)],
        "control": rows.control_row(get_control(venue)),
        "feeds": [rows.feed_row(row) for row in FeedObservation.objects.filter(venue_id=venue)],
    }


_SERIES: Final = """
WITH span AS (
    SELECT id, at, seq, equity, realised, unrealised, fees, cash, gross, drawdown,
           ntile(%(buckets)s) OVER (ORDER BY at, seq) AS bucket,
           row_number() OVER (ORDER BY at, seq) AS n,
           count(*) OVER () AS total
    FROM trading_equitypoint WHERE venue_id = %(venue)s AND at >= %(start)s AND at < %(end)s
), ranked AS (
    SELECT *, row_number() OVER (PARTITION BY bucket ORDER BY equity, at, seq) AS low,
              row_number() OVER (PARTITION BY bucket ORDER BY equity DESC, at, seq) AS high
    FROM span
)
SELECT at, equity, realised, unrealised, fees, cash, gross, drawdown, total FROM ranked
WHERE total <= %(points)s OR low = 1 OR high = 1 OR n = 1 OR n = total
ORDER BY at, seq
"""


def pnl_series(venue: str, *, start: datetime | None = None, end: datetime, points: int = MAX_POINTS) -> dict[str, Any]:
    """Equity series in [start, end), thinned by the database to at most ``points`` (3 to 1500).

    Every bucket keeps its lowest and highest equity, so that no spike or trough is lost; first and last always stay.
    """
    get_venue(venue)
    start = end - DEFAULT_SPAN if start is None else start
    points = max(4, min(points, MAX_POINTS))
    values: dict[str, str | datetime | int] = {
        "venue": venue,
        "start": start,
        "end": end,
        "points": points,
        "buckets": max(1, (points - 2) // 2),
    }
    with connection.cursor() as cursor:
        cursor.execute(_SERIES, values)
        found = cursor.fetchall()
    names = ("equity", "realised", "unrealised", "fees", "cash", "gross", "drawdown")
    series: dict[str, list[str]] = {name: [plain(row[1 + i]) for row in found] for i, name in enumerate(names)}
    return {
        "venue": venue,
        "start": start.isoformat(),
        "end": end.isoformat(),
        "total": found[0][-1] if found else 0,
        "at": [row[0].isoformat() for row in found],
        **series,
    }


def snapshot(topic: str, venue: str) -> list[tuple[str, dict[str, Any]]]:
    """(key, row) pairs that a client of ``orders``, ``fills`` or ``halts`` starts from."""
    if topic == "orders":
        return [(order.client_id, rows.order_row(order)) for order in orders(venue)[:SNAPSHOT_ROWS]]
    if topic == "fills":
        return [(rows.fill_key(fill), rows.fill_row(fill)) for fill in fills(venue)[:SNAPSHOT_ROWS]]
    if topic == "halts":
        wishes = [(str(wish.pk), rows.resume_row(wish)) for wish in resume_requests(venue)[:RESUME_ROWS]]
        return [*wishes, *scope_rows()] + [
            (control.venue_id, rows.control_row(control)) for control in TradingControl.objects.filter(venue_id=venue)
        ]
    raise NotFound(f"trading has no topic {topic!r}")
