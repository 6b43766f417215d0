"""Which dialect a venue speaks, and whether this worker may speak it at all.

**Real money.** A worker that is not live never trades at an exchange: such a venue is refused here, where its adapter
would be made, so that there is none to send with, and what is addressed as a paper venue must say that it is one before
anything signed goes there. That a live worker trades at all is decided elsewhere, by two people.
"""

from __future__ import annotations

from typing import Final
from urllib.parse import urlsplit

from workers.adapters.ccxt_rewire import check_address
from workers.adapters.rest_reader import LOOPBACK_HOSTS
from workers.engine.market.venues import PAPER_DARK, VENUES, rules_of
from workers.live.execution.binance_dialect import BinanceDialect
from workers.live.execution.config import LoopConfig, VenueAccess
from workers.live.execution.dialect import Dialect
from workers.live.execution.exchange_dialects import VenueSetupError, coinbase, oanda, through_ccxt

PAPER: Final = "paper"
HTTP: Final = ("http", "https")
STREAMS: Final = ("ws", "wss")
BINANCE_LIKE: Final = (PAPER, PAPER_DARK.code, "binanceus")
PAPER_SPEAKS: Final = "binanceus"
"""The only venue of ccxt that a paper venue can be spoken to as."""
BY_CCXT: Final = "ccxt:"
"""Before a code: through ccxt's unified methods, although the venue could be spoken to natively."""


def code_of(access: VenueAccess) -> str:
    """Which venue it is: ``code``, else a paper venue where one is addressed, else what it is named."""
    return access.code or (PAPER if access.url else access.name)


def dialect_of(access: VenueAccess, config: LoopConfig) -> Dialect:
    """The dialect of the venue behind ``access``. Raises VenueSetupError for one that cannot or must not be had."""
    code = code_of(access)
    bare = code.removeprefix(BY_CCXT)
    _check_addresses(access)
    _check_money(access, bare, live=config.live)
    if code in BINANCE_LIKE:
        if access.rest_url or access.stream_url:
            raise VenueSetupError(f"{code} has one address for everything: leave GEKKO_VENUE_REST_URL and its kin out")
        return BinanceDialect(access, config)
    if access.url and bare != PAPER_SPEAKS:
        raise VenueSetupError(
            f"the paper venue at {access.url} speaks Binance's protocol, not that of {bare}: leave GEKKO_VENUE_CODE out"
        )
    if code == "coinbase":
        return coinbase(access, config)
    if code == "oanda":
        return oanda(access, config)
    return through_ccxt(bare, access, config)


def check(config: LoopConfig) -> None:
    """VenueSetupError for the first venue of ``config`` that cannot or must not be had; connects to nothing."""
    for access in (config.home, *config.others):
        dialect_of(access, config)


def _check_addresses(access: VenueAccess) -> None:
    """VenueSetupError for an address that could be read in two ways, such as one with ``/.`` or a user's name."""
    named = {"address": (access.url, HTTP), "REST address": (access.rest_url, HTTP)}
    for what, (address, schemes) in {**named, "stream address": (access.stream_url, (*STREAMS, *HTTP))}.items():
        try:
            if address:
                check_address(address, schemes)
        except ValueError as error:
            raise VenueSetupError(f"{what} of {access.name}: {error}") from error


def _check_money(access: VenueAccess, code: str, *, live: bool) -> None:
    """Refuse an exchange to a worker that is not live, and a paper venue without an address to one that is."""
    if access.url:
        if not live and _host(access.url) in _exchange_hosts():
            raise VenueSetupError(f"{access.url} is an exchange's and this worker trades on paper; set GEKKO_MODE=live")
        return
    if code in (PAPER, PAPER_DARK.code):
        raise VenueSetupError(f"{access.name} is no exchange: name one with GEKKO_VENUE_CODE, or set GEKKO_MODE=paper")
    rules = rules_of(code)
    addresses = (access.rest_url or rules.rest_url, access.stream_url or rules.stream_url or access.rest_url)
    if not live and not all(_host(address) in LOOPBACK_HOSTS for address in addresses):
        raise VenueSetupError(f"{access.name} is an exchange and this worker trades on paper; set GEKKO_MODE=live")


def _host(address: str) -> str:
    return (urlsplit(address).hostname or "").rstrip(".")


def _exchange_hosts() -> set[str]:
    addresses = (address for rules in VENUES.values() for address in (rules.rest_url, rules.stream_url))
    return {_host(address) for address in addresses} - LOOPBACK_HOSTS
