"""What the control plane wants of the loop: commands that arrive as tasks, and the poll that heals lost ones.

Both end in the same idempotent calls: a newer state, limits version or run is taken, anything else does nothing. The
poll reads PostgreSQL in a thread; when that is away the loop trades on with the limits it knows, until they are too old
to be trusted and the risk gate closes by itself.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec
import structlog

from apps.policies.domain.overrides import OVERRIDE_FIELDS, override_digest
from apps.policies.domain.signatures import is_override_signed, is_signed
from apps.trading.domain.scopes import selection_of
from workers.engine.kernel import RunError
from workers.engine.risk.limits import LimitsError, limits_digest
from workers.engine.strategy import StrategyError
from workers.engine.vocabulary import TradingState
from workers.live.execution.loop import TradingLoop
from workers.live.execution.parents import ParentsWanted
from workers.live.execution.reconcile import Leave

log = structlog.get_logger(__name__)

REFUSALS = (RunError, StrategyError, LimitsError, ValueError, KeyError)


class Desired(msgspec.Struct, frozen=True, kw_only=True):
    """One look at the control plane's tables; None where a row does not exist yet."""

    control: dict[str, Any] | None
    limits: dict[str, Any] | None
    runs: Sequence[Mapping[str, Any]]
    parents: Sequence[Mapping[str, Any]] = ()
    """Parent orders of people: ``parent_id``, ``by``, the ``request``, and why it is to be cancelled, or ""."""
    scopes: Sequence[Mapping[str, Any]] = ()
    """Halts by scope."""
    cancels: Sequence[Mapping[str, Any]] = ()
    """Orders of the last minutes to cancel a part."""
    overrides: Sequence[Mapping[str, Any]] = ()
    """Approved overrides of limits, each with its digest and signature."""
    adoptions: Sequence[Mapping[str, Any]] = ()
    """Balances of the venue to take for ours where they differ exactly so: ``asset``, ``ours``, ``theirs`` in atoms."""
    looked: int = msgspec.field(default_factory=time.monotonic_ns)
    """When the look began, monotonic ns: what was applied after that may be newer than what it saw."""


class Control:
    """Applies what is wanted to one trading loop. All methods belong to that loop's thread."""

    def __init__(self, loop: TradingLoop) -> None:
        self._loop = loop
        self._runs = asyncio.Lock()
        self._parents = ParentsWanted(loop)
        self._looked = 0
        self._absent: set[str] = set()
        """Runs that are on and were not wanted at the last look."""
        self.problem = ""
        """Why something wanted could not be done; empty when all was."""

    # -- commands

    async def set_trading_state(self, *, state: str, reason: str, by: str, control_version: int) -> dict[str, Any]:
        """Take a decision of the control plane; the answer tells what holds now, durably."""
        self._set_state(state, reason, by, control_version)
        await self._loop.journal.commit()
        books = self._loop.kernel.books
        return {"state": books.state.value, "reason": books.state_reason, "control_version": books.control_version}

    async def cancel_all(self, *, reason: str, by: str, version: int | None = None) -> dict[str, Any]:
        """Ask for the cancellation of every open order, once per ``version``."""
        count = self._loop.kernel.books.open_count
        self._loop.apply(self._loop.kernel.cancel_all(time.time_ns(), reason=reason, by=by, version=version))
        await self._loop.journal.commit()
        return {"asked": count}

    async def cancel_some(self, *, number: int, selection: Mapping[str, Any], reason: str, by: str) -> dict[str, Any]:
        """Ask for the cancellation of the open orders that ``selection`` takes, once per ``number``."""
        self._cancel_some([{"number": number, "selection": selection, "reason": reason, "by": by}])
        await self._loop.journal.commit()
        return {"number": number}

    async def set_scopes(self, *, scopes: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        """Take halts by scope; the answer tells which are halted, durably."""
        self._loop.apply(self._loop.kernel.set_scopes(time.time_ns(), scopes))
        await self._loop.journal.commit()
        return {"halted": sorted(self._loop.kernel.desk.risk.ledger.halts)}

    async def activate_limits(
        self, *, version: int, digest: str, limits: Mapping[str, Any], signature: str
    ) -> dict[str, Any]:
        """Put published limits in force on a message's word; LimitsError when they cannot be used.

        A message may be late, so one with a version below that in force changes nothing: the tables decide.
        """
        if version >= self._loop.kernel.books.limits_version:
            self._looked = time.monotonic_ns()
            self._take_limits({"version": version, "digest": digest, "limits": limits, "signature": signature})
        await self._loop.journal.commit()
        return {"version": self._loop.kernel.books.limits_version}

    async def start_run(self, *, plan: Mapping[str, Any]) -> dict[str, Any]:
        """Start a run's strategy; RunError, StrategyError or ValueError when it cannot be."""
        async with self._runs:
            self._looked = time.monotonic_ns()
            await self._start(plan)
        await self._loop.journal.commit()
        return {"run_id": str(plan["run_id"]), "running": True}

    async def stop_run(self, *, run_id: str, reason: str) -> dict[str, Any]:
        """Stop a run and cancel its orders; one that is not on is already stopped."""
        async with self._runs:
            self._looked = time.monotonic_ns()
            if run_id in self._loop.kernel.books.runs:
                self._loop.apply(self._loop.kernel.stop_run(time.time_ns(), reason=reason, run_id=run_id))
        await self._loop.journal.commit()
        return {"run_id": run_id, "running": False}

    # -- poll

    async def follow(self, desired: Desired) -> dict[str, Any]:
        """Take a look at the tables on behalf of a command; the answer tells what holds now, durably."""
        await self.take(desired)
        await self._loop.journal.commit()
        books = self._loop.kernel.books
        return {"runs": list(books.runs), "version": books.limits_version, "problem": self.problem}

    async def take(self, desired: Desired) -> None:
        """Bring the loop to what the tables say; what cannot be done is told once and tried again.

        A look that began before the last one taken changes nothing. What is wrong with the limits keeps no run from
        being stopped.
        """
        if desired.looked < self._looked:
            return
        self._looked = desired.looked
        self._loop.adoptable = {str(one["asset"]): msgspec.convert(one, Leave) for one in desired.adoptions}
        problems: list[str] = []
        for take in (self._take_state, self._take_scopes, self._take_published, self._take_overrides):
            try:
                take(desired)
            except REFUSALS as error:
                problems.append(f"{type(error).__name__}: {error}")
        try:
            await self._take_runs(desired)
        except REFUSALS as error:
            problems.append(f"{type(error).__name__}: {error}")
        problems += await self._parents.take(desired.parents)
        problem = "; ".join(problems)
        if problem and problem != self.problem:
            log.error("what is wanted cannot be done", problem=problem)
        self.problem = problem

    def _take_state(self, desired: Desired) -> None:
        if desired.control is not None:
            self._take_control(desired.control)

    def _take_published(self, desired: Desired) -> None:
        if desired.limits is not None:
            self._take_limits(desired.limits)

    def _take_scopes(self, desired: Desired) -> None:
        self._loop.apply(self._loop.kernel.set_scopes(time.time_ns(), desired.scopes))
        self._cancel_some(desired.cancels)

    def _cancel_some(self, orders: Sequence[Mapping[str, Any]]) -> None:
        kernel = self._loop.kernel
        for order in orders:
            number, at = int(order["number"]), order.get("at")
            if number in kernel.books.cancels.numbers:
                continue
            if kernel.cancels_unknown and at is not None and not self._asked_since(at):
                self._loop.apply(kernel.adopt_cancels(time.time_ns(), numbers=(number,)))
                continue
            chosen, reason, by = selection_of(order["selection"]), order["reason"], order["by"]
            self._loop.apply(kernel.cancel_some(time.time_ns(), selection=chosen, reason=reason, by=by, number=number))

    def _asked_since(self, at: datetime | None) -> bool:
        """Whether it was asked for after the last record of the worker before this one."""
        return at is not None and int(at.timestamp() * 1e9) > self._loop.kernel.recovered_until

    def _take_overrides(self, desired: Desired) -> None:
        """Only what the control plane signed lets a limit be exceeded; one that was changed lets none be."""
        for given in desired.overrides:
            if override_digest(given) != given["digest"] or not is_override_signed(
                self._loop.config.limits_key, str(given["id"]), str(given["digest"]), str(given["signature"])
            ):
                self._loop.apply(self._loop.kernel.set_overrides(time.time_ns(), ()))
                raise LimitsError("signature", f"override {given['id']} was not signed by the control plane; revoke it")
        plain = [{name: given[name] for name in OVERRIDE_FIELDS} for given in desired.overrides]
        self._loop.apply(self._loop.kernel.set_overrides(time.time_ns(), plain))

    def _take_control(self, control: Mapping[str, Any]) -> None:
        self._set_state(control["state"], control["reason"], control["by"], control["version"])
        kernel, version = self._loop.kernel, int(control.get("cancel_version") or 0)
        taken = kernel.books.cancels.version
        if version <= taken:
            return
        if taken < 0 and not self._asked_since(control.get("cancel_at")):
            # A journal that says nothing of cancellations: this one is from before it, or was acted upon then.
            self._loop.apply(kernel.adopt_cancels(time.time_ns(), version=version))
            return
        reason, by = control["cancel_reason"], control["cancel_by"]
        self._loop.apply(kernel.cancel_all(time.time_ns(), reason=reason, by=by, version=version))

    def _set_state(self, state: str, reason: str, by: str, version: int) -> None:
        self._loop.apply(
            self._loop.kernel.set_state(
                time.time_ns(), state=TradingState(state), reason=reason, by=by, control_version=version
            )
        )

    def _take_limits(self, wanted: Mapping[str, Any]) -> None:
        """New limits are activated, those in force confirmed: an unconfirmed snapshot closes the gate in time."""
        self._check_published(wanted)
        self._loop.apply(
            self._loop.kernel.activate_limits(
                time.time_ns(), version=wanted["version"], digest=wanted["digest"], limits=wanted["limits"]
            )
        )

    def _check_published(self, wanted: Mapping[str, Any]) -> None:
        """LimitsError unless these are limits that the control plane signed, and no second ones of their version."""
        version, digest, books = int(wanted["version"]), str(wanted["digest"]), self._loop.kernel.books
        if limits_digest(wanted["limits"]) != digest:
            raise LimitsError("digest", f"limits {version} do not have the digest {digest}; they were changed")
        if not is_signed(self._loop.config.limits_key, version, digest, str(wanted.get("signature") or "")):
            raise LimitsError("signature", f"limits {version} were not signed by the control plane; publish new ones")
        if books.limits_version == version and books.limits_digest != digest:
            raise LimitsError("digest", f"limits {version} hold with the digest {books.limits_digest}, was {digest}")

    async def _start(self, plan: Mapping[str, Any]) -> None:
        if str(plan["run_id"]) in self._loop.kernel.books.stopped_runs:
            raise RunError(f"run {plan['run_id']} was stopped, which is final; start a new run")
        await self._loop.start_run(plan)

    async def _take_runs(self, desired: Desired) -> None:
        """Start what is wanted and stop what twice was not: a run may be started while the tables were being read."""
        async with self._runs:
            if desired.looked < self._looked:
                return
            kernel, wanted = self._loop.kernel, {str(plan["run_id"]) for plan in desired.runs}
            missing = [run_id for run_id in kernel.books.runs if run_id not in wanted]
            for run_id in missing:
                if run_id in self._absent:
                    reason = "not wanted by the control plane any more"
                    self._loop.apply(kernel.stop_run(time.time_ns(), reason=reason, run_id=run_id))
            self._absent = {run_id for run_id in missing if run_id in kernel.books.runs}
            if self._absent:
                return
            problems: list[str] = []
            for plan in desired.runs:
                if str(plan["run_id"]) in kernel.books.runs:
                    continue
                try:
                    await self._start(plan)
                except REFUSALS as error:
                    problems.append(f"{type(error).__name__}: {error}")
            if problems:
                raise RunError("; ".join(problems))
