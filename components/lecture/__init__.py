"""The lecture's tables and experiments again, theirs beside ours. No step of the DAG: `sanefit lecture` runs it."""
