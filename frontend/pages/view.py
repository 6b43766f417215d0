"""What a layout may know about its reader."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from apps.accounts.permissions import Capability
from frontend.frame import Frame


@dataclass(frozen=True)
class PageView:
    """The reader and the address's query; buttons follow from it, permissions are checked again by the services."""

    frame: Frame
    query: Mapping[str, str]

    def may(self, capability: Capability) -> bool:
        return self.frame.may(capability)
