"""Moving a schedule to habeat from another beat, and back.

`sources` reads what another beat keeps (RedBeat, django-celery-beat, celery's own file, another
key prefix) and never writes it. `plan` decides what becomes of each entry, and `apply` writes that.
"""
