"""Carries out the kernel's effects: journal first, and only when that is durable, the wire.

Journal effects are appended at once, in order, and made durable in groups by one committer; what must not happen
before (sends, cancels) waits on a list with the number of the record it depends on. The market keeps flowing in while
the disk works.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable
from typing import Any, Final, NamedTuple, Protocol

import structlog

from workers.adapters.journal import Journal as JournalFile
from workers.adapters.journal import JournalUnavailable
from workers.adapters.venue import OrderNotFound, VenueError
from workers.engine.events import JournalEvent, OrderIntended, OrderNotSent, OrderSent
from workers.engine.ports import Cancel, Effect, Effects, Journal, RequestForecast, Resync, Send
from workers.live.execution.config import LoopConfig
from workers.live.execution.metrics import JOURNAL_SECONDS, StageClock

JOURNAL_RETRY_S: Final = 1.0
LAZY_S: Final = 0.02
SECOND_NS: Final = 1_000_000_000

log = structlog.get_logger(__name__)


class Cause(NamedTuple):
    """The market event behind an order: its way to the kernel, in ``perf_counter`` ns; all 0 where there is none."""

    read: int = 0
    decode_started: int = 0
    decoded: int = 0
    booked: int = 0

    def stages(self) -> dict[str, int]:
        """Time in the stages before the kernel."""
        if not self.read:
            return {}
        return {
            "receive": self.decode_started - self.read,
            "decode": self.decoded - self.decode_started,
            "book": self.booked - self.decoded,
        }


NO_CAUSE: Final = Cause()


class OrderPort(Protocol):
    """What the gateway needs of the venues; each order finds its own by its symbol."""

    async def submit(
        self, intent: OrderIntended, deadline: int, on_left: Callable[[str, int], None]
    ) -> list[JournalEvent]: ...
    async def cancel(self, symbol: str, client_id: str) -> None: ...


class Host(Protocol):
    """What the gateway tells the loop."""

    def report(self, event: JournalEvent) -> None: ...
    def ask_forecast(self, request: RequestForecast) -> None: ...
    def resync(self, reason: str) -> None: ...
    def journal_failed(self, reason: str) -> None: ...
    def journal_restored(self) -> None: ...
    def doubt(self, client_id: str) -> None: ...
    def newest_quote(self, symbol: str) -> Cause: ...
    def place_of(self, symbol: str) -> str: ...


class _Waiting:
    """A send that waits for its journal record, and what was measured on the way."""

    __slots__ = ("appended", "cause", "durable", "effect", "seq")

    def __init__(self, effect: Send | Cancel, seq: int, cause: Cause, appended: int) -> None:
        self.effect = effect
        self.seq = seq
        self.cause = cause
        self.appended = appended
        self.durable = 0


class Gateway:
    """One per loop. ``handle`` is synchronous and never waits; the rest happens in tasks."""

    def __init__(
        self, *, journal: JournalFile, venue: OrderPort, host: Host, config: LoopConfig, stages: StageClock
    ) -> None:
        self._journal = journal
        self._venue = venue
        self._host = host
        self._config = config
        self._stages = stages
        self._waiting: deque[_Waiting] = deque()
        self._inbox: deque[tuple[Effects, Cause]] = deque()
        self._handling = False
        self._urgent = asyncio.Event()
        self._later: asyncio.TimerHandle | None = None
        self._sending: dict[str, asyncio.Task[None]] = {}
        self._cancelling: dict[str, asyncio.Task[None]] = {}
        self._left: dict[str, _Waiting] = {}
        self._failure: BaseException | None = None
        self.broken = ""
        """Why the journal cannot be written; empty while it can."""

    # -- effects

    def handle(self, effects: Effects, cause: Cause = NO_CAUSE) -> None:
        """Carry out ``effects`` in order.

        An effect may lead to further kernel inputs and so to further effects; those wait until this list is done, or
        the journal would tell another order of events than the books.
        """
        self._inbox.append((effects, cause))
        if self._handling:
            return
        self._handling = True
        try:
            while self._inbox:
                listed, behind = self._inbox.popleft()
                for effect in listed:
                    self._carry_out(effect, behind)
        finally:
            self._handling = False

    def _carry_out(self, effect: Effect, cause: Cause) -> None:
        if type(effect) is Journal:
            self._journal.append((effect.event,))
            self._commit_later()
        elif type(effect) is Cancel and self._withdraw(effect):
            return
        elif type(effect) is Send or type(effect) is Cancel:
            self._waiting.append(_Waiting(effect, self._journal.position.seq, cause, time.perf_counter_ns()))
            self._urgent.set()
        elif type(effect) is RequestForecast:
            self._host.ask_forecast(effect)
        elif type(effect) is Resync:
            self._host.resync(f"the process was paused for {effect.paused_ns / SECOND_NS:.1f} s")

    def _commit_later(self) -> None:
        """What nothing waits for is written a moment later, so that the disk is idle when an order needs it."""
        if self._later is None:
            self._later = asyncio.get_running_loop().call_later(LAZY_S, self._urgent.set)

    async def run(self) -> None:
        """The committer, until cancelled: makes appended records durable, then lets out what waited for them.

        Raises what broke a sending or a cancel, such as a hook of the strategy that failed in an answer: the rest of
        that answer is lost, so whoever watches this must learn of it.
        """
        while True:
            await self._urgent.wait()
            self._urgent.clear()
            self._raise_failure()
            if self._later is not None:
                self._later.cancel()
                self._later = None
            begun = time.perf_counter()
            try:
                await self._journal.commit()
            except JournalUnavailable as error:
                self._fail(str(error))
                await asyncio.sleep(JOURNAL_RETRY_S)
                self._urgent.set()
                continue
            JOURNAL_SECONDS.observe(time.perf_counter() - begun)
            if self.broken:
                self.broken = ""
                self._host.journal_restored()
            self._release()

    def _fail(self, reason: str) -> None:
        """Nothing may be ordered that cannot be recorded; cancels go out all the same."""
        if not self.broken:
            self.broken = reason
            log.error("journal unavailable", reason=reason)
            self._host.journal_failed(reason)
        refused = [waiting for waiting in self._waiting if type(waiting.effect) is Send]
        self._release(cancels_only=True)
        for waiting in refused:
            if type(waiting.effect) is Send:
                self._not_sent(waiting.effect.intent, f"not recorded: {reason}")

    def _release(self, *, cancels_only: bool = False) -> None:
        durable, now = self._journal.durable_seq, time.perf_counter_ns()
        while self._waiting and (cancels_only or self._waiting[0].seq <= durable):
            waiting = self._waiting.popleft()
            waiting.durable = now
            effect = waiting.effect
            if type(effect) is Cancel:
                self.cancel(effect.symbol, effect.client_id)
            elif type(effect) is Send and not cancels_only:
                task = asyncio.create_task(self._send(waiting, effect))
                task.add_done_callback(self._on_done)
                self._sending[effect.intent.client_id] = task

    def _on_done(self, task: asyncio.Task[None]) -> None:
        """Keep the first failure of a task for those who watch ``run``."""
        if not task.cancelled() and (failure := task.exception()) is not None and self._failure is None:
            self._failure = failure
            self._urgent.set()

    def _raise_failure(self) -> None:
        if self._failure is not None:
            raise self._failure

    # -- orders

    async def _send(self, waiting: _Waiting, effect: Send) -> None:
        client_id = effect.intent.client_id
        self._left[client_id] = waiting
        try:
            for event in await self._venue.submit(effect.intent, effect.deadline, self._on_left):
                self._host.report(event)
        finally:
            self._left.pop(client_id, None)
            self._sending.pop(client_id, None)

    def _on_left(self, client_id: str, left: int) -> None:
        """The order's bytes are on their way: record how long each stage took."""
        waiting = self._left.pop(client_id, None)
        if waiting is None or type(waiting.effect) is not Send:
            return
        intent, cause = waiting.effect.intent, waiting.cause
        behind = cause if cause.read else self._host.newest_quote(intent.symbol)
        stages = {
            **behind.stages(),
            **intent.stages,
            "journal": waiting.durable - waiting.appended,
            "send": left - waiting.durable,
        }
        # A forecast or a timer has no event of its own: there the stages of the quote that priced the order count.
        stages["total"] = left - cause.read if cause.read else sum(stages.values())
        self._stages.observe(stages, self._host.place_of(intent.symbol))
        self._host.report(OrderSent(ts=time.time_ns(), client_id=client_id, stages=stages))

    def _not_sent(self, intent: OrderIntended, detail: str) -> None:
        self._host.report(OrderNotSent(ts=time.time_ns(), client_id=intent.client_id, detail=detail))

    def _withdraw(self, cancel: Cancel) -> bool:
        """Keep an order that is to be cancelled from leaving at all; False when it left already."""
        for waiting in self._waiting:
            if type(waiting.effect) is Send and waiting.effect.intent.client_id == cancel.client_id:
                self._waiting.remove(waiting)
                self._not_sent(waiting.effect.intent, f"cancelled before it was sent: {cancel.reason}")
                return True
        return False

    def drop_waiting(self, reason: str) -> None:
        """Let no order out that was decided before now: what was known then is not to be traded on."""
        kept: deque[_Waiting] = deque()
        dropped: list[OrderIntended] = []
        for waiting in self._waiting:
            if type(waiting.effect) is Send:
                dropped.append(waiting.effect.intent)
            else:
                kept.append(waiting)
        self._waiting = kept
        for intent in dropped:
            self._not_sent(intent, reason)

    def in_flight(self, client_id: str) -> bool:
        """True while the order waits for the journal or for the venue's answer to its sending."""
        return client_id in self._sending or any(
            type(waiting.effect) is Send and waiting.effect.intent.client_id == client_id for waiting in self._waiting
        )

    def cancel(self, symbol: str, client_id: str) -> None:
        """Ask for a cancel now, unless that is under way."""
        if client_id not in self._cancelling:
            task = asyncio.create_task(self._cancel(symbol, client_id))
            task.add_done_callback(self._on_done)
            self._cancelling[client_id] = task

    async def _cancel(self, symbol: str, client_id: str) -> None:
        """The venue cannot cancel what it has not got yet, so the answer to the sending comes first."""
        try:
            if (sending := self._sending.get(client_id)) is not None:
                await asyncio.wait([sending], timeout=self._config.order_timeout_s)
            await self._venue.cancel(symbol, client_id)
        except OrderNotFound:
            # Already over, or never there: which of them, only a query tells.
            self._host.doubt(client_id)
        except VenueError as error:
            log.warning("cancel not confirmed", symbol=symbol, client_id=client_id, error=str(error))
        finally:
            self._cancelling.pop(client_id, None)

    async def drain(self) -> None:
        """Wait, ``drain_s`` at most, until the journal is durable and all that waited for it has its answer.

        What answers lead to is waited for as well. Raises what broke a sending or a cancel.
        """
        end = time.monotonic() + self._config.drain_s
        while True:
            unsaved = await self._commit_last()
            tasks: list[asyncio.Task[Any]] = [*self._sending.values(), *self._cancelling.values()]
            left_s = end - time.monotonic()
            if not tasks or left_s <= 0:
                break
            await asyncio.wait(tasks, timeout=left_s)
        if unsaved:
            log.error("stopped with records that are not on disk", reason=unsaved)
        self._raise_failure()

    async def _commit_last(self) -> str:
        """Let out what waits; the reason when the journal cannot be written, which keeps cancels from nothing."""
        try:
            await self._journal.commit()
        except JournalUnavailable as error:
            self._fail(str(error))
            return str(error)
        self._release()
        return ""
