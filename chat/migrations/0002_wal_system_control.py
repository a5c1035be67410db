from django.contrib.auth.hashers import make_password
from django.db import migrations


def use_wal(apps, schema_editor):
    from chat.delivery.durability import use_wal

    use_wal(schema_editor.connection)


def create_system_person(apps, schema_editor):
    User = apps.get_model("auth", "User")
    User.objects.get_or_create(
        id=0, defaults={"username": "system", "is_active": False, "password": make_password(None)}
    )


def create_control_room(apps, schema_editor):
    Room = apps.get_model("chat", "Room")
    Room.objects.get_or_create(
        namespace="_control",
        slug="control",
        defaults={"kind": "control", "private": True, "retain_seconds": 3600},
    )


class Migration(migrations.Migration):
    # SQLite changes its journal mode outside a transaction only.
    atomic = False

    dependencies = [("chat", "0001_initial")]

    operations = [
        migrations.RunPython(use_wal, migrations.RunPython.noop),
        migrations.RunPython(create_system_person, migrations.RunPython.noop, atomic=True),
        migrations.RunPython(create_control_room, migrations.RunPython.noop, atomic=True),
    ]
