"""The books as one venue's caretaker and reconciler see them: its instruments, its orders, its balances."""

from __future__ import annotations

from workers.engine.accounting.books import Books
from workers.engine.execution.orders import Order
from workers.live.execution.names import Names


class VenueBooks:
    """A view; holds nothing of its own."""

    def __init__(self, books: Books, names: Names) -> None:
        self._books = books
        self._names = names

    @property
    def suffix(self) -> str:
        """The venue's name in keys; empty for the home venue."""
        return self._names.suffix

    @property
    def orders(self) -> dict[str, Order]:
        """Every order of the account by client id, which no two venues share."""
        return self._books.orders

    @property
    def trades(self) -> set[tuple[str, int]]:
        """Every trade of the account, by symbol and number."""
        return self._books.trades

    def symbols(self) -> list[str]:
        """The instruments here."""
        return [symbol for symbol in self._books.lines if self._names.owns(symbol)]

    def open_orders(self) -> list[Order]:
        """Orders here that may still fill, instrument by instrument, oldest first."""
        return [order for symbol in self.symbols() for order in self._books.lines[symbol].open.values()]

    def balances(self) -> dict[str, int]:
        """Balances here in atoms, by key of the asset."""
        return self._books.balances(self._names.suffix)
