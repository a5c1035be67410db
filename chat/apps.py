from django.apps import AppConfig
from django.contrib.admin import apps as admin


class ChatConfig(AppConfig):
    default = True
    name = "chat"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from . import signals
        from .delivery import door
        from .hub import hints

        signals.connect()
        door.on_write = hints.publish_from_outside


class StaffAdmin(admin.AdminConfig):
    """Stands for `django.contrib.admin` among the installed apps."""

    default = False
    default_site = "chat.site.StaffSite"
