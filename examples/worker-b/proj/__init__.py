"""A project in which every worker runs a beat of its own."""
