/* SPDX-License-Identifier: Apache-2.0
 *
 * Runs a program to which io_uring is forbidden:
 *
 *   no_uring HOW PROGRAM [ARGUMENT]...
 *
 *   EPERM, EACCES, ENOSYS  io_uring_setup ends with this error, as the default profile of a
 *                          container, a security module and a sandbox have it
 *   register, enter        a profile that has forgotten this one of the three calls: EPERM
 *   old                    a kernel before io_uring, to which epoll_pwait2 and flags of a write are
 *                          unknown as well
 *   kills                  io_uring_setup ends the process, as profiles without an error do
 *
 * Normal path: a filter, then exec. Failure path: exit status 77, the machine cannot do this.
 */
#include "tests/support/forbid.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define EXIT_USAGE 2
#define EXIT_SKIPPED 77
#define CALLS_MAX 3

struct way {
    const char *name;
    struct forbid_call calls[CALLS_MAX];
    int count;
};

static const struct way WAYS[] = {
    {"EPERM", {{SYS_io_uring_setup, EPERM}}, 1},
    {"EACCES", {{SYS_io_uring_setup, EACCES}}, 1},
    {"ENOSYS", {{SYS_io_uring_setup, ENOSYS}}, 1},
    {"register", {{SYS_io_uring_register, EPERM}}, 1},
    {"enter", {{SYS_io_uring_enter, EPERM}}, 1},
    {"kills", {{SYS_io_uring_setup, FORBID_KILLS}}, 1},
    {"old",
     {{SYS_io_uring_setup, ENOSYS}, {SYS_epoll_pwait2, ENOSYS}, {SYS_pwritev2, EOPNOTSUPP}},
     3},
};

int main(int argc, char **argv)
{
    const struct way *way = NULL;
    for (size_t i = 0; argc >= 3 && i < sizeof WAYS / sizeof WAYS[0]; i++) {
        if (strcmp(argv[1], WAYS[i].name) == 0)
            way = &WAYS[i];
    }
    if (way == NULL) {
        fprintf(stderr, "usage: no_uring EPERM|EACCES|ENOSYS|register|enter|kills|old "
                        "PROGRAM [ARGUMENT]...\n");
        return EXIT_USAGE;
    }
    if (forbid_calls(way->calls, way->count) != 0) {
        perror("no_uring: seccomp");
        return EXIT_SKIPPED;
    }
    execv(argv[2], argv + 2);
    perror(argv[2]);
    return EXIT_SKIPPED;
}
