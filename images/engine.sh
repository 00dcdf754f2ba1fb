# Sourced by the scripts beside it: which engine, which version, and how to refuse.
# ENGINE: docker, podman or buildah; by default the first of them that works here.

fail() {
    echo "${0##*/}: error: $1" >&2
    exit 2
}

first_engine() {
    local engine
    for engine in docker podman buildah; do
        if "$engine" info >/dev/null 2>&1; then # docker may be there without its server
            echo "$engine"
            return
        fi
    done
    fail "no container engine works here; expected docker, podman or buildah; install or start one of them"
}

if [[ -z ${ENGINE:-} ]]; then
    ENGINE=$(first_engine)
fi
case $ENGINE in
    docker | podman | buildah) ;;
    *) fail "ENGINE=$ENGINE: expected docker, podman or buildah; correct ENGINE" ;;
esac
"$ENGINE" info >/dev/null 2>&1 || fail "ENGINE=$ENGINE: '$ENGINE info' fails; install or start it, or choose another"

VERSION=$(sed -n 's/^__version__ = "\(.*\)"$/\1/p' src/sanefit/__init__.py)
IMAGES="data trainer"
