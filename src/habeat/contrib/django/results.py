"""Links from task ids to the results that django-celery-results stores, where it is installed."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.apps import apps
from django.db import DatabaseError, router, transaction
from django.urls import NoReverseMatch, reverse

RESULTS = "django_celery_results"


def result_links(request: Any, task_ids: Iterable[str]) -> dict[str, tuple[str, str]]:
    """The URL of each task's result in this admin, and the result's status.

    Empty if the user may not see results, or if they are not in this admin or database.
    """
    wanted = list(task_ids)
    if not wanted or not apps.is_installed(RESULTS):
        return {}
    if not request.user.has_perm(f"{RESULTS}.view_taskresult"):
        return {}
    try:
        return {
            task_id: (_url(request, key), str(status)) for task_id, key, status in _found(wanted)
        }
    except (DatabaseError, NoReverseMatch):  # not migrated, or not in this admin
        return {}


def _found(task_ids: list[str]) -> Any:
    model = apps.get_model(RESULTS, "TaskResult")
    with transaction.atomic(using=router.db_for_read(model)):  # an error must not end another one
        rows = model.objects.filter(task_id__in=task_ids)
        return list(rows.values_list("task_id", "pk", "status"))


def _url(request: Any, key: Any) -> str:
    name = f"admin:{RESULTS}_taskresult_change"
    return str(reverse(name, args=[key], current_app=request.current_app))
