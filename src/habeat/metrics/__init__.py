"""Metrics: what they are called, and their values, computed from figures that are in Redis.

Counters live in Redis, so they do not start again when the leader changes, and every replica
exposes the same values.
"""
