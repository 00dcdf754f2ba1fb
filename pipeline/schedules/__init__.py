"""Recurring runs."""
