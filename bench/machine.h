/* SPDX-License-Identifier: Apache-2.0
 *
 * The machine that is measured on: clock, CPU time, pinning, and the facts that a figure is worth
 * nothing without. Must not measure anything itself.
 */
#ifndef CROSSDOCK_BENCH_MACHINE_H
#define CROSSDOCK_BENCH_MACHINE_H

#include <stdint.h>

struct machine {
    char cpu[80];    /* model name, "" when the kernel does not tell */
    char kernel[80]; /* "6.1.0-18-amd64" */
    uint32_t cpus;   /* online */
    uint64_t memory_bytes;
};

/* CPU time and memory of a process at one moment. */
struct machine_usage {
    uint64_t cpu_ns;         /* user and system */
    uint64_t resident_bytes; /* */
};

void machine_describe(struct machine *ret_machine);

uint64_t machine_now_ns(void); /* monotonic */
int64_t machine_wall_us(void); /* since 1970 UTC */

/* Binds the calling thread to a CPU and asks for exact timers. 0 or -errno. */
int machine_pin(uint32_t cpu);

/* CPU time of this process, and the part of it outside the kernel. */
uint64_t machine_cpu_ns(void);
uint64_t machine_user_ns(void);
/* Of another process, in steps of the kernel's tick. 0 or -errno. */
int machine_usage_of(uint64_t pid, struct machine_usage *ret_usage);

#endif
