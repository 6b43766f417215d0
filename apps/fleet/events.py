"""What the fleet writes into the audit trail."""

from __future__ import annotations

EVENTS: dict[str, str] = {
    "fleet.node.registered": "A machine joined the fleet",
    "fleet.node.lost": "A machine's lease ran out without a heartbeat",
    "fleet.node.recovered": "A machine that was lost is heard of again",
    "fleet.model.registered": "A trained model entered the registry",
    "fleet.model.ready": "A model was warmed up on a device and gave its known answers",
    "fleet.load.ready": "A model was loaded on a device and gave its known answers",
    "fleet.load.failed": "Loading a model on a device failed",
    "fleet.model.retired": "A model was taken out of use",
}
