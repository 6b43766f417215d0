"""Settings that hold everywhere. What differs between machines comes from the environment (see .env.example)."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from redis.backoff import NoBackoff
from redis.retry import Retry

from controlplane import environment as env
from controlplane import secrets
from controlplane.embedded.postgres import DATABASE, ROLE, socket_folder
from controlplane.venues import Home, other_venues
from frontend import csp

ROOT = env.ROOT
GEKKO_PRODUCTION = False
GEKKO_MODE = env.text("GEKKO_MODE", "paper")
GEKKO_STATE_DIR: Path = env.state_folder()
GEKKO_DATA: Path = env.folder("GEKKO_DATA", ROOT.parent / "shared" / "data")
GEKKO_REGION = env.text("GEKKO_REGION", "local")
SECRETS = GEKKO_STATE_DIR / "secrets"

GEKKO_WEB_PORT = env.port("GEKKO_WEB_PORT", 8000)
GEKKO_VENUE_PORT = env.port("GEKKO_VENUE_PORT", 18010)
GEKKO_VALKEY_PORT = env.port("GEKKO_VALKEY_PORT", 16379)
GEKKO_WEB_URL = env.text("GEKKO_WEB_URL", f"http://127.0.0.1:{GEKKO_WEB_PORT}")
GEKKO_VENUE_URL = env.text("GEKKO_VENUE_URL", f"http://127.0.0.1:{GEKKO_VENUE_PORT}")
GEKKO_VENUE_NAME = env.text("GEKKO_VENUE_NAME", "paper")
GEKKO_VENUE_API_KEY = env.text("GEKKO_VENUE_API_KEY", "") or secrets.text_secret(SECRETS, "venue_api_key")
GEKKO_VENUE_API_SECRET = env.text("GEKKO_VENUE_API_SECRET", "") or secrets.text_secret(SECRETS, "venue_api_secret")
GEKKO_VENUE_CODE = env.text("GEKKO_VENUE_CODE", "")
GEKKO_VENUE_API_PASSWORD = env.text("GEKKO_VENUE_API_PASSWORD", "")
GEKKO_VENUE_REST_URL = env.text("GEKKO_VENUE_REST_URL", "")
GEKKO_VENUE_STREAM_URL = env.text("GEKKO_VENUE_STREAM_URL", "")
GEKKO_OTHER_VENUES = other_venues(
    Home(GEKKO_VENUE_NAME, GEKKO_VENUE_URL, GEKKO_VENUE_API_KEY, GEKKO_VENUE_API_SECRET), paper=GEKKO_MODE == "paper"
)
GEKKO_METRICS_BASE = env.port("GEKKO_METRICS_BASE", 18100)
GEKKO_METRICS_PORT: int | None = env.integer("GEKKO_METRICS_PORT", 0) or None

SECRET_KEY = env.text("GEKKO_SECRET_KEY", "") or secrets.text_secret(SECRETS, "django_secret_key", 64)
GEKKO_FIELD_KEY: bytes = secrets.key_secret(SECRETS, "field_key")
GEKKO_RECOVERY_PEPPER: bytes = secrets.key_secret(SECRETS, "recovery_pepper")
GEKKO_AUDIT_SIGNING_KEY: Path = secrets.signing_key(SECRETS, "audit_signing_key.pem")

DEBUG = False
ALLOWED_HOSTS = env.words("GEKKO_ALLOWED_HOSTS", ["127.0.0.1", "localhost"])
CSRF_TRUSTED_ORIGINS = env.words("GEKKO_TRUSTED_ORIGINS", [])

INSTALLED_APPS = [
    "apps.core.admin_config.GekkoAdminConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "channels",
    "rest_framework",
    "django_filters",
    "drf_spectacular",
    "knox",
    "django_otp",
    "csp",
    "controlplane",
    "apps.core",
    "apps.audit",
    "apps.accounts",
    "apps.policies",
    "apps.fleet",
    "apps.trading",
    "apps.deployments",
    "apps.incidents",
    "apps.streaming",
    "frontend",
]

MIDDLEWARE = [
    "apps.core.middleware.RequestContextMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "csp.middleware.CSPMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django_otp.middleware.OTPMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]

ROOT_URLCONF = "controlplane.urls"
ASGI_APPLICATION = "controlplane.asgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [ROOT / "frontend" / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]


def _database(url: str) -> dict[str, Any]:
    """A ``postgresql://user:password@host:port/name?host=/socket&sslmode=...`` URL as Django's dict."""
    parts = urlsplit(url)
    query = {name: values[-1] for name, values in parse_qs(parts.query).items()}
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": unquote(parts.path.lstrip("/")),
        "USER": unquote(parts.username or ""),
        "PASSWORD": unquote(parts.password or ""),
        "HOST": query.pop("host", parts.hostname or ""),
        "PORT": str(parts.port or ""),
        # Threads come and go in an ASGI process: connections belong to a pool, never to a thread.
        "CONN_MAX_AGE": 0,
        "CONN_HEALTH_CHECKS": True,
        "OPTIONS": {
            "connect_timeout": 5,
            "pool": {"min_size": 0, "max_size": env.integer("GEKKO_DB_POOL_SIZE", 16), "timeout": 10},
            **query,
        },
    }


DATABASE_URL = env.text("DATABASE_URL", f"postgresql://{ROLE}@/{DATABASE}?host={socket_folder(GEKKO_STATE_DIR)}")
GEKKO_EMBEDDED_POSTGRES = not env.text("DATABASE_URL", "")
GEKKO_EMBEDDED_VALKEY = not env.text("REDIS_URL", "")
DATABASES = {"default": _database(DATABASE_URL)}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

_VALKEY_PASSWORD = secrets.text_secret(SECRETS, "valkey_password")
REDIS_URL = env.text("REDIS_URL", f"redis://:{_VALKEY_PASSWORD}@127.0.0.1:{GEKKO_VALKEY_PORT}/0")
CACHES = {
    "default": {
        "BACKEND": "django.core.cache.backends.redis.RedisCache",
        "LOCATION": REDIS_URL,
        # Requests ask it: one that does not answer must cost them half a second at most, without further tries.
        "OPTIONS": {"socket_timeout": 0.5, "socket_connect_timeout": 0.5, "retry": Retry(NoBackoff(), 0)},
    }
}
CHANNEL_LAYERS = {
    "default": {
        "BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer",
        # redis-py 8 would cut an idle subscription after five seconds.
        "CONFIG": {"hosts": [{"address": REDIS_URL, "socket_timeout": None}], "prefix": "gekko:channels"},
    }
}

CELERY_BROKER_URL = env.text("CELERY_BROKER_URL", REDIS_URL)
CELERY_RESULT_BACKEND = REDIS_URL
if urlsplit(REDIS_URL).scheme == "rediss":
    # Celery has no default for this and refuses to start without; what the URL itself says comes first.
    CELERY_REDIS_BACKEND_USE_SSL = {"ssl_cert_reqs": ssl.CERT_REQUIRED}
CELERY_RESULT_EXPIRES = 3600
CELERY_TASK_DEFAULT_QUEUE = "control"
CELERY_TASK_ROUTES = {
    "gekko.execution.*": {"queue": "execution"},
    "gekko.forecast.*": {"queue": "gpu"},
    "gekko.backtest.*": {"queue": "backtest"},
    "gekko.portfolio.rebalance": {"queue": "backtest"},
}
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_REJECT_ON_WORKER_LOST = True
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_WORKER_SEND_TASK_EVENTS = False
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_TRANSPORT_OPTIONS = {"visibility_timeout": 3600, "socket_timeout": 30, "socket_keepalive": True}
CELERY_TIMEZONE = "UTC"
CELERY_BEAT_SCHEDULE_FILENAME = str(GEKKO_STATE_DIR / "celerybeat-schedule")
CELERY_BEAT_SCHEDULE: dict[str, dict[str, Any]] = {
    "audit-checkpoint": {"task": "gekko.audit.checkpoint", "schedule": 60.0, "options": {"expires": 60}},
    "audit-checkpoint-soon": {"task": "gekko.audit.checkpoint_soon", "schedule": 5.0, "options": {"expires": 5}},
    "audit-verify": {"task": "gekko.audit.verify", "schedule": 300.0, "options": {"expires": 300}},
    "fleet-probe": {"task": "gekko.fleet.probe", "schedule": 5.0, "options": {"expires": 5}},
    "incidents-sweep": {"task": "gekko.incidents.sweep", "schedule": 2.0, "options": {"expires": 2}},
    "deployments-audit": {"task": "gekko.deployments.audit_overdue", "schedule": 10.0, "options": {"expires": 10}},
    "risk-report": {"task": "gekko.risk.report", "schedule": 60.0, "options": {"expires": 60}},
    "backtests-resend": {"task": "gekko.trading.resend_backtests", "schedule": 15.0, "options": {"expires": 15}},
    "rebalances-look-after": {"task": "gekko.portfolio.look_after", "schedule": 5.0, "options": {"expires": 5}},
    "adoptions-look-after": {"task": "gekko.trading.look_after_adoptions", "schedule": 5.0, "options": {"expires": 5}},
    "trading-prune": {"task": "gekko.trading.prune", "schedule": 900.0, "options": {"expires": 900}},
    "core-sweep": {"task": "gekko.core.sweep", "schedule": 3600.0, "options": {"expires": 3600}},
}

# What is not evidence is not kept for ever; 0 keeps everything.
GEKKO_RETENTION: dict[str, int] = {
    "backtests": env.count("GEKKO_KEEP_BACKTESTS", 2000),
    "backtest_days": env.count("GEKKO_KEEP_BACKTEST_DAYS", 365),
    "rebalances": env.count("GEKKO_KEEP_REBALANCES", 2000),
    "rebalance_days": env.count("GEKKO_KEEP_REBALANCE_DAYS", 365),
    "equity_full_days": env.count("GEKKO_KEEP_EQUITY_FULL_DAYS", 30),
    "equity_hourly_days": env.count("GEKKO_KEEP_EQUITY_HOURLY_DAYS", 365),
}

AUTH_USER_MODEL = "accounts.User"
KNOX_TOKEN_MODEL = "accounts.ApiToken"
# The token model is our own; the migrations of knox would make a second, unused table.
MIGRATION_MODULES: dict[str, str | None] = {"knox": None}
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 12}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
LOGIN_URL = "/login/"
LOGIN_REDIRECT_URL = "/"
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
SESSION_COOKIE_AGE = 12 * 3600
# The renderer reads the token from the cookie and returns it in the header.
CSRF_COOKIE_HTTPONLY = False
CSRF_COOKIE_SAMESITE = "Lax"
X_FRAME_OPTIONS = "DENY"
CONTENT_SECURITY_POLICY = {"DIRECTIVES": csp.DIRECTIVES}
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
SECURE_CROSS_ORIGIN_OPENER_POLICY = "same-origin"

LANGUAGE_CODE = "en"
TIME_ZONE = "UTC"
USE_I18N = False
USE_TZ = True
STATIC_URL = "/static/"
STATIC_ROOT = GEKKO_STATE_DIR / "static"
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "frontend.storage.HashedFiles"},
}
WHITENOISE_USE_FINDERS = False
LOGGING_CONFIG = "controlplane.logs.configure"
GEKKO_PROCESS = env.text("GEKKO_PROCESS", "")
LOGGING = {"process": GEKKO_PROCESS, "level": env.text("GEKKO_LOG_LEVEL", "INFO")}

REST_FRAMEWORK = {
    # Our views name their own; a view that forgets is closed.
    "DEFAULT_AUTHENTICATION_CLASSES": [],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "EXCEPTION_HANDLER": "apps.core.api.problems.exception_handler",
    "COERCE_DECIMAL_TO_STRING": True,
    "UNAUTHENTICATED_USER": None,
}
SPECTACULAR_SETTINGS = {
    "TITLE": "Gekko",
    "DESCRIPTION": "Control plane of an autonomous trading desk.",
    "VERSION": "1",
    "SCHEMA_PATH_PREFIX": "/api/v1",
    "SERVE_INCLUDE_SCHEMA": False,
    "ENUM_NAME_OVERRIDES": {
        "RoleEnum": "apps.accounts.domain.roles.ROLE_CHOICES",
        "SideEnum": "apps.trading.choices.OrderSide",
        "BacktestKindEnum": "apps.trading.models.backtests.BacktestKind",
        "BacktestStateEnum": "apps.trading.models.backtests.BacktestState",
    },
    "POSTPROCESSING_HOOKS": [
        "drf_spectacular.hooks.postprocess_schema_enums",
        "apps.core.api.schema.add_problems",
    ],
}
