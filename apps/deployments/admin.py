"""Read-only lists: deployments are written by services alone."""

from __future__ import annotations

from django.contrib import admin

from apps.accounts.domain.roles import Capability
from apps.core.admin_site import ReadOnlyAdmin
from apps.deployments import models


class DeploymentRecords(ReadOnlyAdmin):
    view_capability = Capability.DEPLOY_VIEW


@admin.register(models.Release)
class ReleaseAdmin(DeploymentRecords):
    list_display = ["number", "strategy", "digest", "limits_version", "created_by", "created_at"]


@admin.register(models.Run)
class RunAdmin(DeploymentRecords):
    list_display = ["number", "release", "venue", "state", "detail", "requested_by", "created_at"]
    list_filter = ["state", "venue"]


@admin.register(models.Step)
class StepAdmin(DeploymentRecords):
    list_display = ["run", "name", "state", "detail"]
