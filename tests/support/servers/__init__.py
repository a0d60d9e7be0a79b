"""Real servers and real celery processes for the suites; nothing here is a fake.

`plugin` has the fixtures. A test that wants a server of its own takes `start_server`.
"""
