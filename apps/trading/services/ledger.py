"""Posting a batch of journal records to the ledger, in the transaction that projects them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from apps.trading.domain import projection
from apps.trading.domain.states import at
from apps.trading.models import AttributionCell, LedgerPosting, Order, RunObservation, Venue
from workers.engine import events as ev
from workers.engine.accounting.attribution import UNASSIGNED, Attribution
from workers.engine.accounting.funding import settlement_key
from workers.engine.accounting.ledger import Account, Entry, EntryKind, Ledger, Posting, check
from workers.engine.accounting.line import Line
from workers.engine.instruments import at_venue, atoms, from_atoms, from_money, money, split_key

_AMOUNTS: Final = ("quantity", "unpriced", "cost", "realised", "fees", "funding")
_MOVING: Final = (ev.SessionOpened, ev.BalanceAdopted, ev.OrderFilled, ev.FundingSettled)
"""Marks move value too, while something adopted has no cost."""
_BOOKED: Final = ("position", "unpriced", "cost", "realised", "fees")
_UNIQUE: Final = ("venue", "strategy", "symbol")


@dataclass
class Posted:
    """The ledger as it stood before a batch, and the entries that the batch made."""

    venue: Venue
    parts: Attribution
    entries: list[tuple[int, Entry]] = field(default_factory=list)


def begin(venue: Venue, books: projection.Books, records: Sequence[ev.Record]) -> Posted | None:
    """Load the ledger before ``books`` fold ``records`` in; settlements that were booked become known to both.

    None when nothing in the batch can move value, which is most batches.

    A venue whose journal was projected before there was a ledger begins with an opening entry, at the number before
    the batch's first, so that its accounts agree with its positions from then on.
    """
    if not _moves(books, records):
        return None
    _know_settlements(venue, books, records)
    ledger = _ledger_of(books)
    posted = Posted(venue, Attribution(ledger))
    _load_attribution(posted, records)
    if records[0].seq > 1 and not LedgerPosting.objects.filter(venue=venue).exists():
        _open(posted, records[0])
    return posted


def post(posted: Posted | None, records: Sequence[ev.Record]) -> None:
    """Post ``records`` and save postings and attribution. LedgerError when an entry does not balance."""
    if posted is None:
        return
    for record in records:
        entry = posted.parts.ledger.apply(record.event)
        posted.parts.apply(record.event, entry)
        if entry is not None:
            posted.entries.append((record.seq, entry))
    LedgerPosting.objects.bulk_create(
        _row(posted.venue, seq, number, entry, posting)
        for seq, entry in posted.entries
        for number, posting in enumerate(entry.postings)
    )
    _save_attribution(posted)


def _moves(books: projection.Books, records: Sequence[ev.Record]) -> bool:
    if any(isinstance(record.event, _MOVING) for record in records):
        return True
    adopted = any(held.line.unpriced for held in books.positions.values())
    return adopted and any(isinstance(record.event, ev.Marked) for record in records)


def _know_settlements(venue: Venue, books: projection.Books, records: Sequence[ev.Record]) -> None:
    settled = {
        f"{r.event.symbol}:{r.event.ts_event}": r.event for r in records if isinstance(r.event, ev.FundingSettled)
    }
    if settled:
        known = LedgerPosting.objects.filter(venue=venue, kind=EntryKind.FUNDING, ref__in=settled)
        books.known_trades.update(settlement_key(settled[ref]) for ref in known.values_list("ref", flat=True))


def _ledger_of(books: projection.Books) -> Ledger:
    ledger = Ledger()
    ledger.venue, ledger.cash_at = books.venue, {books.venue: 0}
    ledger.known = set(books.known_trades)
    left = {asset: total for asset, (total, _) in books.balances.items()}
    for symbol, held in books.positions.items():
        ledger.quote = held.line.instrument.quote
        ledger.lines[symbol] = line = Line(held.line.instrument)
        for name in _BOOKED:
            setattr(line, name, getattr(held.line, name))
        left.pop(held.line.instrument.base_key, None)
    for asset in [asset for asset in left if split_key(asset)[0] == ledger.quote]:
        ledger.cash_at[ledger.venue_of(asset)] = money(left.pop(asset), asset)
    ledger.other = {asset: atoms(total, asset) for asset, total in left.items()}
    return ledger


def _load_attribution(posted: Posted, records: Sequence[ev.Record]) -> None:
    parts, ledger = posted.parts, posted.parts.ledger
    for row in AttributionCell.objects.filter(venue=posted.venue):
        line = Line(ledger.lines[row.symbol].instrument)
        base, quote = line.instrument.base, line.instrument.quote
        line.position, line.unpriced = atoms(row.quantity, base), atoms(row.unpriced, base)
        line.cost, line.realised = money(row.cost, quote), money(row.realised, quote)
        line.fees, line.funding = money(row.fees, quote), money(row.funding, quote)
        parts.cells[row.strategy, row.symbol] = line
        ledger.lines[row.symbol].funding += line.funding
    filled = {record.event.client_id for record in records if isinstance(record.event, ev.OrderFilled)}
    if filled:
        parts.runs = dict(Order.objects.filter(client_id__in=filled).values_list("client_id", "run_id"))
    runs = {*parts.runs.values(), *(r.event.run_id for r in records if isinstance(r.event, ev.OrderIntended))}
    if runs:
        parts.strategies = dict(RunObservation.objects.filter(run_id__in=runs).values_list("run_id", "strategy"))


def _open(posted: Posted, first: ev.Record) -> None:
    """Balances, positions and results so far, against equity."""
    ledger, postings = posted.parts.ledger, list[Posting]()
    for symbol, line in ledger.lines.items():
        item = line.instrument
        if line.position or line.cost:
            postings.append(Posting(Account.INVENTORY, item.base_key, line.cost, line.position, symbol))
        if line.realised:
            postings.append(Posting(Account.REALISED, item.quote_key, -line.realised, 0, symbol))
        if line.fees:
            postings.append(Posting(Account.FEES, item.quote_key, line.fees, 0, symbol))
        so_far = {name: getattr(line, name) for name in _BOOKED}
        if any(so_far.values()):
            own = posted.parts.cell(UNASSIGNED, symbol)
            for name, amount in so_far.items():
                setattr(own, name, amount)
    postings += [Posting(Account.INVENTORY, asset, 0, held) for asset, held in ledger.other.items() if held]
    for venue, cash in ledger.cash_at.items():
        if cash:
            postings.append(Posting(Account.CASH, at_venue(ledger.quote, venue, ledger.venue), cash))
    if postings:
        brought = sum(posting.value for posting in postings)
        postings.append(Posting(Account.EQUITY, ledger.quote, -brought))
        entry = Entry(first.event.ts, EntryKind.OPENING, f"journal:{first.seq - 1}", "", tuple(postings))
        check(entry)
        posted.entries.append((first.seq - 1, entry))


def _row(venue: Venue, seq: int, number: int, entry: Entry, posting: Posting) -> LedgerPosting:
    # Cash has no quantity beside its value.
    return LedgerPosting(
        venue_id=venue.name,
        seq=seq,
        number=number,
        at=at(entry.ts),
        kind=entry.kind.value,
        ref=entry.ref,
        client_id=entry.client_id,
        account=posting.account.value,
        asset=posting.asset,
        symbol=posting.symbol,
        value=from_money(posting.value),
        quantity=from_money(posting.value) if posting.account is Account.CASH else from_atoms(posting.atoms),
    )


def _save_attribution(posted: Posted) -> None:
    rows = []
    for (strategy, symbol), ts in posted.parts.changed.items():
        cell = posted.parts.cells[strategy, symbol]
        rows.append(
            AttributionCell(
                venue_id=posted.venue.name,
                strategy=strategy,
                symbol=symbol,
                quantity=from_atoms(cell.position),
                unpriced=from_atoms(cell.unpriced),
                cost=from_money(cell.cost),
                realised=from_money(cell.realised),
                fees=from_money(cell.fees),
                funding=from_money(cell.funding),
                updated_at=at(ts),
            )
        )
    if rows:
        AttributionCell.objects.bulk_create(
            rows, update_conflicts=True, unique_fields=list(_UNIQUE), update_fields=[*_AMOUNTS, "updated_at"]
        )
