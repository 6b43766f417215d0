"""A kernel with its hands on: a rig that feeds inputs, sorts effects and checks what must always hold of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, ClassVar

from workers.engine import events as e
from workers.engine.accounting.books import Books, replay
from workers.engine.config import SECOND_NS, KernelConfig
from workers.engine.desk import Desk
from workers.engine.instruments import Instrument, atoms
from workers.engine.kernel import Kernel
from workers.engine.ports import Cancel, Effects, Journal, RequestForecast, Resync, Send
from workers.engine.risk.gate import OrderRequest
from workers.engine.risk.limits import limits_digest
from workers.engine.strategy import Params, Strategy, register
from workers.engine.vocabulary import FeedState, OrderStatus, OrderType, Side, TimeInForce, TradingState

START = 1_750_032_000 * SECOND_NS
"""A UTC midnight."""


def instrument(symbol: str, base: str, tick: str = "0.01", lot: str = "0.00001", **changes: Any) -> Instrument:
    fields: dict[str, Any] = {
        "venue": "paper",
        "symbol": symbol,
        "base": base,
        "quote": "USDT",
        "tick": Decimal(tick),
        "lot": Decimal(lot),
        "min_lots": 1,
        "max_lots": 10**9,
        "min_notional": Decimal(10),
        "maker_fee": Decimal("0.001"),
        "taker_fee": Decimal("0.001"),
    }
    return Instrument(**{**fields, **changes})


BTC = instrument("BTCUSDT", "BTC")
ETH = instrument("ETHUSDT", "ETH", lot="0.0001")

LIMITS: dict[str, Any] = {
    "max_order_qty": {"BTCUSDT": "1", "ETHUSDT": "20"},
    "max_order_notional": "20000",
    "max_position": {"BTCUSDT": "2", "ETHUSDT": "40"},
    "max_gross_notional": "60000",
    "max_open_orders": 5,
    "collar_bps": 100,
    "reference_max_age_ms": 5000,
    "forecast_max_age_bars": 2,
    "min_order_interval_ms": 0,
    "max_orders_per_second": 1000,
    "burst": 1000,
    "duplicate_window_ms": 0,
    "max_daily_loss": "2000",
    "max_drawdown": "5000",
    "restricted": [],
    "snapshot_max_age_s": 60,
    "target_gross_fraction": "0.5",
}


class HandParams(Params, frozen=True):
    """Nothing to set."""


@register("test_hand", HandParams)
class Hand(Strategy[HandParams]):
    """Orders nothing by itself; remembers what it heard."""

    heard: ClassVar[list[str]] = []

    def on_fill(self, desk: Desk, fill: e.OrderFilled) -> None:
        self.heard.append(f"fill {fill.trade_id}")


class Rig:
    """Drives one kernel by seconds after ``START``; ``journal`` is what a journal would hold."""

    def __init__(self, instruments: Sequence[Instrument] = (BTC, ETH), **config: Any) -> None:
        self.kernel = Kernel(KernelConfig(**{"max_pause_ns": 0, **config}))
        self.instruments = instruments
        self.now = START
        self.journal: list[e.JournalEvent] = []
        self.sent: list[Send] = []
        self.cancels: list[Cancel] = []
        self.requests: list[RequestForecast] = []
        self.resyncs: list[Resync] = []
        self.trade_id = 0

    @property
    def books(self) -> Books:
        return self.kernel.books

    def take(self, effects: Effects) -> Effects:
        """Sort effects as a host would, and refuse a send whose intent no journal has."""
        for effect in effects:
            if isinstance(effect, Journal):
                self.journal.append(effect.event)
            elif isinstance(effect, Send):
                assert any(event is effect.intent for event in self.journal), "sent before it was journalled"
                self.sent.append(effect)
            elif isinstance(effect, Cancel):
                asked = [x for x in self.journal if isinstance(x, e.CancelRequested)]
                assert any(x.client_id == effect.client_id for x in asked), "cancelled before it was journalled"
                self.cancels.append(effect)
            elif isinstance(effect, RequestForecast):
                self.requests.append(effect)
            else:
                self.resyncs.append(effect)
        return effects

    def open(
        self, *, epoch: int = 1, cash: str = "100000", limits: Mapping[str, Any] | None = None, plan: Any = None
    ) -> Rig:
        """Session, limits, balance, reconciliation, ACTIVE, a run, and live feeds."""
        now, kernel = self.now, self.kernel
        self.take(
            kernel.open_session(now, epoch=epoch, venue="paper", worker="test", instruments=list(self.instruments))
        )
        self.limits(limits or LIMITS)
        self.report(e.BalanceAdopted(ts=now, asset="USDT", total=atoms(cash, "USDT")))
        self.reconcile()
        self.state(TradingState.ACTIVE, 1)
        self.take(kernel.start_run(now, plan or self.plan()))
        for item in self.instruments:
            self.feed(item.symbol, FeedState.LIVE)
        return self

    def plan(self, strategy: str = "test_hand", **changes: Any) -> dict[str, Any]:
        return {
            "run_id": "run-1",
            "release": "release-1",
            "strategy": strategy,
            "params": {},
            "model_digest": "",
            "limits_version": 1,
            "instruments": [item.symbol for item in self.instruments],
            "interval_ns": SECOND_NS,
            **changes,
        }

    def limits(self, limits: Mapping[str, Any], version: int = 1) -> None:
        digest = limits_digest(limits)
        self.take(self.kernel.activate_limits(self.now, version=version, digest=digest, limits=limits))

    def state(self, state: TradingState, version: int) -> Effects:
        return self.take(
            self.kernel.set_state(self.now, state=state, reason="test", by="operator", control_version=version)
        )

    def reconcile(self, *, ok: bool = True) -> None:
        breaks = () if ok else ("BTC 1 is not 2",)
        self.report(e.ReconciliationDone(ts=self.now, ok=ok, orders_checked=0, fills_adopted=0, breaks=breaks))

    def feed(self, symbol: str, state: FeedState, *, session_id: int = 1, closes_at: int = 0) -> Effects:
        status = e.FeedStatus(
            symbol=symbol, ts_event=self.now, ts_recv=self.now, state=state, session_id=session_id, closes_at=closes_at
        )
        return self.take(self.kernel.on_status(status, self.now))

    def top(self, symbol: str, bid: int, ask: int) -> Effects:
        top = e.TopOfBook(
            symbol=symbol,
            ts_event=self.now,
            ts_recv=self.now,
            update_id=1,
            bid=bid,
            bid_lots=10**6,
            ask=ask,
            ask_lots=10**6,
        )
        return self.take(self.kernel.on_top(top, self.now))

    def bar(self, symbol: str, close: int, end: int | None = None) -> Effects:
        end = self.now if end is None else end
        return self.take(self.kernel.on_bar(make_bar(symbol, close, end), self.now))

    def report(self, event: e.JournalEvent) -> Effects:
        return self.take(self.kernel.on_report(event, self.now))

    def order(self, symbol: str, side: Side, lots: int, price: int = 0, **fields: Any) -> str | None:
        """Order as a strategy would; returns the client id or None."""
        kind = OrderType.LIMIT if price else OrderType.MARKET
        tif = fields.pop("tif", TimeInForce.GTC)
        request = OrderRequest(
            symbol=symbol, side=side, lots=lots, price=price, **{"order_type": kind, "tif": tif, **fields}
        )
        self.kernel.desk.now = self.now
        client_id = self.kernel.desk.order(request)
        self.take(self.kernel.on_timer(self.now))
        return client_id

    def accept(self, client_id: str) -> None:
        self.report(e.OrderSent(ts=self.now, client_id=client_id, stages={}))
        self.report(e.OrderAccepted(ts=self.now, client_id=client_id, venue_order_id=f"v{client_id[-1]}"))

    def fill(self, client_id: str, lots: int, price: int, fee: int = 0, fee_asset: str = "USDT") -> e.OrderFilled:
        order = self.books.orders[client_id]
        self.trade_id += 1
        fill = make_fill(client_id, order.symbol, order.side, lots, price, self.trade_id, self.now, fee, fee_asset)
        self.report(fill)
        return fill

    def end(self, client_id: str, status: OrderStatus = OrderStatus.CANCELED) -> None:
        self.report(e.OrderEnded(ts=self.now, client_id=client_id, status=status, detail=""))

    def wait(self, seconds: float) -> Rig:
        self.now += int(seconds * SECOND_NS)
        return self

    def last_denial(self) -> set[str]:
        event = next(event for event in reversed(self.journal) if isinstance(event, e.OrderDenied))
        return {reason.value for reason in event.reasons}

    def check_replay(self) -> None:
        """The journal gives the same books."""
        assert replay(self.journal).snapshot() == self.books.snapshot()


def make_bar(symbol: str, close: int, end: int, interval_ns: int = SECOND_NS) -> e.Bar:
    return e.Bar(
        symbol=symbol,
        ts_event=end,
        ts_recv=end,
        start=end - interval_ns,
        interval_ns=interval_ns,
        open=close,
        high=close,
        low=close,
        close=close,
        volume=1,
        trades=1,
    )


def make_fill(
    client_id: str,
    symbol: str,
    side: Side,
    lots: int,
    price: int,
    trade_id: int,
    ts: int = START,
    fee: int = 0,
    fee_asset: str = "USDT",
) -> e.OrderFilled:
    return e.OrderFilled(
        ts=ts,
        client_id=client_id,
        trade_id=trade_id,
        symbol=symbol,
        side=side,
        lots=lots,
        price=price,
        fee=fee,
        fee_asset=fee_asset,
        maker=False,
        ts_event=ts,
    )
