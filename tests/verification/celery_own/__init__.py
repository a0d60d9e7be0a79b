"""Celery's own unit tests of its schedules and its beat, run with habeat in their place.

sdist.py fetches them, in_place.py is the pytest plugin that they run with (answers.py: schedules;
beats.py: the scheduler), exclusions.py names those that say nothing about habeat or disagree with
it, and test_celery_own.py compares every verdict with that table.
"""
