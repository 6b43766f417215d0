"""Who acts, from where, and when: the first argument of every service."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING
from uuid import UUID

from apps.core.clock import SYSTEM_CLOCK, Clock
from apps.core.ids import new_id

if TYPE_CHECKING:
    from apps.accounts.models import User


class ActorKind(StrEnum):
    USER = "user"
    TOKEN = "token"  # noqa: S105 - the kind of an actor
    SERVICE = "service"


class MfaLevel(StrEnum):
    """NONE: password only or no person; OTP: second factor at sign-in; STEP_UP: a fresh code for this very action."""

    NONE = "none"
    OTP = "otp"
    STEP_UP = "step_up"


@dataclass(frozen=True, kw_only=True)
class Actor:
    """A frozen copy of who acts; it stays true in the audit trail when the user changes or goes."""

    kind: ActorKind
    id: str
    name: str
    roles: tuple[str, ...] = ()
    scopes: tuple[str, ...] | None = None
    """What an API token may do at most; None where there is no such limit."""
    user: User | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, kw_only=True)
class Context:
    """Everything that a service must know about its caller."""

    actor: Actor
    request_id: UUID = field(default_factory=new_id)
    trace_id: str = ""
    mfa: MfaLevel = MfaLevel.NONE
    evidence: str = ""
    """What proves the level, such as ``step_up:<grant id>``."""
    session: str = ""
    ip: str = ""
    origin: str = ""
    """web, api, task, command or worker."""
    reason: str = ""
    clock: Clock = SYSTEM_CLOCK

    def now(self) -> datetime:
        return self.clock.now()

    def because(self, reason: str) -> Context:
        """The same caller with a reason, which the audit row will carry."""
        return replace(self, reason=reason)


def service_context(name: str, *, origin: str = "task", clock: Clock = SYSTEM_CLOCK, trace_id: str = "") -> Context:
    """The context of a process that acts on its own behalf, such as ``scheduler`` or ``execution``."""
    actor = Actor(kind=ActorKind.SERVICE, id=f"service:{name}", name=name)
    return Context(actor=actor, origin=origin, clock=clock, trace_id=trace_id)
