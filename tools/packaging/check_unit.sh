#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Checks the unit with systemd's own tools: check_unit.sh UNIT CROSSDOCKD.
# The copy that is checked starts the program that was built: the installed one may be missing.
set -eu
command -v systemd-analyze > /dev/null || exit 77
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
unit=$folder/crossdock.service
sed "s|^ExecStart=[^ ]*|ExecStart=$(realpath "$2")|" "$1" > "$unit"
said=$(systemd-analyze verify "$unit" 2>&1 || true)
if [ -n "$said" ]; then
    echo "$said"
    exit 1
fi
# In tenths: 0 is fully confined, 100 not at all.
systemd-analyze security --offline=true --threshold=20 "$unit" > "$folder/said" 2>&1 || {
    cat "$folder/said"
    exit 1
}
