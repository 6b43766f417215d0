"""Who made the profit: by strategy, instrument, venue and desk, so that the parts sum to the whole exactly.

Each strategy's fills keep a position of their own per instrument, at average cost. Where two strategies hold opposite
positions in one instrument the account's books net them, so what is realised in the books differs from the sum of the
strategies; the difference, which is moved between realised and unrealised and makes no profit, stands in a row of its
own, ``netting``; until an instrument has a mark, the row also holds what its open positions cannot yet be valued at.
What no strategy ordered, such as balances found at the venue, stands under ``unassigned``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final, Literal, NamedTuple

from workers.engine import events as e
from workers.engine.accounting.ledger import Account, Entry, Ledger
from workers.engine.accounting.line import Line
from workers.engine.accounting.lots import CostLine
from workers.engine.instruments import MONEY_PER_ATOM, Instrument, split_key

UNASSIGNED: Final = "unassigned"
NETTING: Final = "netting"
NO_DESK: Final = "no desk"

Dimension = Literal["strategy", "instrument", "venue", "desk"]


class Share(NamedTuple):
    """Profit of one part, in money units: ``total = realised + unrealised - fees + funding``."""

    venue: str
    strategy: str
    symbol: str
    realised: int = 0
    unrealised: int = 0
    fees: int = 0
    funding: int = 0

    @property
    def amounts(self) -> tuple[int, int, int, int]:
        return self.realised, self.unrealised, self.fees, self.funding

    @property
    def total(self) -> int:
        return self.realised + self.unrealised - self.fees + self.funding


class Row(NamedTuple):
    """Shares of one ``key`` together."""

    key: str
    realised: int
    unrealised: int
    fees: int
    funding: int

    @property
    def total(self) -> int:
        return self.realised + self.unrealised - self.fees + self.funding


class Attribution:
    """Positions by (strategy, symbol). Feed it each event together with the entry that the ledger made of it."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger
        self.cells: dict[tuple[str, str], Line] = {}
        self.strategies: dict[str, str] = {}
        """Strategy by run."""
        self.runs: dict[str, str] = {}
        """Run by client order id."""
        self.changed: dict[tuple[str, str], int] = {}
        """Time of the last event that touched a position, ns."""
        self._now = 0

    def apply(self, event: e.JournalEvent, entry: Entry | None) -> None:
        """Follow one event; ``entry`` is what ``ledger.apply(event)`` answered."""
        self._now = event.ts
        if isinstance(event, e.RunStarted):
            self.strategies[event.run_id] = event.strategy
        elif isinstance(event, e.OrderIntended):
            self.runs[event.client_id] = event.run_id
        elif isinstance(event, e.SessionOpened):
            self._described()
        if entry is None:
            return
        if isinstance(event, e.OrderFilled):
            self._filled(event, entry)
        elif isinstance(event, e.FundingSettled):
            self._settled(event)
        else:
            self._moved(entry)

    def _described(self) -> None:
        """A session declared instruments: take their new grids, and what was held before they could be traded."""
        for (_, symbol), cell in self.cells.items():
            cell.describe(self.ledger.lines[symbol].instrument)
        traded = {symbol for _, symbol in self.cells}
        for symbol, line in self.ledger.lines.items():
            if symbol not in traded and line.position:
                own = self.cell(UNASSIGNED, symbol)
                own.position = own.unpriced = line.position

    def strategy_of(self, client_id: str) -> str:
        """Strategy that ordered it; ``unassigned`` when none is known."""
        return self.strategies.get(self.runs.get(client_id, ""), UNASSIGNED)

    def cell(self, strategy: str, symbol: str) -> Line:
        """Position of ``strategy`` in ``symbol``, made at first sight, and marked as changed."""
        key = (strategy, symbol)
        self.changed[key] = self._now
        if key not in self.cells:
            self.cells[key] = Line(self.ledger.lines[symbol].instrument)
        return self.cells[key]

    def _moved(self, entry: Entry, *, but: str = "") -> None:
        """Inventory that moved without a trade is nobody's; ``but`` names the instrument whose trade comes apart."""
        for posting in entry.postings:
            if posting.account is Account.INVENTORY and posting.symbol and posting.symbol != but:
                own = self.cell(UNASSIGNED, posting.symbol)
                own.position += posting.atoms
                own.cost += posting.value
                own.unpriced = self.ledger.lines[posting.symbol].unpriced

    def _filled(self, event: e.OrderFilled, entry: Entry) -> None:
        strategy, line = self.strategy_of(event.client_id), self.ledger.lines[event.symbol]
        self._moved(entry, but=event.symbol)
        brought = sum(-p.value for p in entry.postings if p.account is Account.EQUITY and p.symbol == event.symbol)
        if brought:
            own = self.cell(UNASSIGNED, event.symbol)
            own.cost += brought
            own.unpriced = line.unpriced
        item, cell = line.instrument, self.cell(strategy, event.symbol)
        notional = event.price * event.lots * item.lot_value
        cell.trade(int(event.side) * event.lots * item.lot_atoms, notional)
        if event.fee and event.fee_asset == item.base_key:
            cell.trade(-event.fee, event.fee * event.price * item.value_factor)
        for posting in entry.postings:
            if posting.account is Account.FEES:
                self.cell(strategy, posting.symbol).fees += posting.value

    def _settled(self, event: e.FundingSettled) -> None:
        """By the positions that the strategies held; what does not divide, and what nobody held, is unassigned."""
        if event.symbol not in self.ledger.lines:
            return
        amount = left = event.amount * MONEY_PER_ATOM
        held = [(key, cell) for key, cell in self.cells.items() if key[1] == event.symbol and cell.position]
        net = sum(cell.position for _, cell in held)
        for (strategy, symbol), cell in held if net else ():
            part = amount * cell.position // net
            self.cell(strategy, symbol).funding += part
            left -= part
        if left:
            self.cell(UNASSIGNED, event.symbol).funding += left

    def shares(self, venue: str, marks: Mapping[str, int]) -> list[Share]:
        """Every part of the profit at ``marks`` (ticks by symbol), netting included: they sum to the books' totals.

        ``venue`` is the home venue; what another venue's instruments made stands under that venue.
        """
        found = [
            share_of(venue, strategy, cell, marks.get(symbol, 0)) for (strategy, symbol), cell in self.cells.items()
        ]
        wholes = [share_of(venue, "", line, marks.get(symbol, 0)) for symbol, line in self.ledger.lines.items()]
        return found + netting(venue, found, wholes)


def unrealised_of(instrument: Instrument, *, position: int, unpriced: int, cost: int, mark: int) -> int:
    """Worth above cost at ``mark`` ticks; nothing while there is no mark, as in the valuation of the books."""
    return (position - unpriced) * mark * instrument.value_factor - cost if mark else 0


def share_of(venue: str, strategy: str, cell: CostLine, mark: int) -> Share:
    """The share of one cell, at the venue that its symbol names, or at ``venue``, the home venue."""
    unrealised = unrealised_of(
        cell.instrument, position=cell.position, unpriced=cell.unpriced, cost=cell.cost, mark=mark
    )
    symbol = cell.instrument.symbol
    return Share(place_of(symbol, venue), strategy, symbol, cell.realised, unrealised, cell.fees, cell.funding)


def place_of(symbol: str, home: str) -> str:
    """Venue of the instrument."""
    return split_key(symbol)[1] or home


def netting(venue: str, parts: Sequence[Share], wholes: Sequence[Share]) -> list[Share]:
    """What is left of each whole after its parts: nothing, but where the books net one strategy with another."""
    found = []
    for whole in wholes:
        mine = [part for part in parts if part.symbol == whole.symbol]
        rest = [all_ - sum(part.amounts[i] for part in mine) for i, all_ in enumerate(whole.amounts)]
        if any(rest):
            found.append(Share(place_of(whole.symbol, venue), NETTING, whole.symbol, *rest))
    return found


def roll_up(shares: Iterable[Share], by: Dimension, desks: Mapping[str, Sequence[str]] | None = None) -> list[Row]:
    """Rows of one dimension, by key; ``desks`` names the strategies of each. Every way, the rows sum to the whole."""
    key_of: dict[Dimension, Callable[[Share], str]] = {
        "strategy": lambda share: share.strategy,
        "instrument": lambda share: f"{share.venue}:{split_key(share.symbol)[0]}",
        "venue": lambda share: share.venue,
        "desk": lambda share: desk_of(share.strategy, desks or {}),
    }
    sums: dict[str, list[int]] = {}
    for share in shares:
        row = sums.setdefault(key_of[by](share), [0, 0, 0, 0])
        for i, amount in enumerate(share.amounts):
            row[i] += amount
    return [Row(key, *sums[key]) for key in sorted(sums)]


def desk_of(strategy: str, desks: Mapping[str, Sequence[str]]) -> str:
    """The desk of a strategy; several are joined, so that nothing counts twice."""
    if strategy == NETTING:
        return NETTING
    return " + ".join(sorted(desk for desk, members in desks.items() if strategy in members)) or NO_DESK
