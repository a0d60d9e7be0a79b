"""RedBeat: `settings` finds its keys and its Redis, `decode` reads one entry, `reading` all."""

from habeat.migrate.sources.redbeat.reading import read
from habeat.migrate.sources.redbeat.settings import RedBeatSettings, settings_of

__all__ = ["RedBeatSettings", "read", "settings_of"]
