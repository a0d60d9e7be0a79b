"""The pure core: what is due, which replica may act, and outcomes. No I/O, clocks or Celery."""
