"""Reading deployments: for the execution worker that polls, for the API, for topic snapshots."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.db.models import QuerySet

from apps.accounts.permissions import Capability, require
from apps.core.context import Context
from apps.core.errors import NotFound
from apps.deployments.choices import ACTIVE_STATES, RunState
from apps.deployments.models import Release, Run
from apps.deployments.rows import run_row


def may_view(ctx: Context, what: str) -> None:
    """Return when the caller may read deployments; PermissionRefused, which is recorded, otherwise."""
    require(ctx, Capability.DEPLOY_VIEW, object_type=what, object_id="")


def desired_runs(venue: str) -> list[dict[str, Any]]:
    """Plans of the runs that ``venue``'s worker must have running now; a run that is not listed must be stopped."""
    wanted = Run.objects.filter(venue_id=venue, state__in=[RunState.STARTING, RunState.RUNNING, RunState.HEALTHY])
    return [run.plan for run in wanted.order_by("number")]


def releases() -> QuerySet[Release]:
    """Releases, newest first."""
    return Release.objects.order_by("-number")


def runs(venue: str | None = None) -> QuerySet[Run]:
    """Runs with release and steps, newest first."""
    found = Run.objects.select_related("release").prefetch_related("steps").order_by("-number")
    return found if venue is None else found.filter(venue_id=venue)


def get_release(release_id: UUID) -> Release:
    """One release; NotFound."""
    release = Release.objects.filter(pk=release_id).first()
    if release is None:
        raise NotFound(f"there is no release {release_id}")
    return release


def get_run(run_id: UUID) -> Run:
    """One run with its release and steps; NotFound."""
    run = runs().filter(pk=run_id).first()
    if run is None:
        raise NotFound(f"there is no run {run_id}")
    return run


def active_runs(venue: str) -> QuerySet[Run]:
    """The runs that are not over on ``venue``, newest first; each trades instruments of its own."""
    return runs(venue).filter(state__in=ACTIVE_STATES)


def snapshot(venue: str) -> list[tuple[str, dict[str, Any]]]:
    """(key, row) pairs that a client of topic ``deployments`` starts from: the newest fifty runs."""
    return [(str(run.pk), run_row(run)) for run in runs(venue)[:50]]
