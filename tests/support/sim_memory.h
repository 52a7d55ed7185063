/* SPDX-License-Identifier: Apache-2.0
 *
 * Memory of the simulated process: one address space that reads as zero until it is used.
 *
 * Normal path: memory_map once, memory_take for each allocation, memory_clear when the process has
 * ended. A process is started anew for each seed and crash, and first touches of fresh pages cost
 * more than the simulation itself; so pages that were touched stay and are filled with zeros.
 * Failure path: none; without address space the test aborts. Must not know what a process is.
 */
#ifndef CROSSDOCK_TESTS_SUPPORT_SIM_MEMORY_H
#define CROSSDOCK_TESTS_SUPPORT_SIM_MEMORY_H

#include <stddef.h>
#include <stdint.h>

struct sim_memory {
    uint8_t *start; /* NULL = not mapped */
    uint64_t bytes; /* of the address space */
    uint64_t used;  /* handed out */
};

/* Another size gives other memory; nothing may be handed out then. */
void memory_map(struct sim_memory *memory, uint64_t bytes);
void memory_unmap(struct sim_memory *memory);
/* Zeroed; page-aligned from one page on. NULL when there is not enough. */
void *memory_take(struct sim_memory *memory, uint64_t bytes);
/* Takes everything back; it reads as zero again. */
void memory_clear(struct sim_memory *memory);

#endif
