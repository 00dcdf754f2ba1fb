"""Step 6, register: the MLflow run, the model version, champion against challenger."""
