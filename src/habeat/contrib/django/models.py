"""The model whose permissions and content type the admin uses. It has no table.

Entries are stored in Redis only. A model is needed all the same: Django derives permissions, the
admin's index and its log of changes from one. `objects` is always empty, so that code that goes
through all models, such as `dumpdata`, finds no rows instead of no table.
"""

from __future__ import annotations

from typing import Any

from django.db import models


class NoRows(models.Manager):
    """A manager that never queries."""

    def get_queryset(self) -> Any:
        return super().get_queryset().none()


class Entry(models.Model):
    """An entry of the schedule."""

    #: Not a limit of names: longer ones exist, and no column stores them.
    name = models.CharField(max_length=255, primary_key=True)

    objects = NoRows()

    class Meta:
        managed = False
        base_manager_name = "objects"
        verbose_name = "entry"
        verbose_name_plural = "entries"
        permissions = (
            ("pause_entry", "Can pause and resume entries"),
            ("trigger_entry", "Can run entries now"),
        )

    def __str__(self) -> str:
        return str(self.name)
