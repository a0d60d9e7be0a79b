"""The page of the reminders, and the admin."""

from django.contrib import admin
from django.urls import path
from reminders import views

urlpatterns = [
    path("", views.reminders, name="reminders"),
    path("admin/", admin.site.urls),
]
