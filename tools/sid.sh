#!/usr/bin/env bash
# Sessions of nox in Debian sid, for the Pythons that are too new for this machine, and PyPy.
# As root:  tools/sid.sh FOLDER [SESSION ...]   (debootstrap has to be installed)
set -euo pipefail
cd "$(dirname "$0")/.."
root=$(realpath -m "$1")
shift

if [ ! -e "$root/etc/debian_version" ]; then
    debootstrap --variant=minbase --include=ca-certificates sid "$root"
    # A mirror may be older than its index allows.
    echo 'Acquire::Check-Valid-Until "false";' >"$root/etc/apt/apt.conf.d/99mirror"
fi
cp -L /etc/resolv.conf "$root/etc/"
cp -L /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/"
mountpoint -q "$root/proc" || mount -t proc proc "$root/proc"
trap 'umount "$root/proc"' EXIT

rm -rf "$root/fastsig"
git clone --quiet . "$root/fastsig"
chroot "$root" bash -euc '
    apt-get -qq update
    DEBIAN_FRONTEND=noninteractive apt-get -qq install --no-install-recommends \
        gcc git libc6-dev pypy3 pypy3-venv python3.1{4,5}-{dev,venv} >/dev/null
    cd /fastsig
    python3.14 -m venv .venv
    .venv/bin/python -m pip install --quiet nox
    .venv/bin/nox -s "${@:-test}"
' sid "$@"
