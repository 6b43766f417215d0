"""Candles and books for reports, rebalances and trainings, of home venues that do not speak Binance's protocol."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import pytest

from tests.support import paper_venue
from tests.support.fake_coinbase import PRODUCT, FakeCoinbase
from tests.support.fake_oanda import ACCOUNT, TOKEN, FakeOanda
from workers.adapters.candles import newest_rows
from workers.adapters.ccxt_past import CcxtPast
from workers.adapters.feeds import Access, Endpoints
from workers.adapters.history import HistoryError, from_past
from workers.adapters.past import NativePast, Past, PastError, gaps
from workers.adapters.rest_reader import RestReader
from workers.engine.portfolio.policy import RebalancePolicy
from workers.engine.risk.stress import Depth, Prices
from workers.live import pasts, rebalancing
from workers.live.pasts import HOME, home_past, past_of
from workers.live.risk_market import RiskMarket

SECOND = 10**9
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE


def at_coinbase(fake: FakeCoinbase) -> NativePast:
    return NativePast("coinbase", Endpoints(f"http://127.0.0.1:{fake.port}", ""))


async def test_coinbase_has_candles_and_a_book() -> None:
    fake = FakeCoinbase()
    async with fake.running():
        past = at_coinbase(fake)
        prices = await asyncio.to_thread(past.closes, PRODUCT, MINUTE, 400)
        assert list(prices.closes) == [100.01] * 400
        assert gaps(prices, MINUTE) == 0
        assert prices.times[-1] <= time.time_ns() < prices.times[-1] + 2 * MINUTE
        start = prices.times[0] - MINUTE
        between = await asyncio.to_thread(past.closes_between, PRODUCT, MINUTE, start, start + 350 * MINUTE)
        assert list(between.times) == list(prices.times[:350])
        book = await asyncio.to_thread(past.depth, PRODUCT)
    assert book == Depth(bids=[(99.0, 2.0)], asks=[(99.02, 2.0)])
    assert past.offers(MINUTE)
    assert not past.offers(10**9)


async def test_oanda_has_candles_for_whom_it_knows_and_no_book() -> None:
    fake = FakeOanda()
    async with fake.running():
        past = NativePast("oanda", Endpoints(fake.url, ""), Access(TOKEN, ACCOUNT))
        prices = await asyncio.to_thread(past.closes, "EUR_USD", HOUR, 30)
        assert past.depth("EUR_USD") is None
    assert set(prices.closes) == {1.100015}
    assert 25 <= len(prices.times) <= 30


async def test_a_venue_that_does_not_answer_is_named() -> None:
    past = NativePast("coinbase", Endpoints("http://127.0.0.1:9", ""))
    with pytest.raises(PastError, match="BTC-USD at coinbase: no answer"):
        await asyncio.to_thread(past.closes, PRODUCT, MINUTE, 5)


async def test_ccxt_reads_the_candles_that_the_venue_itself_tells(tmp_path: Path) -> None:
    async with paper_venue.running(tmp_path) as paper:
        past = CcxtPast(
            "binanceus", {"apiKey": paper_venue.KEY, "secret": paper_venue.SECRET}, url=paper.url, alone=False
        )
        assert await asyncio.to_thread(past.offers, MINUTE)
        assert not await asyncio.to_thread(past.offers, 7 * MINUTE)
        async with asyncio.timeout(20):
            while not (found := await asyncio.to_thread(past.closes, "BTCUSDT", SECOND, 20)).times:  # noqa: ASYNC110  # a candle closes without telling
                await asyncio.sleep(0.5)
        book = await asyncio.to_thread(past.depth, "BTCUSDT")
        async with RestReader(f"{paper.url}/api.binance.us") as rest:
            rows = await newest_rows("binanceus", rest, "BTCUSDT", SECOND, count=100, now=time.time_ns())
    truth = {int(row[0]) + SECOND: float(row[4]) for row in rows}
    assert dict(zip(found.times, found.closes, strict=True)).items() <= truth.items()
    assert book is not None
    assert book.bids[0][0] < book.asks[0][0]


class Holed:
    """A venue with hourly candles of which one is missing."""

    def offers(self, interval_ns: int) -> bool:
        return interval_ns == HOUR

    def closes(self, symbol: str, interval_ns: int, count: int) -> Prices:
        if symbol == "GONE":
            raise PastError("GONE at holed: 404")
        times = [HOUR * hour for hour in range(1, 40) if hour != 7]
        return Prices(times=times[-count:], closes=[100.0 + hour for hour in range(len(times))][-count:])

    def closes_between(self, symbol: str, interval_ns: int, start: int, end: int) -> Prices:
        found = self.closes(symbol, interval_ns, 100)
        kept = [place for place, at in enumerate(found.times) if start <= at - interval_ns < end]
        return Prices(times=[found.times[one] for one in kept], closes=[found.closes[one] for one in kept])

    def depth(self, symbol: str) -> Depth | None:
        return None


def test_a_report_takes_an_interval_that_the_venue_has_and_counts_what_is_missing() -> None:
    with RiskMarket("http://127.0.0.1:9", pasts={HOME: Holed()}) as market:
        interval, found = market.bars(["EUR_USD"], 30)
        assert (interval, len(found["EUR_USD"].times)) == (HOUR, 38)
        assert market.missing == {"EUR_USD": 1}
        assert market.books(["EUR_USD"]) == {}
        assert market.problems == []
        assert market.closes("GONE", "1h") is None
    assert market.problems == ["no history of GONE: GONE at holed: 404"]


def test_a_training_says_how_much_its_source_lacked() -> None:
    series = from_past(Holed(), "EUR_USD", "1h", bars=100)
    assert (series.provenance.rows, series.provenance.source) == (38, "candles 1h, 1 missing")
    assert (series.provenance.start, series.provenance.end) == (0, 39 * HOUR)
    with pytest.raises(HistoryError, match="no candles of GONE"):
        from_past(Holed(), "GONE", "1h")


def test_a_rebalance_tells_what_the_venue_lacks(monkeypatch: pytest.MonkeyPatch, settings: Any) -> None:
    settings.GEKKO_OTHER_VENUES = ()
    monkeypatch.setattr(rebalancing, "pasts", lambda: {HOME: Holed()})
    history = rebalancing.history_of(["EUR_USD", "GBP_USD"], RebalancePolicy(method="minimum_variance", interval="1h"))
    assert len(history.closes) == 38
    assert history.missing == {"EUR_USD": 1, "GBP_USD": 1}


class TestWhoseIsRead:
    @pytest.fixture(autouse=True)
    def alone(self, settings: Any) -> None:
        settings.GEKKO_OTHER_VENUES = ()
        settings.GEKKO_VENUE_CODE = ""
        settings.GEKKO_VENUE_REST_URL = ""

    @pytest.mark.parametrize(
        ("code", "kind"),
        [("coinbase", NativePast), ("coinbaseexchange", NativePast), ("oanda", NativePast), ("kraken", CcxtPast)],
    )
    def test_a_live_home_venue_is_asked_itself(self, settings: Any, code: str, kind: type[Past]) -> None:
        settings.GEKKO_MODE, settings.GEKKO_VENUE_NAME = "live", code
        assert isinstance(pasts.pasts()[HOME], kind)

    def test_binances_protocol_is_read_as_before(self, settings: Any) -> None:
        settings.GEKKO_MODE, settings.GEKKO_VENUE_NAME = "live", "binanceus"
        assert pasts.pasts() == {}
        assert isinstance(home_past(), NativePast)
        settings.GEKKO_MODE = "paper"
        assert home_past() is None

    def test_one_venue_has_one_budget(self) -> None:
        assert past_of("coinbase", key="k", secret="s") is past_of("coinbase", key="k", secret="s")
