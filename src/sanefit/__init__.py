"""Trains image classifiers as a lecturer teaches it: look at the data, check the network, search, train, register."""

__version__ = "0.1.0"
