"""What surrounds every page: who is here, what they may do, and which environment this is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.http import HttpRequest

from apps.accounts.api.authentication import verified_session
from apps.accounts.permissions import Capability, capabilities
from apps.core.api.context import context_of


@dataclass(frozen=True)
class Frame:
    """Values of the header; scripts read them from the body's data attributes."""

    user: str
    roles: tuple[str, ...]
    capabilities: frozenset[str]
    mode: str
    venue: str
    region: str
    signed_in_at: str
    session_ends_at: str

    @property
    def live(self) -> bool:
        """Real money: the whole page gets a red frame."""
        return self.mode != "paper"

    def may(self, capability: Capability) -> bool:
        return capability.value in self.capabilities

    @property
    def may_halt(self) -> bool:
        return self.may(Capability.TRADING_HALT)

    @property
    def role_words(self) -> str:
        """The roles as people say them."""
        return ", ".join(role.replace("_", " ").capitalize() for role in self.roles)

    @property
    def capability_words(self) -> str:
        return " ".join(sorted(self.capabilities))


def frame_of(request: HttpRequest) -> Frame:
    """The frame for the person of ``request``, whom the guard has let in."""
    ctx = context_of(request)
    session: Any = verified_session(request)
    return Frame(
        user=ctx.actor.name,
        roles=tuple(ctx.actor.roles),
        capabilities=frozenset(capability.value for capability in capabilities(ctx)),
        mode=settings.GEKKO_MODE,
        venue=settings.GEKKO_VENUE_NAME,
        region=settings.GEKKO_REGION,
        signed_in_at=session.created_at.isoformat() if session else "",
        session_ends_at=session.expires_at.isoformat() if session else "",
    )
