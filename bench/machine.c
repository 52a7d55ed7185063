/* SPDX-License-Identifier: Apache-2.0
 *
 * Facts about the machine and the processes on it; see machine.h.
 */
#include "bench/machine.h"

#include "bench/check.h"

#include <errno.h>
#include <inttypes.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#define LINE_BYTES 1024u

static uint64_t clock_ns(clockid_t clock)
{
    struct timespec time;
    int status = clock_gettime(clock, &time);
    BENCH_ASSERT(status == 0);
    return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

uint64_t machine_now_ns(void)
{
    return clock_ns(CLOCK_MONOTONIC);
}

int64_t machine_wall_us(void)
{
    return (int64_t)(clock_ns(CLOCK_REALTIME) / 1000u);
}

uint64_t machine_cpu_ns(void)
{
    return clock_ns(CLOCK_PROCESS_CPUTIME_ID);
}

uint64_t machine_user_ns(void)
{
    struct rusage usage;
    int status = getrusage(RUSAGE_SELF, &usage);
    BENCH_ASSERT(status == 0);
    return (uint64_t)usage.ru_utime.tv_sec * 1000000000u + (uint64_t)usage.ru_utime.tv_usec * 1000u;
}

int machine_pin(uint32_t cpu)
{
    cpu_set_t set;
    if (cpu >= CPU_SETSIZE)
        return -EINVAL;
    CPU_ZERO(&set);
    CPU_SET(cpu, &set);
    if (sched_setaffinity(0, sizeof set, &set) < 0)
        return -errno;
    /* Sleeps of an open loop may be short: no rounding up by the default 50 us. */
    return prctl(PR_SET_TIMERSLACK, 1ul, 0ul, 0ul, 0ul) < 0 ? -errno : 0;
}

/* Text behind the first colon of the line that begins with `key`, cut; "" when there is none. */
static void read_key(const char *path, const char *key, char *ret_text, size_t bytes)
{
    char line[LINE_BYTES];
    ret_text[0] = '\0';
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return;
    while (fgets(line, sizeof line, file) != NULL) {
        const char *colon = strchr(line, ':');
        if (strncmp(line, key, strlen(key)) != 0 || colon == NULL)
            continue;
        colon += 1 + strspn(colon + 1, " \t");
        snprintf(ret_text, bytes, "%.*s", (int)strcspn(colon, "\n"), colon);
        break;
    }
    fclose(file);
}

void machine_describe(struct machine *ret_machine)
{
    struct utsname names;
    long cpus = sysconf(_SC_NPROCESSORS_ONLN);
    long pages = sysconf(_SC_PHYS_PAGES);
    long page_bytes = sysconf(_SC_PAGESIZE);
    *ret_machine = (struct machine){0};
    read_key("/proc/cpuinfo", "model name", ret_machine->cpu, sizeof ret_machine->cpu);
    if (uname(&names) == 0)
        snprintf(ret_machine->kernel, sizeof ret_machine->kernel, "%.79s", names.release);
    if (cpus > 0)
        ret_machine->cpus = (uint32_t)cpus;
    if (pages > 0 && page_bytes > 0)
        ret_machine->memory_bytes = (uint64_t)pages * (uint64_t)page_bytes;
}

int machine_usage_of(uint64_t pid, struct machine_usage *ret_usage)
{
    char path[64];
    char line[LINE_BYTES];
    uint64_t user;
    uint64_t system;
    uint64_t pages;
    long ticks = sysconf(_SC_CLK_TCK);
    long page_bytes = sysconf(_SC_PAGESIZE);
    snprintf(path, sizeof path, "/proc/%" PRIu64 "/stat", pid);
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return -errno;
    const char *got = fgets(line, sizeof line, file);
    fclose(file);
    /* The name in parentheses may hold anything; what follows the last one is numbers. */
    const char *rest = got != NULL ? strrchr(line, ')') : NULL;
    if (rest == NULL || ticks <= 0 || page_bytes <= 0 ||
        sscanf(rest,
               ") %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %" SCNu64 " %" SCNu64
               " %*d %*d %*d %*d %*d %*d %*u %*u %" SCNu64,
               &user, &system, &pages) != 3)
        return -EPROTO;
    ret_usage->cpu_ns = (user + system) * (1000000000u / (uint64_t)ticks);
    ret_usage->resident_bytes = pages * (uint64_t)page_bytes;
    return 0;
}
