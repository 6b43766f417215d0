"""What the screens see of the loop: rows for the live topics, decimals as strings, made from the kernel's own state."""

from __future__ import annotations

import asyncio
import time
from decimal import Decimal
from typing import Any, Final, Protocol

from workers.engine.accounting.line import Line
from workers.engine.config import SECOND_NS
from workers.engine.instruments import ATOM_DECIMALS, from_atoms, from_money
from workers.engine.market.view import MarketView
from workers.engine.market_state import MarketState
from workers.engine.risk.limits import UNBOUNDED
from workers.engine.risk.scope_use import COUNTS, ScopeUse, scope_uses
from workers.live.execution.loop import TradingLoop
from workers.live.execution.parents import parent_row, plain
from workers.live.execution.venue_session import VenueSession

INTERVAL_S: Final = 0.25
SLOW_EVERY: Final = 4
"""Latency quantiles and limit use are made once a second."""


class Bus(Protocol):
    """Where rows go; must not block."""

    def put(self, topic: str, key: str, data: Any) -> None: ...


def pnl_row(loop: TradingLoop) -> dict[str, Any]:
    """The account at the newest marks."""
    books, valuation = loop.kernel.books, loop.kernel.valuation
    return {
        "venue": loop.config.venue,
        "quote": books.quote,
        "equity": plain(from_money(valuation.equity)),
        "realised": plain(from_money(books.realised)),
        "unrealised": plain(from_money(valuation.unrealised)),
        "fees": plain(from_money(books.fees)),
        "pnl": plain(from_money(valuation.pnl)),
        "day_pnl": plain(from_money(valuation.day_pnl)),
        "cash": plain(from_money(books.cash)),
        "gross": plain(from_money(valuation.gross)),
        "drawdown": plain(from_money(valuation.drawdown)),
        "fills": books.fills,
        "open_orders": books.open_count,
        "at_ms": time.time_ns() // 1_000_000,
    }


def position_row(loop: TradingLoop, line: Line) -> dict[str, Any]:
    """One instrument's position at its mark."""
    instrument = line.instrument
    quantity, cost = from_atoms(line.position), from_money(line.cost)
    value = from_money(line.position * line.mark * line.value_factor)
    return {
        "venue": loop.config.venue,
        "symbol": line.symbol,
        "quantity": plain(quantity),
        "average_price": plain((cost / quantity).quantize(instrument.tick)) if quantity else None,
        "cost": plain(cost),
        "mark": plain(instrument.price(line.mark)) if line.mark else None,
        "value": plain(value) if line.mark else None,
        "unrealised": plain(value - cost) if line.mark else None,
        "realised": plain(from_money(line.realised)),
        "fees": plain(from_money(line.fees)),
        "open_buy": plain(instrument.quantity(line.open_buy)),
        "open_sell": plain(instrument.quantity(line.open_sell)),
    }


def feed_row(
    loop: TradingLoop, session: VenueSession, view: MarketView, market: MarketState, now: int
) -> dict[str, Any]:
    """One instrument's market data."""
    instrument, info, top = view.instrument, session.market, view.top
    forecast = market.forecast
    return {
        "venue": loop.config.venue,
        "symbol": instrument.symbol,
        "state": view.state.value,
        "detail": view.detail,
        "bid": plain(instrument.price(top.bid)) if top else None,
        "ask": plain(instrument.price(top.ask)) if top else None,
        "age_ms": (now - market.reference_ts) // 1_000_000 if market.reference_ts else None,
        "session_id": view.session_id,
        "closes_at_ms": view.closes_at // 1_000_000,
        "resyncs": view.resyncs,
        "refused": dict(view.gate.counters),
        "market": info.market if info else "exchange",
        "label": info.label if info else session.name,
        "bars": len(market.closes),
        "forecast_age_ms": (now - forecast.as_of) // 1_000_000 if forecast else None,
        "confidence": round(forecast.confidence, 4) if forecast else None,
    }


def absent_row(loop: TradingLoop, session: VenueSession, market: MarketState) -> dict[str, Any]:
    """The same of an instrument whose venue does not answer; the journal knows it."""
    empty = dict.fromkeys(("bid", "ask", "age_ms", "forecast_age_ms", "confidence"))
    return {
        **empty,
        "venue": loop.config.venue,
        "symbol": market.symbol,
        "state": market.feed.value,
        "detail": f"{session.name} does not answer: {session.problem}",
        "session_id": 0,
        "closes_at_ms": 0,
        "resyncs": 0,
        "refused": {},
        "market": "away",
        "label": session.name,
        "bars": 0,
    }


def risk_row(loop: TradingLoop, now: int) -> dict[str, Any]:
    """Use of the limits in force, and what else decides whether an order may leave."""
    books, risk, valuation = loop.kernel.books, loop.kernel.desk.risk, loop.kernel.valuation
    limits = risk.limits
    row: dict[str, Any] = {
        "venue": loop.config.venue,
        "state": books.state.value,
        "reason": books.state_reason,
        "control_version": books.control_version,
        "reconciled": risk.reconciled,
        "venues": {session.name: venue_row(session) for session in loop.venues},
        "limits_version": books.limits_version,
        "limits_fresh": limits is not None and now <= risk.limits_until,
        "denied": dict(books.denied),
        "runs": list(books.runs),
        "anomalies": len(books.anomalies),
    }
    if limits is not None:
        row["use"] = {
            "gross": _use(valuation.gross, limits.max_gross),
            "daily_loss": _use(max(-valuation.day_pnl, 0), limits.max_daily_loss),
            "drawdown": _use(valuation.drawdown, limits.max_drawdown),
            "open_orders": {
                "used": str(books.open_count),
                "limit": str(limits.max_open_orders),
                "fraction": _fraction(books.open_count, limits.max_open_orders),
            },
            "positions": {
                symbol: {
                    "used": plain(from_atoms(abs(line.position))),
                    "limit": plain(from_atoms(limit)),
                    "fraction": _fraction(abs(line.position), limit),
                }
                for symbol, line in books.lines.items()
                # A symbol without a limit of its own is bounded by value alone.
                if (limit := limits.max_position.get(symbol, 0)) < UNBOUNDED
            },
            "scopes": [scope_row(use) for use in scope_uses(risk, now)],
        }
    return row


def scope_row(use: ScopeUse) -> dict[str, Any]:
    """Use of one limit of a desk, a strategy, a venue ..., as the gate counts it; ``used`` is null while not known."""
    plainly = str if use.limit in COUNTS else _money
    return {
        "scope": use.scope,
        "limit": use.limit,
        "used": None if use.used is None else plainly(use.used),
        "most": plainly(use.most),
        "fraction": None if use.used is None else _fraction(use.used, use.most),
    }


def _money(units: int) -> str:
    return plain(from_money(units).quantize(Decimal(1).scaleb(-ATOM_DECIMALS)))


def _use(used: int, limit: int) -> dict[str, Any]:
    return {
        "used": _money(used),
        "limit": plain(from_money(limit)),
        "fraction": _fraction(used, limit),
    }


def _fraction(used: int, limit: int) -> float | None:
    """Share of a limit in use, for a bar on the screen; None where the limit is zero."""
    return round(used / limit, 4) if limit else None


def latency_row(loop: TradingLoop) -> dict[str, Any]:
    """Stages of orders, and how the forecasts come."""
    heard = loop.forecast_heard
    return {
        "worker": loop.config.worker,
        "stages": loop.stages.quantiles(),
        "forecasts_asked": loop.forecast_asked,
        "forecast_queue_ns": heard.queue_ns if heard else None,
        "forecast_compute_ns": heard.compute_ns if heard else None,
        "market_events": sum(one.feed.events for one in loop.venues if one.feed),
    }


class Publisher:
    """Puts rows on the bus four times a second, for as long as the loop lives."""

    def __init__(self, loop: TradingLoop, bus: Bus) -> None:
        self._loop = loop
        self._bus = bus
        self._round = 0

    async def run(self) -> None:
        """Until cancelled."""
        await self._loop.ready.wait()
        while True:
            self.publish(time.time_ns())
            await asyncio.sleep(INTERVAL_S)

    def publish(self, now: int) -> None:
        """Put the present state on the bus."""
        loop, bus = self._loop, self._bus
        bus.put("pnl", loop.config.venue, pnl_row(loop))
        for symbol, line in loop.kernel.books.lines.items():
            bus.put("positions", f"{loop.config.venue}:{symbol}", position_row(loop, line))
        for session in loop.venues:
            self._publish_feed(session, now)
        for parent in list(loop.kernel.books.working.values()):
            bus.put("parent_progress", parent.parent_id, parent_row(loop, parent))
        self._round += 1
        if self._round % SLOW_EVERY == 1:
            bus.put("risk", loop.config.venue, risk_row(loop, now))
            bus.put("latency", loop.config.worker, latency_row(loop))

    def _publish_feed(self, session: VenueSession, now: int) -> None:
        loop, markets = self._loop, self._loop.kernel.desk.markets
        if session.feed is not None:
            for symbol, view in session.feed.views.items():
                row = feed_row(loop, session, view, markets[symbol], now)
                self._bus.put("feed", f"{loop.config.venue}:{symbol}", row)
        elif not session.met:
            for symbol in session.books.known():
                row = absent_row(loop, session, markets[symbol])
                self._bus.put("feed", f"{loop.config.venue}:{symbol}", row)


def venue_row(session: VenueSession) -> dict[str, Any]:
    """How one venue is."""
    return {"connected": session.connected, "reconciled": session.reconciled, "problem": session.problem}


def status(loop: TradingLoop, problem: str) -> dict[str, Any]:
    """Everything that a person or the deployment asks about the loop."""
    books = loop.kernel.books
    feeds = [session.feed for session in loop.venues if session.feed is not None]
    return {
        "phase": loop.phase,
        "venues": {session.name: venue_row(session) for session in loop.venues},
        "epoch": loop.journal.epoch,
        "venue": loop.config.venue,
        "state": books.state.value,
        "reason": books.state_reason,
        "control_version": books.control_version,
        "reconciled": loop.reconciled,
        "connected": loop.connected,
        "journal_seq": loop.journal.position.seq,
        "journal_durable_seq": loop.journal.durable_seq,
        "journal_problem": loop.gateway.broken,
        "limits_version": books.limits_version,
        "runs": list(books.runs),
        "open_orders": books.open_count,
        "fills": books.fills,
        "feeds": {symbol: view.state.value for feed in feeds for symbol, view in feed.views.items()},
        "late_wakes": loop.kernel.gaps,
        "tick_age_s": round(time.monotonic() - loop.last_tick, 3) if loop.last_tick else None,
        "problem": problem,
        "at": time.time_ns() // SECOND_NS,
    }
