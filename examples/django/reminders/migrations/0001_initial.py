from django.db import migrations, models


class Migration(migrations.Migration):
    initial = True
    operations = (
        migrations.CreateModel(
            name="Reminder",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("text", models.CharField(max_length=200)),
                (
                    "cron",
                    models.CharField(
                        help_text="A cron expression: 0 8 * * mon-fri", max_length=100
                    ),
                ),
                ("times_sent", models.IntegerField(default=0, editable=False)),
            ],
        ),
    )
