/* SPDX-License-Identifier: Apache-2.0
 *
 * Counting and comparing; see crash_kernel.h.
 */
#include "tests/crash/crash_kernel.h"

#include "tests/crash/crash_choice.h"
#include "tests/crash/crash_disk.h"
#include "wire/xassert.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHOICE_ALL 1 /* of crash_choice_make */

void crash_kernel_count(struct crash_kernel *kernel, const struct env_trace *trace)
{
    uint32_t in_flight = 0;
    uint32_t newest_done = 0; /* the latest start among the writes that have ended */

    for (uint32_t i = 0; i < trace->row_count; i++) {
        const struct env_trace_row *row = &trace->rows[i];

        if (row->kind == ENV_TRACE_PROCESS) {
            in_flight = 0;
        } else if (row->kind == ENV_TRACE_WRITE) {
            kernel->durable_writes += row->value;
            kernel->overlaps += in_flight++ > 0;
        } else if (row->kind == ENV_TRACE_WRITE_DONE) {
            XD_ASSERT(in_flight > 0);
            in_flight--;
            kernel->overtakings += row->of < newest_done;
            newest_done = row->of > newest_done ? row->of : newest_done;
        } else if (row->kind == ENV_TRACE_SYNC_DONE) {
            kernel->syncs++;
        }
    }
}

static const struct sim_snapshot_file *find(const struct sim_snapshot *snapshot, const char *name)
{
    for (uint32_t i = 0; i < snapshot->count; i++)
        if (strcmp(snapshot->files[i].name, name) == 0)
            return &snapshot->files[i];
    return NULL;
}

static bool same_bytes(const struct sim_snapshot_file *a, const struct sim_snapshot_file *b)
{
    uint8_t from_a[SIM_PAGE_BYTES];
    uint8_t from_b[SIM_PAGE_BYTES];

    if (a->folder != b->folder || a->bytes != b->bytes)
        return false;
    for (uint64_t at = 0; at < a->bytes; at += SIM_PAGE_BYTES) {
        image_read(&a->image, at, from_a, sizeof(from_a));
        image_read(&b->image, at, from_b, sizeof(from_b));
        if (memcmp(from_a, from_b, sizeof(from_a)) != 0)
            return false;
    }
    return true;
}

/* Name of the first file that is not the same in both, NULL = none. */
static const char *difference(const struct sim_snapshot *told, const struct sim_snapshot *real)
{
    for (uint32_t i = 0; i < told->count; i++) {
        const struct sim_snapshot_file *file = find(real, told->files[i].name);

        if (file == NULL || !same_bytes(&told->files[i], file))
            return told->files[i].name;
    }
    for (uint32_t i = 0; i < real->count; i++)
        if (find(told, real->files[i].name) == NULL)
            return real->files[i].name;
    return NULL;
}

/* The disk at the end of the trace, with everything kept. */
static void replay(const struct env_trace *trace, const struct sim_snapshot *start,
                   struct sim_snapshot *ret_told)
{
    struct crash_disk *disk = malloc(sizeof(*disk));
    struct crash_plan *plan = malloc(sizeof(*plan));

    XD_ASSERT(disk != NULL && plan != NULL);
    crash_disk_init(disk, trace, start);
    while (disk->next_row < trace->row_count)
        crash_disk_step(disk);
    (void)crash_choice_make(disk, 0, CHOICE_ALL, plan);
    (void)crash_disk_image(disk, plan, ret_told);
    crash_disk_deinit(disk);
    free(disk);
    free(plan);
}

bool crash_kernel_check(struct crash_kernel *kernel, struct crash_ring *ring,
                        const struct env_trace *trace, const struct sim_snapshot *start,
                        struct sim_snapshot *spare)
{
    struct sim_snapshot real = {.pages = start->pages};
    const char *name = NULL;
    int status;

    spare->pages = start->pages;
    replay(trace, start, spare);
    status = crash_ring_take(ring, &real);
    if (status == 0)
        name = difference(spare, &real);
    if (name != NULL)
        (void)snprintf(ring->why, sizeof(ring->why), "the trace does not tell all of %s", name);
    kernel->checked += status == 0 && name == NULL;
    sim_snapshot_clear(&real);
    sim_snapshot_deinit(&real);
    sim_snapshot_clear(spare);
    return status == 0 && name == NULL;
}
