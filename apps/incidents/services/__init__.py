"""The write layer of incidents."""

from apps.incidents.services.consumer import handle_message, sweep
from apps.incidents.services.lifecycle import acknowledge, add_note, clear, open_incident, resolve
from apps.incidents.services.lookout import Lookout

__all__ = ["Lookout", "acknowledge", "add_note", "clear", "handle_message", "open_incident", "resolve", "sweep"]
