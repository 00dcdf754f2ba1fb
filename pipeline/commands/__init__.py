"""The command ``sanefit``, one file for each group of commands."""
