"""Images: sources, decoding, splits, shards and batches."""
