#!/usr/bin/env bash
# Render every overlay and hold it against the schemas of the oldest and the newest Kubernetes that is supported;
# lint the YAML and the Dockerfiles. `make k8s-check` calls this with the folder of the tools.
set -euo pipefail
shopt -s inherit_errexit
cd "$(dirname "$0")/.."
bin=${1:?the folder of kubectl, kubernetes-validate, yamllint and hadolint}
oldest=1.29 newest=1.37

rendered=$(mktemp -d)
trap 'rm -rf "$rendered"' EXIT
for overlay in k8s/overlays/*/; do
    manifests=$rendered/$(basename "$overlay").yaml
    "$bin/kubectl" kustomize "$overlay" >"$manifests"
    # It has no schemas of other projects' kinds (Kueue, External Secrets): it says so and goes on. Once is enough.
    "$bin/kubernetes-validate" --strict --kubernetes-version "$newest" --quiet "$manifests"
    "$bin/kubernetes-validate" --strict --kubernetes-version "$oldest" --quiet --no-warn "$manifests"
done
"$bin/yamllint" --strict k8s pipeline/configs .github .yamllint
"$bin/hadolint" images/*/Dockerfile
