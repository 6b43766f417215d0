"""What this process has of the fleet: its device, its models and its membership, made at first use."""

from __future__ import annotations

from functools import cache
from importlib.metadata import PackageNotFoundError, version

import torch
from django.conf import settings
from prometheus_client import Gauge

from workers.adapters import devices
from workers.adapters.model_store import ModelStore
from workers.live.fleet_member import FleetMember, usable
from workers.live.model_host import ModelHost
from workers.live.node_identity import node_id

LOADED = Gauge("gekko_models_loaded", "Models warm on the device of this process")


@cache
def member() -> FleetMember:
    """This process's models and its place in the fleet, made once: first use picks the device."""
    # One thread per call: on a busy machine a second one makes every forecast wait for a core.
    torch.set_num_threads(1)
    device = usable(devices.discover())
    host = ModelHost(ModelStore(settings.GEKKO_STATE_DIR / "models"), device.torch_device)
    LOADED.set_function(lambda: len(host.digests))
    return FleetMember(host, device, node_id(settings.GEKKO_STATE_DIR), settings.GEKKO_REGION, _version())


def _version() -> str:
    try:
        return version("gekko")
    except PackageNotFoundError:
        return "source"
