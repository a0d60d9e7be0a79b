"""The fixture of the acceptance tests that writes an app and starts its beats."""

from tests.system.acceptance.conftest import make_fleet

__all__ = ["make_fleet"]
