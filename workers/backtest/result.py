"""What came of a backtest: figures, tables, and a fingerprint that is the same whenever the inputs are.

Tables are pandas data frames, made when they are asked for. Money and quantities in them are floats, for looking at;
the exact integers are in ``fills``, ``closed`` and the journal.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from functools import cached_property
from math import isfinite
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
import pandas as pd

from workers.backtest import stats
from workers.backtest.config import BacktestConfig
from workers.backtest.trades import ClosedTrade, closed_trades
from workers.engine.events import FeedChanged, Marked, OrderDenied, OrderFilled, RunStarted
from workers.engine.instruments import MONEY_PER_ATOM, MONEY_PER_UNIT, Instrument

if TYPE_CHECKING:
    from workers.backtest.books import Replay
    from workers.backtest.data import BarSeries
    from workers.backtest.simulator import Simulator

Floats = stats.Floats
Ints = stats.Ints


class Result:
    """One finished backtest. ``times`` (ns) and ``equity`` (quote asset) are the series all figures come from."""

    def __init__(self, simulator: Simulator, config: BacktestConfig, *, data: str, label: str, cpu_s: float) -> None:
        self.config = config
        self.label = label
        self.cpu_s = cpu_s
        """CPU seconds of the run itself; in no output that must be the same twice."""
        self.events = 0
        """Bars or market events that were traded on."""
        self.gaps = 0
        self.inputs = config.digest(data)
        self.instruments: dict[str, Instrument] = {one.symbol: one for one in simulator.instruments}
        self.kernel = simulator.kernel
        self.journal = simulator.journal
        self.quote = simulator.quote
        self.fills = [event for event in self.journal.events if type(event) is OrderFilled]
        self.closed: list[ClosedTrade] = closed_trades(self.fills, self.instruments)
        self.times: Ints = np.zeros(0, np.int64)
        self.equity: Floats = np.zeros(0)
        self.gross: Floats = np.zeros(0)
        self.holdings: dict[str, Floats] = {}
        """Quantity held by symbol, at ``times``."""

    @classmethod
    def of_bars(
        cls, simulator: Simulator, config: BacktestConfig, series: Sequence[BarSeries], *, cpu_s: float
    ) -> Result:
        """Equity at the close of every bar, from the executions before it."""
        label = ", ".join(one.instrument.symbol for one in series)
        data = hashlib.sha256("".join(one.digest for one in series).encode()).hexdigest()
        made = cls(simulator, config, data=data, label=label, cpu_s=cpu_s)
        made.events = sum(len(one) - config.warm for one in series)
        made.gaps = sum(one.gaps for one in series)
        ends = [one.start[config.warm :] + one.interval_ns for one in series]
        made.times = ends[0] if len(ends) == 1 else np.unique(np.concatenate(ends))
        closes = {
            one.instrument.symbol: _at(
                made.times, end, np.multiply(one.close[config.warm :], float(one.instrument.tick), dtype=np.float64)
            )
            for one, end in zip(series, ends, strict=True)
        }
        made.value(closes)
        return made

    @classmethod
    def of_replay(
        cls, simulator: Simulator, config: BacktestConfig, data: Replay, *, events: int, cpu_s: float
    ) -> Result:
        """Equity as the kernel sampled it."""
        made = cls(simulator, config, data=data.digest, label=data.label, cpu_s=cpu_s)
        made.events = events
        started = next(place for place, event in enumerate(made.journal.events) if type(event) is RunStarted)
        marks = [event for event in made.journal.events[started:] if type(event) is Marked]
        marks.append(simulator.kernel.valuation.sample(simulator.kernel.desk.now))
        made.times = np.array([mark.ts for mark in marks], np.int64)
        made.equity = np.array([mark.equity / MONEY_PER_UNIT for mark in marks])
        made.gross = np.array([mark.gross / MONEY_PER_UNIT for mark in marks])
        made.holdings = {
            symbol: np.array([mark.positions.get(symbol, 0) / 10**8 for mark in marks]) for symbol in made.instruments
        }
        return made

    def value(self, closes: Mapping[str, Floats]) -> None:
        """Value cash and positions at the closes: executions count from the first close after them."""
        cash, steps = self.kernel.books.capital, [float(self.kernel.books.capital)]
        held = dict.fromkeys(self.instruments, 0)
        moves: dict[str, list[int]] = {symbol: [0] for symbol in self.instruments}
        for fill in self.fills:
            instrument, sign = self.instruments[fill.symbol], int(fill.side)
            cash -= sign * fill.price * fill.lots * instrument.lot_value
            held[fill.symbol] += sign * fill.lots * instrument.lot_atoms
            if fill.fee_asset == instrument.base:
                held[fill.symbol] -= fill.fee
            else:
                cash -= fill.fee * MONEY_PER_ATOM
            steps.append(float(cash))
            for symbol, move in moves.items():
                move.append(held[symbol])
        place = np.searchsorted(np.array([fill.ts for fill in self.fills], np.int64), self.times, side="left")
        self.holdings = {symbol: np.array(move)[place] / 1e8 for symbol, move in moves.items()}
        worth = {symbol: held * closes[symbol] for symbol, held in self.holdings.items()}
        self.gross = np.sum([np.abs(value) for value in worth.values()], axis=0)
        self.equity = np.array(steps)[place] / MONEY_PER_UNIT + np.sum(list(worth.values()), axis=0)

    # -- figures

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 over inputs, executions, closed trades and the head of the journal's hash chain."""
        made = hashlib.sha256(f"{self.inputs}\n{self.journal.head}\n".encode())
        encode = msgspec.json.encode
        for fill in self.fills:
            made.update(encode((fill.ts, fill.symbol, fill.side, fill.lots, fill.price, fill.fee, fill.fee_asset)))
        for trade in self.closed:
            made.update(encode(tuple(trade)))
        return made.hexdigest()

    @cached_property
    def summary(self) -> dict[str, Any]:
        """Every figure, ready for JSON; fractions, and money in the quote asset. None: not defined."""
        books = self.kernel.books
        capital = stats.money(books.capital)
        turnover = sum(fill.price * fill.lots * self.instruments[fill.symbol].lot_value for fill in self.fills)
        figures = {
            "strategy": self.config.strategy,
            "data": self.label,
            "quote": self.quote,
            "start": _iso(self.times[0]) if len(self.times) else None,
            "end": _iso(self.times[-1]) if len(self.times) else None,
            "events": self.events,
            "gaps": self.gaps,
            "capital": capital,
            "equity": float(self.equity[-1]) if len(self.equity) else capital,
            **(stats.equity_figures(self.times, self.equity, capital) if len(self.equity) > 1 else {}),
            "exposure": self.exposure,
            **stats.trade_figures(self.closed),
            "orders": len(books.orders),
            "denied": dict(sorted(books.denied.items())),
            "fees": stats.money(books.fees),
            "turnover": stats.money(turnover),
            "open_positions": self.open_positions,
            **(stats.var_figures(self.times, self.equity) if len(self.equity) > 1 else {}),
            "feed_changes": sum(type(event) is FeedChanged for event in self.journal.events),
            "journal_records": len(self.journal.events),
            "journal_head": self.journal.head,
            "inputs": self.inputs,
            "fingerprint": self.fingerprint,
        }
        return {
            name: None if isinstance(value, float) and not isfinite(value) else value for name, value in figures.items()
        }

    @property
    def exposure(self) -> float:
        """Part of the time in which at least one lot of something was held."""
        lots = {symbol: float(one.lot) for symbol, one in self.instruments.items()}
        holding = [np.abs(held) >= lots[symbol] for symbol, held in self.holdings.items()]
        return float(np.mean(np.any(holding, axis=0))) if len(self.times) else 0.0

    @property
    def open_positions(self) -> dict[str, float]:
        """What was still held at the end, remainders below a lot left out."""
        return {
            symbol: float(held[-1])
            for symbol, held in self.holdings.items()
            if len(held) and abs(held[-1]) >= float(self.instruments[symbol].lot)
        }

    def to_json(self) -> bytes:
        """Settings and figures; the same bytes for the same inputs."""
        body = {"config": msgspec.to_builtins(self.config), "summary": self.summary}
        return msgspec.json.format(msgspec.json.encode(body, order="sorted"), indent=2) + b"\n"

    # -- tables

    @property
    def index(self) -> pd.DatetimeIndex:
        """``times`` in UTC."""
        return pd.DatetimeIndex(pd.to_datetime(self.times, utc=True), name="time")

    @cached_property
    def equity_frame(self) -> pd.DataFrame:
        """By time: equity, drawdown (fraction), gross exposure in the quote asset."""
        columns = {"equity": self.equity, "drawdown": stats.drawdowns(self.equity), "gross": self.gross}
        return pd.DataFrame(columns, index=self.index)

    @cached_property
    def positions(self) -> pd.DataFrame:
        """By time and symbol: quantity held."""
        return pd.DataFrame(self.holdings, index=self.index)

    @cached_property
    def trades(self) -> pd.DataFrame:
        """Closed trades."""
        rows = [
            {
                "symbol": trade.symbol,
                "side": "long" if trade.side > 0 else "short",
                "entry_time": pd.Timestamp(trade.entry_ns, tz="UTC"),
                "exit_time": pd.Timestamp(trade.exit_ns, tz="UTC"),
                "quantity": float(self.instruments[trade.symbol].quantity(trade.lots)),
                "entry_price": trade.entry_price * float(self.instruments[trade.symbol].tick),
                "exit_price": trade.exit_price * float(self.instruments[trade.symbol].tick),
                "pnl": stats.money(trade.pnl),
                "fees": stats.money(trade.fees),
            }
            for trade in self.closed
        ]
        return pd.DataFrame(rows, columns=None if rows else list(TRADE_COLUMNS))

    @cached_property
    def orders(self) -> pd.DataFrame:
        """Every order that passed the gate, and what became of it; denied ones have the status DENIED and reasons."""
        rows = [
            {
                "time": pd.Timestamp(order.created, tz="UTC"),
                "client_id": order.client_id,
                "symbol": order.symbol,
                "side": order.side.name,
                "type": order.order_type.value,
                "quantity": float(self.instruments[order.symbol].quantity(order.lots)),
                "price": float(self.instruments[order.symbol].price(order.price)),
                "filled": float(self.instruments[order.symbol].quantity(order.filled)),
                "status": order.status.value,
                "detail": order.detail,
            }
            for order in self.kernel.books.orders.values()
        ]
        denied = [
            {
                "time": pd.Timestamp(event.ts, tz="UTC"),
                "client_id": event.client_id,
                "symbol": event.symbol,
                "side": event.side.name,
                "quantity": float(self.instruments[event.symbol].quantity(event.lots)),
                "status": "DENIED",
                "detail": ", ".join(event.reasons),
            }
            for event in self.journal.events
            if type(event) is OrderDenied and event.symbol in self.instruments
        ]
        return pd.DataFrame([*rows, *denied]).sort_values("time", kind="stable") if rows or denied else pd.DataFrame()


TRADE_COLUMNS = (
    *("symbol", "side", "entry_time", "exit_time", "quantity", "entry_price", "exit_price", "pnl", "fees"),
)


def _at(times: Ints, known: Ints, values: Floats) -> Floats:
    """Newest value at each time; the first one before it was known."""
    return values[np.maximum(np.searchsorted(known, times, side="right") - 1, 0)]


def _iso(ns: int) -> str:
    return pd.Timestamp(int(ns), tz="UTC").isoformat()
