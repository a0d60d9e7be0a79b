"""The app's broker: connections with time limits, confirms, and what an error is to blame on."""
