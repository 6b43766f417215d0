"""What may be done, and which role may do it. Denied unless listed."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from typing import Final


class Capability(StrEnum):
    TRADING_VIEW = "trading.view"
    TRADING_HALT = "trading.halt"
    TRADING_RESUME = "trading.resume"
    TRADING_CANCEL = "trading.cancel"
    TRADING_ORDER = "trading.order"
    BACKTEST_RUN = "trading.backtest"
    REBALANCE_RUN = "trading.rebalance"
    DEPLOY_VIEW = "deployments.view"
    DEPLOY_START = "deployments.start"
    DEPLOY_STOP = "deployments.stop"
    INCIDENT_VIEW = "incidents.view"
    INCIDENT_ACK = "incidents.acknowledge"
    INCIDENT_RESOLVE = "incidents.resolve"
    POLICY_VIEW = "policies.view"
    POLICY_EDIT = "policies.edit"
    FLEET_VIEW = "fleet.view"
    FLEET_MANAGE = "fleet.manage"
    AUDIT_VIEW = "audit.view"
    AUDIT_EXPORT = "audit.export"
    AUDIT_VERIFY = "audit.verify"
    USERS_VIEW = "users.view"
    USERS_MANAGE = "users.manage"
    TOKENS_MANAGE = "tokens.manage"
    """One's own API tokens."""


class Role(StrEnum):
    VIEWER = "viewer"
    OPERATOR = "operator"
    RISK_OFFICER = "risk_officer"
    DEPLOYER = "deployer"
    AUDITOR = "auditor"
    ADMINISTRATOR = "administrator"


ROLE_CHOICES: Final = [(role.value, role.value) for role in Role]

_C = Capability
_VIEW: Final = frozenset({_C.TRADING_VIEW, _C.DEPLOY_VIEW, _C.INCIDENT_VIEW, _C.POLICY_VIEW, _C.FLEET_VIEW})
_ACT: Final = _VIEW | {_C.TRADING_HALT, _C.BACKTEST_RUN, _C.REBALANCE_RUN, _C.INCIDENT_ACK, _C.TOKENS_MANAGE}

CAPABILITIES: Final[dict[Role, frozenset[Capability]]] = {
    Role.VIEWER: _VIEW,
    Role.OPERATOR: _ACT | {_C.TRADING_RESUME, _C.TRADING_CANCEL, _C.TRADING_ORDER, _C.INCIDENT_RESOLVE},
    Role.RISK_OFFICER: _ACT | {_C.TRADING_RESUME, _C.TRADING_CANCEL, _C.INCIDENT_RESOLVE, _C.POLICY_EDIT},
    Role.DEPLOYER: _ACT | {_C.DEPLOY_START, _C.DEPLOY_STOP, _C.FLEET_MANAGE},
    Role.AUDITOR: _VIEW | {_C.AUDIT_VIEW, _C.AUDIT_EXPORT, _C.AUDIT_VERIFY, _C.USERS_VIEW, _C.TOKENS_MANAGE},
    Role.ADMINISTRATOR: _VIEW
    | {_C.TRADING_HALT, _C.AUDIT_VIEW, _C.AUDIT_VERIFY, _C.USERS_VIEW, _C.USERS_MANAGE, _C.TOKENS_MANAGE},
}
"""Halting is in every acting role: it must be easier than anything else. Administrators manage people, not trades."""

SERVICE: Final = frozenset(Capability) - {_C.USERS_MANAGE, _C.TOKENS_MANAGE, _C.AUDIT_EXPORT, _C.POLICY_EDIT}
"""What the desk's own processes may do."""
SETUP: Final = frozenset(Capability)
"""What the commands may do that set a desk up; they run as the owner of the machine's state folder."""
SETUP_SERVICES: Final = frozenset({"bootstrap", "command"})


def capabilities_of(roles: Iterable[str]) -> frozenset[Capability]:
    """All that ``roles`` allow; a name that is no role allows nothing."""
    known = {role.value: role for role in Role}
    return frozenset().union(*(CAPABILITIES[known[name]] for name in roles if name in known))


def service_capabilities(name: str) -> frozenset[Capability]:
    return SETUP if name in SETUP_SERVICES else SERVICE
