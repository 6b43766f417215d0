"""Computes a rebalance run: the book from the records, prices from the venue, the answer from the engine."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import msgspec
import numpy as np
import structlog
from django.conf import settings

from apps.core.context import Context
from apps.core.money import plain
from apps.trading import selectors_rebalances as reads
from apps.trading.models import RebalanceRun
from apps.trading.services.rebalances import begin_rebalance, fail_rebalance, finish_rebalance
from workers.engine.instruments import ATOMS_PER_UNIT, money
from workers.engine.portfolio.policy import RebalancePolicy, parse_policy
from workers.engine.portfolio.problem import Floats, PortfolioError
from workers.engine.risk.stress import Prices
from workers.live.pasts import pasts
from workers.live.risk_market import INTERVALS, RiskMarket, base_url, shown_elsewhere

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class History:
    """Closes (T, n) at the times that every instrument has, and how many of each were left out for that."""

    closes: Floats
    interval_ns: int
    start: int
    end: int
    left_out: dict[str, int]
    missing: dict[str, int]
    """Bars that the venue itself does not have between its first and last, by symbol."""


def work(ctx: Context, run_id: str) -> str:
    """Compute the run if it still waits; return its state."""
    run = begin_rebalance(ctx, run_id=run_id)
    if run is None:
        return "taken"
    try:
        inputs, outcome = compute(ctx, run)
    except PortfolioError as error:
        return fail_rebalance(ctx, run_id=run_id, why=str(error)).state
    except Exception as error:
        # Whoever asked shall read what broke, not that no answer came.
        log.exception("rebalance_broke", run=run_id)
        return fail_rebalance(ctx, run_id=run_id, why=f"{type(error).__name__}: {error}").state
    return finish_rebalance(ctx, run_id=run_id, inputs=inputs, outcome=outcome).state


def compute(ctx: Context, run: RebalanceRun) -> tuple[dict[str, Any], dict[str, Any]]:
    """Inputs in a few words, and the outcome, both as plain JSON; PortfolioError when they cannot be had or used."""
    # A second of imports that only this task needs.
    from workers.engine.portfolio.run import Book, Held, rebalance  # noqa: PLC0415

    policy = parse_policy(run.policy)
    held = reads.holdings(run.venue_id, policy.symbols)
    if not held:
        raise PortfolioError(f"no execution session on {run.venue_id} has declared an instrument yet")
    quotes = sorted({one.instrument.quote for one in held})
    if len(quotes) > 1:
        raise PortfolioError(f"expected one quote asset, was {' and '.join(quotes)}; name the symbols of one")
    history = history_of([one.instrument.symbol for one in held], policy)
    book = Book(
        held=tuple(
            Held(
                instrument=one.instrument,
                lots=int(one.quantity * ATOMS_PER_UNIT / one.instrument.lot_atoms),
                price=price_of(one, float(history.closes[-1, column])),
            )
            for column, one in enumerate(held)
        ),
        cash=money(reads.free_cash(run.venue_id, quotes[0]), quotes[0]),
    )
    last = reads.last_done(run.venue_id)
    outcome = rebalance(
        policy,
        book,
        history.closes,
        interval_ns=history.interval_ns,
        now=int(ctx.now().timestamp() * 1e9),
        last=None if last is None else int(last.timestamp() * 1e9),
    )
    inputs = {
        "symbols": [one.instrument.symbol for one in held],
        "bars": len(history.closes),
        "interval": policy.interval,
        "start_ns": history.start,
        "end_ns": history.end,
        "left_out": history.left_out,
        "missing": history.missing,
        "quote": quotes[0],
        "held": {one.instrument.symbol: plain(one.quantity) for one in held},
        "cash": plain(reads.total_cash(run.venue_id, quotes[0])),
    }
    return inputs, msgspec.to_builtins(outcome)


def price_of(one: reads.Held, close: float) -> int:
    """Ticks of the newest mark, else of the last close."""
    price = one.mark if one.mark is not None else Decimal(str(close))
    ticks = int(price / one.instrument.tick)
    if ticks <= 0:
        raise PortfolioError(f"expected a positive price of {one.instrument.symbol}, was {price}")
    return ticks


def history_of(symbols: list[str], policy: RebalancePolicy) -> History:
    """Closed bars from the venue; PortfolioError when it does not answer, or has too few that belong together."""
    if policy.interval not in INTERVALS:
        raise PortfolioError(f"expected an interval of {', '.join(INTERVALS)}, was {policy.interval!r}")
    url = settings.GEKKO_VENUE_URL if settings.GEKKO_MODE == "paper" else None
    found: dict[str, Prices] = {}
    others = shown_elsewhere(settings.GEKKO_OTHER_VENUES)
    with RiskMarket(base_url(url), elsewhere=others, pasts=pasts()) as market:
        for symbol in symbols:
            prices = market.closes(symbol, policy.interval)
            if prices is None:
                raise PortfolioError(f"{market.problems[-1]}; is the venue up?")
            found[symbol] = prices
    return aligned(found, INTERVALS[policy.interval], policy.bars, missing=market.missing)


def aligned(found: dict[str, Prices], interval_ns: int, bars: int, *, missing: dict[str, int] | None = None) -> History:
    """The newest ``bars`` times that every instrument has a close at; nothing is filled in."""
    together = set.intersection(*(set(prices.times) for prices in found.values()))
    times = sorted(together)[-bars:]
    if len(times) < 3:
        least = min(found, key=lambda symbol: len(found[symbol].times))
        raise PortfolioError(
            f"{len(times)} bars belong together, 3 are needed; {least} has {len(found[least].times)}. "
            "Take a shorter interval or fewer symbols"
        )
    columns, left_out = [], {}
    for symbol, prices in found.items():
        by_time = dict(zip(prices.times, prices.closes, strict=True))
        columns.append([by_time[time] for time in times])
        left_out[symbol] = sum(times[0] <= time <= times[-1] for time in prices.times) - len(times)
    closes = np.array(columns, np.float64).T
    return History(closes, interval_ns, times[0], times[-1], left_out, missing or {})
