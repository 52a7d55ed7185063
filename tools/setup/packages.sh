#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# Installs the Debian packages of packages.txt that a scope needs and the machine lacks.
#
#   sh tools/setup/packages.sh demo|test|ci
#
# Normal path: nothing is missing, nothing is run. Otherwise apt-get runs quietly; its output is
# shown, with addresses removed, only when it fails. Without root it names what is missing and
# exits 2. Must not touch anything but the package database.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
scope=${1:-}
case $scope in
demo) scopes=' demo ' ;;
test) scopes=' demo test ' ;;
ci) scopes=' demo test ci ' ;;
*)
    echo "usage: packages.sh demo|test|ci" >&2
    exit 2
    ;;
esac

missing=
while read -r name needed_by _; do
    case $name in '' | '#'*) continue ;; esac
    case $scopes in *" $needed_by "*) ;; *) continue ;; esac
    state=$(dpkg-query -W -f='${db:Status-Status}' "$name" 2>/dev/null) || state=
    [ "$state" = installed ] || missing="$missing $name"
done <"$here/packages.txt"
[ -n "$missing" ] || exit 0

if [ "$(id -u)" != 0 ]; then
    echo "missing packages, install them as root:$missing" >&2
    exit 2
fi

echo "installing:$missing"
log=$(mktemp)
trap 'rm -f "$log"' EXIT
DEBIAN_FRONTEND=noninteractive
export DEBIAN_FRONTEND
# $missing is a list of words. The lock is waited for: a fresh machine may still be updating itself.
if ! {
    apt-get -qq -o DPkg::Lock::Timeout=120 update &&
        apt-get -qq -y -o DPkg::Lock::Timeout=120 install --no-install-recommends $missing
} >"$log" 2>&1 </dev/null; then
    sed -E 's#[a-z]+://[^ ]*#(address)#g' "$log" | tail -n 20 >&2
    echo "apt-get failed; the packages above are still missing" >&2
    exit 2
fi
