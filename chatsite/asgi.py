"""The ASGI application: `daphne chatsite.asgi:application`."""

import os

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "chatsite.settings")
django.setup()

from chat.routing import application  # noqa: E402

__all__ = ["application"]
