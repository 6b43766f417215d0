"""Production: TLS in front, secure cookies, nothing embedded by accident, no secret made up on the way.

``controlplane.checks`` refuses the rest, in every process.
"""

from controlplane import environment, secrets

# Before base, which makes on one machine whatever is not there.
secrets.demand(environment.state_folder() / "secrets", live=environment.text("GEKKO_MODE", "paper") == "live")

from controlplane.settings.base import *  # noqa: F403, E402 - settings modules extend one another by design

GEKKO_PRODUCTION = True
SESSION_COOKIE_NAME = "__Host-sessionid"
SESSION_COOKIE_SECURE = True
CSRF_COOKIE_SECURE = True
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
SECURE_SSL_REDIRECT = True
SECURE_REDIRECT_EXEMPT = [r"^healthz$", r"^readyz$", r"^metrics$"]
SECURE_HSTS_SECONDS = 31_536_000
SECURE_HSTS_INCLUDE_SUBDOMAINS = True
SECURE_HSTS_PRELOAD = True
