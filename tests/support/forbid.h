/* SPDX-License-Identifier: Apache-2.0
 *
 * Makes the kernel of this process refuse some system calls, as profiles of containers and older
 * kernels do. For good, and for its threads and children too.
 *
 * Normal path: no new privileges, a seccomp filter that answers the calls named with the error
 * given, or ends the process with SIGSYS, and lets everything else pass. Failure path: -1 with
 * errno, the machine cannot do this.
 */
#ifndef CROSSDOCK_TESTS_SUPPORT_FORBID_H
#define CROSSDOCK_TESTS_SUPPORT_FORBID_H

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#define FORBID_CALLS_MAX 8
#define FORBID_KILLS (-1) /* in the place of an error: the call ends the process */

struct forbid_call {
    long number; /* SYS_... */
    int error;   /* that it ends with */
};

static inline int forbid_calls(const struct forbid_call *calls, int count)
{
    struct sock_filter rules[2 + 2 * FORBID_CALLS_MAX];
    unsigned short used = 0;
    if (count > FORBID_CALLS_MAX) {
        errno = E2BIG;
        return -1;
    }
    rules[used++] =
        (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
    for (int i = 0; i < count; i++) {
        rules[used++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K,
                                                     (unsigned)calls[i].number, 0, 1);
        rules[used++] = (struct sock_filter)BPF_STMT(
            BPF_RET | BPF_K,
            calls[i].error == FORBID_KILLS
                ? SECCOMP_RET_KILL_PROCESS
                : SECCOMP_RET_ERRNO | ((unsigned)calls[i].error & SECCOMP_RET_DATA));
    }
    rules[used++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    const struct sock_fprog program = {.len = used, .filter = rules};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
        return -1;
    return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0);
}

#endif
