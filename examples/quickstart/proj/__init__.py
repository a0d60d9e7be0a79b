"""The project of Celery's guides, with its schedule kept by habeat."""
