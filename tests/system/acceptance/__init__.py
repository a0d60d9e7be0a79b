"""What habeat promises, tried on real beats, workers, Redis and RabbitMQ.

By default, the tests are shortened to about ten minutes on two cores; with HABEAT_FULL=1 in the
environment, they have the durations and counts of the acceptance criteria. They assert no speed,
except for bounds that only a wrong cause would break; `make bench` measures how fast takeovers are.
"""
