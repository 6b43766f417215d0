"""Any venue's public feed by its code, for whoever only listens: the recorder, and tools."""

from __future__ import annotations

import time
from collections.abc import Callable, Coroutine, Sequence
from decimal import Decimal
from typing import Any, Final, NamedTuple

import msgspec

from workers.adapters.binance.exchange_info import decode_exchange_info
from workers.adapters.binance.exchange_info import instruments as binance_instruments
from workers.adapters.binance.limits import WINDOW_S, WeightBudget
from workers.adapters.binance.market_client import ClientConfig, ClientStats, EventHandler, MarketClient, Tee
from workers.adapters.coinbase import products
from workers.adapters.coinbase.exchange_frames import ExchangeDecoder
from workers.adapters.coinbase.frames import AdvancedTradeDecoder
from workers.adapters.coinbase.subscription import AdvancedTradeSubscription, ExchangeSubscription
from workers.adapters.frame_errors import FrameError
from workers.adapters.oanda.messages import Instruments as OandaInstruments
from workers.adapters.oanda.messages import instrument_of
from workers.adapters.oanda.stream import OandaStream, price_fetch
from workers.adapters.poll_fetch import BINANCE_WEIGHT, fetch_of
from workers.adapters.polling import Poller
from workers.adapters.rest_reader import RestError, RestReader
from workers.adapters.stream_client import FeedDecoder, StreamClient, StreamConfig, Subscription
from workers.engine.instruments import GridError, Instrument
from workers.engine.market.reconnect import ReconnectConfig
from workers.engine.market.venues import Feature, VenueRules, rules_of

BINANCE_LIKE: Final = ("paper", "binanceus")
STREAMED: Final = (*BINANCE_LIKE, "coinbase", "coinbaseexchange", "oanda")
ZERO: Final = Decimal(0)
POLL_EVERY_S: Final = 2.0
POLL_RETRY_CAP_S: Final = 30.0


class FeedProblem(RuntimeError):
    """A feed that cannot be had; the message says why and what to do."""


class Endpoints(NamedTuple):
    """Where a venue is."""

    rest: str
    stream: str


class Access(NamedTuple):
    """What a feed that is not public wants; only OANDA's is not."""

    token: str = ""
    account: str = ""


PUBLIC: Final = Access()


Run = Callable[[], Coroutine[Any, Any, None]]


class Feed(NamedTuple):
    """A feed that is ready: ``run`` it until cancelled."""

    run: Run
    stats: ClientStats
    url: str


def endpoints(rules: VenueRules, rest: str = "", stream: str = "") -> Endpoints:
    """The given addresses, else the venue's own."""
    return Endpoints((rest or rules.rest_url).rstrip("/"), (stream or rules.stream_url).rstrip("/"))


async def listed(
    venue: str, symbols: Sequence[str], where: Endpoints, access: Access = PUBLIC
) -> dict[str, Instrument]:
    """Instruments from the venue's list, with fees of zero. Raises FeedProblem."""
    if venue not in STREAMED:
        raise FeedProblem(f"expected a venue among {', '.join(STREAMED)}, was {venue!r}")
    if venue == "oanda" and not (access.token and access.account):
        raise FeedProblem("OANDA has no public feed: set GEKKO_OANDA_TOKEN and GEKKO_OANDA_ACCOUNT")
    paths = {
        "coinbase": "/api/v3/brokerage/market/products",
        "coinbaseexchange": "/products",
        "oanda": f"/v3/accounts/{access.account}/instruments",
    }
    headers = {"Authorization": f"Bearer {access.token}"} if access.token else None
    try:
        async with RestReader(where.rest, headers=headers) as rest:
            raw = await rest.get(paths.get(venue, "/api/v3/exchangeInfo"), {}, 20)
        if venue == "oanda":
            return _oanda_instruments(raw, symbols)
        if venue == "coinbase":
            return products.advanced(raw, venue=venue, symbols=symbols, maker_fee=ZERO, taker_fee=ZERO)
        if venue == "coinbaseexchange":
            return products.exchange(raw, venue=venue, symbols=symbols, maker_fee=ZERO, taker_fee=ZERO)
        info = decode_exchange_info(raw)
        wanted = symbols or [one.symbol for one in info.symbols]
        return binance_instruments(info, venue=venue, symbols=wanted, maker_fee=ZERO, taker_fee=ZERO)
    except (RestError, GridError, msgspec.DecodeError) as error:
        raise FeedProblem(f"instruments of {venue} from {where.rest}: {error}") from error


def _oanda_instruments(raw: bytes, symbols: Sequence[str]) -> dict[str, Instrument]:
    found = {one.name: one for one in msgspec.json.decode(raw, type=OandaInstruments).instruments}
    missing = sorted(set(symbols) - set(found))
    if missing:
        raise GridError(f"the account has no {', '.join(missing)}")
    return {name: instrument_of(found[name], venue="oanda") for name in symbols or found}


class Handlers(NamedTuple):
    """Whom a feed tells what: events, refused frames, and every frame before it is decoded."""

    on_event: EventHandler
    wants_snapshot: Callable[[str], bool]
    on_refused: Callable[[FrameError], None]
    tee: Tee | None = None
    clock_ns: Callable[[], int] = time.time_ns
    interval_ns: int = 0
    """Length of the bars that are wanted of a venue whose trades are not public; 0 wants none."""


def open_feed(
    venue: str,
    instruments: Sequence[Instrument],
    where: Endpoints,
    handlers: Handlers,
    *,
    access: Access = PUBLIC,
    poll_after_s: float = 0.0,
) -> Feed:
    """A client for the venue's own protocol and rules. Raises FeedProblem for a venue that has none here.

    With ``poll_after_s`` best prices and trades are asked for by REST once the stream was away for so long (see
    ``polling``); 0 asks never.
    """
    rules = rules_of(venue)
    if venue in BINANCE_LIKE:
        config = ClientConfig(
            stream_url=where.stream,
            rest_url=where.rest,
            session_status=rules.supports(Feature.SESSIONS),
            max_age_s=rules.reconnect_after_s,
            weight_limit=rules.rate.limit * 8 // 10,
        )
        return open_binance(venue, instruments, config, handlers, poll_after_s=poll_after_s)
    rest, fallback = None, None
    if poll_after_s:
        rest = rest_of(rules, where, access)
        symbols = [one.symbol for one in instruments]
        if venue == "oanda":
            fetch = price_fetch(rest, access.account, instruments, handlers.clock_ns)
        else:
            fetch = fetch_of(venue, rest, instruments, handlers.clock_ns)
        fallback = Poller(symbols, fetch, venue=venue, after_s=poll_after_s)
    if venue == "oanda":
        stream = _prices(instruments, where, handlers, access, fallback)
        return Feed(_with(rest, stream.run), stream.stats, where.stream)
    client = _streamed(rules, instruments, where, handlers, fallback)
    return Feed(_with(rest, client.run), client.stats, where.stream)


def rest_of(rules: VenueRules, where: Endpoints, access: Access = PUBLIC) -> RestReader:
    """A reader of the venue's market data; half of its request budget stays for orders."""
    headers = {"Authorization": f"Bearer {access.token}"} if access.token else None
    rate = rules.rate
    return RestReader(where.rest, weight_limit=max(rate.limit // 2, 1), window_s=rate.window_s, headers=headers)


def open_binance(
    venue: str, instruments: Sequence[Instrument], config: ClientConfig, handlers: Handlers, *, poll_after_s: float
) -> Feed:
    """A client for Binance's protocol; polling, depth snapshots and whatever else it asks for share one budget."""
    budget = WeightBudget(config.weight_limit)
    rest, fallback = None, None
    if poll_after_s:
        rest = RestReader(config.rest_url, budget=budget)
        fallback = Poller(
            [one.symbol for one in instruments],
            fetch_of(venue, rest, instruments, handlers.clock_ns),
            venue=venue,
            # A round costs no more than half of the budget: snapshots must be had at once when the stream is back.
            interval_s=max(POLL_EVERY_S, 2 * BINANCE_WEIGHT * len(instruments) * WINDOW_S / config.weight_limit),
            after_s=poll_after_s,
            retry_cap_s=POLL_RETRY_CAP_S,
        )
    client = MarketClient(
        instruments,
        config,
        on_event=handlers.on_event,
        wants_snapshot=handlers.wants_snapshot,
        on_refused=handlers.on_refused,
        tee=handlers.tee,
        fallback=fallback,
        budget=budget,
        clock_ns=handlers.clock_ns,
    )
    return Feed(_with(rest, client.run), client.stats, config.stream_url)


def _streamed(
    rules: VenueRules,
    instruments: Sequence[Instrument],
    where: Endpoints,
    handlers: Handlers,
    fallback: Poller | None,
) -> StreamClient:
    decoder, subscription = _coinbase(rules.code, instruments, [one.symbol for one in instruments])
    return StreamClient(
        StreamConfig(url=where.stream, patience=ReconnectConfig(max_age_s=rules.reconnect_after_s)),
        subscription,
        decoder,
        on_event=handlers.on_event,
        wants_snapshot=handlers.wants_snapshot,
        on_refused=handlers.on_refused,
        tee=handlers.tee,
        fallback=fallback,
        clock_ns=handlers.clock_ns,
    )


def _prices(
    instruments: Sequence[Instrument],
    where: Endpoints,
    handlers: Handlers,
    access: Access,
    fallback: Poller | None,
) -> OandaStream:
    return OandaStream(
        access.token,
        access.account,
        instruments,
        url=where.stream,
        on_event=handlers.on_event,
        on_refused=handlers.on_refused,
        tee=handlers.tee,
        fallback=fallback,
        clock_ns=handlers.clock_ns,
    )


def _with(rest: RestReader | None, run: Run) -> Run:
    """``run``, and the end of the reader behind it."""
    if rest is None:
        return run

    async def both() -> None:
        async with rest:
            await run()

    return both


def _coinbase(
    venue: str, instruments: Sequence[Instrument], symbols: Sequence[str]
) -> tuple[FeedDecoder, Subscription]:
    if venue == "coinbase":
        return AdvancedTradeDecoder(instruments), AdvancedTradeSubscription(symbols)
    if venue == "coinbaseexchange":
        return ExchangeDecoder(instruments), ExchangeSubscription(symbols)
    raise FeedProblem(f"expected a venue among {', '.join(STREAMED)}, was {venue!r}")
