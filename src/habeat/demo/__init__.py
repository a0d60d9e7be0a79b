"""``habeat demo``: run three beats and a worker, kill the leaders, and count every slot."""

from habeat.demo.main import main

__all__ = ["main"]
