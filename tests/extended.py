"""A project's settings with apps of its own: `tests.tickets` is the example of docs/namespaces.md,
`tests.stage` does what tests ask of it."""

from chatsite.settings import *  # noqa: F403
from chatsite.settings import INSTALLED_APPS

INSTALLED_APPS = [*INSTALLED_APPS, "tests.tickets", "tests.stage"]
ROOT_URLCONF = "tests.tickets.urls"
