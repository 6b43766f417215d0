"""Tasks of the queue ``execution``: commands to the trading loop, handed over and answered within seconds.

All are idempotent, and the loop reads what is wanted from the tables as well: a lost task heals by itself.
"""

from __future__ import annotations

from typing import Any

from controlplane.celery import app
from workers.live.execution.desired import look
from workers.live.execution.process import process
from workers.live.risk_var import bring
from workers.live.risk_what_if import answer

ANSWER_S = 10.0


@app.task(name="gekko.execution.start_run")  # type: ignore[untyped-decorator]  # celery has no types
def start_run(plan: dict[str, Any]) -> dict[str, Any]:
    """Start the strategy that the tables want; the plan itself counts only while they cannot be read."""
    if (desired := look(process().host.config.venue)) is not None:
        return process().host.call(lambda control: control.follow(desired), ANSWER_S)
    return process().host.call(lambda control: control.start_run(plan=plan), ANSWER_S)


@app.task(name="gekko.execution.stop_run")  # type: ignore[untyped-decorator]  # celery has no types
def stop_run(run_id: str, reason: str) -> dict[str, Any]:
    """Stop a strategy and cancel its orders."""
    return process().host.call(lambda control: control.stop_run(run_id=run_id, reason=reason), ANSWER_S)


@app.task(name="gekko.execution.set_trading_state")  # type: ignore[untyped-decorator]  # celery has no types
def set_trading_state(state: str, reason: str, by: str, control_version: int) -> dict[str, Any]:
    """Take a newer trading state."""
    return process().host.call(
        lambda control: control.set_trading_state(state=state, reason=reason, by=by, control_version=control_version),
        ANSWER_S,
    )


@app.task(name="gekko.execution.cancel_all")  # type: ignore[untyped-decorator]  # celery has no types
def cancel_all(reason: str, by: str, version: int | None = None) -> dict[str, Any]:
    """Ask for the cancellation of every open order, once per ``version``."""
    return process().host.call(lambda control: control.cancel_all(reason=reason, by=by, version=version), ANSWER_S)


@app.task(name="gekko.execution.cancel_some")  # type: ignore[untyped-decorator]  # celery has no types
def cancel_some(number: int, selection: dict[str, Any], reason: str, by: str) -> dict[str, Any]:
    """Ask for the cancellation of a part of the open orders."""
    return process().host.call(
        lambda control: control.cancel_some(number=number, selection=selection, reason=reason, by=by), ANSWER_S
    )


@app.task(name="gekko.execution.set_scopes")  # type: ignore[untyped-decorator]  # celery has no types
def set_scopes(scopes: list[dict[str, Any]]) -> dict[str, Any]:
    """Take halts by scope."""
    return process().host.call(lambda control: control.set_scopes(scopes=scopes), ANSWER_S)


@app.task(name="gekko.execution.take_overrides")  # type: ignore[untyped-decorator]  # celery has no types
def take_overrides() -> dict[str, Any]:
    """Look at the tables for overrides at once; while they cannot be read, the next poll brings them."""
    if (desired := look(process().host.config.venue)) is not None:
        return process().host.call(lambda control: control.follow(desired), ANSWER_S)
    return {"problem": "the tables cannot be read"}


@app.task(name="gekko.execution.activate_limits")  # type: ignore[untyped-decorator]  # celery has no types
def activate_limits(version: int, digest: str, limits: dict[str, Any], signature: str = "") -> dict[str, Any]:
    """Put the limits in force that the tables hold; the message's own count only while they cannot be read."""
    if (desired := look(process().host.config.venue)) is not None:
        return process().host.call(lambda control: control.follow(desired), ANSWER_S)
    return process().host.call(
        lambda control: control.activate_limits(version=version, digest=digest, limits=limits, signature=signature),
        ANSWER_S,
    )


@app.task(name="gekko.execution.status")  # type: ignore[untyped-decorator]  # celery has no types
def status() -> dict[str, Any]:
    """What the loop does at present."""
    return process().host.status()


@app.task(name="gekko.execution.what_if")  # type: ignore[untyped-decorator]  # celery has no types
def what_if(orders: list[dict[str, Any]]) -> dict[str, Any]:
    """What the gate says of orders that nobody sends."""
    return answer(process().host, orders, ANSWER_S)


@app.task(name="gekko.execution.take_var")  # type: ignore[untyped-decorator]  # celery has no types
def take_var(snapshot: dict[str, Any]) -> dict[str, Any]:
    """Give the gate the covariance of the newest risk report; the next minute brings another."""
    return bring(process().host, snapshot, ANSWER_S)
