"""The write layer of trading records."""

from apps.trading.services.bootstrap import ensure_venue
from apps.trading.services.control import approve_resume, cancel_all, expire_requests, halt, resume
from apps.trading.services.parents import cancel_parent, submit_parent
from apps.trading.services.projection import JournalMismatch, project

__all__ = [
    "JournalMismatch",
    "approve_resume",
    "cancel_all",
    "cancel_parent",
    "ensure_venue",
    "expire_requests",
    "halt",
    "project",
    "resume",
    "submit_parent",
]
