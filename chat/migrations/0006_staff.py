"""What the staff's pages list."""

from django.db import migrations


class Migration(migrations.Migration):

    dependencies = [("chat", "0005_search")]

    operations = []
