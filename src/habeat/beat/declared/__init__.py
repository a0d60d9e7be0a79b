"""What the code declares: `beat_schedule`, translated, and written to Redis."""
