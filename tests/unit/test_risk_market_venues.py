"""Prices for risk reports: each instrument is asked for where it is traded, by the name that it has there."""

from __future__ import annotations

import httpx

from controlplane.venues import OtherVenue
from workers.live.risk_market import RiskMarket, shown_elsewhere

HOME, BETA = "http://127.0.0.1:18010/api.binance.us", "http://127.0.0.1:18010/venues/beta"


def test_an_instrument_is_asked_for_at_its_venue_by_its_own_name() -> None:
    asked: list[tuple[str, str]] = []

    def reply(request: httpx.Request) -> httpx.Response:
        asked.append((str(request.url).partition("/api/v3/")[0], request.url.params["symbol"]))
        return httpx.Response(200, json={"bids": [["1", "2"]], "asks": [["3", "4"]]})

    others = shown_elsewhere(
        [
            OtherVenue("beta", "key", "secret", f"{BETA}/"),
            OtherVenue("dark", "key", "secret", "http://127.0.0.1:18010/venues/dark", code="paper_dark"),
            OtherVenue("exchange", "key", "secret", code="coinbase"),
        ]
    )
    with RiskMarket(HOME, httpx.Client(transport=httpx.MockTransport(reply)), elsewhere=others) as market:
        books = market.books(["BTCUSDT", "BTCUSDT@beta", "BTCUSDT@dark", "BTCUSDT@exchange"])
    assert asked == [(HOME, "BTCUSDT"), (BETA, "BTCUSDT"), (HOME, "BTCUSDT"), (HOME, "BTCUSDT")]
    assert list(books) == ["BTCUSDT", "BTCUSDT@beta", "BTCUSDT@dark", "BTCUSDT@exchange"]


def test_a_problem_names_the_key() -> None:
    gone = httpx.Client(transport=httpx.MockTransport(lambda _request: httpx.Response(503)))
    with RiskMarket(HOME, gone) as market:
        assert market.closes("BTCUSDT@beta", "1m") is None
    assert market.problems[0].startswith("no klines of BTCUSDT@beta: ")
