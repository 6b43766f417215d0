"""Reading results through time by strategy and by instrument, for charts that compare them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final, Literal

from django.db.models import DecimalField, OuterRef, Q, Subquery, Sum
from django.db.models.functions import Coalesce

from apps.trading.domain import scope_lines as through_time
from apps.trading.domain.scope_lines import Execution, Flow
from apps.trading.models import Fill, Instrument, RunObservation, Venue
from apps.trading.models.orders import FillDay
from apps.trading.selectors import get_venue
from workers.engine.accounting.attribution import UNASSIGNED

Scope = Literal["strategy", "instrument"]
MOST_EXECUTIONS: Final = 5000
_WIDE: Final[DecimalField[Decimal, Decimal]] = DecimalField(max_digits=76, decimal_places=36)


def _sum(what: Any, **only: Any) -> Any:
    total = Sum(what, filter=Q(**only), output_field=_WIDE) if only else Sum(what, output_field=_WIDE)
    return Coalesce(total, Decimal(0), output_field=_WIDE)


Assets = Mapping[str, tuple[str, str]]
"""(base, quote) by symbol."""


def _assets(venue: Venue) -> Assets:
    found = Instrument.objects.filter(venue=venue)
    return {symbol: (base, quote) for symbol, base, quote in found.values_list("symbol", "base", "quote")}


def flows(venue: Venue, *, until: datetime) -> list[Flow]:
    """The fills of ``venue`` before ``until`` added up by run and instrument; fees in a third asset are left out.

    Whole days come from their sums, only the fills of the last day are read.
    """
    assets = _assets(venue)
    midnight = until.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    key = ("run_id", "symbol", "fee_asset")
    days = FillDay.objects.filter(venue=venue, day__lt=midnight.date()).values(*key)
    begun = Fill.objects.filter(venue=venue, executed_at__gte=midnight, executed_at__lt=until).values(*key)
    sums = (
        *days.annotate(
            **{name: _sum(name) for name in ("bought", "sold", "paid", "received")}, taken=_sum("fee")
        ).order_by(),
        *begun.annotate(
            bought=_sum("quantity", side="BUY"),
            sold=_sum("quantity", side="SELL"),
            paid=_sum("notional", side="BUY"),
            received=_sum("notional", side="SELL"),
            taken=_sum("fee"),
        ).order_by(),
    )
    found = []
    for row in sums:
        quantity, cash = _after_fee(
            row["bought"] - row["sold"],
            row["received"] - row["paid"],
            row["taken"],
            row["fee_asset"],
            assets.get(row["symbol"]),
        )
        found.append(Flow(row["run_id"], row["symbol"], quantity, cash))
    return found


def _after_fee(
    quantity: Decimal, cash: Decimal, fee: Decimal, asset: str, pair: tuple[str, str] | None
) -> tuple[Decimal, Decimal]:
    base, quote = pair or ("", "")
    return quantity - (fee if asset == base else 0), cash - (fee if asset == quote else 0)


def _keys(scope: Scope, venue: Venue) -> Callable[[str, str], str]:
    """The name that (run id, symbol) counts under in ``scope``."""
    if scope == "instrument":
        return lambda _run_id, symbol: symbol
    known = dict(RunObservation.objects.filter(venue=venue).values_list("run_id", "strategy"))
    return lambda run_id, _symbol: known.get(run_id, UNASSIGNED)


def scope_lines(
    venue: str, scope: Scope, *, start: datetime, end: datetime
) -> dict[str, tuple[list[datetime], list[Decimal]]]:
    """Net result by ``scope`` at each execution in [start, end), the newest 5,000; see ``domain.scope_lines``."""
    place = get_venue(venue)
    key = _keys(scope, place)
    within = Fill.objects.filter(venue=place, executed_at__gte=start, executed_at__lt=end)
    columns = within.only(
        "run_id", "symbol", "side", "quantity", "notional", "price", "fee", "fee_asset", "executed_at"
    )
    newest = list(columns.order_by("-executed_at", "-id")[:MOST_EXECUTIONS])[::-1]
    first = newest[0].executed_at if len(newest) == MOST_EXECUTIONS else start
    before = [(key(flow.run_id, flow.symbol), flow) for flow in flows(place, until=first)]
    return through_time.lines(before, list(_executions(place, newest, key)), _prices(place, first))


def _executions(venue: Venue, fills: Iterable[Fill], key: Callable[[str, str], str]) -> Iterable[Execution]:
    assets = _assets(venue)
    for fill in fills:
        sign = 1 if fill.side == "BUY" else -1
        quantity, cash = _after_fee(
            sign * fill.quantity, -sign * fill.notional, fill.fee, fill.fee_asset, assets.get(fill.symbol)
        )
        yield Execution(fill.executed_at, key(fill.run_id, fill.symbol), fill.symbol, quantity, cash, fill.price)


def _prices(venue: Venue, at: datetime) -> dict[str, Decimal]:
    """The last price that each instrument traded at before ``at``: one look at the index per instrument."""
    earlier = Fill.objects.filter(venue=venue, symbol=OuterRef("symbol"), executed_at__lt=at)
    last = Subquery(earlier.order_by("-executed_at", "-id").values("price")[:1])
    found = Instrument.objects.filter(venue=venue).annotate(last=last).values_list("symbol", "last")
    return {symbol: price for symbol, price in found if price is not None}
