"""Runs on the cluster: submitted, followed, listed, explained."""
