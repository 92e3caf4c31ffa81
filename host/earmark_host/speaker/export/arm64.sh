#!/usr/bin/env bash
# Does a speaker model say the same on a 64-bit ARM as here? Runs the device's own code on an
# emulated Cortex-A72 (the processor of a Raspberry Pi 4) in a Debian arm64 userland.
#
#   arm64.sh MODEL_FOLDER [CLIP...]     clips are 16 kHz mono; the golden signals are always heard
#
# By hand, from a checkout with its .venv (Python 3.11); needs debootstrap, fakeroot and qemu-user-static, and
# the network on its first run (ROOT= says where the userland is kept; about 450 MB). No root rights.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
checkout=$(cd "$here/../../../.." && pwd)
python=${PYTHON:-$checkout/.venv/bin/python}
root=${ROOT:-$checkout/out/arm64}
suite=bookworm # the Debian with Python 3.11, as Raspberry Pi OS has it
mirror=${MIRROR:-http://deb.debian.org/debian}
PATH=$PATH:/usr/sbin:/sbin

die() { printf 'arm64: %s\n' "$*" >&2; exit 2; }

[[ $# -ge 1 && -f $1/speaker.json ]] || die "give the folder of a model, with its speaker.json"
for tool in debootstrap fakeroot qemu-aarch64-static dpkg-deb; do
    command -v "$tool" >/dev/null || die "$tool is missing: apt install debootstrap fakeroot qemu-user-static"
done
model=$(cd "$1" && pwd)
shift

if [[ ! -e $root/made ]]; then
    rm -rf "$root"
    mkdir -p "$root/debian" "$root/site"
    # Only the download: its second half would need root rights, and unpacking is enough.
    debs=$root/download
    fakeroot=()
    [[ $(id -u) -eq 0 ]] || fakeroot=(fakeroot)
    "${fakeroot[@]}" debootstrap --arch=arm64 --foreign --variant=minbase --include=python3 \
        "$suite" "$debs" "$mirror" >"$root/debootstrap.log" ||
        die "debootstrap failed: see $root/debootstrap.log"
    for deb in "$debs"/var/cache/apt/archives/*.deb; do
        dpkg-deb -x "$deb" "$root/debian"
    done
    rm -rf "$debs"
    version() { "$python" -c 'import importlib.metadata as m, sys; print(m.version(sys.argv[1]))' "$1"; }
    # Its complaints are about packages of this environment, not of that one.
    "$python" -m pip install --quiet --target "$root/site" --only-binary=:all: \
        --platform manylinux_2_34_aarch64 --platform manylinux_2_28_aarch64 \
        --platform manylinux_2_17_aarch64 --platform manylinux2014_aarch64 \
        --python-version 3.11 --implementation cp \
        "numpy==$(version numpy)" "scipy==$(version scipy)" "pydantic==$(version pydantic)" \
        "cryptography==$(version cryptography)" tflite-runtime==2.14.0 \
        2>"$root/pip.log" || die "pip failed: see $root/pip.log"
    touch "$root/made"
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"$python" "$here/arm64_said.py" given "$model" "$work/given.npz" "$@"
"$python" "$here/arm64_said.py" said "$model" "$work/given.npz" "$work/here.npz" 2>/dev/null
PYTHONPATH=$root/site:$checkout/device PYTHONDONTWRITEBYTECODE=1 \
    qemu-aarch64-static -cpu cortex-a72 -L "$root/debian" "$root/debian/usr/bin/python3.11" \
    "$here/arm64_said.py" said "$model" "$work/given.npz" "$work/there.npz"
"$python" "$here/arm64_said.py" compare "$work/here.npz" "$work/there.npz"
