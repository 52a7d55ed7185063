# SPDX-License-Identifier: Apache-2.0
#
# Sourced by tools/demo.sh and tools/test.sh, which have changed to the repository's root.
#
# configure DIR OPTION...   makes a build directory, or changes the options of one that is there
# build DIR [TARGET...]     runs ninja; its output is shown only when it fails
#
# A failing command returns non-zero and has said why on stderr. Nothing is written outside DIR.

configure() {
    dir=$1
    shift
    mkdir -p "$dir"
    # A directory without build.ninja was never configured, or its first attempt was cut short.
    if [ -e "$dir/build.ninja" ]; then
        set -- configure "$dir" "$@"
    elif [ -e "$dir/meson-private/coredata.dat" ]; then
        set -- setup --wipe "$dir" "$@"
    else
        set -- setup "$dir" "$@"
    fi
    if ! meson "$@" >"$dir/configure.log" 2>&1; then
        tail -n 20 "$dir/configure.log" >&2
        echo "$dir: configuring failed" >&2
        return 1
    fi
}

build() {
    dir=$1
    shift
    if ! ninja -C "$dir" -k 0 "$@" >"$dir/build.log" 2>&1; then
        grep -E -A 12 '^FAILED:|error:|undefined reference' "$dir/build.log" | head -n 60 >&2
        echo "$dir: building failed, all of it in $dir/build.log" >&2
        return 1
    fi
}
