"""Switching from another beat under load: no slot is missed or doubled by the switch."""
