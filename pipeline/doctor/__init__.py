"""What is reachable, what is missing, and what to do."""
