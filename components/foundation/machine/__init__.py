"""Cores, memory, devices and their arithmetic."""
