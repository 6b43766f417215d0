"""Public endpoints: instruments, books, trades, candlesticks, tickers."""

from __future__ import annotations

from typing import Any

from workers.engine.instruments import Instrument, from_money
from workers.live.paper_venue import errors
from workers.live.paper_venue.errors import VenueError
from workers.live.paper_venue.klines import INTERVALS_MS, Kline
from workers.live.paper_venue.market import Listing
from workers.live.paper_venue.rest import Params, Route, Routes
from workers.live.paper_venue.venue import Venue
from workers.live.paper_venue.wire import Grid, fixed

_DAY_MS = 86_400_000


def listing_of(venue: Venue, params: Params) -> Listing:
    """The instrument that ``symbol`` names; -1121."""
    listing = venue.market.listings.get(params.need("symbol"))
    if listing is None:
        raise VenueError(*errors.INVALID_SYMBOL)
    return listing


def _chosen(venue: Venue, params: Params) -> list[Listing]:
    return [listing_of(venue, params)] if params.get("symbol") else list(venue.market.listings.values())


async def ping(_venue: Venue, _params: Params) -> dict[str, Any]:
    """GET /api/v3/ping."""
    return {}


async def server_time(venue: Venue, _params: Params) -> dict[str, Any]:
    """GET /api/v3/time."""
    return {"serverTime": venue.now_ms}


async def exchange_info(venue: Venue, params: Params) -> dict[str, Any]:
    """GET /api/v3/exchangeInfo, with the block ``gekko`` that says which market this is."""
    market = venue.market
    return {
        "timezone": "UTC",
        "serverTime": venue.now_ms,
        "rateLimits": [
            {
                "rateLimitType": "REQUEST_WEIGHT",
                "interval": "MINUTE",
                "intervalNum": 1,
                "limit": venue.weights.limit,
            },
            {"rateLimitType": "ORDERS", "interval": "SECOND", "intervalNum": 10, "limit": venue.order_count.limit},
        ],
        "exchangeFilters": [],
        "symbols": [_symbol_info(venue, listing.instrument) for listing in _chosen(venue, params)],
        "gekko": {
            "venue": venue.name,
            "dark": venue.dark,
            "market": str(venue.kind),
            "label": venue.label,
            "barInterval": venue.bar_interval,
            "session": {
                "status": "OPEN" if market.open else "BREAK",
                "sessionId": market.session_id,
                "openedAt": market.opened_ms,
                "closesAt": market.closes_ms,
            },
        },
    }


def _symbol_info(venue: Venue, instrument: Instrument) -> dict[str, Any]:
    grid = Grid(instrument)
    return {
        "symbol": instrument.symbol,
        "status": "TRADING" if venue.market.open else "BREAK",
        "baseAsset": instrument.base,
        "baseAssetPrecision": 8,
        "quoteAsset": instrument.quote,
        "quotePrecision": 8,
        "quoteAssetPrecision": 8,
        "baseCommissionPrecision": 8,
        "quoteCommissionPrecision": 8,
        "orderTypes": ["LIMIT"] if venue.dark else ["LIMIT", "LIMIT_MAKER", "MARKET", "STOP_LOSS", "STOP_LOSS_LIMIT"],
        "icebergAllowed": False,
        "ocoAllowed": False,
        "quoteOrderQtyMarketAllowed": False,
        "cancelReplaceAllowed": True,
        "isSpotTradingAllowed": True,
        "isMarginTradingAllowed": False,
        "filters": [
            {
                "filterType": "PRICE_FILTER",
                "minPrice": fixed(instrument.tick),
                "maxPrice": "1000000.00000000",
                "tickSize": fixed(instrument.tick),
            },
            {
                "filterType": "LOT_SIZE",
                "minQty": grid.quantity(instrument.min_lots),
                "maxQty": grid.quantity(instrument.max_lots),
                "stepSize": fixed(instrument.lot),
            },
            {
                "filterType": "NOTIONAL",
                "minNotional": fixed(instrument.min_notional),
                "applyMinToMarket": True,
                "maxNotional": "9000000.00000000",
                "applyMaxToMarket": False,
                "avgPriceMins": 0,
            },
        ],
        "permissions": ["SPOT"],
        "permissionSets": [["SPOT"]],
        "defaultSelfTradePreventionMode": "EXPIRE_MAKER",
        "allowedSelfTradePreventionModes": ["EXPIRE_TAKER", "EXPIRE_MAKER", "EXPIRE_BOTH"],
    }


async def depth(venue: Venue, params: Params) -> dict[str, Any]:
    """GET /api/v3/depth."""
    listing = listing_of(venue, params)
    bids, asks = listing.depth(params.limit(100, 5000))
    return {"lastUpdateId": venue.market.last_update_id(listing.instrument.symbol), "bids": bids, "asks": asks}


def _depth_weight(params: Params) -> int:
    limit = params.limit(100, 5000)
    return next(weight for most, weight in ((100, 5), (500, 25), (1000, 50), (5000, 250)) if limit <= most)


async def trades(venue: Venue, params: Params) -> list[dict[str, Any]]:
    """GET /api/v3/trades, oldest first."""
    listing = listing_of(venue, params)
    return list(listing.trades)[-params.limit(500, 1000) :]


async def aggregate_trades(venue: Venue, params: Params) -> list[dict[str, Any]]:
    """GET /api/v3/aggTrades, oldest first; here every trade is an aggregate of its own."""
    listing = listing_of(venue, params)
    first = params.integer("fromId")
    start, end = params.integer("startTime"), params.integer("endTime")
    rows = [
        row
        for row in listing.trades
        if (first is None or row["id"] >= first)
        and (start is None or row["time"] >= start)
        and (end is None or row["time"] <= end)
    ]
    limit = params.limit(500, 1000)
    rows = rows[:limit] if first is not None or start is not None else rows[-limit:]
    return [
        {
            "a": row["id"],
            "p": row["price"],
            "q": row["qty"],
            "f": row["id"],
            "l": row["id"],
            "T": row["time"],
            "m": row["isBuyerMaker"],
            "M": True,
        }
        for row in rows
    ]


async def klines(venue: Venue, params: Params) -> list[list[Any]]:
    """GET /api/v3/klines, oldest first; the newest bar is still being built."""
    listing = listing_of(venue, params)
    interval = params.need("interval")
    if interval not in INTERVALS_MS:
        raise VenueError(-1120, "Invalid interval.")
    series = listing.series[interval]
    if venue.market.open:
        series.advance(venue.now_ms)
    bars = series.window(params.integer("startTime"), params.integer("endTime"), params.limit(500, 1000))
    return [_kline_row(bar, series.interval_ms, listing.grid) for bar in bars]


def _kline_row(bar: Kline, interval_ms: int, grid: Grid) -> list[Any]:
    return [
        bar.start,
        grid.price(bar.open),
        grid.price(bar.high),
        grid.price(bar.low),
        grid.price(bar.close),
        grid.quantity(bar.lots),
        bar.start + interval_ms - 1,
        fixed(from_money(bar.money)),
        bar.trades,
        grid.quantity(bar.taker_lots),
        fixed(from_money(bar.taker_money)),
        "0",
    ]


def kline_event(listing: Listing, interval: str, bar: Kline, now_ms: int, *, closed: bool) -> dict[str, Any]:
    """A candlestick as the stream sends it."""
    row = _kline_row(bar, INTERVALS_MS[interval], listing.grid)
    names = ("t", "o", "h", "l", "c", "v", "T", "q", "n", "V", "Q", "B")
    symbol = listing.instrument.symbol
    extra = {"s": symbol, "i": interval, "f": bar.first_trade, "L": bar.last_trade, "x": closed}
    return {"e": "kline", "E": now_ms, "s": symbol, "k": dict(zip(names, row, strict=True)) | extra}


async def ticker_price(venue: Venue, params: Params) -> Any:
    """GET /api/v3/ticker/price."""
    rows = [
        {"symbol": x.instrument.symbol, "price": x.grid.price(x.last_price)}
        for x in _chosen(venue, params)
        if x.last_price
    ]
    return rows[0] if params.get("symbol") and rows else rows


async def ticker_book(venue: Venue, params: Params) -> Any:
    """GET /api/v3/ticker/bookTicker."""
    rows = [_best(x) for x in _chosen(venue, params)]
    return rows[0] if params.get("symbol") else rows


def _best(listing: Listing) -> dict[str, str]:
    top = listing.top
    if top is not None:
        bid, ask = (top.bid, top.bid_qty), (top.ask, top.ask_qty)
    else:
        bids, asks = listing.depth(1)
        nothing = ("0.00000000", "0.00000000")
        bid, ask = (bids or [nothing])[0], (asks or [nothing])[0]
    return {
        "symbol": listing.instrument.symbol,
        "bidPrice": bid[0],
        "bidQty": bid[1],
        "askPrice": ask[0],
        "askQty": ask[1],
    }


async def ticker_day(venue: Venue, params: Params) -> Any:
    """GET /api/v3/ticker/24hr, over what the venue has shown of the last 24 hours."""
    rows = [_day(venue, x) for x in _chosen(venue, params)]
    return rows[0] if params.get("symbol") else rows


def _day(venue: Venue, listing: Listing) -> dict[str, Any]:
    now, grid = venue.now_ms, listing.grid
    bars = listing.series["1m"].window(now - _DAY_MS, None, 1440)
    first, last = (bars[0].open, bars[-1].close) if bars else (0, 0)
    money, lots = sum(b.money for b in bars), sum(b.lots for b in bars)
    instrument = listing.instrument
    average = from_money(money) / instrument.quantity(lots) if lots else from_money(0)
    best = _best(listing)
    return best | {
        "priceChange": grid.price(last - first),
        "priceChangePercent": f"{(last / first - 1) * 100 if first else 0:.3f}",
        "weightedAvgPrice": fixed(average),
        "prevClosePrice": grid.price(first),
        "lastPrice": grid.price(last),
        "lastQty": listing.trades[-1]["qty"] if listing.trades else "0.00000000",
        "openPrice": grid.price(first),
        "highPrice": grid.price(max((b.high for b in bars), default=0)),
        "lowPrice": grid.price(min((b.low for b in bars), default=0)),
        "volume": grid.quantity(lots),
        "quoteVolume": fixed(from_money(money)),
        "openTime": bars[0].start if bars else now,
        "closeTime": now,
        "firstId": listing.trades[0]["id"] if listing.trades else -1,
        "lastId": listing.trades[-1]["id"] if listing.trades else -1,
        "count": sum(b.trades for b in bars),
    }


def _all(one: int, every: int) -> Any:
    return lambda params: one if params.get("symbol") else every


ROUTES: Routes = {
    ("GET", "/api/v3/ping"): Route(ping),
    ("GET", "/api/v3/time"): Route(server_time),
    ("GET", "/api/v3/exchangeInfo"): Route(exchange_info, 20),
    ("GET", "/api/v3/depth"): Route(depth, _depth_weight),
    ("GET", "/api/v3/trades"): Route(trades, 25),
    ("GET", "/api/v3/aggTrades"): Route(aggregate_trades, 4),
    ("GET", "/api/v3/klines"): Route(klines, 2),
    ("GET", "/api/v3/ticker/price"): Route(ticker_price, _all(2, 4)),
    ("GET", "/api/v3/ticker/bookTicker"): Route(ticker_book, _all(2, 4)),
    ("GET", "/api/v3/ticker/24hr"): Route(ticker_day, _all(2, 80)),
}
