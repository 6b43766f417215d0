"""The write layer of deployments."""

from apps.deployments.services.advance import advance, audit_overdue
from apps.deployments.services.releases import create_release
from apps.deployments.services.runs import start_run, stop_run

__all__ = ["advance", "audit_overdue", "create_release", "start_run", "stop_run"]
