#!/usr/bin/env bash
# Ask the registry for the present digest of python:3.11-slim and keep it in images/base_image, which is to be
# committed; `make pin-base` calls this. Read from the environment:
#
#   BASE_NAME         the image to pin, by default docker.io/library/python:3.11-slim
#   ENGINE            docker, podman or buildah; by default the first of them that works here
#   EXTRA_PULL_ARGS   further arguments of the engine's pull command
set -euo pipefail
shopt -s inherit_errexit
cd "$(dirname "$0")/.."
. images/engine.sh

BASE_NAME=${BASE_NAME:-docker.io/library/python:3.11-slim}

digest_of_base() {
    if [[ $ENGINE == buildah ]]; then
        buildah inspect --type image --format '{{.FromImageDigest}}' "$BASE_NAME"
    else
        "$ENGINE" inspect --type image --format '{{range .RepoDigests}}{{println .}}{{end}}' "$BASE_NAME" \
            | sed 's/.*@//' | head -n 1
    fi
}

# The arguments are words, as the user typed them.
# shellcheck disable=SC2086
"$ENGINE" pull --quiet ${EXTRA_PULL_ARGS:-} "$BASE_NAME" >&2 \
    || fail "$BASE_NAME: it cannot be pulled; expected an image that $ENGINE reaches; correct BASE_NAME"
digest=$(digest_of_base)
[[ $digest =~ ^sha256:[0-9a-f]{64}$ ]] || fail "$BASE_NAME: $ENGINE gave the digest '$digest'; expected sha256:… \
and 64 hexadecimal digits; use another ENGINE"
echo "$BASE_NAME@$digest" >images/base_image
cat images/base_image
