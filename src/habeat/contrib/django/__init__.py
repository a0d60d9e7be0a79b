"""habeat in Django: an admin over the live schedule, and checks of the settings.

Add ``"habeat.contrib.django"`` to INSTALLED_APPS and run ``manage.py migrate``. Nothing of the
schedule is stored in the database: the admin reads and changes it in Redis. See
docs/guides/django.md.
"""
