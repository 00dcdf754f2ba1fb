"""The connection to Kubeflow Pipelines and to Kubernetes."""
