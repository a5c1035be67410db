"""The project's settings, made fit for tests: nothing from the machine but DATABASE_URL."""

import os
import tempfile

os.environ.setdefault("SECRET_KEY", "for-tests-only")
os.environ.update(DEBUG="0", ALLOWED_HOSTS="*")

from chatsite.settings import *  # noqa: E402, F403
from chatsite.settings import DATABASES  # noqa: E402

PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
# A file: Django's database in memory fails readers in other threads with "table is locked".
if DATABASES["default"]["ENGINE"].endswith("sqlite3"):
    DATABASES["default"]["TEST"] = {"NAME": f"{tempfile.mkdtemp(prefix='chatsite-')}/test.sqlite3"}
