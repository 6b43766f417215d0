"""Reading results by scope: by strategy, instrument, venue, and the whole desk."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

from django.db.models import Count, DecimalField, F, Q, Sum
from django.db.models.functions import Coalesce

from apps.core.money import plain
from apps.trading.domain import attribution
from apps.trading.domain.attribution import Execution, Flow
from apps.trading.models import Fill, Instrument, Position, RunObservation, Venue
from apps.trading.selectors import get_venue, latest_mark

SCOPES: Final = ("desk", "strategy", "instrument", "venue")
BY_HAND: Final = "By hand"
"""What belongs to no run: orders of a person."""
MOST_EXECUTIONS: Final = 5000
_WIDE: Final = DecimalField(max_digits=76, decimal_places=36)


def _sum(what: Any, **only: Any) -> Any:
    total = Sum(what, filter=Q(**only), output_field=_WIDE) if only else Sum(what, output_field=_WIDE)
    return Coalesce(total, Decimal(0), output_field=_WIDE)


def flows(venue: Venue, *, until: datetime | None = None) -> list[Flow]:
    """The fills of ``venue`` before ``until`` added up by run and instrument; fees in a third asset are left out."""
    bases = dict(Instrument.objects.filter(venue=venue).values_list("symbol", "base"))
    found = Fill.objects.filter(venue=venue, **({} if until is None else {"executed_at__lt": until}))
    sums = found.values("run_id", "symbol", "fee_asset").annotate(
        bought=_sum("quantity", side="BUY"),
        sold=_sum("quantity", side="SELL"),
        paid=_sum("notional", side="BUY"),
        received=_sum("notional", side="SELL"),
        taken=_sum("fee"),
        valued=_sum(F("fee") * F("price")),
        volume=_sum("notional"),
        count=Count("id"),
    )
    return [_flow(row, quote=venue.quote, base=bases.get(row["symbol"], "")) for row in sums.order_by()]


def _flow(row: dict[str, Any], *, quote: str, base: str) -> Flow:
    in_quote, in_base = row["fee_asset"] == quote, row["fee_asset"] == base
    return Flow(
        run_id=row["run_id"],
        symbol=row["symbol"],
        quantity=row["bought"] - row["sold"] - (row["taken"] if in_base else 0),
        cash=row["received"] - row["paid"] - (row["taken"] if in_quote else 0),
        fees=row["taken"] if in_quote else row["valued"] if in_base else Decimal(0),
        volume=row["volume"],
        fills=row["count"],
    )


def _keys(scope: str, venue: Venue) -> Callable[[str, str], str]:
    """The name that (run id, symbol) counts under in ``scope``."""
    if scope == "strategy":
        known = dict(RunObservation.objects.filter(venue=venue).values_list("run_id", "strategy"))
        return lambda run_id, _symbol: known.get(run_id, BY_HAND)
    if scope == "instrument":
        return lambda _run_id, symbol: symbol
    name = venue.name if scope == "venue" else "Desk"
    return lambda _run_id, _symbol: name


def attribution_of(venue: str, scope: str) -> dict[str, Any]:
    """Net result, fees, volume and fills by ``scope`` since the books began, and what they do not explain.

    ``unexplained`` is the books' own result less the rows: what was held before the first fill, or fees in an asset
    that is neither base nor quote; null until both are known.
    """
    place = get_venue(venue)
    key = _keys(scope, place)
    held = Position.objects.filter(venue=place).exclude(mark=None)
    marks = {row.symbol: row.mark for row in held if row.mark is not None}
    rows = attribution.attribute(flows(place), marks, lambda flow: key(flow.run_id, flow.symbol))
    mark, explained = latest_mark(venue), attribution.net_of(rows)
    booked = None if mark is None else mark.realised + mark.unrealised - mark.fees
    rest = None if booked is None or explained is None else (booked - explained).quantize(Decimal("0.00000001"))
    return {
        "venue": venue,
        "scope": scope,
        "quote": place.quote,
        "booked": None if booked is None else plain(booked),
        "unexplained": None if rest is None else plain(rest),
        "rows": rows,
    }


def scope_lines(
    venue: str, scope: str, *, start: datetime, end: datetime
) -> dict[str, tuple[list[datetime], list[Decimal]]]:
    """Net result by ``scope`` at each execution in [start, end), the newest 5,000; see ``attribution.lines``."""
    place = get_venue(venue)
    key = _keys(scope, place)
    within = Fill.objects.filter(venue=place, executed_at__gte=start, executed_at__lt=end)
    newest = list(within.order_by("-executed_at", "-id")[:MOST_EXECUTIONS])[::-1]
    first = newest[0].executed_at if len(newest) == MOST_EXECUTIONS else start
    before = [(key(flow.run_id, flow.symbol), flow) for flow in flows(place, until=first)]
    return attribution.lines(before, list(_executions(place, newest, key)), _prices(place, first))


def _executions(venue: Venue, fills: Iterable[Fill], key: Callable[[str, str], str]) -> Iterable[Execution]:
    bases = dict(Instrument.objects.filter(venue=venue).values_list("symbol", "base"))
    for fill in fills:
        sign = 1 if fill.side == "BUY" else -1
        quantity, cash = sign * fill.quantity, -sign * fill.notional
        if fill.fee_asset == venue.quote:
            cash -= fill.fee
        elif fill.fee_asset == bases.get(fill.symbol):
            quantity -= fill.fee
        yield Execution(fill.executed_at, key(fill.run_id, fill.symbol), fill.symbol, quantity, cash, fill.price)


def _prices(venue: Venue, at: datetime) -> dict[str, Decimal]:
    """The last price that each instrument traded at before ``at``."""
    last = Fill.objects.filter(venue=venue, executed_at__lt=at).order_by("symbol", "-executed_at", "-id")
    return dict(last.distinct("symbol").values_list("symbol", "price"))
