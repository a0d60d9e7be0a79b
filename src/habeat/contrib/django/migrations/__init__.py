"""Migrations: they create permissions and a content type, and no table."""
