#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# in_folder.sh PROGRAM [ARGUMENT...]: runs the program in a new folder, which is removed when it
# succeeds or skips (77). After a failure its path is printed and it stays: data and log of the
# broker lie there. The folder is made in the current one, so that data lands on the disk of the
# build directory.
#
# With CROSSDOCK_PROCESS__ENGINE set, brokers that ran on another engine make a failure of it, and
# so does a folder without a log of one that ran on this.
set -eu

program=$(realpath "$1")
shift
# Paths of programs among the arguments must survive the change of folder.
count=$#
while [ "$count" -gt 0 ]; do
    argument=$1
    shift
    case $argument in
    */*) [ ! -e "$argument" ] || argument=$(realpath "$argument") ;;
    esac
    set -- "$@" "$argument"
    count=$((count - 1))
done

folder=$(mktemp -d "$PWD/e2e.XXXXXX")
cd "$folder"
status=0
"$program" "$@" || status=$?
cd ..
engine=${CROSSDOCK_PROCESS__ENGINE:-}
if [ "$status" -eq 0 ] && [ -n "$engine" ]; then
    said=$(grep -rhoE --include='*.log' ' engine (shard=[0-9]+ )?name=[a-z_]+' "$folder" |
        sed 's/.*=//' | sort -u)
    if [ "$said" != "$engine" ]; then
        echo "asked for engine $engine, got: ${said:-none}"
        status=1
    fi
fi
if [ "$status" -eq 0 ] || [ "$status" -eq 77 ]; then
    rm -rf "$folder"
else
    echo "exit status $status; what it left lies in $folder"
fi
exit "$status"
