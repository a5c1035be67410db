"""The project's settings for tests: of the environment and `.env`, only DATABASE_URL counts."""

import atexit
import os
import shutil
import tempfile
from pathlib import Path

for name in (
    "HOST",
    "PORT",
    "REDIS_URL",
    "ALLOWED_HOSTS",
    "ALLOWED_ORIGINS",
    "TRUSTED_PROXIES",
    "RATE_LIMIT",
    "FILTERED_WORDS",
):
    os.environ[name] = ""
os.environ |= {"DEBUG": "1", "SECRET_KEY": "for-tests-only"}

from chatsite.settings import *  # noqa: E402, F403
from chatsite.settings import DATABASES  # noqa: E402

PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]

directory = tempfile.mkdtemp(prefix="chatsite-")
atexit.register(shutil.rmtree, directory, ignore_errors=True)
STATIC_ROOT = Path(directory)

# A file: Django's database in memory fails readers in other threads with "table is locked".
if DATABASES["default"]["ENGINE"].endswith("sqlite3"):
    DATABASES["default"]["TEST"] = {"NAME": f"{directory}/test.sqlite3"}
