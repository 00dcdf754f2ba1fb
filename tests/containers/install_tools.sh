#!/usr/bin/env bash
# Install what the tests in containers need, where that is possible; where it is not, they skip and say why.
set -euo pipefail
packages=()
for tool in buildah podman runc debootstrap docker-registry; do
    command -v "$tool" >/dev/null || packages+=("$tool")
done
[[ ${#packages[@]} -gt 0 ]] || exit 0
if [[ $EUID -ne 0 ]] || ! command -v apt-get >/dev/null; then
    echo "not installed: ${packages[*]}; apt-get and root could install them" >&2
    exit 0
fi
apt-get update -qq
DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${packages[@]}" >&2
