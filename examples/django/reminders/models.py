"""A reminder. When it is due, the schedule knows."""

from django.db import models


class Reminder(models.Model):
    text = models.CharField(max_length=200)
    cron = models.CharField(max_length=100, help_text="A cron expression: 0 8 * * mon-fri")
    times_sent = models.IntegerField(default=0, editable=False)

    def __str__(self):
        return self.text

    @property
    def entry(self):
        """The name of its entry in the schedule."""
        return f"reminder-{self.pk}"
