"""From a firing to its message: built by Celery, made from a template, or recorded as commands."""
