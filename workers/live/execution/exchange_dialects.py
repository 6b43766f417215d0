"""Dialects of the exchanges beside Binance: Coinbase, OANDA, and whatever ccxt knows.

None of them pushes fills here: working orders are asked about (``account_poller``). While a stream is away prices are
polled where the venue lets us, and the feed says of itself whether they may be traded on (see ``polling``).
"""

from __future__ import annotations

import random
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

import msgspec

from workers.adapters import candles, ccxt_market
from workers.adapters.account_poller import AccountPoller
from workers.adapters.binance.exchange_info import MarketInfo
from workers.adapters.binance.market_client import FrameTimes
from workers.adapters.ccxt_exchange import offer
from workers.adapters.ccxt_generic import GenericVenue
from workers.adapters.coinbase.order_venue import CoinbaseVenue
from workers.adapters.coinbase.signing import KeyProblem, Signer
from workers.adapters.feeds import PUBLIC, Access, Endpoints, Handlers, endpoints, open_feed, rest_of
from workers.adapters.oanda.bars import follow_bars
from workers.adapters.oanda.venue import OandaVenue
from workers.adapters.polling import Poller
from workers.adapters.rest_reader import RestError
from workers.adapters.venue import Venue, VenueUnknown
from workers.engine.events import Bar, FundingSettled, JournalEvent, MarketEvent
from workers.engine.instruments import Instrument
from workers.engine.market.reconnect import Backoff
from workers.engine.market.venues import GENERIC, rules_of
from workers.live.execution.binance_dialect import POLL_AFTER_S
from workers.live.execution.config import LoopConfig, VenueAccess
from workers.live.execution.dialect import AccountHooks
from workers.live.execution.parts import together

ACCOUNT_EVERY_S: Final = 0.5
ACCOUNT_RETRY_CAP_S: Final = 5.0
MARKET_EVERY_S: Final = 1.0
TURNS: Final = 4
"""ccxt sends one request at a time, at the venue's pace: of four turns polling takes two at most, orders get theirs."""


class VenueSetupError(ValueError):
    """A venue that cannot be traded at with these settings; the message says what is missing and where it is set."""


class ExchangeDialect:
    """A venue with a feed and candles of its own, spoken to natively."""

    def __init__(self, code: str, venue: Venue, where: Endpoints, access: Access = PUBLIC) -> None:
        """``code`` chooses feed and candles; ``access`` is for market data that is not public."""
        self.venue = venue
        self._account_every_s = ACCOUNT_EVERY_S
        self._code = code
        self._where = where
        self._access = access

    @property
    def market(self) -> MarketInfo | None:
        """None: an exchange plays nothing."""
        return None

    async def follow(self, instruments: Sequence[Instrument], handlers: Handlers) -> None:
        """The venue's stream, or polling while it is away."""
        feed = open_feed(self._code, instruments, self._where, handlers, access=self._access, poll_after_s=POLL_AFTER_S)
        await feed.run()

    def account(self, hooks: AccountHooks) -> AccountPoller:
        """Fills and ends of our working orders, asked for."""
        return self._poller(hooks, None)

    def _poller(
        self, hooks: AccountHooks, settled: Callable[[], Awaitable[Sequence[JournalEvent]]] | None
    ) -> AccountPoller:
        return AccountPoller(
            venue=self.venue,
            working=hooks.working,
            newest_trade=hooks.newest_trade,
            on_reports=hooks.on_reports,
            on_state=hooks.on_state,
            clock=time.time_ns,
            backoff=Backoff(random.Random(), cap_s=ACCOUNT_RETRY_CAP_S),  # noqa: S311  # jitter, not a secret
            interval_s=self._account_every_s,
            settled=settled,
        )

    def check_interval(self, interval_ns: int) -> str:
        """The venue's name of a bar interval; ValueError for one of which it has no candles."""
        return candles.interval_name(self._code, interval_ns)

    async def history(self, symbol: str, interval_ns: int, count: int) -> list[Bar]:
        """The venue's candles. VenueUnknown while they cannot be had."""
        instrument = self.venue.instruments[symbol]
        try:
            async with rest_of(rules_of(self._code), self._where, self._access) as rest:
                now = time.time_ns()
                return await candles.newest(self._code, rest, instrument, interval_ns, count=count, now=now)
        except (RestError, msgspec.DecodeError) as error:
            raise VenueUnknown(f"candles of {symbol} at {self.venue.name}: {error}") from error


class OandaDialect(ExchangeDialect):
    """One account at OANDA, whose market shows prices and no trades: its bars are its candles."""

    venue: OandaVenue

    def account(self, hooks: AccountHooks) -> AccountPoller:
        """Fills, ends, and the financing of each day."""

        async def settled() -> list[FundingSettled]:
            return await self.venue.settlements(max(map(hooks.newest_trade, self.venue.instruments), default=0))

        return self._poller(hooks, settled)

    async def follow(self, instruments: Sequence[Instrument], handlers: Handlers) -> None:
        """Prices from the stream, and each candle once its time is over."""
        if not handlers.interval_ns:
            await super().follow(instruments, handlers)
            return

        def on_bar(bar: Bar) -> None:
            now = time.perf_counter_ns()
            handlers.on_event(bar, FrameTimes(now, now, now))

        async with rest_of(rules_of(self._code), self._where, self._access) as rest:
            bars = follow_bars(
                rest, instruments, length_ns=handlers.interval_ns, on_bar=on_bar, clock=handlers.clock_ns
            )
            await together({"prices": super().follow(instruments, handlers), "bars": bars}, of=self.venue.name)


class CcxtDialect(ExchangeDialect):
    """Any venue of ccxt: everything is asked for, nothing is streamed."""

    venue: GenericVenue

    def __init__(
        self, code: str, venue: GenericVenue, where: Endpoints, *, every_s: float, account_every_s: float
    ) -> None:
        """Pauses between two looks at the market and at the account."""
        super().__init__(code, venue, where)
        self._every_s = every_s
        self._account_every_s = account_every_s

    async def follow(self, instruments: Sequence[Instrument], handlers: Handlers) -> None:
        """Poll best prices and trades until cancelled."""
        fetch = ccxt_market.fetch_from(self.venue, instruments, handlers.clock_ns)
        names = [one.symbol for one in instruments]
        poller = Poller(names, fetch, venue=self.venue.name, interval_s=self._every_s)

        def on_event(event: MarketEvent) -> None:
            now = time.perf_counter_ns()
            handlers.on_event(event, FrameTimes(now, now, now))

        await poller.follow(on_event)

    def check_interval(self, interval_ns: int) -> str:
        """ccxt's name of a bar interval; any, where the venue has no candles at all: then there is no past."""
        return ccxt_market.interval_name(self.venue, interval_ns) if self.venue.has_history else "from trades"

    async def history(self, symbol: str, interval_ns: int, count: int) -> list[Bar]:
        """ccxt's candles; VenueRejected where there are none."""
        return await ccxt_market.bars(self.venue, symbol, interval_ns, count=count, now=time.time_ns())


def coinbase(access: VenueAccess, config: LoopConfig) -> ExchangeDialect:
    """Advanced Trade. The key is the API key's name, its secret the private key. Raises VenueSetupError."""
    where = endpoints(rules_of("coinbase"), access.rest_url, access.stream_url)
    _demand(access, "the API key's name", "its private key (PEM, or base64 of an Ed25519 seed)")
    try:
        signer = Signer(access.api_key, access.api_secret, clock=time.time_ns)
    except KeyProblem as error:
        raise VenueSetupError(f"{access.name}: the secret cannot sign: {error}") from error
    venue = CoinbaseVenue(
        signer, clock=time.time_ns, url=where.rest, name=access.name, timeout_s=config.order_timeout_s
    )
    return ExchangeDialect("coinbase", venue, where)


def oanda(access: VenueAccess, config: LoopConfig) -> OandaDialect:
    """OANDA v20. The key is the account's id, its secret the access token. Raises VenueSetupError."""
    where = endpoints(rules_of("oanda"), access.rest_url, access.stream_url)
    _demand(access, "the account's id", "its personal access token")
    venue = OandaVenue(
        access.api_secret,
        access.api_key,
        clock=time.time_ns,
        url=where.rest,
        name=access.name,
        timeout_s=config.order_timeout_s,
    )
    return OandaDialect("oanda", venue, where, Access(access.api_secret, access.api_key))


def through_ccxt(code: str, access: VenueAccess, config: LoopConfig) -> ExchangeDialect:
    """The venue that ccxt calls ``code``; the older Coinbase exchange has a feed of its own. Raises VenueSetupError."""
    given = {"apiKey": access.api_key, "secret": access.api_secret, "password": access.api_password}
    credentials = {name: value for name, value in given.items() if value}
    try:
        offered = offer(code, credentials)
    except ValueError as error:
        raise VenueSetupError(f"{access.name}: {error}") from error
    if offered.lacking:
        raise VenueSetupError(f"{access.name} cannot be traded at through ccxt: it lacks {', '.join(offered.lacking)}")
    native = code == "coinbaseexchange"
    if not access.symbols and not native:
        raise VenueSetupError(f"{access.name} is polled: name its instruments, with GEKKO_SYMBOLS for the home venue")
    known = rules_of(code)
    every_s = max(MARKET_EVERY_S, TURNS * offered.pace_s * len(access.symbols))
    rules = msgspec.structs.replace(
        GENERIC,
        code=code,
        title=f"{code} through ccxt",
        features=offered.features,
        client_id=known.client_id,
        # What is polled this often is not old in between; a round takes two requests an instrument itself.
        heartbeat_s=every_s + 2 * offered.pace_s * len(access.symbols),
    )
    venue = GenericVenue(
        code,
        credentials,
        clock=time.time_ns,
        url=access.url or access.rest_url or None,
        alone=not access.url,
        paper=bool(access.url),
        timeout_s=config.order_timeout_s,
        name=access.name,
        rules=known if native else rules,
    )
    where = endpoints(known, access.rest_url, access.stream_url)
    if native:
        return ExchangeDialect(code, venue, where)
    return CcxtDialect(
        code, venue, where, every_s=every_s, account_every_s=max(ACCOUNT_EVERY_S, TURNS * offered.pace_s)
    )


def _demand(access: VenueAccess, key: str, secret: str) -> None:
    """VenueSetupError unless both parts of the key are there."""
    missing = [what for value, what in ((access.api_key, key), (access.api_secret, secret)) if not value]
    if missing:
        raise VenueSetupError(
            f"{access.name} wants {' and '.join(missing)}: set GEKKO_VENUE_API_KEY and GEKKO_VENUE_API_SECRET"
        )
