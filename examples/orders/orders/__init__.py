"""A shop's orders: a Flask application, its workflow in Celery, its clean-up by habeat."""
