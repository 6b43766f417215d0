"""What each venue can do and by which rules it plays. Pure data: execution reads it to choose a native or an emulated
order type, adapters read it to number, check and pace what they send and receive.

The sources are the venues' own API documents; ``docs/venues.md`` shows this table (a test compares). A venue that is
not listed is reached through the generic adapter, which knows no more than ``GENERIC``.
"""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from enum import StrEnum
from typing import Final

import msgspec


class Feature(StrEnum):
    """What a venue does itself. What it lacks is emulated by the execution engine, or refused."""

    MARKET = "MARKET"
    LIMIT = "LIMIT"
    LIMIT_MAKER = "LIMIT_MAKER"
    """Post-only: refused instead of taking."""
    STOP = "STOP"
    STOP_LIMIT = "STOP_LIMIT"
    TRIGGER_LAST_TRADE = "TRIGGER_LAST_TRADE"
    """Its stops look at its last trade, and our adapter sends them."""
    TAKE_PROFIT = "TAKE_PROFIT"
    TRAILING_STOP = "TRAILING_STOP"
    ICEBERG = "ICEBERG"
    OCO = "OCO"
    BRACKET = "BRACKET"
    GTC = "GTC"
    GTD = "GTD"
    DAY = "DAY"
    IOC = "IOC"
    FOK = "FOK"
    REDUCE_ONLY = "REDUCE_ONLY"
    AMEND = "AMEND"
    """Price or quantity of a working order can be changed in place."""
    CANCEL_BY_CLIENT_ID = "CANCEL_BY_CLIENT_ID"
    QUERY_BY_CLIENT_ID = "QUERY_BY_CLIENT_ID"
    DEDUPLICATES_CLIENT_ID = "DEDUPLICATES_CLIENT_ID"
    """The venue itself never makes two orders of one client id while it remembers the first."""
    REQUEST_DEADLINE = "REQUEST_DEADLINE"
    """The venue refuses a request that arrives later than the request says."""
    DEPTH = "DEPTH"
    PUBLIC_TRADES = "PUBLIC_TRADES"
    FILL_STREAM = "FILL_STREAM"
    """Executions are pushed one by one; elsewhere they are asked for."""
    MIN_QUANTITY = "MIN_QUANTITY"
    """An order may say how much it must fill at once (IOC orders only)."""
    SHORT = "SHORT"
    SESSIONS = "SESSIONS"
    """The market closes, as at weekends."""


class Sequence(StrEnum):
    """How lost market data is noticed."""

    UPDATE_IDS = "UPDATE_IDS"
    """Each depth update begins where the one before ended; a snapshot is fetched by REST (Binance spot)."""
    CONNECTION = "CONNECTION"
    """Every message of a connection carries the next number (Coinbase Advanced Trade)."""
    TRADE_IDS = "TRADE_IDS"
    """Only trades are numbered; the book is checked against the ticker of the same time (Coinbase Exchange)."""
    NONE = "NONE"
    """Each message is complete; loss cannot be noticed and does not matter (OANDA prices)."""


class Checksum(StrEnum):
    """Checksum over the best levels, see ``checksum``."""

    NONE = "NONE"
    KRAKEN = "KRAKEN"
    OKX = "OKX"


class ClientIdRule(msgspec.Struct, frozen=True, kw_only=True):
    """How our own order id travels."""

    field: str
    """Name in the order request on the wire."""
    max_length: int
    ccxt_param: str
    """Name that ccxt passes on; it drops others silently. Empty where ccxt is not used or does not know the venue."""
    uuid: bool = False
    """The venue takes nothing but a UUID."""


class RateRule(msgspec.Struct, frozen=True, kw_only=True):
    """Public request budget: ``limit`` units per ``window_s`` seconds."""

    limit: int
    window_s: float
    retry_after_s: float
    """Pause after a refusal that does not say how long."""


def is_dark(features: AbstractSet[Feature]) -> bool:
    """See ``VenueRules.is_dark``."""
    return Feature.MIN_QUANTITY in features and Feature.DEPTH not in features


def holds_stop(features: AbstractSet[Feature], *, limited: bool) -> bool:
    """True when a stop on the last trade, or a stop-limit, can rest at a venue with ``features``."""
    return (Feature.STOP_LIMIT if limited else Feature.STOP) in features and Feature.TRIGGER_LAST_TRADE in features


class VenueRules(msgspec.Struct, frozen=True, kw_only=True):
    """One venue."""

    code: str
    title: str
    adapter: str
    features: frozenset[Feature]
    sequence: Sequence
    checksum: Checksum = Checksum.NONE
    client_id: ClientIdRule
    rate: RateRule
    heartbeat_s: float = 0.0
    """The venue sends something at least that often; 0: silence is normal."""
    max_connection_s: float = 0.0
    """The venue cuts a connection after that long; 0: it does not."""
    rest_url: str = ""
    stream_url: str = ""
    dust_atoms: int = 0
    """The venue counts finer than atoms (1e-8), so that fees are rounded here: a balance may differ by so much between
    two comparisons, and the venue's is taken over. 0: every atom must agree."""

    def supports(self, feature: Feature | str) -> bool:
        """True when the venue does it natively; ValueError for a word that is no ``Feature``."""
        return Feature(feature) in self.features

    @property
    def is_dark(self) -> bool:
        """True for a venue that shows nothing and fills a smallest part at once or nothing: it can only be pinged."""
        return is_dark(self.features)

    @property
    def reconnect_after_s(self) -> float:
        """Age at which a connection is replaced: an hour before the venue's own cut, else after a day."""
        return self.max_connection_s - 3600.0 if self.max_connection_s > 7200.0 else 86_400.0


F = Feature
SPOT: Final = frozenset({F.MARKET, F.LIMIT, F.GTC, F.DEPTH, F.PUBLIC_TRADES})

BINANCEUS: Final = VenueRules(
    code="binanceus",
    title="Binance.US spot",
    adapter="workers.adapters.ccxt_venue",
    features=SPOT
    | {F.LIMIT_MAKER, F.STOP_LIMIT, F.TAKE_PROFIT, F.OCO, F.ICEBERG, F.IOC, F.FOK, F.CANCEL_BY_CLIENT_ID}
    | {F.QUERY_BY_CLIENT_ID, F.DEDUPLICATES_CLIENT_ID, F.REQUEST_DEADLINE, F.FILL_STREAM, F.TRIGGER_LAST_TRADE},
    sequence=Sequence.UPDATE_IDS,
    client_id=ClientIdRule(field="newClientOrderId", max_length=36, ccxt_param="newClientOrderId"),
    rate=RateRule(limit=1200, window_s=60.0, retry_after_s=10.0),
    max_connection_s=24 * 3600.0,
    rest_url="https://api.binance.us",
    stream_url="wss://stream.binance.us:9443",
)

PAPER: Final = msgspec.structs.replace(
    BINANCEUS,
    code="paper",
    title="Paper venue",
    features=SPOT
    | {F.LIMIT_MAKER, F.IOC, F.FOK, F.CANCEL_BY_CLIENT_ID, F.QUERY_BY_CLIENT_ID, F.DEDUPLICATES_CLIENT_ID}
    | {F.REQUEST_DEADLINE, F.FILL_STREAM, F.SESSIONS, F.STOP, F.STOP_LIMIT, F.TRIGGER_LAST_TRADE},
    rate=RateRule(limit=6000, window_s=60.0, retry_after_s=10.0),
    rest_url="http://127.0.0.1:18010/api.binance.us",
    stream_url="ws://127.0.0.1:18010/stream.binance.us",
)

COINBASE: Final = VenueRules(
    code="coinbase",
    title="Coinbase Advanced Trade",
    adapter="workers.adapters.coinbase.order_venue",
    features=SPOT | {F.LIMIT_MAKER, F.STOP_LIMIT, F.BRACKET, F.GTD, F.IOC, F.FOK, F.AMEND, F.DEDUPLICATES_CLIENT_ID},
    sequence=Sequence.CONNECTION,
    client_id=ClientIdRule(field="client_order_id", max_length=128, ccxt_param="client_order_id"),
    rate=RateRule(limit=10, window_s=1.0, retry_after_s=1.0),
    dust_atoms=100,
    heartbeat_s=1.0,
    rest_url="https://api.coinbase.com",
    stream_url="wss://advanced-trade-ws.coinbase.com",
)

COINBASE_EXCHANGE: Final = VenueRules(
    code="coinbaseexchange",
    title="Coinbase Exchange feed",
    adapter="workers.adapters.ccxt_generic",
    features=SPOT | {F.LIMIT_MAKER, F.STOP_LIMIT, F.GTD, F.IOC, F.FOK, F.CANCEL_BY_CLIENT_ID, F.QUERY_BY_CLIENT_ID},
    sequence=Sequence.TRADE_IDS,
    client_id=ClientIdRule(field="client_oid", max_length=36, ccxt_param="clientOrderId", uuid=True),
    rate=RateRule(limit=10, window_s=1.0, retry_after_s=1.0),
    dust_atoms=100,
    heartbeat_s=1.0,
    rest_url="https://api.exchange.coinbase.com",
    stream_url="wss://ws-feed.exchange.coinbase.com",
)

OANDA: Final = VenueRules(
    code="oanda",
    title="OANDA v20",
    adapter="workers.adapters.oanda.venue",
    features=frozenset({F.MARKET, F.LIMIT, F.STOP, F.TAKE_PROFIT, F.TRAILING_STOP, F.BRACKET, F.GTC, F.GTD, F.DAY})
    | {F.IOC, F.FOK, F.REDUCE_ONLY, F.AMEND, F.CANCEL_BY_CLIENT_ID, F.QUERY_BY_CLIENT_ID, F.SHORT, F.SESSIONS},
    sequence=Sequence.NONE,
    client_id=ClientIdRule(field="clientExtensions.id", max_length=128, ccxt_param=""),
    rate=RateRule(limit=100, window_s=1.0, retry_after_s=1.0),
    heartbeat_s=5.0,
    rest_url="https://api-fxpractice.oanda.com",
    stream_url="https://stream-fxpractice.oanda.com",
)

GENERIC: Final = VenueRules(
    code="generic",
    title="Any other venue of ccxt",
    adapter="workers.adapters.ccxt_generic",
    features=SPOT,
    sequence=Sequence.NONE,
    client_id=ClientIdRule(field="", max_length=36, ccxt_param="clientOrderId"),
    rate=RateRule(limit=1, window_s=1.0, retry_after_s=5.0),
    dust_atoms=100,
)

PAPER_DARK: Final = msgspec.structs.replace(
    PAPER,
    code="paper_dark",
    title="Dark paper venue",
    features=PAPER.features
    - {F.MARKET, F.GTC, F.FOK, F.LIMIT_MAKER, F.STOP, F.STOP_LIMIT, F.TRIGGER_LAST_TRADE, F.DEPTH, F.PUBLIC_TRADES}
    | {F.MIN_QUANTITY},
    sequence=Sequence.NONE,
)
"""Crosses at the middle of the home venue's book and shows nothing; named by the desk's own settings alone."""

VENUES: Final = {one.code: one for one in (PAPER, BINANCEUS, COINBASE, COINBASE_EXCHANGE, OANDA)}


def rules_of(code: str) -> VenueRules:
    """Rules of a venue by its code; ``GENERIC`` under that code for one that is not listed."""
    known = VENUES.get(code)
    return known if known is not None else msgspec.structs.replace(GENERIC, code=code, title=f"{code} through ccxt")
