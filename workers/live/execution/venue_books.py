"""The books as one venue's caretaker and reconciler see them: its instruments, its orders, its balances."""

from __future__ import annotations

from collections.abc import Callable, Container

from workers.engine.accounting.books import Books
from workers.engine.execution.orders import Order
from workers.live.execution.names import Names


class VenueBooks:
    """A view; holds nothing of its own."""

    def __init__(self, books: Books, names: Names, listed: Callable[[], Container[str]]) -> None:
        """``listed``: the instruments that the venue lists now; only these can it be asked about."""
        self._books = books
        self._names = names
        self._listed = listed

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

    def known(self) -> list[str]:
        """The instruments here that the journal knows."""
        return [symbol for symbol in self._books.lines if self._names.owns(symbol)]

    def symbols(self) -> list[str]:
        """Of those, the ones that the venue lists."""
        listed = self._listed()
        return [symbol for symbol in self.known() if symbol in listed]

    def open_orders(self) -> list[Order]:
        """Orders here that may still fill, instrument by instrument, oldest first."""
        return [order for symbol in self.symbols() for order in self._books.lines[symbol].open.values()]

    def unlisted_orders(self) -> list[Order]:
        """Orders in instruments that the venue does not list any more, of which nobody can say what became."""
        listed = self._listed()
        lines = self._books.lines
        return [order for symbol in self.known() if symbol not in listed for order in lines[symbol].open.values()]

    def balances(self) -> dict[str, int]:
        """Balances here in atoms, by key of the asset."""
        return self._books.balances(self._names.suffix)
