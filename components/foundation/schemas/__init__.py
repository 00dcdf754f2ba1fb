"""Schemas of the settings, and of everything that passes between steps."""
