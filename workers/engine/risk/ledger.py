"""What the gate must remember by strategy and by scope, rebuilt from the journal after a restart.

Positions and cash flow by strategy (its own fills alone), orders and turnover of the UTC day, times of its newest
orders, halted scopes, and high-water mark and day's start of scopes whose loss is bounded. Its only change is
``apply``, event by event, after the books took the event.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from typing import Any, ClassVar, Final, NamedTuple

import msgspec

from workers.engine import events as e
from workers.engine.accounting.books import Books
from workers.engine.accounting.line import Line
from workers.engine.config import DAY_NS
from workers.engine.execution.orders import Order
from workers.engine.instruments import MONEY_PER_ATOM, split_key
from workers.engine.risk.groups import Group
from workers.engine.risk.optional_limits import ScopeLimits
from workers.engine.risk.scopes import Scope, ScopeKind, parse_scope
from workers.engine.risk.volume import VolumeWindow
from workers.engine.vocabulary import Side

_REPORTS: Final = (e.OrderAccepted, e.OrderRejected, e.OrderNotSent, e.OrderUnknown, e.OrderEnded)
"""After these an open order may count more or less; asked for only while open orders are kept by strategy."""
REMEMBERED_TIMES: Final = 1000
"""Newest orders of a strategy; also the largest number that the throttle of repeated executions may be set to."""


class StrategyUse:
    """One strategy's own part of the account."""

    __slots__ = ("atoms", "cash", "day", "groups", "open_count", "open_value", "orders", "times", "turnover")

    def __init__(self) -> None:
        self.groups: tuple[Group, ...] = ()
        """Groups that this strategy belongs to."""
        self.atoms: dict[str, int] = {}
        """Atoms bought less sold, by symbol."""
        self.cash = 0
        """Money units received less paid, fees included: with the worth of ``atoms`` it is the profit."""
        self.day = 0
        self.orders = 0
        self.turnover = 0
        self.times: deque[int] = deque(maxlen=REMEMBERED_TIMES)
        self.forget_open()

    def forget_open(self) -> None:
        """Count no open order."""
        self.open_count = 0
        self.open_value = 0
        """Money units that open orders may still trade for: at their limit, or the price that they were judged by."""

    def state(self) -> UseState:
        """What the journal says of it."""
        return UseState(self.atoms, self.cash, self.day, self.orders, self.turnover, list(self.times))

    def restore(self, state: UseState) -> None:
        """Go on from ``state``."""
        self.atoms, self.cash, self.day = state.atoms, state.cash, state.day
        self.orders, self.turnover = state.orders, state.turnover
        self.times.extend(state.times)

    def hold(self, line: Line, atoms: int) -> None:
        """Change the position by ``atoms``."""
        before = self.atoms.get(line.symbol, 0)
        self.atoms[line.symbol] = after = before + atoms
        for group in self.groups:
            group.cell(line).hold(atoms, (after != 0) - (before != 0))

    def roll(self, day: int) -> None:
        """Begin a UTC day with nothing counted."""
        if day > self.day:
            self.day, self.orders, self.turnover = day, 0, 0

    def today(self, now: int) -> tuple[int, int]:
        """(orders, money units traded) of the UTC day of ``now``."""
        return (self.orders, self.turnover) if now // DAY_NS <= self.day else (0, 0)


class ScopeHalt(NamedTuple):
    """Why entry is blocked for a scope."""

    scope: Scope
    reason: str
    by: str


class LossMark(NamedTuple):
    """Highest profit of a scope, and its profit at the start of the UTC day."""

    peak: int
    day_start: int
    day: int


class UseState(msgspec.Struct):
    """What the journal says of a ``StrategyUse``."""

    atoms: dict[str, int]
    cash: int
    day: int
    orders: int
    turnover: int
    times: list[int]


class LedgerState(msgspec.Struct):
    """What the journal says of a ``RiskLedger``; ``by_run`` names the strategy that each run's orders count for."""

    runs: dict[str, str]
    by_run: dict[str, str]
    stopped: list[str]
    strategies: dict[str, UseState]
    total: UseState
    halts: dict[str, tuple[str, str]]
    versions: dict[str, int]
    marks: dict[str, LossMark]
    own_volume: dict[str, list[tuple[int, int]]]
    counts_volume: bool


class RiskLedger:
    """See the module."""

    __slots__ = (
        "_books",
        "_by_run",
        "_counted",
        "_counts_volume",
        "_follows_open",
        "groups",
        "halts",
        "marks",
        "open_at",
        "own_volume",
        "remembered",
        "runs",
        "stopped",
        "strategies",
        "total",
        "versions",
    )

    def __init__(self, books: Books) -> None:
        self._books = books
        self._counted: dict[str, int] = {}
        """Lots counted of each open order."""
        self._follows_open = False
        self.remembered = dict(self.handlers)
        """What to call with the ledger and an event, by the event's type; most types matter to nobody here."""
        self._by_run: dict[str, StrategyUse] = {}
        self._counts_volume = False
        self.runs: dict[str, str] = {}
        """Strategy of each run that was ever on."""
        self.stopped: set[str] = set()
        self.strategies: dict[str, StrategyUse] = {}
        self.total = StrategyUse()
        """The whole account; of it only the day's counts are used."""
        self.halts: dict[str, ScopeHalt] = {}
        self.versions: dict[str, int] = {}
        """Newest decision of the control plane that was taken, by scope."""
        self.marks: dict[str, LossMark] = {}
        self.groups: dict[frozenset[str], Group] = {}
        """Strategies that a limit bounds together, by their names; only while open orders are followed."""
        self.open_at: dict[str, int] = {}
        """Open orders by the venue of their instrument; only while they are followed."""
        self.own_volume: dict[str, VolumeWindow] = {}

    def apply(self, event: e.JournalEvent) -> None:
        """Take one journalled event; what does not matter here is passed over."""
        handler = self.remembered.get(type(event))
        if handler is not None:
            handler(self, event)

    def use(self, strategy: str) -> StrategyUse:
        """The strategy's part, made when it is new."""
        found = self.strategies.get(strategy)
        if found is None:
            self.strategies[strategy] = found = StrategyUse()
            found.groups = tuple(group for group in self.groups.values() if strategy in group.members)
        return found

    def follow_open(self, *, wanted: bool, together: Iterable[frozenset[str]] = ()) -> None:
        """Begin or end to keep open orders by strategy, as the limits in force need it; sums of those ``together``."""
        self._follows_open = wanted
        self._form_groups(together)
        for kind in _REPORTS:
            if wanted:
                self.remembered[kind] = RiskLedger._reported
            else:
                self.remembered.pop(kind, None)
        self._counted.clear()
        self.open_at.clear()
        for use in (self.total, *self.strategies.values()):
            use.forget_open()
        if wanted:
            for line in self._books.lines.values():
                for order in line.open.values():
                    self._count(order)

    def _form_groups(self, together: Iterable[frozenset[str]]) -> None:
        lines = self._books.lines
        for line in lines.values():
            line.watched.clear()
        self.groups = {members: Group(members) for members in together}
        for name, use in self.strategies.items():
            use.groups = tuple(group for group in self.groups.values() if name in group.members)
            for group in use.groups:
                for symbol, atoms in use.atoms.items():
                    group.cell(lines[symbol]).hold(atoms, int(atoms != 0))

    def _count(self, order: Order) -> None:
        """Bring what is kept of the order in step with the books."""
        line, left = self._books.lines[order.symbol], order.counted
        known = self._counted.get(order.client_id)
        if known == left or (known is None and not order.open):
            return
        change, opened = left - (known or 0), order.open - (known is not None)
        if order.open:
            self._counted[order.client_id] = left
        else:
            del self._counted[order.client_id]
        price = order.price or order.reference
        if order.side is Side.SELL:
            price = max(price, order.reference)
        value, use = change * price * line.lot_value, self._by_run.get(order.run_id) or self.use("")
        atoms, venue = change * line.lot_atoms, line.instrument.venue
        for group in use.groups:
            group.cell(line).rest(*((atoms, 0) if order.side is Side.BUY else (0, atoms)))
        self.open_at[venue] = self.open_at.get(venue, 0) + opened
        for counted in (use, self.total):
            counted.open_count += opened
            counted.open_value += value

    def _reported(self, event: Any) -> None:
        if self._follows_open:
            order = self._books.orders.get(event.client_id)
            if order is not None:
                self._count(order)

    def snapshot(self) -> dict[str, Any]:
        """Everything that the journal determines, in plain types: equal for equal histories."""
        return {
            "strategies": {
                name: (
                    {s: n for s, n in sorted(use.atoms.items()) if n},
                    use.cash,
                    use.day,
                    use.orders,
                    use.turnover,
                    list(use.times),
                )
                for name, use in sorted(self.strategies.items())
            },
            "total": (self.total.day, self.total.orders, self.total.turnover),
            "halts": {scope: halt[1:] for scope, halt in sorted(self.halts.items())},
            "versions": dict(sorted(self.versions.items())),
            "marks": dict(sorted(self.marks.items())),
        }

    def state(self) -> LedgerState:
        """Everything that the journal determines, in the order in which it came; sets are sorted."""
        names = {id(use): name for name, use in self.strategies.items()}
        return LedgerState(
            runs=self.runs,
            by_run={run_id: names[id(use)] for run_id, use in self._by_run.items()},
            stopped=sorted(self.stopped),
            strategies={name: use.state() for name, use in self.strategies.items()},
            total=self.total.state(),
            halts={name: (halt.reason, halt.by) for name, halt in self.halts.items()},
            versions=self.versions,
            marks=self.marks,
            own_volume={symbol: window.slices() for symbol, window in self.own_volume.items()},
            counts_volume=self._counts_volume,
        )

    def restore(self, state: LedgerState) -> None:
        """Begin with ``state``; only on a ledger without limits in force."""
        self.runs, self.stopped = state.runs, set(state.stopped)
        for name, use in state.strategies.items():
            self.use(name).restore(use)
        self._by_run = {run_id: self.strategies[name] for run_id, name in state.by_run.items()}
        self.total.restore(state.total)
        self.halts = {name: ScopeHalt(parse_scope(name), *halt) for name, halt in state.halts.items()}
        self.versions, self.marks = state.versions, state.marks
        for symbol, slices in state.own_volume.items():
            self.own_volume[symbol] = window = VolumeWindow()
            window.restore(slices)
        self._counts_volume = state.counts_volume

    # -- reading

    def profit(self, members: frozenset[str]) -> int | None:
        """Money units that a followed group has made, at the newest marks; None while a position has no price."""
        group, strategies = self.groups[members], self.strategies
        if group.blind:
            return None
        return group.worth + sum(strategies[name].cash for name in members if name in strategies)

    # -- losses

    def follow(self, bound: ScopeLimits, profit: int, now: int) -> LossMark:
        """Move the scope's high-water mark and day; the first look of a UTC day sets what the day counts from."""
        name, day = bound.name, now // DAY_NS
        held = self.marks.get(name)
        if held is None:
            held = LossMark(max(profit, 0), profit, day)
        elif profit > held.peak or day > held.day:
            held = LossMark(max(held.peak, profit), profit if day > held.day else held.day_start, max(day, held.day))
        else:
            return held
        self.marks[name] = held
        return held

    # -- events

    def _run_started(self, event: e.RunStarted) -> None:
        self.runs[event.run_id] = event.strategy
        self._by_run[event.run_id] = self.use(event.strategy)

    def _run_stopped(self, event: e.RunStopped) -> None:
        self.stopped.add(event.run_id)

    def _intended(self, event: e.OrderIntended) -> None:
        day, ts = event.ts // DAY_NS, event.ts
        use = self._by_run.get(event.run_id)
        if use is None:
            self._by_run[event.run_id] = use = self.use(self.runs.get(event.run_id, ""))
        if day != use.day:
            use.roll(day)
        use.orders += 1
        if event.child <= 1:
            # A parent order is one application of the strategy, however many children it has.
            use.times.append(ts)
        total = self.total
        if day != total.day:
            total.roll(day)
        total.orders += 1
        if self._follows_open:
            self._reported(event)

    def _filled(self, event: e.OrderFilled) -> None:
        line = self._books.lines.get(event.symbol)
        if line is None:
            return
        order = self._books.orders.get(event.client_id)
        use = self._by_run.get(order.run_id) if order is not None else None
        if use is None:
            use = self.use("")
        lots, total = event.lots, self.total
        notional = event.price * lots * line.lot_value
        if event.side is Side.BUY:
            use.hold(line, lots * line.lot_atoms)
            use.cash -= notional
        else:
            use.hold(line, -lots * line.lot_atoms)
            use.cash += notional
        if event.fee:
            self._pay_fee(use, event, line)
        day = event.ts // DAY_NS
        if day != use.day or day != total.day:
            use.roll(day)
            total.roll(day)
        use.turnover += notional
        total.turnover += notional
        if self._follows_open and order is not None:
            self._count(order)
        if self._counts_volume:
            self._count_volume(event)

    def _count_volume(self, event: e.OrderFilled) -> None:
        own = self.own_volume.get(event.symbol)
        if own is None:
            self.own_volume[event.symbol] = own = VolumeWindow()
        own.add(event.ts, event.lots)

    def _limits(self, event: e.LimitsActivated) -> None:
        self._counts_volume = "max_participation_bps" in event.limits

    def _pay_fee(self, use: StrategyUse, event: e.OrderFilled, line: Line) -> None:
        quote, asset = line.instrument.quote, event.fee_asset
        if asset == quote or split_key(asset)[0] == quote:
            use.cash -= event.fee * MONEY_PER_ATOM
            return
        payer = self._books.line_of_base(event.fee_asset)
        if payer is not None:
            use.hold(payer, -event.fee)

    def _scope_changed(self, event: e.ScopeStateChanged) -> None:
        scope = parse_scope(event.scope)
        self.versions[event.scope] = max(self.versions.get(event.scope, 0), event.version)
        if event.halted:
            self.halts[event.scope] = ScopeHalt(scope, event.reason, event.by)
            return
        self.halts.pop(event.scope, None)
        if scope.kind is ScopeKind.STRATEGY:
            # Whoever lets a strategy go on has looked at what it repeated: counting begins anew.
            self.use(scope.name).times.clear()

    def _marked(self, event: e.ScopesMarked) -> None:
        day = event.ts // DAY_NS
        for name, (_, peak, day_start) in event.marks.items():
            self.marks[name] = LossMark(peak, day_start, day)

    handlers: ClassVar[dict[type, Callable[[RiskLedger, Any], None]]] = {
        e.LimitsActivated: _limits,
        e.RunStarted: _run_started,
        e.RunStopped: _run_stopped,
        e.OrderIntended: _intended,
        e.OrderFilled: _filled,
        e.ScopeStateChanged: _scope_changed,
        e.ScopesMarked: _marked,
    }
