#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# From a bare Debian 12 to the verdict of the test suites: installs what is missing, builds, runs.
#
#   sh tools/test.sh [quick|ci|nightly]        default: ci
#
#   quick    suite quick under AddressSanitizer and UndefinedBehaviorSanitizer (build-asan)
#   ci       all suites but nightly: under those two, in the release build (build-release, without
#            suite epoll: what runs once more on the other engine), thread tests under
#            ThreadSanitizer (build-tsan), the share of branches taken (build-coverage), half a
#            minute of each fuzz target (build-fuzz), and a third of the seeded bugs (build-mutants)
#   nightly  everything, with ten minutes of each fuzz target and all seeded bugs
#
# A failing step does not stop the others. The last line is `N passed, N failed`, with
# `, N skipped` where tests were skipped; the exit status is 0 only when nothing failed.
set -eu

cd "$(dirname "$0")/.."
. tools/setup/build.sh

suite=${1:-ci}
case $suite in
quick) scope=test fuzz_seconds=0 ;;
ci) scope=ci fuzz_seconds=30 mutants=--third ;;
nightly) scope=ci fuzz_seconds=600 mutants=--all ;;
*)
    sed -n '4,16s/^# \{0,1\}//p' "$0" >&2
    exit 2
    ;;
esac
sh tools/setup/packages.sh "$scope"

# Tests that use real pick lists find them here and skip without them.
picks=../shared/data/picking-route-MIT/static/in/df_lines.csv
if [ -z "${CROSSDOCK_PICKS:-}" ] && [ -f "$picks" ]; then
    CROSSDOCK_PICKS=$(realpath "$picks")
    export CROSSDOCK_PICKS
fi

# A finding ends the program with an exit status, not with SIGABRT: some tests expect that signal
# from a failed assertion, and a finding must not pass for one.
ASAN_OPTIONS=abort_on_error=0:halt_on_error=1
UBSAN_OPTIONS=abort_on_error=0:halt_on_error=1:print_stacktrace=1
TSAN_OPTIONS=halt_on_error=1:second_deadlock_stack=1
export ASAN_OPTIONS UBSAN_OPTIONS TSAN_OPTIONS

# The sanitizers of gcc 12 and clang 14 fail at random on kernels that spread addresses widely.
fixed_layout=
if setarch "$(uname -m)" -R true 2>/dev/null; then
    fixed_layout="setarch $(uname -m) -R"
fi

steps=

# configure_and_build DIR OPTION...  a failure is noted as a step that left no test log.
configure_and_build() {
    echo "building $1"
    rm -f "$1/meson-logs/testlog.json"
    if configure "$@" && build "$1"; then
        return 0
    fi
    steps="$steps $1/meson-logs/testlog.json=1"
    return 1
}

# run_tests DIR ARGUMENT...  arguments are those of `meson test`; what it counted is noted.
run_tests() {
    dir=$1
    shift
    status=0
    $fixed_layout meson test -C "$dir" --print-errorlogs "$@" || status=$?
    steps="$steps $dir/meson-logs/testlog.json=$status"
}

case $suite in
quick) selection='--suite quick' ;;
ci) selection='--no-suite nightly' release_without='--no-suite tidy --no-suite epoll' ;;
nightly) selection= release_without='--no-suite tidy' ;;
esac

if configure_and_build build-asan -Dbuildtype=debug -Db_sanitize=address,undefined \
    -Dtests=enabled -Dwerror=true -Dc_args=-DXD_DEBUG; then
    run_tests build-asan --no-rebuild $selection
fi

if [ "$suite" != quick ]; then
    # The rules of the tree (suite tidy) do not depend on how it is built.
    if configure_and_build build-release -Dbuildtype=release -Dtests=enabled -Dwerror=true \
        -Dc_args=-g; then
        run_tests build-release --no-rebuild $selection $release_without
    fi

    # Of this build only what the thread tests need is made, by `meson test` itself.
    echo "building build-tsan"
    if ! configure build-tsan -Dbuildtype=debug -Db_sanitize=thread -Dtests=enabled; then
        steps="$steps build-tsan/meson-logs/testlog.json=1"
    elif meson test -C build-tsan --list --suite threads 2>/dev/null | grep -q threads; then
        rm -f build-tsan/meson-logs/testlog.json
        run_tests build-tsan --suite threads
    fi

    # What the quick tests of the modules take of their branches. Counts add up over runs, so those
    # of an earlier one go. Programs with threads would lose some without the atomic update.
    echo "building build-coverage"
    rm -f build-coverage/meson-logs/testlog.json build-coverage/coverage.json
    if configure build-coverage -Dbuildtype=debug -Db_coverage=true -Dtests=enabled \
        '-Dc_args=-DXD_DEBUG -fprofile-update=atomic'; then
        find build-coverage -name '*.gcda' -delete
        run_tests build-coverage --suite quick --no-suite api --no-suite bench \
            --no-suite coverage --no-suite e2e --no-suite fuzz --no-suite mutants \
            --no-suite threads --no-suite tidy
        status=0
        python3 tests/coverage/branches.py build-coverage || status=$?
        steps="$steps build-coverage/coverage.json=$status"
    else
        steps="$steps build-coverage/meson-logs/testlog.json=1"
    fi

    # Each bug of tests/mutants in a copy of the tree: a suite must catch it.
    echo "seeded bugs in build-mutants"
    rm -f build-mutants/mutants.json
    status=0
    python3 tests/mutants/gate.py "$mutants" || status=$?
    steps="$steps build-mutants/mutants.json=$status"

    echo "building build-fuzz"
    export CC=clang-14
    if configure build-fuzz -Dbuildtype=debugoptimized -Db_sanitize=address,undefined \
        -Db_lundef=false -Dtests=enabled -Dfuzz=true -Dc_args=-fsanitize=fuzzer-no-link; then
        status=0
        sh tools/setup/fuzz.sh build-fuzz "$fuzz_seconds" $fixed_layout || status=$?
        steps="$steps build-fuzz/fuzz.json=$status"
    else
        steps="$steps build-fuzz/fuzz.json=1"
    fi
fi

python3 tools/setup/summary.py $steps
