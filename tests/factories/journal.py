"""Execution journals for tests: sequences of events as a trading loop would write them, numbered and hashed."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterable
from decimal import Decimal
from typing import Any

import msgspec

from workers.engine import events as ev
from workers.engine.instruments import Instrument
from workers.engine.vocabulary import FeedState, OrderStatus, OrderType, Reason, Side, TimeInForce, TradingState

START = 1_767_600_000_000_000_000
SECOND = 1_000_000_000
BTC = Instrument(
    venue="paper",
    symbol="BTCUSDT",
    base="BTC",
    quote="USDT",
    tick=Decimal("0.01"),
    lot=Decimal("0.00001"),
    min_lots=1,
    max_lots=10_000_000,
    min_notional=Decimal(5),
    maker_fee=Decimal("0.001"),
    taker_fee=Decimal("0.001"),
)
ETH = msgspec.structs.replace(BTC, symbol="ETHUSDT", base="ETH", lot=Decimal("0.0001"))


def records(events: Iterable[ev.Journalled], *, after: tuple[int, str] = (0, "0" * 64)) -> list[ev.Record]:
    """Number and chain ``events`` as the journal's writer does."""
    seq, previous = after
    made = []
    for event in events:
        seq += 1
        previous = hashlib.sha256(bytes.fromhex(previous) + msgspec.json.encode(event)).hexdigest()
        made.append(ev.Record(seq=seq, hash=previous, event=event))
    return made


def opening(ts: int = START, epoch: int = 1) -> list[ev.Journalled]:
    """A session on two instruments with an adopted balance of 100,000, reconciled, limits active."""
    described = tuple(msgspec.to_builtins(instrument) for instrument in (BTC, ETH))
    return [
        ev.SessionOpened(ts=ts, epoch=epoch, venue="paper", worker="paper", instruments=described),
        ev.BalanceAdopted(ts=ts, asset="USDT", total=100_000 * 10**8),
        ev.ReconciliationDone(ts=ts, ok=True, orders_checked=0, fills_adopted=0, breaks=()),
        ev.LimitsActivated(ts=ts, version=1, digest="d" * 64, limits={"max_order_notional": "10000"}),
        ev.FeedChanged(ts=ts, symbol="BTCUSDT", state=FeedState.LIVE, detail=""),
        ev.TradingStateChanged(
            ts=ts, state=TradingState.ACTIVE, reason="start", by="service:execution", control_version=1
        ),
    ]


def run_started(run_id: str, ts: int = START) -> ev.RunStarted:
    return ev.RunStarted(
        ts=ts,
        run_id=run_id,
        release="r" * 64,
        strategy="forecast_portfolio",
        params={},
        model_digest="m" * 64,
        limits_version=1,
    )


def intended(client_id: str, ts: int, **changes: Any) -> ev.OrderIntended:
    values: dict[str, Any] = {
        "ts": ts,
        "client_id": client_id,
        "run_id": "run-1",
        "symbol": "BTCUSDT",
        "side": Side.BUY,
        "order_type": OrderType.LIMIT,
        "tif": TimeInForce.IOC,
        "lots": 1000,
        "price": 5_000_000,
        "reduce_only": False,
        "reference": 5_000_000,
        "forecast_id": "f-1",
        "model_digest": "m" * 64,
        "limits_version": 1,
        "epoch": 1,
        "decision": {"target": "0.01"},
        "stages": {"receive_ns": 1000, "risk_ns": 9000},
    }
    return ev.OrderIntended(**{**values, **changes})


def filled(client_id: str, trade_id: int, ts: int, **changes: Any) -> ev.OrderFilled:
    values: dict[str, Any] = {
        "ts": ts,
        "client_id": client_id,
        "trade_id": trade_id,
        "symbol": "BTCUSDT",
        "side": Side.BUY,
        "lots": 1000,
        "price": 5_000_000,
        "fee": 1000,
        "fee_asset": "BTC",
        "maker": False,
        "ts_event": ts - 1000,
    }
    return ev.OrderFilled(**{**values, **changes})


def denied(client_id: str, ts: int, *reasons: Reason) -> ev.OrderDenied:
    return ev.OrderDenied(
        ts=ts,
        client_id=client_id,
        run_id="run-1",
        symbol="BTCUSDT",
        side=Side.BUY,
        lots=1000,
        price=5_000_000,
        reasons=reasons,
        inputs={"notional": "500"},
    )


def marked(ts: int, equity: int = 100_000, **changes: Any) -> ev.Marked:
    unit = 10**16
    values: dict[str, Any] = {
        "ts": ts,
        "equity": equity * unit,
        "realised": 0,
        "unrealised": 0,
        "fees": 0,
        "cash": equity * unit,
        "gross": 0,
        "drawdown": 0,
        "positions": {},
        "marks": {"BTCUSDT": 5_000_100},
    }
    return ev.Marked(**{**values, **changes})


def trading_day(seed: int, orders: int) -> list[ev.Journalled]:
    """A random, legal day: denials, fills in parts, cancels, rejections, unknown outcomes, late reports, marks."""
    rng = random.Random(seed)
    now, trade = START, 0
    day: list[ev.Journalled] = [*opening(), run_started("run-1")]
    for number in range(orders):
        now += rng.randrange(1, SECOND)
        client_id = f"g{seed}-{number}"
        instrument = rng.choice((BTC, ETH))
        side, lots = rng.choice((Side.BUY, Side.SELL)), rng.randrange(2, 5000)
        price = rng.randrange(4_900_000, 5_100_000)
        if rng.random() < 0.1:
            reasons = rng.sample(list(Reason), 2)
            day.append(msgspec.structs.replace(denied(client_id, now, *reasons), symbol=instrument.symbol))
            continue
        shape = {"symbol": instrument.symbol, "side": side, "lots": lots, "price": price}
        day.append(intended(client_id, now, **shape))
        if rng.random() < 0.05:
            day.append(ev.OrderNotSent(ts=now, client_id=client_id, detail="fenced"))
            continue
        day.append(ev.OrderSent(ts=now, client_id=client_id, stages={"send_ns": 5}))
        if rng.random() < 0.1:
            day.append(ev.OrderUnknown(ts=now, client_id=client_id, detail="timeout"))
        if rng.random() < 0.1:
            day.append(ev.OrderRejected(ts=now, client_id=client_id, code="-2010", message="insufficient balance"))
            continue
        reports: list[ev.Journalled] = [ev.OrderAccepted(ts=now, client_id=client_id, venue_order_id=str(number))]
        left = lots
        while left and rng.random() < 0.8:
            part = rng.randrange(1, left + 1)
            left -= part
            trade += 1
            fee_asset = rng.choice((instrument.base, "USDT", "BNB"))
            fill = {**shape, "lots": part, "fee": rng.randrange(0, 50), "fee_asset": fee_asset}
            reports.append(filled(client_id, trade, now, **fill))
            if rng.random() < 0.05:
                reports.append(reports[-1])
        if left:
            reports.append(ev.CancelRequested(ts=now, client_id=client_id, reason="end of bar"))
            reports.append(ev.OrderEnded(ts=now, client_id=client_id, status=OrderStatus.CANCELED, detail="by request"))
        if rng.random() < 0.2:
            rng.shuffle(reports)
        day.extend(reports)
        if rng.random() < 0.3:
            marks = {"BTCUSDT": price, "ETHUSDT": rng.randrange(300_000, 310_000)}
            day.append(marked(now, equity=100_000 + rng.randrange(-900, 900), marks=marks))
    day.append(ev.RunStopped(ts=now, run_id="run-1", reason="end of day"))
    return day
