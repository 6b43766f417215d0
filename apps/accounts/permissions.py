"""Whether a caller may do a thing. Services ask; views do not decide."""

from __future__ import annotations

from apps.accounts.domain.roles import Capability, capabilities_of, service_capabilities
from apps.audit.services import record_denied
from apps.core.context import ActorKind, Context
from apps.core.errors import NotAuthenticated, PermissionRefused

__all__ = ["Capability", "allowed", "capabilities", "require"]


def capabilities(ctx: Context) -> frozenset[Capability]:
    """All that the caller may do: the union of its roles, cut to the token's scopes; a service has its own set."""
    actor = ctx.actor
    if actor.kind is ActorKind.SERVICE:
        return service_capabilities(actor.name)
    granted = capabilities_of(actor.roles)
    if actor.scopes is None:
        return granted
    return frozenset(capability for capability in granted if capability.value in actor.scopes)


def allowed(ctx: Context, capability: Capability) -> bool:
    return capability in capabilities(ctx)


def require(ctx: Context, capability: Capability, *, object_type: str, object_id: str) -> None:
    """Return when the caller may; else record the refusal and raise PermissionRefused.

    NotAuthenticated for nobody. Ask before the first ``audit.record`` of the transaction.
    """
    if allowed(ctx, capability):
        return
    if ctx.actor.id == "anonymous":
        raise NotAuthenticated("sign in with your second factor first")
    record_denied(
        ctx,
        event="accounts.permission.denied",
        object_type=object_type,
        object_id=object_id,
        reason=f"no role of {ctx.actor.name} allows {capability.value}",
        fields={"capability": capability.value},
    )
    raise PermissionRefused(
        f"this needs the permission {capability.value}, which none of your roles has", capability=capability.value
    )
