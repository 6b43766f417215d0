"""What a kernel knows from its journal alone, folded record by record, and as bytes: the body of a snapshot. Pure.

The bytes are canonical: the same records give the same bytes, whether they were folded from the first one on or from a
snapshot on. Anything that a restart must know belongs in here.
"""

from __future__ import annotations

from collections import deque
from typing import Final

import msgspec

from workers.engine.accounting import books_state
from workers.engine.accounting.books import Books
from workers.engine.accounting.books_state import BooksState
from workers.engine.events import BalanceAdopted, Journalled, OrderIntended, SessionOpened
from workers.engine.execution.routing.record import RouteRecord, RouteState
from workers.engine.instruments import split_key
from workers.engine.risk.ledger import LedgerState, RiskLedger

REMEMBERED_INTENTS: Final = 1000
"""Newest orders of the journal that message rate and duplicate window are told of after a restart."""


class State(msgspec.Struct):
    """See ``Folded`` for the fields."""

    until: int
    epoch: int
    began: dict[str, int]
    intents: list[OrderIntended]
    books: BooksState
    ledger: LedgerState
    routes: RouteState


class Folded:
    """Folds journal events, in order, into books, the gate's ledger and the record of venues."""

    def __init__(self, books: Books, ledger: RiskLedger, routes: RouteRecord) -> None:
        self.books = books
        self.ledger = ledger
        self.routes = routes
        self.intents: deque[OrderIntended] = deque(maxlen=REMEMBERED_INTENTS)
        self.until = 0
        """Time of the newest record, ns."""
        self.epoch = 0
        """Highest epoch of any session."""
        self.began: dict[str, int] = {}
        """When the books of each venue began, ns: at its first adopted balance; home is ""."""

    @classmethod
    def empty(cls) -> Folded:
        """Of a journal without records."""
        books = Books()
        return cls(books, RiskLedger(books), RouteRecord(books))

    def apply(self, event: Journalled) -> None:
        """Take the next event; BooksError for one that cannot belong here."""
        self.books.apply(event)
        self.ledger.apply(event)
        self.routes.apply(event)
        kind = type(event)
        if kind is OrderIntended:
            self.intents.append(event)  # type: ignore[arg-type]  # mypy does not narrow by identity of a union's type
        elif kind is SessionOpened:
            self.epoch = max(self.epoch, event.epoch)  # type: ignore[union-attr]
        elif kind is BalanceAdopted:
            self.began.setdefault(split_key(event.asset)[1], event.ts)  # type: ignore[union-attr]
        self.until = event.ts

    def dump(self) -> bytes:
        """Everything, canonical."""
        return msgspec.json.encode(
            State(
                until=self.until,
                epoch=self.epoch,
                began=self.began,
                intents=list(self.intents),
                books=books_state.state_of(self.books),
                ledger=self.ledger.state(),
                routes=self.routes.state(),
            )
        )

    def restore(self, state: State) -> None:
        """Begin with ``state`` instead of with nothing; takes its records over."""
        self.until, self.epoch, self.began = state.until, state.epoch, state.began
        self.intents.extend(state.intents)
        books_state.restore(self.books, state.books)
        self.ledger.restore(state.ledger)
        self.routes.restore(state.routes)


_decoder: Final = msgspec.json.Decoder(State)


def decode(body: bytes) -> State:
    """The state that ``dump`` wrote; ValueError for anything else."""
    return _decoder.decode(body)
