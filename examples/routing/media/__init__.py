"""Queues by kind of work, workers for each queue, and priorities within one."""
