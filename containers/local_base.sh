#!/usr/bin/env bash
# A base image without any registry of pictures, from Debian's packages: as NVIDIA's base it has no Python, which comes
# with an engine's image. Needs root, mmdebstrap and Apptainer. It takes over this machine's certificates and pip settings, so that a build on it
# finds packages where this machine does.
#   containers/local_base.sh base.sif [SUITE]     bookworm (Debian 12) unless told; trixie (13) has the Elixir that Nx needs
set -euo pipefail
[ $# -eq 1 ] || [ $# -eq 2 ] || { echo "usage: containers/local_base.sh OUTPUT.sif [SUITE]" >&2; exit 2; }
for program in mmdebstrap apptainer; do
    command -v "$program" >/dev/null || { echo "error: no $program on this machine: install it" >&2; exit 1; }
done
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
root=$work/root
mmdebstrap --quiet --variant=minbase --mode=root --include=ca-certificates "${2:-bookworm}" "$root"
for file in /etc/pip.conf /etc/ssl/certs/ca-certificates.crt; do
    if [ -f "$file" ]; then cp -L "$file" "$root$file"; fi
done
# An unprivileged build can neither keep foreign owners nor device nodes.
rm -rf "$root"/dev "$root"/var/cache/apt/*.bin "$root"/var/lib/apt/lists/*
mkdir "$root/dev"
chown -hR 0:0 "$root"
apptainer --quiet build --force "$1" "$root"
