"""What the staff's pages list."""

from django.db import migrations


class Migration(migrations.Migration):

    dependencies = [("chat", "0005_search")]

    operations = [
        migrations.CreateModel(
            name="Mute",
            fields=[],
            options={"proxy": True, "indexes": [], "constraints": []},
            bases=("chat.membership",),
        ),
        migrations.AlterModelOptions(name="lease", options={"verbose_name": "order"}),
        migrations.AlterModelOptions(name="login", options={"verbose_name": "session"}),
    ]
