"""The app for INSTALLED_APPS."""

from __future__ import annotations

from django.apps import AppConfig
from django.core.checks import register

from habeat.contrib.django.celery_app import remember_current_app
from habeat.contrib.django.checks import check_settings


class HabeatConfig(AppConfig):
    """Registers the system check. Django finds the admin by itself."""

    name = "habeat.contrib.django"
    label = "habeat"
    verbose_name = "Celery schedule"

    def ready(self) -> None:
        remember_current_app()
        register(check_settings, "habeat")
