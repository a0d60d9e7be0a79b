"""The engine: the loop of one replica, written against the ports."""

from habeat.engine.loop import Engine, EngineSettings

__all__ = ["Engine", "EngineSettings"]
