"""Inputs of a kernel that steer its pre-trade gate: halts by scope, cancelling a part, overrides, value at risk.

A halt of a scope is journalled and so outlives every restart; only a newer decision of the control plane lifts it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from workers.engine.config import KernelConfig
from workers.engine.events import Bar, CancelsTaken, OverridesActivated, ScopesMarked, ScopeStateChanged, Trade
from workers.engine.execution.conditional_types import Conditional
from workers.engine.execution.orders import Order
from workers.engine.execution.parent import Parent
from workers.engine.kernel_life import KernelLife
from workers.engine.ports import Clock, Effects
from workers.engine.risk.limit_fields import LimitsError
from workers.engine.risk.limits import Limits
from workers.engine.risk.optional_limits import OptionalLimits
from workers.engine.risk.overrides import Override, parse_override
from workers.engine.risk.scope_checks import loss_of, scope_profit
from workers.engine.risk.scopes import (
    HALTABLE,
    Place,
    ScopeError,
    ScopeKind,
    Selection,
    covers,
    parse_scope,
)
from workers.engine.risk.var_snapshot import LEAST_RETURNS, VarSnapshot, from_closes

REFRESHES_PER_AGE: Final = 4
"""A covariance made from closes is renewed when it has reached this part of the age at which it is too old."""


class KernelGate(KernelLife):
    """See the module. Not for use from two threads."""

    def __init__(self, config: KernelConfig, clock: Clock | None = None) -> None:
        super().__init__(config, clock)
        self._desk.on_throttle = self._throttle
        self._lost_scopes: set[str] = set()
        self._told_trades: set[str] = set()
        self._told_peaks: dict[str, int] = {}
        """High-water marks of scopes as this process journalled them."""
        self._marks_due = 0

    def set_scopes(self, now: int, scopes: Sequence[Mapping[str, Any]]) -> Effects:
        """Take the control plane's halts by scope: {scope, halted, reason, by, version} each.

        A decision that is not newer than the last taken of its scope does nothing. Halting cancels the scope's open
        orders. ScopeError for a scope that is none, after all others were taken.
        """
        self._enter(now)
        wrong: ScopeError | None = None
        for wanted in scopes:
            name, version = str(wanted["scope"]), int(wanted["version"])
            try:
                parse_scope(name, HALTABLE)
            except ScopeError as error:
                wrong = error
                continue
            if version > self._desk.risk.ledger.versions.get(name, 0):
                reason, by = str(wanted["reason"]), str(wanted["by"])
                self._change_scope(name, halted=bool(wanted["halted"]), reason=reason, by=by, version=version)
        if wrong is not None:
            # The effects of the others stay with the desk, and go out with the next input.
            raise wrong
        return self._effects()

    def cancel_some(
        self, now: int, *, selection: Selection, reason: str, by: str, number: int | None = None
    ) -> Effects:
        """Ask for the cancellation of the open orders that ``selection`` takes, also of those asked for before.

        One with a ``number`` of the control plane that was acted upon, in this session or an earlier one, does nothing.
        """
        self._enter(now)
        if number in self.books.cancels.numbers:
            return self._effects()
        self._cancel_some(selection, f"{reason} ({by})")
        if number is not None:
            # Behind the cancellations: a crash in between repeats them rather than losing them.
            self._desk.record(CancelsTaken(ts=now, numbers=(number,)))
        return self._effects()

    def adopt_cancels(self, now: int, *, version: int = -1, numbers: tuple[int, ...] = ()) -> Effects:
        """Take these orders to cancel for acted upon, without acting."""
        self._enter(now)
        self._desk.record(CancelsTaken(ts=now, version=version, numbers=numbers))
        return self._effects()

    def set_overrides(self, now: int, overrides: Sequence[Mapping[str, Any]]) -> Effects:
        """Let these approved overrides hold and no others: {id, scope, code, amount, until} each.

        One for an instrument of another venue is passed over. LimitsError names those that cannot be used, after all
        others were put in force: what was taken back ends whatever else is wrong.
        """
        self._enter(now)
        risk, held, parsed, wrong = self._desk.risk, list[dict[str, Any]](), list[Override](), list[str]()
        for item in overrides:
            try:
                if not self._is_ours(str(item["scope"])):
                    continue
                parsed.append(parse_override(item, self._instruments()))
            except (LimitsError, ScopeError) as error:
                wrong.append(f"{item.get('id')} does not hold ({error}); revoke it")
                continue
            held.append(dict(item))
        if tuple(parsed) != risk.overrides:
            risk.overrides = tuple(parsed)
            self._desk.record(OverridesActivated(ts=now, overrides=tuple(held)))
        if wrong:
            # The effects stay with the desk, and go out with the next input.
            raise LimitsError("overrides", "; ".join(wrong))
        return self._effects()

    def set_var_snapshot(self, now: int, snapshot: VarSnapshot) -> Effects:
        """Judge value at risk by this covariance from now on, and make none from closes any more."""
        self._enter(now)
        self._desk.risk.var, self._desk.risk.var_given = snapshot, True
        return self._effects()

    # -- inside

    def _cancel_some(self, selection: Selection, why: str) -> None:
        ended: set[str] = set()
        for order in self.books.open_orders():
            if selection.takes(self._place_of(order), order.side, order.client_id):
                self._desk.request_cancel(order, why)
                ended.update((order.conditional_id, order.parent_id))
        for parent in tuple(self.books.working.values()):
            # A parent that loses a child would send the next one.
            if parent.parent_id in ended or selection.takes(self._place_of(parent), parent.side, parent.parent_id):
                self._desk.cancel_parent(parent.parent_id, why)
        for held in self._desk.conditionals.live():
            # What released a cancelled order must not release it again.
            if held.client_id in ended or selection.takes(self._place_of(held), held.side, held.client_id):
                self._desk.cancel(held.client_id, why)

    def _refuse_escape(self, limits: Limits) -> None:
        """LimitsError for limits in which a strategy leaves a halted desk: only lifting the halt lets it go on."""
        known, kept = self._optional, limits.optional.desks if limits.optional is not None else {}
        for halt in self._desk.risk.ledger.halts.values():
            if known is None or halt.scope.kind is not ScopeKind.DESK:
                continue
            desk = halt.scope.name
            gone = known.desks.get(desk, frozenset()) - kept.get(desk, frozenset())
            if gone:
                expected = f"expected {', '.join(sorted(gone))} to stay in the desk while it is halted; lift the halt"
                raise LimitsError(f"desks.{desk}", f"{expected} first")

    def _is_ours(self, name: str) -> bool:
        scope = parse_scope(name)
        return scope.kind is not ScopeKind.INSTRUMENT or scope.name in self.books.lines

    def _place_of(self, order: Order | Conditional | Parent) -> Place:
        return self._desk.place_of(order.symbol, order.run_id)

    def _change_scope(self, name: str, *, halted: bool, reason: str, by: str, version: int) -> None:
        desk = self._desk
        desk.record(ScopeStateChanged(ts=desk.now, scope=name, halted=halted, reason=reason, by=by, version=version))
        if halted:
            scope = parse_scope(name)
            for order in self.books.open_orders():
                if covers(scope, self._place_of(order)):
                    desk.request_cancel(order, f"{name} halted: {reason}")
            for parent in tuple(self.books.working.values()):
                if covers(scope, self._place_of(parent)):
                    desk.cancel_parent(parent.parent_id, f"{name} halted: {reason}")
            for held in desk.conditionals.live():
                if covers(scope, self._place_of(held)):
                    desk.cancel(held.client_id, f"{name} halted: {reason}")

    def _throttle(self, strategy: str) -> None:
        """A strategy repeated itself more often than it may: only a person lets it go on (RTS 6, article 15(3))."""
        name = f"strategy:{strategy}"
        if strategy and name not in self._desk.risk.ledger.halts:
            reason = "repeated executions reached their limit"
            self._change_scope(name, halted=True, reason=reason, by="risk", version=0)

    @property
    def _optional(self) -> OptionalLimits | None:
        limits = self._desk.risk.limits
        return limits.optional if limits is not None else None

    def _sample(self, now: int) -> None:
        super()._sample(now)
        # Scopes keep their own time: while an instrument of another scope has no price, the account has no sample.
        if self._due <= now < self._marks_due or not self._desk.risk.follows_losses:
            return
        if (optional := self._optional) is not None:
            due = self._due
            self._watch_scopes()
            self._record_scope_marks(optional)
            self._due, self._marks_due = due, now + self.config.mark_interval_ns

    def _watch_scopes(self) -> None:
        """Halt a scope once when its loss reaches its limit; a person who resumes it is not overruled again."""
        risk, now, optional, parts = self._desk.risk, self._desk.now, self._optional, self.config.peak_parts
        if optional is None:
            return
        for bound in optional.losses:
            profit = scope_profit(risk, bound)
            if profit is None:
                continue
            held = risk.ledger.follow(bound, profit, now)
            if parts and bound.max_drawdown is not None:
                told = self._told_peaks.get(bound.name)
                if told is None or (held.peak - told) * parts >= bound.max_drawdown:
                    self._due = self._marks_due = 0
            name, lost = bound.name, loss_of(risk, bound, now)
            if lost and name not in self._lost_scopes and name not in risk.ledger.halts:
                self._record_scope_marks(optional)
                self._change_scope(name, halted=True, reason=f"{lost} limit reached", by="risk", version=0)
            (self._lost_scopes.add if lost else self._lost_scopes.discard)(name)

    def _record_scope_marks(self, optional: OptionalLimits) -> None:
        risk, marks = self._desk.risk, dict[str, tuple[int, int, int]]()
        for bound in optional.losses:
            held, profit = risk.ledger.marks.get(bound.name), scope_profit(risk, bound)
            if held is not None and profit is not None:
                marks[bound.name] = (profit, held.peak, held.day_start)
                self._told_peaks[bound.name] = held.peak
        if marks:
            self._desk.record(ScopesMarked(ts=self._desk.now, marks=marks))

    def _count_trade(self, trade: Trade) -> None:
        self._told_trades.add(trade.symbol)
        self._desk.risk.traded(trade.symbol, trade.ts_recv, trade.lots)

    def _follow_bar(self, bar: Bar) -> None:
        """Count a bar's volume, where single trades are not told, and make the covariance anew when it is due."""
        if bar.symbol not in self._told_trades:
            self._desk.risk.traded(bar.symbol, bar.ts_recv, bar.volume)
        optional = self._optional
        if optional is not None and optional.max_var is not None and not self._desk.risk.var_given:
            self._refresh_var(optional)

    def _refresh_var(self, optional: OptionalLimits) -> None:
        risk = self._desk.risk
        markets = [market for market in self._desk.markets.values() if len(market.closes) > LEAST_RETURNS]
        if not markets:
            return
        as_of = min(market.bar_end for market in markets)
        known = risk.var is not None and set(risk.var.symbols) == {market.symbol for market in markets}
        if known and risk.var is not None and as_of - risk.var.as_of < optional.var_max_age_ns // REFRESHES_PER_AGE:
            return
        risk.var = from_closes(
            {market.symbol: market.closes for market in markets},
            interval_ns=self._interval,
            horizon_ns=optional.var_horizon_ns,
            confidence=optional.var_confidence,
            as_of=as_of,
        )
