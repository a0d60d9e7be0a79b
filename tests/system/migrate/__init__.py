"""Switching from another beat under load: no slot is missed or doubled across the cut."""
