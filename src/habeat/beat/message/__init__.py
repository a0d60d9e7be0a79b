"""From a firing to its message: built by Celery, learned as a template, or captured as commands."""
