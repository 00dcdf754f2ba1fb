"""Step 2, stats: channel means and standard deviations of the training split."""
