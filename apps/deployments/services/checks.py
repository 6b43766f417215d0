"""Validation: what a run needs, each with what was seen as evidence."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

import httpx
from django.conf import settings

from apps.core import heartbeats
from apps.core.errors import Unavailable
from apps.deployments.domain.plan import CheckResult
from apps.deployments.models import Run
from apps.fleet import selectors as fleet
from apps.policies import selectors as policies

VENUE_TIMEOUT_S = 2.0


def perform(name: str, run: Run, now: datetime) -> CheckResult:
    """Do the check ``name`` for ``run``; takes no locks and changes nothing."""
    return _CHECKS[name](run, now)


def _passed(detail: str, **evidence: object) -> CheckResult:
    return CheckResult(outcome="passed", detail=detail, evidence=evidence)


def _waiting(detail: str, **evidence: object) -> CheckResult:
    return CheckResult(outcome="waiting", detail=detail, evidence=evidence)


def _failed(detail: str, **evidence: object) -> CheckResult:
    return CheckResult(outcome="failed", detail=detail, evidence=evidence)


def _limits_active(run: Run, now: datetime) -> CheckResult:  # noqa: ARG001 - all checks share one signature
    active = policies.active_limits()
    if active is None:
        return _failed("no risk limits are published")
    seen = {"active": active["version"], "digest": active["digest"]}
    wanted = run.release.limits_version
    if active["version"] != wanted:
        return _failed(f"the release was made for limits {wanted}, limits {active['version']} hold", **seen)
    return _passed(f"limits {wanted} hold", **seen)


def _device_present(run: Run, now: datetime) -> CheckResult:  # noqa: ARG001 - all checks share one signature
    devices = [f"{device.kind}:{device.index} {device.name}" for device in fleet.usable_devices()]
    if not devices:
        return _waiting("no device of a machine with a good lease passed its probe yet")
    return _passed(f"{len(devices)} usable", devices=devices)


def _model_ready(run: Run, now: datetime) -> CheckResult:  # noqa: ARG001 - all checks share one signature
    digest = run.release.model_digest
    if not digest:
        return _passed("the strategy uses no model")
    if fleet.model(digest) is None:
        return _failed(f"no model {digest[:12]} is registered", digest=digest)
    loads = [f"{load.device.kind}:{load.device.index}" for load in fleet.serving(digest)]
    if not loads:
        return _waiting(f"no device has model {digest[:12]} warm yet", digest=digest)
    return _passed(f"warm on {', '.join(loads)}", digest=digest, devices=loads)


def _venue_reachable(run: Run, now: datetime) -> CheckResult:
    """Any answer of a paper venue proves that it listens. An exchange is the execution worker's alone to speak to."""
    if settings.GEKKO_MODE == "live":
        return _venue_met(run, now)
    url = str(settings.GEKKO_VENUE_URL)
    try:
        answer = httpx.get(f"{url}/api.binance.us/api/v3/ping", timeout=VENUE_TIMEOUT_S)
    except httpx.HTTPError as error:
        return _waiting(f"{run.venue_id} does not answer at {url}: {error}", url=url)
    return _passed(f"{run.venue_id} answers at {url}", url=url, status=answer.status_code)


def _venue_met(run: Run, now: datetime) -> CheckResult:
    """What the execution worker says of its connection to the venue."""
    detail = _worker(now)
    if detail is None:
        return _waiting("the execution worker, which speaks to the venue, shows no heartbeat")
    phase, connected = str(detail.get("phase", "")), bool(detail.get("connected"))
    if not connected:
        return _waiting(f"the execution worker has no connection to {run.venue_id} yet", phase=phase)
    return _passed(f"the execution worker is connected to {run.venue_id}", phase=phase)


def _worker_alive(run: Run, now: datetime) -> CheckResult:  # noqa: ARG001 - all checks share one signature
    if not worker_alive(now):
        return _waiting("the execution worker shows no heartbeat")
    return _passed("the execution worker lives")


def worker_alive(now: datetime) -> bool:
    """Whether the execution worker showed a heartbeat just now; False when nobody can be asked."""
    return _worker(now) is not None


def _worker(now: datetime) -> dict[str, Any] | None:
    """What the execution worker said of itself just now; None when it did not, or nobody can be asked."""
    try:
        beat = heartbeats.read().get("execution")
    except Unavailable:
        return None
    return beat.detail if beat is not None and beat.fresh(now) else None


_CHECKS: dict[str, Callable[[Run, datetime], CheckResult]] = {
    "limits_active": _limits_active,
    "device_present": _device_present,
    "model_ready": _model_ready,
    "venue_reachable": _venue_reachable,
    "worker_alive": _worker_alive,
}
