#!/usr/bin/env bash
# Installs what ManiSkill's software rendering needs from the system: a Vulkan loader and a recent enough Mesa.
# Where it may not (no root, no apt), it names the packages and goes on: everything but ManiSkill works without them.
set -euo pipefail

packages="libvulkan1 mesa-vulkan-drivers"

has_vulkan() {
    ldconfig -p | grep -q libvulkan.so.1 || return 1
    command -v nvidia-smi > /dev/null && return 0
    # SAPIEN rejects the lavapipe of Mesa 22, which Debian 12 ships.
    dpkg --compare-versions "$(dpkg-query -W -f '${Version}' mesa-vulkan-drivers 2> /dev/null)" ge 24
}

has_vulkan 2> /dev/null && exit 0

if [ "$(uname -s)" != Linux ]; then
    echo "feat2go: ManiSkill runs on Linux only; the built-in tabletop works here."
    exit 0
fi
if [ "$(id -u)" != 0 ] || ! command -v apt-get > /dev/null; then
    echo "feat2go: ManiSkill rendering needs these system packages, which this account may not install: $packages"
    echo "feat2go: on Debian or Ubuntu: sudo apt-get install $packages   (Debian 12: add -t bookworm-backports)"
    exit 0
fi

export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
release=()
if . /etc/os-release && [ "$ID" = debian ] && [ "$VERSION_ID" = 12 ]; then
    mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Codename: bookworm' 'Created-By: Packages' | head -n 1)
    echo "deb $mirror bookworm-backports main" > /etc/apt/sources.list.d/feat2go-backports.list
    apt-get update -qq
    release=(-t bookworm-backports)
fi
apt-get install -y -qq --no-install-recommends "${release[@]}" $packages > /dev/null
has_vulkan || echo "feat2go: Mesa is still too old for ManiSkill's software rendering (24 or newer is needed)."
