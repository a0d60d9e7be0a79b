"""Measurements that take minutes and whose results are figures, not pass or fail."""
