"""The ASGI application: `daphne chatsite.asgi:application`."""

import os

from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "chatsite.settings")

http = get_asgi_application()  # sets Django up; what is imported below needs that

try:
    from chat.routing import application
except ModuleNotFoundError:
    application = http
