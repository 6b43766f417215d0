"""Names at one venue: between the engine's keys (``BTCUSDT@beta``) and the venue's own (``BTCUSDT``).

This is the only place where the two meet. Adapters know the venue's names alone and the rest of the loop the engine's;
at the home venue both are the same and nothing is renamed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, TypeVar

import msgspec

from workers.adapters.venue import Venue, VenueOrder, VenueRejected, VenueTrade
from workers.engine.events import FundingSettled, JournalEvent, MarketEvent, OrderFilled, OrderIntended
from workers.engine.instruments import Instrument, KeyNameError, at_venue, split_key
from workers.engine.market.venues import VenueRules

LONGEST_KEY: Final = 32
"""Characters that records have for a symbol."""
Named = TypeVar("Named", bound=MarketEvent | VenueOrder | Instrument)


class Names:
    """Translates for ``venue`` in the account of ``home``."""

    def __init__(self, venue: str, home: str) -> None:
        self.venue = venue
        self.home = home
        self.suffix = "" if venue == home else venue
        """What ``split_key`` finds behind the names of this venue."""
        self._keys: dict[str, str] = {}

    def key(self, native: str) -> str:
        """The engine's key of a symbol or asset of the venue; KeyNameError for one that cannot be part of a key."""
        known = self._keys.get(native)
        if known is None:
            known = self._keys[native] = at_venue(native, self.venue, self.home)
        return known

    def native(self, key: str) -> str:
        """The venue's own name; KeyNameError for the key of another venue."""
        name, venue = split_key(key)
        if venue != self.suffix:
            raise KeyNameError(f"expected a name of {self.venue}, was {key!r}")
        return name

    def owns(self, key: str) -> bool:
        """Whether the key is one of this venue's."""
        return split_key(key)[1] == self.suffix

    def inward(self, named: Named) -> Named:
        """What the venue tells, under the engine's key."""
        if not self.suffix:
            return named
        return msgspec.structs.replace(named, symbol=self.key(named.symbol))

    def outward(self, instrument: Instrument) -> Instrument:
        """The instrument as the venue itself names it."""
        return msgspec.structs.replace(instrument, symbol=instrument.native) if self.suffix else instrument

    def reported(self, event: JournalEvent) -> JournalEvent:
        """A report on the account; of these only fills and settlements name a symbol, and fills an asset."""
        if self.suffix and type(event) is FundingSettled:
            return msgspec.structs.replace(event, symbol=self.key(event.symbol))
        if not self.suffix or type(event) is not OrderFilled:
            return event
        return msgspec.structs.replace(event, symbol=self.key(event.symbol), fee_asset=self.key(event.fee_asset))


class KeyedVenue:
    """A venue's adapter under the engine's keys: what gateway and reconciler see."""

    def __init__(self, adapter: Venue, names: Names) -> None:
        self._adapter = adapter
        self._names = names
        self.name = names.venue
        self.instruments: dict[str, Instrument] = {}

    @property
    def rules(self) -> VenueRules:
        """What the venue can do, and by which rules."""
        return self._adapter.rules

    async def load_instruments(self, symbols: Sequence[str]) -> dict[str, Instrument]:
        """Load those that the venue itself calls ``symbols`` (all, when empty); by key. VenueError."""
        found = await self._adapter.load_instruments(symbols)
        try:
            keyed = [msgspec.structs.replace(self._names.inward(one), venue=self.name) for one in found.values()]
        except KeyNameError as error:
            raise VenueRejected("UNREADABLE", f"instruments of {self.name}: {error}") from error
        self.instruments = {one.symbol: one for one in keyed}
        return self.instruments

    def keep(self, quote: str) -> list[str]:
        """Leave out what the account cannot hold: another quote, a base that it has here already, a key too long.

        Returns the keys that were left out.
        """
        kept: dict[str, Instrument] = {}
        for one in self.instruments.values():
            if one.quote == quote and len(one.symbol) <= LONGEST_KEY:
                kept.setdefault(one.base, one)
        left = sorted(self.instruments.keys() - {one.symbol for one in kept.values()})
        self.instruments = {one.symbol: one for one in kept.values()}
        return left

    async def submit(
        self, intent: OrderIntended, deadline: int, on_left: Callable[[str, int], None]
    ) -> list[JournalEvent]:
        """See ``Venue.submit``."""
        native = msgspec.structs.replace(intent, symbol=self._names.native(intent.symbol))
        return [self._names.reported(event) for event in await self._adapter.submit(native, deadline, on_left)]

    async def cancel(self, symbol: str, client_id: str) -> None:
        """See ``Venue.cancel``."""
        await self._adapter.cancel(self._names.native(symbol), client_id)

    async def query(self, symbol: str, client_id: str) -> VenueOrder:
        """See ``Venue.query``."""
        return self._names.inward(await self._adapter.query(self._names.native(symbol), client_id))

    async def client_id_of(self, symbol: str, venue_order_id: str) -> str:
        """See ``Venue.client_id_of``."""
        return await self._adapter.client_id_of(self._names.native(symbol), venue_order_id)

    async def open_orders(self) -> list[VenueOrder]:
        """See ``Venue.open_orders``."""
        return [self._names.inward(one) for one in await self._adapter.open_orders()]

    async def trades(self, symbol: str, after: int) -> list[VenueTrade]:
        """See ``Venue.trades``."""
        key = self._names.key
        return [
            msgspec.structs.replace(one, symbol=key(one.symbol), fee_asset=key(one.fee_asset))
            for one in await self._adapter.trades(self._names.native(symbol), after)
        ]

    async def balances(self) -> dict[str, int]:
        """See ``Venue.balances``; by key of the asset."""
        return {self._names.key(asset): total for asset, total in (await self._adapter.balances()).items()}
