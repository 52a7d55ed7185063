/* SPDX-License-Identifier: Apache-2.0
 *
 * Start-up probe: reads limits and kernel settings, words one hint per failure.
 *
 * Normal path: probe_descriptors() finds the soft limit high enough, or raises it. Failure path: a
 * file of /proc is missing or unreadable; the fact stays unknown and the hint names the likely
 * causes instead of the certain one. Nothing is held open. Must not end the process or print.
 */
#include "broker/io/probe.h"

#include "wire/status.h"
#include "wire/xassert.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/utsname.h>
#include <unistd.h>

/* Large enough for /proc/self/status up to its Seccomp line. */
#define PROC_BYTES_MAX 4096u

/* Taken beyond what is needed when it is allowed: the kernel accepts what waits at a listener, up
 * to its backlog of 4096, before the broker can refuse it, and files must still be opened then. */
#define SPARE_DESCRIPTORS 4096u

/* Reads the start of a small file as text; 0 or -errno. */
static int text_read(const char *path, char *ret_text)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    ssize_t bytes = read(fd, ret_text, PROC_BYTES_MAX - 1);
    int status = bytes < 0 ? -errno : 0;
    (void)close(fd); /* Read-only: there is nothing that closing could lose. */
    ret_text[bytes < 0 ? 0 : bytes] = '\0';
    return status;
}

static uint64_t limit_value(rlim_t limit)
{
    return limit == RLIM_INFINITY ? UINT64_MAX : (uint64_t)limit;
}

void probe_facts(struct probe_facts *ret_facts)
{
    XD_ASSERT(ret_facts);
    struct probe_facts facts = {.kernel = "unknown", .uring_disabled = PROBE_DISABLED_UNKNOWN};
    char text[PROC_BYTES_MAX];
    struct utsname name;
    struct rlimit limit;

    if (uname(&name) == 0)
        (void)snprintf(facts.kernel, sizeof(facts.kernel), "%s", name.release);
    if (text_read("/proc/sys/kernel/io_uring_disabled", text) == 0)
        facts.uring_disabled = (int32_t)strtol(text, NULL, 10);
    if (text_read("/proc/self/status", text) == 0) {
        const char *line = strstr(text, "\nSeccomp:");
        if (line)
            facts.seccomp = (int32_t)strtol(line + sizeof("\nSeccomp:") - 1, NULL, 10);
    }
    if (getrlimit(RLIMIT_MEMLOCK, &limit) == 0)
        facts.memlock_bytes = limit_value(limit.rlim_cur);
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        facts.descriptors_soft = limit_value(limit.rlim_cur);
        facts.descriptors_hard = limit_value(limit.rlim_max);
    }
    *ret_facts = facts;
}

/* Permission: the sysctl, a seccomp filter, or (without either) a security module. */
static void hint_permission(const struct probe_facts *facts, char *ret_hint)
{
    if (facts->uring_disabled == 2) {
        (void)snprintf(ret_hint, PROBE_WHY_BYTES,
                       "kernel.io_uring_disabled is 2: allow it with "
                       "`sysctl -w kernel.io_uring_disabled=0`");
    } else if (facts->uring_disabled == 1) {
        (void)snprintf(ret_hint, PROBE_WHY_BYTES,
                       "kernel.io_uring_disabled is 1: add the broker's group to "
                       "kernel.io_uring_group or set kernel.io_uring_disabled=0");
    } else if (facts->seccomp != 0) {
        (void)snprintf(ret_hint, PROBE_WHY_BYTES,
                       "a seccomp filter refuses io_uring: in a container start it with a profile "
                       "that allows io_uring_setup, io_uring_enter and io_uring_register "
                       "(--security-opt seccomp=<profile>)");
    } else {
        (void)snprintf(ret_hint, PROBE_WHY_BYTES,
                       "a security module refuses io_uring: allow it for this program in the "
                       "policy of SELinux or AppArmor");
    }
}

/* Not known: profiles hide calls that way as well as refuse them. */
static void hint_unknown(const struct probe_facts *facts, char *ret_hint)
{
    if (facts->seccomp != 0)
        (void)snprintf(ret_hint, PROBE_WHY_BYTES,
                       "kernel %s has no io_uring or a seccomp filter hides it: allow "
                       "io_uring_setup, io_uring_enter and io_uring_register in its profile, on "
                       "Linux 6.0 or newer",
                       facts->kernel);
    else
        (void)snprintf(ret_hint, PROBE_WHY_BYTES,
                       "kernel %s has no io_uring or a sandbox hides it: run on Linux 6.0 or newer "
                       "built with CONFIG_IO_URING, outside gVisor-like sandboxes",
                       facts->kernel);
}

static void hint_memory(const struct probe_facts *facts, char *ret_hint)
{
    if (facts->memlock_bytes == UINT64_MAX)
        (void)snprintf(ret_hint, PROBE_WHY_BYTES,
                       "no memory for the ring: raise the memory limit of the service");
    else
        (void)snprintf(ret_hint, PROBE_WHY_BYTES,
                       "no memory for the ring, locked memory is limited to %llu KiB: raise "
                       "LimitMEMLOCK of the service (RLIMIT_MEMLOCK) or its memory limit",
                       (unsigned long long)(facts->memlock_bytes / 1024));
}

static void hint_text(int status, const struct probe_facts *facts, char *ret_hint)
{
    switch (-status) {
    case EPERM:
    case EACCES:
        hint_permission(facts, ret_hint);
        return;
    case ENOSYS:
        hint_unknown(facts, ret_hint);
        return;
    case EINVAL:
        (void)snprintf(ret_hint, PROBE_WHY_BYTES,
                       "kernel %s is too old for what the engine uses: run on Linux 6.0 or newer",
                       facts->kernel);
        return;
    case ENOMEM:
        hint_memory(facts, ret_hint);
        return;
    case ENFILE:
        (void)snprintf(ret_hint, PROBE_WHY_BYTES,
                       "the machine has no descriptor left: raise fs.file-max of the host");
        return;
    case EMFILE:
        (void)snprintf(ret_hint, PROBE_WHY_BYTES,
                       "no descriptor is left, the limit is %llu (hard %llu): raise LimitNOFILE of "
                       "the service (RLIMIT_NOFILE)",
                       (unsigned long long)facts->descriptors_soft,
                       (unsigned long long)facts->descriptors_hard);
        return;
    default:
        (void)snprintf(ret_hint, PROBE_WHY_BYTES, "%s", xd_status_text(status));
        return;
    }
}

void probe_explain(const char *step, int status, const struct probe_facts *facts, char *ret_why)
{
    XD_ASSERT(step && facts && ret_why);
    XD_ASSERT(status < 0);
    char hint[PROBE_WHY_BYTES];
    hint_text(status, facts, hint);
    /* The cut is deliberate: a hint that does not fit loses its end, not its beginning. */
    (void)snprintf(ret_why, PROBE_WHY_BYTES, "%s: %s; %.400s", step, xd_status_name(status), hint);
}

const char *probe_remedy(int status)
{
    switch (-status) {
    case EMFILE:
        return "raise LimitNOFILE of the service (RLIMIT_NOFILE, ulimit -n)";
    case ENFILE:
        return "raise fs.file-max of the host";
    case ENOSPC: /* what epoll_ctl says; no file is made where this is asked */
        return "raise fs.epoll.max_user_watches of the host";
    case ENOMEM:
        return "raise the memory limit of the service";
    default:
        return xd_status_text(status);
    }
}

int probe_descriptors(uint64_t needed, char *ret_why)
{
    XD_ASSERT(needed > 0 && ret_why);
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return -errno;
    uint64_t soft = limit_value(limit.rlim_cur);
    uint64_t hard = limit_value(limit.rlim_max);
    uint64_t wanted = needed + SPARE_DESCRIPTORS < hard ? needed + SPARE_DESCRIPTORS : hard;
    if (soft >= needed + SPARE_DESCRIPTORS)
        return 0;
    limit.rlim_cur = (rlim_t)wanted;
    if (wanted > soft && setrlimit(RLIMIT_NOFILE, &limit) == 0)
        soft = wanted;
    if (soft >= needed)
        return 0;
    (void)snprintf(
        ret_why, PROBE_WHY_BYTES,
        "descriptors: %llu are needed and %llu allowed; raise LimitNOFILE of the service "
        "(RLIMIT_NOFILE) or lower net.connections_max",
        (unsigned long long)needed, (unsigned long long)hard);
    return -EMFILE;
}
