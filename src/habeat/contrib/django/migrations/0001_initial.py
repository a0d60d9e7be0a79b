"""The model without a table, for its permissions and its content type."""

from __future__ import annotations

from django.db import migrations, models


class Migration(migrations.Migration):
    """Creates nothing in the database."""

    initial = True
    operations = (
        migrations.CreateModel(
            name="Entry",
            fields=[
                ("name", models.CharField(max_length=255, primary_key=True, serialize=False)),
            ],
            options={
                "verbose_name": "entry",
                "verbose_name_plural": "entries",
                "permissions": (
                    ("pause_entry", "Can pause and resume entries"),
                    ("trigger_entry", "Can run entries now"),
                ),
                "managed": False,
                "base_manager_name": "objects",
            },
        ),
    )
