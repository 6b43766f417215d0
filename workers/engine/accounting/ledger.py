"""The double-entry ledger: every journal event that moves value becomes postings that sum to nought, in integers.

Derived from the journal alone, so anybody who has the journal has the ledger. Debits are positive. Values are money
units of the account's quote asset; ``atoms`` is the quantity of the asset that moved with them. Accounts::

    cash       what is held of the quote asset        fees      commissions paid (an expense)
    inventory  what is held of the others, at cost    funding   funding paid (an expense; received is negative)
    equity     capital brought in (negative)          realised  profit of closed trades (negative)

so that at any time cash + inventory + fees + funding + realised + equity == 0, which is the identity of the books.
Assets are keys as of balances: ``USDT`` of the home venue, ``USDT@beta`` of another, in the postings too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from enum import StrEnum
from typing import Any, ClassVar, NamedTuple

import msgspec

from workers.engine import events as e
from workers.engine.accounting.funding import settlement_key
from workers.engine.accounting.lots import CostLine, CostMethod, line_of
from workers.engine.instruments import MONEY_PER_ATOM, Instrument, at_venue, split_key


class Account(StrEnum):
    CASH = "cash"
    INVENTORY = "inventory"
    FEES = "fees"
    FUNDING = "funding"
    REALISED = "realised"
    EQUITY = "equity"


class EntryKind(StrEnum):
    OPENING = "opening"
    """Balances that a ledger was begun with, because the journal's start was not at hand."""
    CAPITAL = "capital"
    FILL = "fill"
    FUNDING = "funding"


class Posting(NamedTuple):
    """``value`` money units onto ``account`` of ``asset``, debit positive; ``symbol`` is empty for cash as such."""

    account: Account
    asset: str
    value: int
    atoms: int = 0
    symbol: str = ""


class Entry(NamedTuple):
    """The postings of one journal event; ``ref`` names it: ``BTCUSDT:77`` for a fill, the asset for capital."""

    ts: int
    kind: EntryKind
    ref: str
    client_id: str
    postings: tuple[Posting, ...]


class LedgerError(ValueError):
    """Postings that do not balance, or an event on an instrument that no session declared."""


class Ledger:
    """Accounts after the events so far. ``method`` is how positions are costed; the books use the average."""

    def __init__(self, method: CostMethod = CostMethod.AVERAGE) -> None:
        self.method = method
        self.quote = ""
        self.venue = ""
        """The home venue."""
        self.cash_at: dict[str, int] = {"": 0}
        """Cash by venue."""
        self.lines: dict[str, CostLine] = {}
        self.other: dict[str, int] = {}
        """Atoms of assets that no instrument here trades."""
        self.known: set[tuple[str, int]] = set()
        """Fills and settlements that were posted."""
        self.totals: dict[Account, int] = dict.fromkeys(Account, 0)

    def apply(self, event: e.JournalEvent) -> Entry | None:
        """Post one event; None when it moves nothing, or was posted before. LedgerError when it cannot be posted."""
        handler = self._handlers.get(type(event))
        entry: Entry | None = handler(self, event) if handler is not None else None
        if entry is None or not entry.postings:
            return None
        check(entry)
        for posting in entry.postings:
            self.totals[posting.account] += posting.value
        return entry

    @property
    def cash(self) -> int:
        """Cash at all venues together."""
        return sum(self.cash_at.values())

    def venue_of(self, key: str) -> str:
        """Venue of a symbol's or asset's key."""
        return split_key(key)[1] or self.venue

    def line_of_base(self, asset: str) -> CostLine | None:
        """Line whose base asset is ``asset``, a key."""
        return next((line for line in self.lines.values() if line.instrument.base_key == asset), None)

    def register(self, instrument: Instrument) -> None:
        """Take an instrument that a session declared; atoms of its base that were held have no cost yet."""
        self.quote = instrument.quote
        line = self.lines.get(instrument.symbol)
        if line is None:
            self.lines[instrument.symbol] = line = line_of(instrument, self.method)
            line.position = line.unpriced = self.other.pop(instrument.base_key, 0)
        line.instrument = instrument

    def _session(self, event: e.SessionOpened) -> None:
        if event.venue != self.venue:
            self.cash_at = {event.venue: self.cash_at.pop(self.venue), **self.cash_at}
            self.venue = event.venue
        for described in event.instruments:
            self.register(msgspec.convert(described, Instrument, strict=False))

    def _adopted(self, event: e.BalanceAdopted) -> Entry:
        postings: list[Posting] = []
        line = self.line_of_base(event.asset)
        if split_key(event.asset)[0] == self.quote:
            held = self.cash_at.get(self.venue_of(event.asset), 0)
            self._pay(postings, event.asset, event.total * MONEY_PER_ATOM - held, Account.EQUITY)
        elif line is None:
            change = event.total - self.other.get(event.asset, 0)
            self.other[event.asset] = event.total
            if change:
                postings.append(Posting(Account.INVENTORY, event.asset, 0, change))
        elif (change := event.total - line.position) >= 0:
            line.position += change
            line.unpriced += change
            if change:
                postings.append(Posting(Account.INVENTORY, event.asset, 0, change, line.instrument.symbol))
        else:
            self._take_out(postings, line, -change, Account.EQUITY)
        return Entry(event.ts, EntryKind.CAPITAL, event.asset, "", tuple(postings))

    def _filled(self, event: e.OrderFilled) -> Entry | None:
        key, line = (event.symbol, event.trade_id), self.lines.get(event.symbol)
        if key in self.known or line is None:
            return None
        self.known.add(key)
        postings: list[Posting] = []
        if line.unpriced:
            self._bring_in(postings, line, event.price)
        item, sign = line.instrument, int(event.side)
        notional = event.price * event.lots * item.lot_value
        self._trade(postings, line, sign * event.lots * item.lot_atoms, notional)
        self._pay(postings, item.quote_key, -sign * notional, None, event.symbol)
        if event.fee:
            self._fee(postings, line, event)
        return Entry(event.ts, EntryKind.FILL, f"{event.symbol}:{event.trade_id}", event.client_id, tuple(postings))

    def _fee(self, postings: list[Posting], line: CostLine, event: e.OrderFilled) -> None:
        item = line.instrument
        if split_key(event.fee_asset)[0] == item.quote:
            paid = event.fee * MONEY_PER_ATOM
            self._pay(postings, event.fee_asset, -paid, Account.FEES, item.symbol)
            line.fees += paid
        elif event.fee_asset == item.base_key:
            # Handing over base is selling it at the fill's price and paying the proceeds as the fee.
            paid = event.fee * event.price * item.value_factor
            self._trade(postings, line, -event.fee, paid)
            postings.append(Posting(Account.FEES, item.quote_key, paid, 0, item.symbol))
            line.fees += paid
        elif (other := self.line_of_base(event.fee_asset)) is not None:
            other.fees += self._take_out(postings, other, event.fee, Account.FEES)
        else:
            self.other[event.fee_asset] = self.other.get(event.fee_asset, 0) - event.fee
            postings.append(Posting(Account.INVENTORY, event.fee_asset, 0, -event.fee))

    def _settled(self, event: e.FundingSettled) -> Entry | None:
        key = settlement_key(event)
        if key in self.known:
            return None
        self.known.add(key)
        postings: list[Posting] = []
        amount = event.amount * MONEY_PER_ATOM
        asset = at_venue(self.quote, split_key(event.symbol)[1], "")
        self._pay(postings, asset, amount, Account.FUNDING, event.symbol)
        line = self.lines.get(event.symbol)
        if line is not None:
            line.funding += amount
        return Entry(event.ts, EntryKind.FUNDING, f"{event.symbol}:{event.ts_event}", "", tuple(postings))

    def _marked(self, event: e.Marked) -> Entry:
        postings: list[Posting] = []
        for symbol, ticks in event.marks.items():
            line = self.lines.get(symbol)
            if line is not None and line.unpriced and ticks:
                self._bring_in(postings, line, ticks)
        return Entry(event.ts, EntryKind.CAPITAL, "mark", "", tuple(postings))

    # -- postings

    def _pay(self, postings: list[Posting], asset: str, amount: int, against: Account | None, symbol: str = "") -> None:
        """Move ``amount`` of the cash that ``asset`` names, and the opposite onto ``against``."""
        venue = self.venue_of(asset)
        self.cash_at[venue] = self.cash_at.get(venue, 0) + amount
        if amount:
            postings.append(Posting(Account.CASH, asset, amount, 0, symbol))
            if against is not None:
                postings.append(Posting(against, asset, -amount, 0, symbol))

    def _trade(self, postings: list[Posting], line: CostLine, atoms: int, notional: int) -> None:
        before, item = line.cost, line.instrument
        realised = line.trade(atoms, notional)
        postings.append(Posting(Account.INVENTORY, item.base_key, line.cost - before, atoms, item.symbol))
        if realised:
            postings.append(Posting(Account.REALISED, item.quote_key, -realised, 0, item.symbol))

    def _bring_in(self, postings: list[Posting], line: CostLine, ticks: int) -> None:
        """Price what was adopted: its worth is capital, and where it closes a short, that is realised."""
        cost, realised, item = line.cost, line.realised, line.instrument
        value = line.price_adopted(ticks)
        postings.append(Posting(Account.INVENTORY, item.base_key, line.cost - cost, 0, item.symbol))
        postings.append(Posting(Account.EQUITY, item.quote_key, -value, 0, item.symbol))
        if line.realised != realised:
            postings.append(Posting(Account.REALISED, item.quote_key, realised - line.realised, 0, item.symbol))

    def _take_out(self, postings: list[Posting], line: CostLine, atoms: int, against: Account) -> int:
        item = line.instrument
        removed = line.take_out(atoms)
        postings.append(Posting(Account.INVENTORY, item.base_key, -removed, -atoms, item.symbol))
        if removed:
            postings.append(Posting(against, item.quote_key, removed, 0, item.symbol))
        return removed

    _handlers: ClassVar[dict[type, Callable[[Ledger, Any], Entry | None]]] = {
        e.SessionOpened: _session,
        e.BalanceAdopted: _adopted,
        e.OrderFilled: _filled,
        e.FundingSettled: _settled,
        e.Marked: _marked,
    }


def check(entry: Entry) -> None:
    """Return when the postings sum to nought; else LedgerError with all of them."""
    total = sum(posting.value for posting in entry.postings)
    if total:
        raise LedgerError(f"expected postings of {entry.kind} {entry.ref} to sum to 0, was {total}: {entry.postings}")


def post(events: Iterable[e.JournalEvent], method: CostMethod = CostMethod.AVERAGE) -> tuple[Ledger, list[Entry]]:
    """Ledger and entries of a whole journal, oldest first."""
    ledger = Ledger(method)
    return ledger, [entry for event in events if (entry := ledger.apply(event)) is not None]
