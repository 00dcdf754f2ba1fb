"""A mutation score of one's own set-up: faults are planted into it one by one, and the checks are to find them."""
