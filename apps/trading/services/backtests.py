"""Asking for backtests, cancelling them, and what their workers report.

A worker holds no lock while it computes: it reports in every second or so, and whoever has not been heard of for
``SILENT`` is taken for dead, and its run is given to another. The number of the attempt is its ticket: what a worker
that was taken for dead says is not heard. Whoever locks a trial has locked its search before.
"""

from __future__ import annotations

import gzip
from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Final
from uuid import UUID

from django.db import transaction

from apps.accounts.permissions import Capability, require
from apps.audit import services as audit
from apps.core import outbox
from apps.core.context import Context
from apps.core.dispatch import send_after_commit
from apps.core.errors import IllegalTransition, Invalid, NotFound
from apps.trading.models.backtests import Backtest, BacktestKind, BacktestState
from apps.trading.rows_backtests import backtest_row
from apps.trading.selectors_backtests import known_strategies
from workers.engine.strategy import StrategyError, build

TASK: Final = "gekko.backtest.run"
TOPIC: Final = "backtests"
SILENT: Final = timedelta(seconds=60)
MOST_ATTEMPTS: Final = 3
MOST_TRIALS: Final = 1000
AT_ONCE: Final = 4
"""Trials of one search that are under way together, workers permitting."""
FINAL: Final = frozenset({BacktestState.DONE, BacktestState.FAILED, BacktestState.CANCELLED})


@transaction.atomic
def request_backtest(
    ctx: Context, *, strategy: str, data: str, params: Mapping[str, Any], settings: Mapping[str, Any]
) -> Backtest:
    """Queue a run, or a search when the settings hold ``ranges``. Needs BACKTEST_RUN.

    Invalid for an unknown strategy or parameters that do not fit it, before anything is queued.
    """
    require(ctx, Capability.BACKTEST_RUN, object_type="backtest", object_id=strategy)
    kind = BacktestKind.SEARCH if settings.get("ranges") else BacktestKind.RUN
    trials = int(settings.get("trials") or 0)
    if kind is BacktestKind.SEARCH and not 1 <= trials <= MOST_TRIALS:
        raise Invalid(f"expected 1 to {MOST_TRIALS} trials, was {trials}", field="trials")
    known_strategies()
    try:
        build(strategy, params)
    except StrategyError as error:
        raise Invalid(str(error), field="params") from error
    run = Backtest.objects.create(
        kind=kind,
        strategy=strategy,
        params=dict(params),
        data=data,
        settings=dict(settings) | ({"base": dict(params)} if kind is BacktestKind.SEARCH else {}),
        requested_by=ctx.actor.name,
        requested_at=ctx.now(),
        sent_at=ctx.now(),
    )
    _publish(ctx, run, "backtest.requested")
    after = {"strategy": strategy, "data": data, "params": dict(params), "settings": dict(settings), "kind": kind.value}
    audit.record(ctx, event="trading.backtest.requested", object_type="backtest", object_id=str(run.pk), after=after)
    for _ in range(min(trials, AT_ONCE) if kind is BacktestKind.SEARCH else 1):
        send_after_commit(TASK, run_id=str(run.pk))
    return run


@transaction.atomic
def cancel_backtest(ctx: Context, *, run_id: UUID | str) -> Backtest:
    """End a run or a search. One that waits is over at once, one that runs within seconds. Needs BACKTEST_RUN."""
    require(ctx, Capability.BACKTEST_RUN, object_type="backtest", object_id=str(run_id))
    run = _locked(run_id)
    if run.state in FINAL:
        raise IllegalTransition(f"backtest {run_id} is {run.state} already", state=run.state)
    run.cancel_requested = True
    if run.state == BacktestState.QUEUED or run.kind == BacktestKind.SEARCH:
        _end(ctx, run, BacktestState.CANCELLED)
    else:
        _save(ctx, run, "backtest.cancelling")
    audit.record(ctx, event="trading.backtest.cancelled", object_type="backtest", object_id=str(run.pk))
    return run


@transaction.atomic
def begin(ctx: Context, *, run_id: UUID | str) -> Backtest | None:
    """Take a run for this worker; None when it is over, cancelled, or another worker has it."""
    run = _locked(run_id)
    now = ctx.now()
    alive = run.heard_at is not None and now - run.heard_at < SILENT
    if run.state in FINAL or run.cancel_requested or (run.state == BacktestState.RUNNING and alive):
        return None
    if run.kind == BacktestKind.SEARCH:
        raise IllegalTransition(f"backtest {run_id} is a search; its trials are run", state=run.state)
    run.state, run.heard_at, run.started_at = BacktestState.RUNNING, now, run.started_at or now
    run.attempts += 1
    _save(ctx, run, "backtest.started")
    return run


@transaction.atomic
def begin_trial(ctx: Context, *, search_id: UUID | str) -> Backtest | None:
    """The next trial of a search, without parameters yet; None when all are under way or over."""
    search = _locked(search_id)
    if search.state in FINAL or search.cancel_requested:
        return None
    now = ctx.now()
    for lost in search.trials.filter(state=BacktestState.RUNNING, heard_at__lt=now - SILENT).order_by("number"):
        if lost.attempts < MOST_ATTEMPTS:
            lost.heard_at, lost.attempts = now, lost.attempts + 1
            lost.save(update_fields=["heard_at", "attempts"])
            return lost
        _failed(ctx, lost, f"its worker was lost {lost.attempts} times")
    search.refresh_from_db()
    if search.state in FINAL:
        return None
    number = search.trials.count()
    if number >= int(search.settings["trials"]):
        return None
    if search.state == BacktestState.QUEUED:
        search.state, search.started_at = BacktestState.RUNNING, now
    search.heard_at = now
    _save(ctx, search, "backtest.progress")
    return Backtest.objects.create(
        kind=BacktestKind.TRIAL,
        search=search,
        number=number,
        strategy=search.strategy,
        params={},
        data=search.data,
        settings=search.settings,
        state=BacktestState.RUNNING,
        requested_by=search.requested_by,
        requested_at=now,
        sent_at=now,
        started_at=now,
        heard_at=now,
        attempts=1,
    )


@transaction.atomic
def report_progress(ctx: Context, *, run_id: UUID | str, attempt: int, done: float) -> bool:
    """Note how far a run is; False when it shall stop, or another worker has it by now."""
    run = _locked(run_id)
    if run.state != BacktestState.RUNNING or run.cancel_requested or run.attempts != attempt:
        return False
    run.heard_at, run.progress = ctx.now(), done
    if run.kind == BacktestKind.TRIAL:
        run.save(update_fields=["heard_at", "progress"])
        Backtest.objects.filter(trials=run).update(heard_at=run.heard_at)
    else:
        _save(ctx, run, "backtest.progress")
    return True


@transaction.atomic
def finish(
    ctx: Context,
    *,
    run_id: UUID | str,
    attempt: int,
    summary: Mapping[str, Any],
    score: float | None,
    params: Mapping[str, Any],
    sheet: str,
) -> Backtest:
    """Keep what came of a run; of a trial also for its search, which is over with its last trial.

    Nothing changes when the run is over already, or another worker has it by now.
    """
    run = _locked(run_id)
    if run.state in FINAL or run.attempts != attempt:
        return run
    run.params, run.summary, run.score, run.progress = dict(params), dict(summary), score, 1.0
    run.inputs, run.fingerprint = str(summary["inputs"]), str(summary["fingerprint"])
    run.sheet = gzip.compress(sheet.encode(), mtime=0) if sheet else None
    _end(ctx, run, BacktestState.CANCELLED if run.cancel_requested else BacktestState.DONE)
    if run.kind != BacktestKind.TRIAL:
        after = {"state": run.state, "inputs": run.inputs, "fingerprint": run.fingerprint}
        audit.record(ctx, event="trading.backtest.finished", object_type="backtest", object_id=str(run.pk), after=after)
    else:
        _count_trial(ctx, run)
    return run


@transaction.atomic
def fail(ctx: Context, *, run_id: UUID | str, attempt: int, detail: str, cancelled: bool = False) -> Backtest:
    """A run ended without a result: it was cancelled, or ``detail`` says what is wrong with it."""
    run = _locked(run_id)
    if run.state in FINAL or run.attempts != attempt:
        return run
    _failed(ctx, run, detail, cancelled=cancelled)
    return run


def _failed(ctx: Context, run: Backtest, detail: str, *, cancelled: bool = False) -> None:
    run.detail = detail
    _end(ctx, run, BacktestState.CANCELLED if cancelled else BacktestState.FAILED)
    if run.kind == BacktestKind.TRIAL:
        _count_trial(ctx, run)
    elif not cancelled:
        after = {"detail": detail}
        audit.record(ctx, event="trading.backtest.failed", object_type="backtest", object_id=str(run.pk), after=after)


def _count_trial(ctx: Context, trial: Backtest) -> None:
    """Bring the search in step with a trial that is over; its last trial ends it with the best one's result."""
    search = _locked(trial.search_id)  # type: ignore[arg-type]  # a trial has one
    if search.state in FINAL:
        return
    wanted = int(search.settings["trials"])
    over = list(search.trials.filter(state__in=FINAL))
    search.progress, search.heard_at = len(over) / wanted, ctx.now()
    good = [one for one in over if one.state == BacktestState.DONE]
    best = max(good, key=lambda one: (one.score or 0.0, -one.number), default=None)
    if best is not None:
        search.params, search.score, search.summary = best.params, best.score, best.summary
        search.inputs, search.fingerprint = best.inputs, best.fingerprint
    if len(over) < wanted:
        _save(ctx, search, "backtest.progress")
        send_after_commit(TASK, run_id=str(search.pk))
        return
    search.detail = "" if best is not None else "every trial failed: " + over[0].detail
    _end(ctx, search, BacktestState.DONE if best is not None else BacktestState.FAILED)
    after = {"state": search.state, "trials": wanted, "params": search.params, "fingerprint": search.fingerprint}
    audit.record(ctx, event="trading.backtest.finished", object_type="backtest", object_id=str(search.pk), after=after)


@transaction.atomic
def resend_overdue(ctx: Context) -> int:
    """Send again what no worker took, or whose worker is silent; give up after some attempts. Returns how many."""
    silent = ctx.now() - SILENT
    waiting = Backtest.objects.select_for_update(skip_locked=True).exclude(kind=BacktestKind.TRIAL)
    late = [
        *waiting.filter(state=BacktestState.QUEUED, sent_at__lt=silent),
        *waiting.filter(state=BacktestState.RUNNING, heard_at__lt=silent, sent_at__lt=silent),
    ]
    for run in late:
        if run.attempts >= MOST_ATTEMPTS and run.state == BacktestState.RUNNING:
            _failed(ctx, run, f"its worker was lost {run.attempts} times")
            continue
        run.sent_at = ctx.now()
        run.save(update_fields=["sent_at"])
        send_after_commit(TASK, run_id=str(run.pk))
    return len(late)


def _locked(run_id: UUID | str) -> Backtest:
    """The run, locked; of a trial its search first, as everywhere: otherwise two could wait for each other."""
    search = Backtest.objects.filter(pk=run_id).values_list("search_id", flat=True).first()
    if search is not None:
        Backtest.objects.select_for_update(of=("self",)).get(pk=search)
    run = Backtest.objects.select_for_update(of=("self",)).filter(pk=run_id).first()
    if run is None:
        raise NotFound(f"there is no backtest {run_id}")
    return run


def _end(ctx: Context, run: Backtest, state: BacktestState) -> None:
    run.state, run.finished_at = state, ctx.now()
    _save(ctx, run, f"backtest.{state.value}")
    if run.kind == BacktestKind.SEARCH:
        over = {"state": BacktestState.CANCELLED, "cancel_requested": True, "finished_at": run.finished_at}
        run.trials.exclude(state__in=FINAL).update(**over)


def _save(ctx: Context, run: Backtest, kind: str) -> None:
    run.version += 1
    run.save()
    _publish(ctx, run, kind)


def _publish(ctx: Context, run: Backtest, kind: str) -> None:
    """Trials are seen through their search."""
    if run.kind != BacktestKind.TRIAL:
        outbox.publish(ctx, topic=TOPIC, kind=kind, key=str(run.pk), data=backtest_row(run))
