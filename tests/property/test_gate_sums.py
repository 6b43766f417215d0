"""Running sums of the gate against sums over all instruments and orders, made anew: equal numbers, equal verdicts."""

from __future__ import annotations

import random
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.property.test_books_venues import abroad
from tests.support.kernels import BTC, ETH, LIMITS, START, Rig
from workers.engine import events as e
from workers.engine.config import DAY_NS
from workers.engine.instruments import ATOMS_PER_UNIT, Instrument, atoms
from workers.engine.risk import checks, scope_checks
from workers.engine.risk.checks import Proposal, place_of
from workers.engine.risk.gate import OrderRequest, RiskState, check
from workers.engine.risk.ledger import RiskLedger
from workers.engine.risk.optional_limits import ScopeLimits
from workers.engine.risk.scope_use import scope_uses
from workers.engine.risk.scopes import covers
from workers.engine.risk.var_snapshot import VarSnapshot
from workers.engine.vocabulary import OrderType, Reason, Side, TimeInForce

BETA = abroad("BTCUSDT", "BTC", "beta")
ITEMS = (BTC, ETH, BETA)
RUNS = {"run-1": "test_hand", "run-2": "other", "run-3": "third"}
COVARIANCE = ((0.0004, 0.0003, 0.00039), (0.0003, 0.0009, 0.0003), (0.00039, 0.0003, 0.0004))
LOSS = {"max_daily_loss": "3", "max_drawdown": "4", "max_gross_notional": "60"}


def limits_with(scale: int) -> dict[str, Any]:
    """Limits that orders of the test come near to, or do not; ``scale`` widens those on value."""
    return {
        **LIMITS,
        "max_open_orders": 100,
        "max_order_qty": {},
        "max_position": {},
        "snapshot_max_age_s": 10**6,
        "reference_max_age_ms": 10**9,
        "collar_bps": 9000,
        "max_var": str(3 * scale),
        "max_currency_notional": {"BTC": str(60 * scale)},
        "max_venue_notional": {"paper": str(70 * scale), "beta": str(30 * scale)},
        "max_net_notional": str(80 * scale),
        "desks": {"pair": ["test_hand", "other"], "all": ["test_hand", "other", "third"]},
        "scopes": {
            "desk:pair": {**LOSS, "max_open_orders": 4},
            "desk:all": {"max_gross_notional": str(90 * scale)},
            "strategy:test_hand": LOSS,
            "strategy:third": {"max_drawdown": "1", "max_open_orders": 2},
            "venue:paper": {"max_open_orders": 3, "max_gross_notional": str(60 * scale)},
            "venue:beta": {"max_open_orders": 2},
        },
    }


class Anew:
    """What the running sums stand for, summed over everything each time."""

    def __init__(self, state: RiskState) -> None:
        self.books = state.books
        self.ledger = state.ledger

    def open_of(self, members: Collection[str]) -> Iterator[tuple[str, int]]:
        """(symbol, signed atoms) of each open order of these strategies."""
        for order in self.books.open_orders():
            if self.ledger.runs.get(order.run_id, "") in members:
                yield order.symbol, int(order.side) * order.remaining * self.books.lines[order.symbol].lot_atoms

    def extremes(self, members: Collection[str], symbol: str) -> tuple[int, int]:
        uses = (self.ledger.strategies.get(name) for name in members)
        held = sum(use.atoms.get(symbol, 0) for use in uses if use is not None)
        queued = [count for own, count in self.open_of(members) if own == symbol]
        return held + sum(n for n in queued if n > 0), held + sum(n for n in queued if n < 0)

    def gross(self, members: Collection[str], but: str = "") -> int:
        total = 0
        for symbol, line in self.books.lines.items():
            if symbol != but:
                up, down = self.extremes(members, symbol)
                total += max(up, -down) * line.mark * line.value_factor
        return total

    def profit(self, members: frozenset[str]) -> int | None:
        made = 0
        for use in (self.ledger.strategies[name] for name in members if name in self.ledger.strategies):
            made += use.cash
            for symbol, count in use.atoms.items():
                line = self.books.lines[symbol]
                if count and not line.mark:
                    return None
                made += count * line.mark * line.value_factor
        return made

    def own_gross(self, p: Proposal, _: RiskState, members: frozenset[str]) -> tuple[int, int]:
        others = self.gross(members, p.order.symbol)
        up, down = self.extremes(members, p.order.symbol)
        before = others + max(up, -down) * p.per_atom
        size = p.order.lots * p.market.line.lot_atoms
        up, down = (up + size, down) if p.order.side is Side.BUY else (up, down - size)
        return before, others + max(up, -down) * p.per_atom

    def open_orders(self, _: RiskState, bound: ScopeLimits) -> int:
        if bound.members is not None:
            return len(list(self.open_of(bound.members)))
        lines = self.books.lines.values()
        return sum(len(line.open) for line in lines if line.instrument.venue == bound.scope.name)

    @contextmanager
    def judging(self) -> Iterator[None]:
        """Let the gate judge by these sums, and by the pairwise sum of the value at risk alone."""
        with (
            patch.object(scope_checks, "_own_gross", self.own_gross),
            patch.object(scope_checks, "open_orders_of", self.open_orders),
            patch.object(RiskLedger, "profit", lambda _, members: self.profit(members)),
            patch.object(checks, "_surely_within", lambda *_: False),
        ):
            yield


def rig_of() -> Rig:
    rig = Rig(ITEMS).open(cash="1000", limits=limits_with(1))
    for venue, asset in (("beta", "USDT@beta"), ("beta", "BTC@beta"), ("", "ETH")):
        rig.report(e.BalanceAdopted(ts=rig.now, asset=asset, total=atoms("100" if "USDT" in asset else "0.1", asset)))
        rig.report(e.ReconciliationDone(ts=rig.now, ok=True, orders_checked=0, fills_adopted=0, breaks=(), venue=venue))
    started: dict[str, Any] = {"release": "r", "params": {}, "model_digest": "", "limits_version": 1}
    for run, strategy in list(RUNS.items())[1:]:
        rig.kernel.desk.record(e.RunStarted(ts=START, run_id=run, strategy=strategy, **started))
    symbols = tuple(item.symbol for item in ITEMS)
    made = VarSnapshot(symbols=symbols, covariance=COVARIANCE, horizon_ns=DAY_NS, confidence=0.99, as_of=START)
    rig.take(rig.kernel.set_var_snapshot(START, made))
    for item in ITEMS:
        act(rig, ("top", item, 100_00))
    return rig


def request(item: Instrument, side: Side, lots: int, run: str) -> OrderRequest:
    fields: dict[str, Any] = {"order_type": OrderType.LIMIT, "tif": TimeInForce.GTC, "run_id": run}
    price = 100_00 + 50 * int(side)
    return OrderRequest(
        symbol=item.symbol, side=side, lots=lots * ATOMS_PER_UNIT // item.lot_atoms // 100, price=price, **fields
    )


def random_request(rng: random.Random) -> OrderRequest:
    item, side = rng.choice(ITEMS), rng.choice((Side.BUY, Side.BUY, Side.SELL))
    return request(item, side, rng.randint(10, 40), rng.choice(sorted(RUNS)))


def random_action(rng: random.Random) -> tuple[Any, ...]:
    kind = rng.choice(("top", "top", "order", "order", "order", "fill", "fill", "end", "limits", "adopt"))
    made: dict[str, tuple[Any, ...]] = {
        "top": (rng.choice(ITEMS), rng.randint(90_00, 110_00)),
        "order": (random_request(rng),),
        "fill": (rng.randrange(10), rng.randint(1, 4), rng.choice(["quote", "base", "ETH", "BNB"])),
        "end": (rng.randrange(10),),
        "limits": (rng.choice((1, 2, 3, 50)),),
        "adopt": (rng.choice(["BTC", "ETH", "BTC@beta"]), rng.randint(0, 10**8)),
    }
    return (kind, *made[kind])


def act(rig: Rig, action: tuple[Any, ...]) -> None:
    kind, *given_ = action
    rig.wait(0.5)
    working = rig.books.open_orders()
    if kind == "top":
        rig.top(given_[0].symbol, given_[1] - 1, given_[1] + 1)
    elif kind == "order":
        rig.kernel.desk.markets[given_[0].symbol].denied = 0
        rig.kernel.desk.now = rig.now
        rig.kernel.desk.order(given_[0])
        rig.take(rig.kernel.on_timer(rig.now))
    elif kind == "fill" and working:
        order = working[given_[0] % len(working)]
        line = rig.books.lines[order.symbol]
        named = {"quote": line.instrument.quote_key, "base": line.instrument.base_key}
        lots = max(order.remaining * given_[1] // 4, 1)
        rig.fill(order.client_id, lots, 100_00, fee=1000, fee_asset=named.get(given_[2], given_[2]))
    elif kind == "end" and working:
        rig.end(working[given_[0] % len(working)].client_id)
    elif kind == "limits":
        version = rig.kernel.books.limits_version + 1
        rig.limits(limits_with(given_[0]), version=version)
    elif kind == "adopt":
        rig.report(e.BalanceAdopted(ts=rig.now, asset=given_[0], total=given_[1]))


@given(st.integers(0, 2**32))
@settings(max_examples=25, deadline=None)
def test_verdicts_are_those_of_sums_made_anew(seed: int) -> None:
    rig, rng = rig_of(), random.Random(seed)
    state = rig.kernel.desk.risk
    anew = Anew(state)
    for _ in range(50):
        act(rig, random_action(rng))
        for members, group in state.ledger.groups.items():
            assert (group.gross, state.ledger.profit(members)) == (anew.gross(members), anew.profit(members))
        asked = random_request(rng)
        with patch.object(checks, "FEW", 0):
            quick = check(asked, "new", state, rig.now)
        with anew.judging():
            assert check(asked, "new", state, rig.now) == quick
    assert rig.kernel.books.open_count == sum(state.ledger.open_at.values())


def worst(anew: Anew, venue: str) -> int:
    """Worst-case exposure of the account's lines at a venue, order by order."""
    total = 0
    for symbol, line in anew.books.lines.items():
        if line.instrument.venue == venue:
            queued = [
                int(o.side) * o.remaining * line.lot_atoms for o in anew.books.open_orders() if o.symbol == symbol
            ]
            up, down = (line.position + sum(n for n in queued if n * side > 0) for side in (1, -1))
            total += max(up, -down, 0) * line.mark * line.value_factor
    return total


@given(st.integers(0, 2**32))
@settings(max_examples=25, deadline=None)
def test_the_use_that_is_shown_is_what_the_gate_judges_on_top_of(seed: int) -> None:
    rig, rng = rig_of(), random.Random(seed)
    state = rig.kernel.desk.risk
    anew = Anew(state)
    for _ in range(50):
        act(rig, random_action(rng))
        assert state.limits is not None
        assert state.limits.optional is not None
        bounds = {bound.name: bound for bound in state.limits.optional.scopes}
        uses = scope_uses(state, rig.now)
        assert {use.scope for use in uses} == {*bounds, "account", "currency:BTC", "venue:paper", "venue:beta"}
        for use in uses:
            bound = bounds.get(use.scope)
            if use.limit == "max_venue_notional":
                assert use.used == worst(anew, use.scope.partition(":")[2])
            elif use.limit == "max_open_orders" and bound is not None:
                assert use.used == anew.open_orders(state, bound)
            elif use.limit == "max_gross_notional" and bound is not None and bound.members is not None:
                assert use.used == anew.gross(bound.members)
            elif use.limit == "max_drawdown" and bound is not None and bound.members is not None:
                profit, mark = anew.profit(bound.members), state.ledger.marks.get(use.scope)
                lost = None if profit is None or mark is None else max(mark.peak - profit, 0)
                assert use.used == lost
        asked = random_request(rng)
        place = place_of(asked, state.books.lines[asked.symbol], state)
        full = [
            use.scope
            for use in uses
            if use.limit == "max_open_orders" and use.used is not None and use.used + 1 > use.most
        ]
        refused = any(covers(bounds[scope].scope, place) for scope in full)
        verdict = check(asked, "new", state, rig.now)
        assert (Reason.OPEN_ORDERS_ABOVE_LIMIT in verdict.reasons) == (refused or state.books.open_count + 1 > 100)


@given(
    st.lists(st.floats(-1e22, 1e22, allow_nan=False).map(lambda x: float(int(x))), min_size=3, max_size=3),
    st.floats(0.0, 0.999),
)
@settings(max_examples=150, deadline=None)
def test_the_quick_bound_of_a_deviation_is_above_it_and_close(values: list[float], correlation: float) -> None:
    sizes = (0.02, 0.03, 0.025)
    covariance = tuple(
        tuple(one * two * (1.0 if i == j else correlation) for j, two in enumerate(sizes))
        for i, one in enumerate(sizes)
    )
    made = VarSnapshot(symbols=("a", "b", "c"), covariance=covariance, horizon_ns=1, confidence=0.99, as_of=0)
    exact = made.deviation(dict(zip(made.symbols, values, strict=True)))
    assert exact is not None
    bound = made.most(values)
    scale = sum(abs(value) * size for value, size in zip(values, sizes, strict=True))
    assert exact <= bound <= exact * (1 + 1e-9) + scale * 1e-6
