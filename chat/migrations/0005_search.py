"""What `search` looks in. A later migration that makes SQLite's table of messages anew (as Django
does to change a column) has to drop the index before and create it after."""

from django.db import migrations


def create(apps, schema_editor):
    from chat.delivery import search

    search.create(schema_editor)


def drop(apps, schema_editor):
    from chat.delivery import search

    search.drop(schema_editor)


class Migration(migrations.Migration):

    dependencies = [("chat", "0004_moderation")]

    operations = [migrations.RunPython(create, drop)]
