#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# From a bare Debian 12 to the running demonstration: installs what is missing, builds the release
# in build-release/, runs the demonstration program. Arguments are passed on to it.
#
#   sh tools/demo.sh [ARGUMENT...]
set -eu

cd "$(dirname "$0")/.."
. tools/setup/build.sh

picks=../shared/data/picking-route-MIT/static/in/df_lines.csv
program=build-release/tools/demo/crossdock-demo
broker=build-release/broker/crossdockd

sh tools/setup/packages.sh demo
# The demonstration needs no test suites; a directory that has them already keeps them.
if [ ! -e build-release/build.ninja ]; then
    echo "configuring build-release"
    configure build-release -Dbuildtype=release -Dtests=disabled
fi
echo "building build-release"
build build-release

if [ -f "$picks" ]; then
    set -- --picks "$picks" "$@"
fi
exec "$program" --broker "$broker" "$@"
