#!/usr/bin/env bash
# Build sanefit-data:VERSION and sanefit-trainer:VERSION; `make images` calls this. Read from the environment:
#
#   ENGINE            docker, podman or buildah; by default the first of them that works here
#   BASE_IMAGE        the base, as name@sha256:…; by default what images/base_image holds (`make pin-base` writes it)
#   LOCAL_BASE        1: BASE_IMAGE is an image of this machine and has no digest
#   PIP_CONFIG_FILE   pip's configuration for the build, where PyPI is not reached directly; it may hold credentials:
#                     it is given as a secret and is in no image
#   CA_BUNDLE         certificates for pip; in that configuration: cert = /run/secrets/ca-certificates.crt
#   EXTRA_BUILD_ARGS  further arguments of the engine's build command
#   SOURCE_DATE_EPOCH the time of every file, so that equal sources give equal images
set -euo pipefail
shopt -s inherit_errexit
cd "$(dirname "$0")/.."
. images/engine.sh

require_pinned_base() {
    if [[ -z ${BASE_IMAGE:-} && -f images/base_image ]]; then
        BASE_IMAGE=$(<images/base_image)
    fi
    [[ -n ${BASE_IMAGE:-} ]] || fail "no base image: images/base_image is missing; expected name@sha256:…; \
run make pin-base, or give BASE_IMAGE"
    [[ $BASE_IMAGE =~ @sha256:[0-9a-f]{64}$ || ${LOCAL_BASE:-} == 1 ]] || fail "BASE_IMAGE=$BASE_IMAGE: expected \
name@sha256:… and 64 hexadecimal digits, for a tag may change its content; run make pin-base, \
or give LOCAL_BASE=1 for an image of this machine"
}

revision() {
    git describe --always --dirty --abbrev=40 --exclude '*' 2>/dev/null || echo unknown
}

source_url() { # without the user and password that a remote's address may hold
    git remote get-url origin 2>/dev/null | sed -nE 's#^https://([^/@]*@)?#https://#p' || true
}

engine_arguments() {
    case $ENGINE in
        buildah) echo "--layers --force-rm" ;;
        podman) echo "--layers" ;;
    esac
    if [[ $ENGINE != docker && -n ${SOURCE_DATE_EPOCH:-} ]]; then # docker reads it itself
        echo "--timestamp $SOURCE_DATE_EPOCH"
    fi
    echo "${EXTRA_BUILD_ARGS:-}"
}

secret() { # id, file
    [[ -r $2 ]] || fail "$2 cannot be read; expected the file of the build's secret $1; correct PIP_CONFIG_FILE or CA_BUNDLE"
    echo "--secret id=$1,src=$2"
}

build() {
    # The arguments are words, as the user typed them.
    # shellcheck disable=SC2046
    "$ENGINE" build $(engine_arguments) $SECRETS \
        --file "images/$1/Dockerfile" --tag "sanefit-$1:$VERSION" \
        --build-arg "BASE_IMAGE=$BASE_IMAGE" "${LABELS[@]}" \
        --build-arg "LOCK_SHA256=$(sha256sum "images/$1/requirements.lock" | cut -d' ' -f1)" .
}

label() { # name, value; nothing when there is none
    [[ -z $2 ]] || LABELS+=(--label "org.opencontainers.image.$1=$2")
}

require_pinned_base
LABELS=()
label version "$VERSION"
label revision "$(revision)"
label source "$(source_url)"
label base.name "${BASE_IMAGE%@*}"
[[ $BASE_IMAGE != *@* ]] || label base.digest "${BASE_IMAGE##*@}"
SECRETS=""
[[ -z ${PIP_CONFIG_FILE:-} ]] || SECRETS+=" $(secret pip.conf "$PIP_CONFIG_FILE")"
[[ -z ${CA_BUNDLE:-} ]] || SECRETS+=" $(secret ca-certificates.crt "$CA_BUNDLE")"
for image in $IMAGES; do
    build "$image"
done
