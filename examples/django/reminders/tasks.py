"""The tasks that the schedule sends."""

from celery import shared_task
from django.core.management import call_command
from django.db.models import F

from reminders.models import Reminder


@shared_task
def remind(reminder_id):
    Reminder.objects.filter(pk=reminder_id).update(times_sent=F("times_sent") + 1)


@shared_task
def clear_sessions():
    call_command("clearsessions")
