"""Tests: real PostgreSQL and Valkey in a state folder of their own, cheap password hashing, nothing else different."""

import os
import tempfile
import zlib
from pathlib import Path

_STATE = os.environ.setdefault("GEKKO_TEST_STATE", str(Path(tempfile.gettempdir()) / "gekko-test"))
# Two checkouts, and the processes of one run, may test at the same time: each has its own servers, folder and port.
if _PROCESS := os.environ.get("PYTEST_XDIST_WORKER"):
    _STATE = f"{_STATE}-{_PROCESS}"
    del os.environ["GEKKO_VALKEY_PORT"]  # that of the process that handed out the tests
os.environ["GEKKO_STATE_DIR"] = _STATE
os.environ.setdefault("GEKKO_VALKEY_PORT", str(20_000 + zlib.crc32(_STATE.encode()) % 10_000))

from controlplane.settings.base import *  # noqa: F403, E402 - the state folder must be set before base reads it

PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
}
WHITENOISE_USE_FINDERS = True
WHITENOISE_AUTOREFRESH = True
# The test database is dropped at the end: nothing may hold a connection that nobody uses.
DATABASES["default"]["OPTIONS"].pop("pool")  # noqa: F405
# All tests come from one address; those about rates set their own.
GEKKO_THROTTLES = dict.fromkeys(("read", "write", "sign_in", "export", "address"), "1000000/min")
