/* SPDX-License-Identifier: Apache-2.0
 *
 * kill_at N PROGRAM ...: runs the program and kills it in front of its N-th system call that others
 * can see: what it writes, sends, flushes, creates, renames or removes. So a test can end a program
 * at every point that matters, one after the other, instead of at lucky moments.
 *
 * Normal path: trace the program from system call to system call, count, kill. Exit status 137 when
 * it was killed, that of the program when it ended before; 125 when it cannot be traced.
 * Only for programs with one thread, on x86-64 and arm64.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

/* The general registers, as ptrace names that set. */
#define NT_PRSTATUS 1

#define EXIT_TRACE 125
#define EXIT_KILLED 137

/* System calls that leave something behind. */
static const long visible[] = {SYS_write,    SYS_writev,   SYS_sendto,   SYS_sendmsg,   SYS_fsync,
                               SYS_openat,   SYS_unlinkat, SYS_renameat, SYS_renameat2,
#ifdef SYS_rename
                               SYS_rename,
#endif
                               SYS_fdatasync};

static bool is_visible(long number)
{
    for (size_t i = 0; i < sizeof visible / sizeof visible[0]; i++)
        if (visible[i] == number)
            return true;
    return false;
}

/* Whether the stopped program is about to do something visible. A file that is only opened to be
 * read is not. */
static bool stands_before_visible(pid_t pid)
{
    struct user_regs_struct registers;
    struct iovec area = {&registers, sizeof registers};
    if (ptrace(PTRACE_GETREGSET, pid, (void *)NT_PRSTATUS, &area) < 0)
        return false;
#if defined(__x86_64__)
    long number = (long)registers.orig_rax, flags = (long)registers.rdx;
#else
    long number = (long)registers.regs[8], flags = (long)registers.regs[2];
#endif
    return is_visible(number) && (number != SYS_openat || (flags & O_CREAT) != 0);
}

static int start(char **words)
{
    if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) < 0) {
        perror("kill_at: ptrace");
        return EXIT_TRACE;
    }
    execv(words[0], words);
    perror("kill_at: execv");
    return EXIT_TRACE;
}

/* Follows the stopped program to its end, or to system call number `count`. */
static int follow(pid_t pid, long count)
{
    bool entering = true;
    long seen = 0;
    int how, signal = 0;
    ptrace(PTRACE_SETOPTIONS, pid, NULL, (void *)(long)(PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL));
    for (;;) {
        if (ptrace(PTRACE_SYSCALL, pid, NULL, (void *)(long)signal) < 0 ||
            waitpid(pid, &how, 0) < 0)
            return EXIT_TRACE;
        signal = 0;
        if (WIFEXITED(how))
            return WEXITSTATUS(how);
        if (WIFSIGNALED(how))
            return 128 + WTERMSIG(how);
        if (WSTOPSIG(how) != (SIGTRAP | 0x80)) { /* a signal of its own */
            signal = WSTOPSIG(how) == SIGTRAP ? 0 : WSTOPSIG(how);
            continue;
        }
        if (entering && stands_before_visible(pid) && ++seen == count) {
            kill(pid, SIGKILL);
            while (waitpid(pid, &how, 0) == pid && !WIFSIGNALED(how) && !WIFEXITED(how))
                continue;
            return EXIT_KILLED;
        }
        entering = !entering;
    }
}

int main(int argc, char **argv)
{
    int how;
    long count = argc > 2 ? strtol(argv[1], NULL, 10) : 0;
    if (count <= 0) {
        fprintf(stderr, "usage: kill_at N PROGRAM [ARGUMENT...]\n");
        return EXIT_TRACE;
    }
    pid_t pid = fork();
    if (pid == 0)
        return start(argv + 2);
    if (pid < 0 || waitpid(pid, &how, 0) < 0) {
        perror("kill_at");
        return EXIT_TRACE;
    }
    return WIFSTOPPED(how) ? follow(pid, count) : EXIT_TRACE;
}
