#!/usr/bin/env bash
# Render every overlay, and prod with each component that it leaves to choice, and hold them against the schemas of the
# oldest and the newest Kubernetes that is supported; lint the Dockerfiles. `make k8s-check` calls this with
# the folder of the tools.
set -euo pipefail
shopt -s inherit_errexit
cd "$(dirname "$0")/.."
bin=${1:?the folder of kubectl, kubernetes-validate and hadolint}
oldest=1.29 newest=1.37

rendered=$(mktemp -d)
trap 'rm -rf "$rendered"' EXIT

validate() { # folder, name, perhaps --no-warn
    local manifests=$rendered/$2.yaml
    "$bin/kubectl" kustomize "$1" >"$manifests"
    # It has no schemas of other projects' kinds (Kueue, External Secrets): it says so and goes on. Once is enough.
    "$bin/kubernetes-validate" --strict --kubernetes-version "$newest" --quiet "${@:3}" "$manifests"
    "$bin/kubernetes-validate" --strict --kubernetes-version "$oldest" --quiet --no-warn "$manifests"
}

for overlay in k8s/overlays/*/; do
    validate "$overlay" "$(basename "$overlay")"
done
for component in workload-identity serving google-storage azure-storage; do
    mkdir "$rendered/$component"
    k8s=$(realpath --relative-to "$rendered/$component" k8s)
    printf 'resources: [%s/overlays/prod]\ncomponents: [%s/components/%s]\n' "$k8s" "$k8s" "$component" \
        >"$rendered/$component/kustomization.yaml"
    validate "$rendered/$component" "prod+$component" --no-warn
done
"$bin/hadolint" images/*/Dockerfile
