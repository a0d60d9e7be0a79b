"""What habeat promises, tried on real beats, workers, Redis and RabbitMQ.

Shortened by default so that all of it takes some ten minutes on two cores; with HABEAT_FULL=1
in the environment the durations and counts are those of the acceptance criteria themselves.
Nothing here asserts how fast anything is, but for bounds that a wrong cause would break; how
fast takeovers are is measured by `make bench`.
"""
