"""Reading the ledger, and who made the profit."""

from __future__ import annotations

from typing import Any

from django.db.models import Max, QuerySet

from apps.core.errors import Invalid
from apps.core.money import plain
from apps.policies.selectors import active_limits
from apps.trading.models import AttributionCell, Instrument, LedgerPosting, Position, Venue
from apps.trading.selectors import get_venue
from apps.trading.services.books import engine_instrument
from workers.engine.accounting.attribution import Dimension, Row, Share, netting, roll_up, share_of
from workers.engine.accounting.line import Line
from workers.engine.instruments import Instrument as EngineInstrument
from workers.engine.instruments import atoms, from_money, money


def postings(venue: str | None = None) -> QuerySet[LedgerPosting]:
    """Postings, newest first."""
    found = LedgerPosting.objects.all()
    return found if venue is None else found.filter(venue_id=venue)


def posting_row(posting: LedgerPosting) -> dict[str, Any]:
    """One posting; ``entry`` names the journal record whose postings sum to nought."""
    return {
        "id": f"{posting.venue_id}:{posting.seq}:{posting.number}",
        "venue": posting.venue_id,
        "entry": posting.seq,
        "at": posting.at.isoformat(),
        "kind": posting.kind,
        "ref": posting.ref,
        "client_id": posting.client_id,
        "account": posting.account,
        "asset": posting.asset,
        "symbol": posting.symbol,
        "value": plain(posting.value),
        "quantity": plain(posting.quantity),
    }


def attribution(by: Dimension, venue: str | None = None) -> dict[str, Any]:
    """Realised, unrealised, fees, funding and total by ``by``, at the newest marks; the rows sum to the whole.

    Without ``venue``, over all venues; Invalid when these are booked in different currencies.
    """
    venues = list(Venue.objects.all()) if venue is None else [get_venue(venue)]
    quotes = sorted({place.quote for place in venues})
    if len(quotes) > 1:
        raise Invalid(f"venues are booked in {' and '.join(quotes)}; name one", field="venue")
    names = [place.name for place in venues]
    shares = [share for name in names for share in _shares(name)]
    limits = active_limits()
    desks = limits["limits"].get("desks") or {} if limits else {}
    marked = Position.objects.filter(venue_id__in=names).aggregate(newest=Max("marked_at"))["newest"]
    whole = roll_up((share._replace(venue="all") for share in shares), "venue")
    return {
        "by": by,
        "venue": venue,
        "quote": quotes[0] if quotes else "",
        "method": "average",
        "marked_at": None if marked is None else marked.isoformat(),
        "rows": [_row(row) for row in roll_up(shares, by, desks)],
        "total": _row(whole[0] if whole else Row("all", 0, 0, 0, 0)),
    }


def _shares(venue: str) -> list[Share]:
    items = {row.symbol: engine_instrument(row) for row in Instrument.objects.filter(venue_id=venue)}
    held = {row.symbol: row for row in Position.objects.filter(venue_id=venue)}
    marks = {symbol: int((row.mark or 0) / items[symbol].tick) for symbol, row in held.items()}
    cells = AttributionCell.objects.filter(venue_id=venue)
    parts = [share_of(venue, cell.strategy, _line(items[cell.symbol], cell), marks[cell.symbol]) for cell in cells]
    funded: dict[str, int] = {}
    for part in parts:
        funded[part.symbol] = funded.get(part.symbol, 0) + part.funding
    wholes = [
        share_of(venue, "", _line(items[symbol], row), marks[symbol])._replace(funding=funded.get(symbol, 0))
        for symbol, row in held.items()
    ]
    return [*parts, *netting(venue, parts, wholes)]


def _line(item: EngineInstrument, row: AttributionCell | Position) -> Line:
    line = Line(item)
    line.position, line.unpriced = atoms(row.quantity, item.base), atoms(row.unpriced, item.base)
    line.cost, line.realised = money(row.cost, item.quote), money(row.realised, item.quote)
    line.fees = money(row.fees, item.quote)
    line.funding = money(row.funding, item.quote) if isinstance(row, AttributionCell) else 0
    return line


def _row(row: Row) -> dict[str, Any]:
    amounts = {name: plain(from_money(getattr(row, name))) for name in ("realised", "unrealised", "fees", "funding")}
    return {"key": row.key, **amounts, "total": plain(from_money(row.total))}
