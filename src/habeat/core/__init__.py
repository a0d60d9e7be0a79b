"""The pure core: what is due, who may act, what became of it. No I/O, no clocks, no Celery."""
