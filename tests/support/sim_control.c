/* SPDX-License-Identifier: Apache-2.0
 *
 * What a test asks of the world between turns: time, plans, injections, counts, the disk's bytes.
 */
#include "tests/support/sim_world.h"
#include "wire/checksum.h"
#include "wire/xassert.h"

#include <errno.h>
#include <string.h>

/* ---- faults and counts ----------------------------------------------------------------------- */

struct sim_rates *sim_rates(struct sim *sim)
{
    return &sim->faults.rates;
}

void sim_plan_crash(struct sim *sim, enum env_crash_point point, uint32_t nth)
{
    XD_ASSERT(point < ENV_CRASH_COUNT);
    sim->faults.plan_point = point;
    sim->faults.plan_hits = nth;
}

void sim_plan_crash_op(struct sim *sim, uint64_t nth)
{
    sim->faults.plan_ops = nth;
}

uint64_t sim_crash_point_hits(const struct sim *sim, enum env_crash_point point)
{
    XD_ASSERT(point < ENV_CRASH_COUNT);
    return sim->faults.point_hits[point];
}

uint64_t sim_buggify_hits(const struct sim *sim, enum env_buggify site)
{
    XD_ASSERT(site < ENV_BUGGIFY_COUNT);
    return sim->faults.site_hits[site];
}

uint64_t sim_buggify_fires(const struct sim *sim, enum env_buggify site)
{
    XD_ASSERT(site < ENV_BUGGIFY_COUNT);
    return sim->faults.site_fires[site];
}

uint64_t sim_op_count(const struct sim *sim, enum sim_op op)
{
    XD_ASSERT(op < SIM_OP_COUNT);
    return sim->faults.op_counts[op];
}

void sim_inject(struct sim *sim, enum sim_op op, const char *name_prefix, uint64_t nth,
                int32_t result)
{
    struct sim_injection *injection;

    XD_ASSERT(op < SIM_OP_COUNT && nth > 0);
    XD_ASSERT(result < 0 || op == SIM_OP_WRITE || op == SIM_OP_READ);
    XD_ASSERT(sim->faults.injection_count < SIM_INJECTIONS_MAX);
    injection = &sim->faults.injections[sim->faults.injection_count++];
    *injection = (struct sim_injection){.op = op, .remaining = nth, .result = result};
    if (name_prefix != NULL)
        text_copy(injection->name_prefix, SIM_PREFIX_ROOM, name_prefix);
}

void sim_inject_clear(struct sim *sim)
{
    sim->faults.injection_count = 0;
}

uint32_t sim_inject_pending(const struct sim *sim)
{
    return sim->faults.injection_count;
}

void sim_space_limit(struct sim *sim, uint64_t bytes)
{
    sim->disk.limit_bytes = bytes;
}

uint64_t sim_disk_used(const struct sim *sim)
{
    return sim->disk.used_bytes;
}

void sim_disk_capacity(struct sim *sim, uint64_t bytes)
{
    sim->disk.capacity_bytes = bytes;
}

uint64_t sim_silent_count(const struct sim *sim)
{
    return sim->faults.silent_count;
}

void sim_read_flip(struct sim *sim, const char *name, uint64_t position)
{
    const struct sim_inode *inode = names_find(&sim->disk.newest, name);

    XD_ASSERT(inode != NULL && inode->id != 0);
    sim->faults.flip_inode = inode->id;
    sim->faults.flip_position = position;
}

void sim_silent_limit(struct sim *sim, uint64_t count)
{
    sim->faults.silent_left = count;
}

/* ---- time ------------------------------------------------------------------------------------ */

uint64_t sim_now_ns(const struct sim *sim)
{
    return sim->clock.now_ns;
}

void sim_wall_jump(struct sim *sim, int64_t us)
{
    sim->clock.wall_offset_us += us;
}

void sim_wake_at(struct sim *sim, uint64_t ns)
{
    sim->wake_ns = ns;
}

uint64_t sim_stuck_count(const struct sim *sim)
{
    return sim->stuck_count;
}

/* ---- trace ----------------------------------------------------------------------------------- */

uint64_t sim_trace_hash(const struct sim *sim)
{
    return sim->trace.hash;
}

void sim_trace_to(struct sim *sim, FILE *file)
{
    sim->trace.file = file;
}

void sim_trace_dump(const struct sim *sim, FILE *file)
{
    trace_dump(&sim->trace, file);
}

/* ---- the disk -------------------------------------------------------------------------------- */

int64_t sim_disk_durable_bytes(const struct sim *sim, const char *name)
{
    const struct sim_inode *inode = names_find(&sim->disk.durable, name);

    return inode == NULL ? -ENOENT : (int64_t)inode->durable_bytes;
}

int64_t sim_disk_peek(const struct sim *sim, const char *name, uint64_t position, void *data,
                      size_t bytes)
{
    const struct sim_inode *inode = names_find(&sim->disk.durable, name);
    uint64_t left;

    if (inode == NULL)
        return -ENOENT;
    left = inode->durable_bytes > position ? inode->durable_bytes - position : 0;
    if (left < bytes)
        bytes = (size_t)left;
    image_read(&inode->durable, position, data, bytes);
    return (int64_t)bytes;
}

int sim_disk_patch(struct sim *sim, const char *name, uint64_t position, const void *data,
                   size_t bytes)
{
    struct sim_inode *inode = names_find(&sim->disk.durable, name);

    if (inode == NULL)
        return -ENOENT;
    XD_ASSERT(position + bytes <= inode->durable_bytes);
    image_write(&sim->disk.pages, &inode->durable, position, data, bytes);
    image_write(&sim->disk.pages, &inode->newest, position, data, bytes);
    return 0;
}

int sim_disk_flip(struct sim *sim, const char *name, uint64_t position, unsigned bit)
{
    uint8_t byte = 0;
    int64_t status = sim_disk_peek(sim, name, position, &byte, 1);

    if (status < 0)
        return (int)status;
    XD_ASSERT(status == 1 && bit < 8);
    byte = (uint8_t)(byte ^ (1u << bit));
    return sim_disk_patch(sim, name, position, &byte, 1);
}

int sim_disk_name(const struct sim *sim, uint32_t index, char *ret_name)
{
    const struct sim_names *names = &sim->disk.durable;

    for (uint32_t i = 0; i < names->count; i++) {
        if (names->entries[i].inode->folder == 0 && index-- == 0) {
            text_copy(ret_name, SIM_NAME_ROOM, names->entries[i].text);
            return 0;
        }
    }
    return -ENOENT;
}

uint64_t sim_disk_hash(const struct sim *sim)
{
    const struct sim_names *names = &sim->disk.durable;
    uint64_t hash = names->count;

    for (uint32_t i = 0; i < names->count; i++) {
        const struct sim_inode *inode = names->entries[i].inode;
        uint64_t about[2] = {inode->durable_bytes, inode->folder};
        uint8_t page[SIM_PAGE_BYTES];

        hash = xd_xxh3_seeded(names->entries[i].text, strlen(names->entries[i].text), hash);
        hash = xd_xxh3_seeded(about, sizeof(about), hash);
        for (uint64_t at = 0; at < inode->durable_bytes; at += SIM_PAGE_BYTES) {
            image_read(&inode->durable, at, page, sizeof(page));
            hash = xd_xxh3_seeded(page, sizeof(page), hash);
        }
    }
    return hash;
}

uint64_t sim_disk_unsynced_bytes(const struct sim *sim)
{
    return sim->disk.unsynced_bytes;
}

void sim_disk_copy(struct sim *to, const struct sim *from)
{
    XD_ASSERT(!to->process.started);
    disk_copy(&to->disk, &from->disk);
}
