"""One machine, started by ``gekko up``."""

from controlplane.settings.base import *  # noqa: F403 - settings modules extend one another by design
