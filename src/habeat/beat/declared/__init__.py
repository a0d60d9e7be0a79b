"""The entries of `beat_schedule`: translated, and written to Redis."""
