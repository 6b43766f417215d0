"""On paper nothing signed goes to an address that has not said that it is a paper venue, whatever speaks to it."""

from __future__ import annotations

import contextlib
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from tests.support import paper_venue
from workers.adapters.ccxt_exchange import Elsewhere, exchange
from workers.adapters.ccxt_generic import GenericVenue
from workers.adapters.ccxt_rewire import check_address, rewire, server_of
from workers.adapters.venue import VenueRejected, VenueUnknown
from workers.live.execution.config import LoopConfig, VenueAccess
from workers.live.execution.dialects import check
from workers.live.execution.exchange_dialects import VenueSetupError

BTC = "BTCUSDT"
KEYS = {"apiKey": paper_venue.KEY, "secret": paper_venue.SECRET}


class Exchange:
    """Some server that answers everything; ``said`` is what its public listing says of it."""

    def __init__(self, said: Any, status: int = 200) -> None:
        self.said = said
        self.status = status
        self.asked: list[str] = []

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[str]:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._anything)
        runner = web.AppRunner(app, shutdown_timeout=0.2)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        try:
            yield f"http://127.0.0.1:{runner.addresses[0][1]}"
        finally:
            await runner.cleanup()

    async def _anything(self, request: web.Request) -> web.Response:
        self.asked.append(f"{request.method} {request.path_qs}")
        assert "X-MBX-APIKEY" not in request.headers
        assert "API-Key" not in request.headers
        return web.json_response(self.said, status=self.status)


@pytest.mark.parametrize("code", ["binanceus", "kraken", "coinbase"])
@pytest.mark.parametrize("said", [{"symbols": []}, {"gekko": None}, [], {"gekko": "yes"}])
async def test_nothing_signed_goes_to_what_does_not_say_that_it_is_a_paper_venue(code: str, said: Any) -> None:
    server = Exchange(said)
    async with server.running() as url:
        venue = GenericVenue(code, KEYS, clock=time.time_ns, url=url, paper=True)
        await venue.open()
        try:
            for asking in (venue.synchronise_clock, venue.balances, lambda: venue.load_instruments([BTC])):
                if code == "kraken" or asking != venue.synchronise_clock:
                    with pytest.raises(VenueRejected, match="does not say that it is a paper venue"):
                        await asking()
        finally:
            await venue.close()
    assert set(server.asked) == {"GET /api.binance.us/api/v3/exchangeInfo"}


async def test_a_server_in_trouble_is_asked_again() -> None:
    server = Exchange({}, status=503)
    async with server.running() as url:
        venue = GenericVenue("binanceus", KEYS, clock=time.time_ns, url=url, paper=True)
        await venue.open()
        with pytest.raises(VenueUnknown, match="HTTP 503"):
            await venue.load_instruments([BTC])
        with pytest.raises(VenueUnknown, match="HTTP 503"):
            await venue.load_instruments([BTC])
        await venue.close()
    assert len(server.asked) == 2


async def test_a_paper_venue_is_recognised_once(tmp_path: Path) -> None:
    async with paper_venue.running(tmp_path) as paper:
        venue = GenericVenue("binanceus", KEYS, clock=time.time_ns, url=paper.url, paper=True)
        await venue.open()
        try:
            await venue.load_instruments([BTC])
            assert (await venue.balances())["USDT"] > 0
        finally:
            await venue.close()


async def test_what_ccxt_would_send_elsewhere_does_not_leave() -> None:
    made = exchange("kraken", dict(KEYS), server=server_of("http://127.0.0.1:9/beta"))
    try:
        with pytest.raises(Elsewhere, match=r"would ask https://api.kraken.com/0/private/Balance and not"):
            await made.fetch("https://api.kraken.com/0/private/Balance?a=secret", "POST")
        with pytest.raises(Elsewhere):
            await made.fetch("http://127.0.0.1:90/0/private/Balance", "POST")
    finally:
        await made.close()


ODD = (
    "https://api.binance.us/.",
    "https://api.binance.us/./",
    "https://api.binance.us/../x",
    "https://api.binance.us//",
    "https://api.binance.us/%2e",
    "https://api.binance.us/?a",
    "https://api.binance.us?",
    "https://api.binance.us#",
    "https://127.0.0.1@api.binance.us",
    "api.binance.us",
    "//api.binance.us",
    "ftp://api.binance.us",
    "https://",
    "https://api.binance.us:0",
    "https://api.binance.us:port",
    "https://api.binance.us\\@127.0.0.1",
    " https://api.binance.us",
    "https://api.binance.us\n",
)


@pytest.mark.parametrize("url", ODD)
def test_addresses_that_can_be_read_in_two_ways_are_refused(url: str) -> None:
    with pytest.raises(ValueError, match=r"expected a server|Port"):
        check_address(url)
    with pytest.raises(ValueError, match=r"expected a server|Port"):
        rewire(exchange("kraken", {}), url)
    for code in ("", "ccxt:binanceus", "ccxt:kraken"):
        for live in (False, True):
            for fields in ({"url": url}, {"url": None, "rest_url": url}, {"url": None, "stream_url": url}):
                with pytest.raises(VenueSetupError, match=r"address of odd"):
                    check(desk(code=code, live=live, **fields))


@pytest.mark.parametrize("url", ["http://127.0.0.1:18010", "http://127.0.0.1:18010/beta/", "http://[::1]:80/a.b/c"])
def test_plain_addresses_are_taken(url: str) -> None:
    check_address(url)
    check(desk(code="ccxt:binanceus", live=False, url=url))


@pytest.mark.parametrize("url", ["https://api.kraken.com", "https://104.16.1.1", "http://127.0.0.1:9"])
@pytest.mark.parametrize("live", [False, True])
def test_a_paper_venue_is_spoken_to_as_binance_alone(url: str, live: bool) -> None:
    for code in ("ccxt:kraken", "ccxt:binance", "ccxt:coinbaseexchange", "kraken"):
        with pytest.raises(VenueSetupError, match=r"speaks Binance's protocol, not that of"):
            check(desk(code=code, live=live, url=url))


def desk(*, live: bool, url: str | None = None, code: str = "", rest_url: str = "", stream_url: str = "") -> LoopConfig:
    odd = VenueAccess(
        name="odd",
        url=url,
        code=code,
        api_key="key",
        api_secret="secret",
        symbols=(BTC,),
        rest_url=rest_url,
        stream_url=stream_url,
    )
    return LoopConfig(
        venue="paper",
        venue_url="http://127.0.0.1:9" if not live else None,
        code="" if not live else "binanceus",
        worker="execution",
        journal_dir=Path("nowhere"),
        api_key="key",
        api_secret="secret",
        live=live,
        others=(odd,),
    )
