"""Step 1, data: fetch, verify, split, pack into shards, fingerprint."""
