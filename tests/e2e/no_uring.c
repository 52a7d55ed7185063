/* SPDX-License-Identifier: Apache-2.0
 *
 * Runs a program to which io_uring is forbidden, as the default profile of a container does it:
 *
 *   no_uring PROGRAM [ARGUMENT]...
 *
 * Normal path: no new privileges, a seccomp filter that answers io_uring_setup with EPERM and lets
 * everything else pass, exec. Failure path: exit status 77, the machine cannot do this.
 */
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#define EXIT_SKIPPED 77

int main(int argc, char **argv)
{
    struct sock_filter rules[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_io_uring_setup, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    const struct sock_fprog program = {.len = sizeof rules / sizeof rules[0], .filter = rules};
    if (argc < 2) {
        fprintf(stderr, "usage: no_uring PROGRAM [ARGUMENT]...\n");
        return 2;
    }
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
        prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0) != 0) {
        perror("no_uring: seccomp");
        return EXIT_SKIPPED;
    }
    execv(argv[1], argv + 1);
    perror(argv[1]);
    return EXIT_SKIPPED;
}
