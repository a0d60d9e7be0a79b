"""The URLs of the project in which tests run habeat's admin."""

from __future__ import annotations

from django.contrib import admin
from django.urls import path

from habeat.contrib.django.admin import EntryAdmin
from habeat.contrib.django.models import Entry

#: A second admin, as for people who only operate.
ops = admin.AdminSite("ops")
ops.register(Entry, EntryAdmin)

urlpatterns = [path("admin/", admin.site.urls), path("ops/", ops.urls)]
