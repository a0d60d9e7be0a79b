"""The app's broker: connections with time limits, confirms, and the cause of an error."""
