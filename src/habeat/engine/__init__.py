"""The engine: one tick, top to bottom, over the ports."""

from habeat.engine.loop import Engine
from habeat.engine.settings import EngineSettings

__all__ = ["Engine", "EngineSettings"]
