"""Readers of what other beats keep, one module each; none of them writes."""
