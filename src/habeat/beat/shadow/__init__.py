"""habeat as a shadow: it decides what would be sent, and watches what another beat sends."""
