"""Integrations with other frameworks, each with an extra of its own."""
