"""Step 5, train: the best setting, long; the test split is read here, once."""
