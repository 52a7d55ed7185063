/* SPDX-License-Identifier: Apache-2.0
 *
 * Faults that report success: turned bits, data at the wrong place, writes that never happened.
 * Each one counts, so that a test can hold a run inside the published fault model.
 */
#include "tests/support/sim_world.h"
#include "wire/xassert.h"

enum silent {
    SILENT_WRITE_FLIP,
    SILENT_WRITE_MISDIRECT,
    SILENT_WRITE_DROP,
    SILENT_WRITE_ZERO,
    SILENT_READ_FLIP,
    SILENT_READ_MISDIRECT,
};

static bool happens(struct sim *sim, uint32_t rate)
{
    return rate > 0 && prng_chance(&sim->disk_prng, rate) && sim->faults.silent_left > 0;
}

static void note(struct sim *sim, enum silent fault, const struct sim_inode *inode,
                 uint64_t position)
{
    sim->faults.silent_count++;
    if (sim->faults.silent_left != UINT64_MAX)
        sim->faults.silent_left--;
    sim_trace(sim, SIM_TRACE_SILENT, fault, inode->id, position, 0);
}

/* A file other than `inode` with at least `pages` pages, or NULL. */
static struct sim_inode *other_file(struct sim *sim, const struct sim_inode *inode, uint64_t pages)
{
    const struct list *inodes = &sim->disk.inodes;
    struct sim_inode *chosen = NULL;
    uint64_t seen = 0;

    for (struct list_node *n = list_first(inodes); n != NULL; n = list_next(inodes, n)) {
        struct sim_inode *other = LIST_ELEMENT(n, struct sim_inode, node);

        if (other == inode || other->newest_bytes / SIM_PAGE_BYTES < pages)
            continue;
        if (prng_below(&sim->disk_prng, ++seen) == 0)
            chosen = other;
    }
    return chosen;
}

/* Somewhere else for `file`: another file, which it then holds, or another page of its own, where
 * all its bytes lie inside the file. False when there is no such place. */
static bool misdirect(struct sim *sim, struct sim_file_task *file)
{
    uint64_t pages = ((uint64_t)file->bytes + SIM_PAGE_BYTES - 1) / SIM_PAGE_BYTES;
    uint64_t page = file->position / SIM_PAGE_BYTES;
    bool away = prng_below(&sim->disk_prng, 2) == 0;
    struct sim_inode *other = away ? other_file(sim, file->inode, pages) : NULL;
    struct sim_inode *target = other != NULL ? other : file->inode;
    uint64_t places = target->newest_bytes / SIM_PAGE_BYTES;
    uint64_t choice;

    if (file->position % SIM_PAGE_BYTES != 0 || places < pages + (other == NULL ? 1 : 0))
        return false;
    choice = prng_below(&sim->disk_prng, places - pages + (other == NULL ? 0 : 1));
    if (other == NULL) {
        choice += choice >= page ? 1 : 0;
    } else {
        inode_hold(other);
        inode_drop(&sim->disk, file->inode);
        file->inode = other;
    }
    file->position = choice * SIM_PAGE_BYTES;
    return true;
}

static void write_flip(struct sim *sim, struct sim_write *write)
{
    struct sim_piece *piece = &write->pieces[prng_below(&sim->disk_prng, write->piece_count)];
    uint64_t at = piece->from + prng_below(&sim->disk_prng, (uint64_t)(piece->to - piece->from));
    uint64_t bit = prng_below(&sim->disk_prng, 8);

    piece_own(&sim->disk.pages, piece);
    piece->page->bytes[at] = (uint8_t)(piece->page->bytes[at] ^ (1u << bit));
    note(sim, SILENT_WRITE_FLIP, write->inode, (uint64_t)piece->page_index * SIM_PAGE_BYTES + at);
}

static void write_misdirect(struct sim *sim, struct sim_file_task *file)
{
    struct sim_write *write = file->write;

    if (!misdirect(sim, file))
        return;
    note(sim, SILENT_WRITE_MISDIRECT, write->inode, write->position);
    write_move(write, file->inode, file->position);
}

static void write_zero(struct sim *sim, struct sim_write *write)
{
    struct sim_piece *piece = &write->pieces[prng_below(&sim->disk_prng, write->piece_count)];

    page_drop(&sim->disk.pages, piece->page);
    piece->page = NULL;
    note(sim, SILENT_WRITE_ZERO, write->inode, (uint64_t)piece->page_index * SIM_PAGE_BYTES);
}

void silent_write(struct sim *sim, struct sim_file_task *file)
{
    const struct sim_rates *rates = &sim->faults.rates;

    XD_ASSERT(file->op == ENV_OP_WRITE && file->write != NULL);
    if (happens(sim, rates->write_flip))
        write_flip(sim, file->write);
    if (happens(sim, rates->write_zero))
        write_zero(sim, file->write);
    if (happens(sim, rates->write_misdirect))
        write_misdirect(sim, file);
    if (happens(sim, rates->write_drop)) {
        note(sim, SILENT_WRITE_DROP, file->inode, file->position);
        file->bytes_stored = 0;
    }
}

void silent_read(struct sim *sim, struct sim_file_task *file)
{
    const struct sim_rates *rates = &sim->faults.rates;
    const struct sim_inode *inode = file->inode;
    uint64_t position = file->position;

    XD_ASSERT(file->op == ENV_OP_READ);
    if (happens(sim, rates->read_flip)) {
        file->flip = true;
        note(sim, SILENT_READ_FLIP, inode, position);
    }
    if (happens(sim, rates->read_misdirect) && misdirect(sim, file))
        note(sim, SILENT_READ_MISDIRECT, inode, position);
}

void silent_flip(struct sim *sim, struct sim_file_task *file)
{
    struct sim_faults *faults = &sim->faults;
    uint8_t *data = file->read_data;

    if (faults->flip_inode != file->inode->id || faults->flip_position < file->position ||
        faults->flip_position >= file->position + (uint64_t)file->result)
        return;
    data[faults->flip_position - file->position] ^= 1;
    faults->flip_inode = 0;
    note(sim, SILENT_READ_FLIP, file->inode, faults->flip_position);
}
