#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# Builds the libFuzzer programs of a configured directory and runs each for a while, as many at a
# time as there are processors. Writes DIR/fuzz.json, one line a program, for summary.py.
#
#   sh tools/setup/fuzz.sh DIR SECONDS [COMMAND_BEFORE_PROGRAM...]
#
# A program starts from its corpus in tests/fuzz/corpus/NAME; new inputs go to DIR/corpus/NAME, what
# crashes it to DIR/crash-NAME-*. Exits 1 when building failed or a program found something.
set -eu

dir=$1
seconds=$2
shift 2

run_one() {
    program=$1
    shift
    name=${program##*/}
    mkdir -p "$dir/corpus/$name"
    seeds=tests/fuzz/corpus/$name
    [ -d "$seeds" ] || seeds=
    result=OK
    # The entropic schedule takes a quarter to a half of a run here and covers no more.
    "$@" "$program" -max_total_time="$seconds" -entropic=0 \
        -rss_limit_mb=2048 -timeout=10 -print_final_stats=1 \
        -artifact_prefix="$dir/crash-$name-" "$dir/corpus/$name" $seeds \
        >"$dir/$name.log" 2>&1 || result=FAIL
    runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$dir/$name.log")
    echo "$name: $result, ${runs:-0} runs"
    printf '{"name": "libFuzzer %s", "result": "%s"}\n' "$name" "$result" >>"$dir/fuzz.json"
    if [ "$result" = FAIL ]; then
        tail -n 40 "$dir/$name.log" >&2
        return 1
    fi
}

if [ "${1:-}" = --one ]; then
    shift
    run_one "$@"
    exit
fi

rm -f "$dir/fuzz.json"
targets=$(ninja -C "$dir" -t targets all |
    sed -n 's#^\(tests/fuzz/fuzz_[a-z0-9_]*\): .*_LINKER$#\1#p')
[ -n "$targets" ] || {
    echo "fuzz: no target in $dir" >&2
    exit 1
}
# Both are lists of words.
. tools/setup/build.sh
build "$dir" $targets
printf "$dir/%s\n" $targets |
    xargs -P "$(nproc)" -I '{}' sh "$0" "$dir" "$seconds" --one '{}' "$@"
