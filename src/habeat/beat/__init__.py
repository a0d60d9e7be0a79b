"""The Celery adapter: beat's scheduler class, translation, rendering, publishing."""
