"""Makes the desk's risk report: positions from the records, prices from the venue, measures from the engine."""

from __future__ import annotations

from decimal import Decimal
from typing import Final

import structlog
from django.conf import settings as django_settings

from apps.core.context import Context
from apps.core.errors import NotFound
from apps.trading import selectors, selectors_risk
from apps.trading.models import Instrument, RiskReport
from apps.trading.services.risk import record_report
from workers.adapters.store.parquet_store import default_root
from workers.engine.instruments import split_key
from workers.engine.risk.exposure import Holding
from workers.engine.risk.report import Inputs, Settings, assess, build_model, snapshot_of
from workers.engine.risk.stress import WINDOWS, Prices
from workers.live.pasts import pasts
from workers.live.risk_archive import stored_closes
from workers.live.risk_market import RiskMarket, base_url, shown_elsewhere

log = structlog.get_logger(__name__)

MOST: Final = 50
"""Instruments that a report looks at: held ones first."""
_ARCHIVE: Final[dict[tuple[str, tuple[str, ...]], dict[str, Prices]]] = {}


def report_venue(ctx: Context, venue: str) -> RiskReport | None:
    """Make and keep a report of ``venue`` now; None before the first execution session declared any instrument."""
    instruments = chosen(venue)
    if not instruments:
        return None
    settings = selectors_risk.var_settings()
    inputs = gather(ctx, venue, instruments, settings)
    report = assess(inputs, settings)
    snapshot = None
    if report["status"] == "ok":
        snapshot = snapshot_of(build_model(inputs, settings), inputs, settings)
    mark = selectors.latest_mark(venue)
    equity = None if mark is None else mark.equity
    return record_report(ctx, inputs=inputs, settings=settings, report=report, equity=equity, snapshot=snapshot)


def chosen(venue: str) -> list[Instrument]:
    """Up to ``MOST`` instruments of the venue, held ones first; NotFound when they are priced in several assets."""
    held = set(selectors.positions(venue).exclude(quantity=0).values_list("symbol", flat=True))
    rows = sorted(selectors.instruments(venue), key=lambda row: (row.symbol not in held, row.symbol))[:MOST]
    quotes = sorted({row.quote for row in rows})
    if len(quotes) > 1:
        raise NotFound(f"expected one quote asset on {venue}, found {', '.join(quotes)}: there is no rate between them")
    return rows


def gather(ctx: Context, venue: str, instruments: list[Instrument], settings: Settings) -> Inputs:
    """Everything that a report is made of; the last close marks what the loop has not marked yet."""
    symbols = [row.symbol for row in instruments]
    url = django_settings.GEKKO_VENUE_URL if django_settings.GEKKO_MODE == "paper" else None
    others = shown_elsewhere(django_settings.GEKKO_OTHER_VENUES)
    with RiskMarket(base_url(url), elsewhere=others, pasts=pasts()) as market:
        interval_ns, history = market.bars(symbols, settings.least)
        if market.missing:
            log.info("bars are missing at the venue", venue=venue, interval_ns=interval_ns, missing=market.missing)
        books = market.books(symbols)
        archive = archive_of(base_url(url), tuple(symbols))
    positions = {row.symbol: row for row in selectors.positions(venue)}
    holdings: list[Holding] = []
    for row in instruments:
        position = positions.get(row.symbol)
        mark = position.mark if position is not None else None
        if mark is None and row.symbol in history:
            mark = Decimal(str(history[row.symbol].closes[-1]))
        if mark is not None:
            quantity = position.quantity if position is not None else Decimal(0)
            holdings.append(_holding(row, quantity, mark))
    quote = instruments[0].quote
    return Inputs(
        at=int(ctx.now().timestamp() * 1_000_000) * 1000,
        venue=venue,
        quote=quote,
        holdings=tuple(holdings),
        cash={quote: selectors_risk.cash_of(venue, quote)},
        interval_ns=interval_ns,
        history=history,
        archive=archive,
        books=books,
    )


def _holding(row: Instrument, quantity: Decimal, mark: Decimal) -> Holding:
    venue = split_key(row.symbol)[1] or row.venue_id
    return Holding(symbol=row.symbol, venue=venue, base=row.base, quote=row.quote, quantity=quantity, mark=mark)


def archive_of(url: str, symbols: tuple[str, ...]) -> dict[str, Prices]:
    """Closes of the named windows: the venue's own, else what is stored.

    Once the venue has answered for all, it is asked no more in this process; the store is looked at every time, because
    somebody may just have imported what was missing.
    """
    known = _ARCHIVE.get((url, symbols))
    if known is None:
        with RiskMarket(url, pasts=pasts()) as market:
            known = market.archive(symbols, WINDOWS)
            if not market.problems:
                _ARCHIVE[url, symbols] = known
    return {**_stored(symbols), **known}


def _stored(symbols: tuple[str, ...]) -> dict[str, Prices]:
    if not default_root().is_dir():
        return {}
    return stored_closes(symbols, WINDOWS)
