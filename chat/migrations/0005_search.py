"""What `search` looks in."""

from django.db import migrations


class Migration(migrations.Migration):

    dependencies = [("chat", "0004_moderation")]

    operations = []
