#!/usr/bin/env bash
# Push both images and write where they are, by digest, to pipeline/pushed_images.json, which the pipeline reads;
# `make push REGISTRY=host/path` calls this. Read from the environment:
#
#   REGISTRY          host and path, as in ghcr.io/your-group; log in to it first, with the engine's login
#   ENGINE            docker, podman or buildah; by default the first of them that works here
#   EXTRA_PUSH_ARGS   further arguments of the engine's push command
set -euo pipefail
shopt -s inherit_errexit
cd "$(dirname "$0")/.."
. images/engine.sh

require_registry() {
    [[ ${REGISTRY:-} =~ ^[a-z0-9.-]+(:[0-9]+)?(/[a-z0-9._-]+)*$ ]] || fail "REGISTRY=${REGISTRY:-}: expected a host \
and a path, in lower case, as in ghcr.io/your-group; run make push REGISTRY=…"
}

require_built() {
    local image
    for image in $IMAGES; do
        "$ENGINE" inspect --type image "sanefit-$image:$VERSION" >/dev/null 2>&1 \
            || fail "sanefit-$image:$VERSION: $ENGINE has no such image; run make images with the same ENGINE first"
    done
}

push() { # image, reference; prints the digest
    if [[ $ENGINE == docker ]]; then
        docker tag "$1" "$2" >&2
        # The arguments are words, as the user typed them.
        # shellcheck disable=SC2086
        docker push ${EXTRA_PUSH_ARGS:-} "$2" >&2
        local repository=${2%:*}
        docker inspect --type image --format '{{range .RepoDigests}}{{println .}}{{end}}' "$2" \
            | sed -n "s#^${repository#docker.io/}@##p" | head -n 1
    else
        # shellcheck disable=SC2086
        "$ENGINE" push ${EXTRA_PUSH_ARGS:-} --digestfile "$scratch/digest" "$1" "docker://$2" >&2
        cat "$scratch/digest"
    fi
}

pushed() { # the data or trainer image; prints its reference by digest
    local repository="$REGISTRY/sanefit-$1" digest
    digest=$(push "sanefit-$1:$VERSION" "$repository:$VERSION")
    [[ $digest =~ ^sha256:[0-9a-f]{64}$ ]] || fail "$repository: $ENGINE gave the digest '$digest'; expected \
sha256:… and 64 hexadecimal digits; push with another ENGINE"
    echo "$repository@$digest"
}

require_registry
require_built
scratch=$(mktemp -d pipeline/.push.XXXXXX)
trap 'rm -rf "$scratch"' EXIT
data=$(pushed data)
trainer=$(pushed trainer)
printf '{"version": "%s", "data": "%s", "trainer": "%s"}\n' "$VERSION" "$data" "$trainer" >"$scratch/pushed_images.json"
mv "$scratch/pushed_images.json" pipeline/
echo "$data"
echo "$trainer"
