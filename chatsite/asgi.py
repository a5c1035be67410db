"""The ASGI application: `daphne chatsite.asgi:application`."""

import os

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "chatsite.settings")
django.setup()

try:
    from chat.routing import application
except ModuleNotFoundError:
    from django.core.asgi import get_asgi_application

    application = get_asgi_application()
