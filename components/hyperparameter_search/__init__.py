"""Step 4, search: plan trials, run a pack of trials, rank, narrow."""
