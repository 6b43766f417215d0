"""What the venues of a fault day wrote down: their append logs as they grow, under the names that the books have."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import msgspec

from tests.support.execution import PaperVenue
from tests.support.network import Wire
from tests.support.truth import Standing, Trade, View
from workers.engine.instruments import Instrument, from_atoms
from workers.live.execution.names import Names
from workers.live.paper_venue.journal import Entry


class Place:
    """One venue of a machine: the wire to it, its fault port, and the file that it writes. ``name`` "" is home.

    All venues are of one process, on one port; each has a wire of its own.
    """

    def __init__(self, name: str, home: str, *, port: int, folder: Path, dark: bool = False) -> None:
        self.name = name
        self.dark = dark
        self.names = Names(name or home, home)
        self.path = f"/venues/{name}" if name else ""
        self.wire = Wire(port)
        self.port = PaperVenue(f"http://127.0.0.1:{port}{self.path}")
        self.log = folder / "venues" / name / "venue.jsonl" if name else folder / "venue.jsonl"
        self.offset = 0
        self.ids: dict[str, int] = {}
        """Numbers of the venue's orders by client id."""
        self.held: dict[str, int] = {}


class VenueLogs:
    """The logs of all venues in one view: orders, trades and balances, whether the process lives or not."""

    def __init__(self) -> None:
        self.view = View("venue")
        self.taken: dict[str, int] = {}
        """When a venue had each order, ns by its clock."""
        self.at: dict[str, str] = {}
        """Name of the venue that has each order, by client id."""
        self._names: dict[tuple[str, int], str] = {}

    def read(self, place: Place, instruments: Mapping[str, Instrument]) -> None:
        """Take what was added at ``place``; a line that is not finished is left for later."""
        with place.log.open("rb") as file:
            file.seek(place.offset)
            for line in file:
                if not line.endswith(b"\n"):
                    break
                place.offset += len(line)
                self._take(place, msgspec.json.decode(line, type=Entry), instruments)
        key = place.names.key
        self.view.balances.update({key(asset): from_atoms(held) for asset, held in place.held.items()})

    def _take(self, place: Place, entry: Entry, instruments: Mapping[str, Instrument]) -> None:
        place.held.update(entry.genesis)
        for order in entry.orders:
            symbol, client_id = place.names.key(order.symbol), order.client_id
            elsewhere = self.at.setdefault(client_id, place.name) != place.name
            if elsewhere or place.ids.setdefault(client_id, order.order_id) != order.order_id:
                self.view.twice.append(client_id)
            self._names[symbol, order.order_id] = client_id
            self.taken.setdefault(client_id, order.created)
            filled = instruments[symbol].quantity(order.filled)
            self.view.orders[client_id] = Standing(filled, order.status.is_open, at_venue=True)
        for trade in entry.trades:
            symbol = place.names.key(trade.symbol)
            key, instrument = (symbol, trade.trade_id), instruments[symbol]
            if key in self.view.trades:
                self.view.twice.append(f"trade {key}")
            self.view.trades[key] = Trade(
                self._names[symbol, trade.order_id],
                trade.buy,
                instrument.quantity(trade.lots),
                instrument.price(trade.price),
                from_atoms(trade.fee),
                place.names.key(trade.fee_asset),
            )
            place.held[trade.paid[0]] -= trade.paid[1]
            place.held[trade.received[0]] += trade.received[1]
