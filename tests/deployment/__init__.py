"""The files in deploy/: valid by the schemas of the tools that read them, and tried as they are."""

from __future__ import annotations

from tests import ROOT

DEPLOY = ROOT / "deploy"
