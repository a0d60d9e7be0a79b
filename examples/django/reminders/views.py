"""One page: the reminders, and a form for a new one."""

from django import forms
from django.db import transaction
from django.shortcuts import redirect, render
from proj.celery import app

import habeat
from reminders.models import Reminder

#: Writes wait for the transaction: no entry without its row, and no row without its entry.
schedule = habeat.Client(app, on_commit=True)


class ReminderForm(forms.ModelForm):
    class Meta:
        model = Reminder
        fields = ("text", "cron")


def reminders(request):
    form = ReminderForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            save(form)
        except habeat.errors.ValidationError as error:
            form.add_error("cron", str(error))
        else:
            return redirect("reminders")
    context = {"form": form, "reminders": Reminder.objects.order_by("pk")}
    return render(request, "reminders/reminders.html", context)


def save(form):
    with transaction.atomic():
        reminder = form.save()
        schedule.add(
            reminder.entry,
            "reminders.tasks.remind",
            habeat.cron(reminder.cron),
            args=[reminder.pk],
            tags=["reminders"],
            description=reminder.text,
        )
