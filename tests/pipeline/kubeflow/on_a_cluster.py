"""What a configuration needs more for a cluster than for a laptop."""

ON_A_CLUSTER = ("cluster.storage=s3://bucket/sanefit", "cluster.tracking_uri=http://mlflow.mlflow.svc:5000")
