"""The app's broker: connections that never wait for ever, confirms, and whose fault an error is."""
