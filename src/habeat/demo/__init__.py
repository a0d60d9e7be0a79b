"""``habeat demo``: three beats, a worker, leaders that die, and a count of every slot."""

from habeat.demo.main import main

__all__ = ["main"]
