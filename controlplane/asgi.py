"""HTTP by Django, websockets by Channels."""

from __future__ import annotations

import os

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "controlplane.settings.dev")

from channels.routing import ProtocolTypeRouter
from django.conf import settings
from django.core.asgi import get_asgi_application

http = get_asgi_application()

# The apps are loaded now; what follows imports their models.
from controlplane.checks import refuse_unsafe
from controlplane.observability import Heartbeat
from controlplane.routing import websocket

refuse_unsafe()
application = ProtocolTypeRouter({"http": http, "websocket": websocket})

if settings.GEKKO_PROCESS == "web":
    Heartbeat("web").start()
