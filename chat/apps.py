from django.apps import AppConfig


class ChatConfig(AppConfig):
    name = "chat"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from . import signals
        from .delivery import door
        from .hub import hints

        signals.connect()
        door.on_write = hints.publish_from_outside
