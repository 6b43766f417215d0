"""The settings of ``gekko up`` without request rates, which a benchmark from one address would reach."""

from controlplane.settings.dev import *  # noqa: F403 - settings modules extend one another by design

GEKKO_THROTTLES = dict.fromkeys(("read", "write", "sign_in", "export", "address"), "1000000/min")
