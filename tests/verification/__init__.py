"""Searches for histories that break a promise, and the checker that judges them."""
