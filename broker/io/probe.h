/* SPDX-License-Identifier: Apache-2.0
 *
 * Start-up probe: what the host allows, and one hint for the operator per thing it does not.
 *
 * Normal path: the engine raises the descriptor limit with probe_descriptors() and never looks here
 * again. Failure path: a set-up step failed, probe_facts() reads the settings that decide about it,
 * and probe_explain() turns status and facts into one sentence that names the remedy.
 *
 * Must not print, must not change anything but the soft limit of descriptors, and must not be used
 * after start-up: it reads /proc.
 */
#ifndef CROSSDOCK_BROKER_IO_PROBE_H
#define CROSSDOCK_BROKER_IO_PROBE_H

#include <stdint.h>

/* Room for an explanation, terminator included. */
#define PROBE_WHY_BYTES 512u

/* kernel.io_uring_disabled when the kernel does not have that setting. */
#define PROBE_DISABLED_UNKNOWN (-1)

/* Settings of the host that decide whether a ring can be had. */
struct probe_facts {
    char kernel[65];        /* release, "6.1.0-13-amd64"; "unknown" when not readable */
    int32_t uring_disabled; /* kernel.io_uring_disabled: 0 free, 1 group only, 2 off, or _UNKNOWN */
    int32_t seccomp;        /* mode of this process: 0 none, 1 strict, 2 filter */
    uint64_t memlock_bytes; /* soft RLIMIT_MEMLOCK in bytes; UINT64_MAX = unlimited */
    uint64_t descriptors_soft; /* soft RLIMIT_NOFILE; UINT64_MAX = unlimited */
    uint64_t descriptors_hard; /* hard RLIMIT_NOFILE; UINT64_MAX = unlimited */
};

/* Reads the facts; what cannot be read keeps its "unknown" value. Blocking. */
void probe_facts(struct probe_facts *ret_facts);

/* One sentence for people: why `step` ("ring set-up") ended with `status` (-errno), and what to
 * change. ret_why has PROBE_WHY_BYTES; the text is cut to fit. */
void probe_explain(const char *step, int status, const struct probe_facts *facts, char *ret_why);

/* What to do when the kernel gives no descriptor, no watch or no memory for one; of any other error
 * its text. Static memory. */
const char *probe_remedy(int status);

/* Makes room for `needed` descriptors, and for a burst of connections beyond them as far as that is
 * allowed, by raising the soft limit up to the hard one. 0, or -EMFILE with ret_why
 * (PROBE_WHY_BYTES) when the hard limit is lower than needed. */
int probe_descriptors(uint64_t needed, char *ret_why);

#endif
