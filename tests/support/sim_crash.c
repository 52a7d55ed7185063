/* SPDX-License-Identifier: Apache-2.0
 *
 * What a crash leaves of the simulated disk, and copies of a disk for trying several crashes.
 *
 * Normal path: for each file, each write that no sync covered is kept, dropped or torn into its
 * durable image, as the menu says; then sizes, then names; then durable is all there is.
 */
#include "tests/support/sim_disk.h"
#include "wire/xassert.h"

#include <stdlib.h>

static bool coin(struct prng *prng)
{
    return prng_below(prng, 2) == 0;
}

/* Bounds of the sector or page `grain` number `index` within a write, as offsets into it. */
static void grain_bounds(const struct sim_write *write, uint32_t grain_bytes, uint32_t index,
                         uint32_t *ret_first, uint32_t *ret_end)
{
    uint64_t start = write->position / grain_bytes * grain_bytes + (uint64_t)index * grain_bytes;
    uint64_t end = start + grain_bytes;
    uint64_t write_end = write->position + write->bytes;

    *ret_first = start < write->position ? 0 : (uint32_t)(start - write->position);
    *ret_end = end > write_end ? write->bytes : (uint32_t)(end - write->position);
}

static uint32_t grain_count(const struct sim_write *write, uint32_t grain_bytes)
{
    uint64_t first = write->position / grain_bytes;
    uint64_t last = (write->position + write->bytes - 1) / grain_bytes;

    return (uint32_t)(last - first + 1);
}

void write_tear(struct sim_disk *disk, const struct sim_write *write, uint32_t grain_bytes,
                struct prng *prng)
{
    uint32_t count = grain_count(write, grain_bytes);
    bool prefix = coin(prng);
    /* At least one grain is lost, so a torn write is never whole. */
    uint32_t lost = (uint32_t)prng_below(prng, count);

    for (uint32_t i = 0; i < count; i++) {
        uint32_t first;
        uint32_t end;

        if (i == lost || (prefix ? i > lost : coin(prng)))
            continue;
        grain_bounds(write, grain_bytes, i, &first, &end);
        write_store(disk, &write->inode->durable, write, first, end);
    }
}

/* Keeps the sectors before a random one and fills that one with noise. */
static void write_tear_garbage(struct sim_disk *disk, const struct sim_write *write,
                               struct prng *prng)
{
    uint32_t tear = (uint32_t)prng_below(prng, grain_count(write, SIM_SECTOR_BYTES));
    uint64_t noise[SIM_SECTOR_BYTES / sizeof(uint64_t)];
    uint32_t first;
    uint32_t end;

    grain_bounds(write, SIM_SECTOR_BYTES, tear, &first, &end);
    write_store(disk, &write->inode->durable, write, 0, first);
    for (size_t i = 0; i < sizeof(noise) / sizeof(noise[0]); i++)
        noise[i] = prng_next(prng);
    image_write(&disk->pages, &write->inode->durable, write->position + first, noise, end - first);
}

/* ---- writes ---------------------------------------------------------------------------------- */

struct crash {
    enum sim_crash_menu menu;
    struct prng *prng;
    uint64_t keep_sequence;   /* KEEP_PREFIX: writes above it are lost */
    uint64_t newest_sequence; /* of all writes at stake */
};

static void crash_torn(struct sim_disk *disk, const struct crash *crash,
                       const struct sim_write *write, uint32_t grain_bytes)
{
    uint64_t choice = prng_below(crash->prng, 3);

    if (write->sequence == crash->newest_sequence || choice == 0) {
        if (crash->menu == SIM_CRASH_GARBAGE && !write->patched)
            write_tear_garbage(disk, write, crash->prng);
        else
            write_tear(disk, write, grain_bytes, crash->prng);
    } else if (choice == 1) {
        write_store(disk, &write->inode->durable, write, 0, write->bytes);
    }
}

static void crash_write(struct sim_disk *disk, const struct crash *crash,
                        const struct sim_write *write)
{
    bool keep = false;

    switch (crash->menu) {
    case SIM_CRASH_KEEP_ALL:
    case SIM_CRASH_SIZE_LOST:
    case SIM_CRASH_NAMES_LOST:
        keep = true;
        break;
    case SIM_CRASH_KEEP_NONE:
        break;
    case SIM_CRASH_KEEP_SUBSET:
        keep = coin(crash->prng);
        break;
    case SIM_CRASH_KEEP_PREFIX:
        keep = write->sequence <= crash->keep_sequence;
        break;
    case SIM_CRASH_TORN_SECTOR:
    case SIM_CRASH_GARBAGE:
        crash_torn(disk, crash, write, SIM_SECTOR_BYTES);
        break;
    case SIM_CRASH_TORN_PAGE:
        crash_torn(disk, crash, write, SIM_PAGE_BYTES);
        break;
    case SIM_CRASH_MENU_COUNT:
    default:
        XD_ASSERT(false);
    }
    if (keep)
        write_store(disk, &write->inode->durable, write, 0, write->bytes);
}

static void crash_list(struct sim_disk *disk, const struct crash *crash, struct list *writes)
{
    struct list_node *node;

    while ((node = list_first(writes)) != NULL) {
        struct sim_write *write = LIST_ELEMENT(node, struct sim_write, node);

        crash_write(disk, crash, write);
        write_forget(disk, write);
    }
}

/* ---- sizes and files ------------------------------------------------------------------------- */

/* The size that a file in its newest state would have once everything in flight had finished. */
static uint64_t size_reached(const struct sim_inode *inode)
{
    uint64_t bytes = inode->newest_bytes;

    for (struct list_node *n = list_first(&inode->in_flight); n != NULL;
         n = list_next(&inode->in_flight, n)) {
        const struct sim_write *write = LIST_ELEMENT(n, struct sim_write, node);

        if (write->position + write->bytes > bytes)
            bytes = write->position + write->bytes;
    }
    return bytes;
}

static bool crash_keeps_size(const struct crash *crash)
{
    switch (crash->menu) {
    case SIM_CRASH_KEEP_ALL:
    case SIM_CRASH_NAMES_LOST:
        return true;
    case SIM_CRASH_KEEP_NONE:
    case SIM_CRASH_SIZE_LOST:
        return false;
    case SIM_CRASH_KEEP_SUBSET:
    case SIM_CRASH_KEEP_PREFIX:
    case SIM_CRASH_TORN_SECTOR:
    case SIM_CRASH_TORN_PAGE:
    case SIM_CRASH_GARBAGE:
    case SIM_CRASH_MENU_COUNT:
    default:
        return coin(crash->prng);
    }
}

static void crash_file(struct sim_disk *disk, const struct crash *crash, struct sim_inode *inode)
{
    uint64_t reached = size_reached(inode);

    if (reached > inode->durable_bytes && crash_keeps_size(crash))
        inode->durable_bytes = reached;
    crash_list(disk, crash, &inode->unsynced);
    crash_list(disk, crash, &inode->in_flight);
    image_cut(&disk->pages, &inode->durable, inode->durable_bytes);
    image_share_all(&disk->pages, &inode->newest, &inode->durable);
    inode_resize(disk, inode, inode->durable_bytes);
}

static uint32_t crash_names_kept(const struct sim_disk *disk, const struct crash *crash)
{
    if (crash->menu == SIM_CRASH_KEEP_ALL || crash->menu == SIM_CRASH_SIZE_LOST)
        return disk->op_count;
    if (crash->menu == SIM_CRASH_KEEP_NONE || crash->menu == SIM_CRASH_NAMES_LOST)
        return 0;
    return (uint32_t)prng_below(crash->prng, (uint64_t)disk->op_count + 1);
}

/* Lowest and highest sequence in a list, folded into the range given. */
static void list_range(const struct list *writes, uint64_t *low, uint64_t *high)
{
    for (struct list_node *n = list_first(writes); n != NULL; n = list_next(writes, n)) {
        uint64_t sequence = LIST_ELEMENT(n, struct sim_write, node)->sequence;

        *low = sequence < *low ? sequence : *low;
        *high = sequence > *high ? sequence : *high;
    }
}

void disk_crash(struct sim_disk *disk, enum sim_crash_menu menu, struct prng *prng)
{
    struct crash crash = {.menu = menu, .prng = prng};
    uint64_t low = UINT64_MAX;
    struct list_node *next;

    XD_ASSERT(menu < SIM_CRASH_MENU_COUNT);
    for (struct list_node *n = list_first(&disk->inodes); n != NULL;
         n = list_next(&disk->inodes, n)) {
        const struct sim_inode *inode = LIST_ELEMENT(n, struct sim_inode, node);

        list_range(&inode->unsynced, &low, &crash.newest_sequence);
        list_range(&inode->in_flight, &low, &crash.newest_sequence);
    }
    if (low <= crash.newest_sequence)
        crash.keep_sequence = low - 1 + prng_below(prng, crash.newest_sequence - low + 2);
    for (struct list_node *n = list_first(&disk->inodes); n != NULL; n = next) {
        next = list_next(&disk->inodes, n);
        crash_file(disk, &crash, LIST_ELEMENT(n, struct sim_inode, node));
    }
    disk_names_crash(disk, crash_names_kept(disk, &crash));
    XD_ASSERT(disk->unsynced_bytes == 0);
}

/* ---- copies ---------------------------------------------------------------------------------- */

static void copy_image(struct sim_disk *to, struct sim_image *image, const struct sim_image *from)
{
    for (uint32_t i = 0; i < from->end; i++) {
        if (from->pages[i] != NULL)
            image_write(&to->pages, image, (uint64_t)i * SIM_PAGE_BYTES, from->pages[i]->bytes,
                        SIM_PAGE_BYTES);
    }
}

static void copy_inode(struct sim_disk *to, struct sim_inode *copy, const struct sim_inode *inode)
{
    copy->id = inode->id;
    copy->folder = inode->folder;
    copy->durable_bytes = inode->durable_bytes;
    inode_resize(to, copy, inode->newest_bytes);
    copy_image(to, &copy->newest, &inode->newest);
    copy_image(to, &copy->durable, &inode->durable);
    for (struct list_node *n = list_first(&inode->unsynced); n != NULL;
         n = list_next(&inode->unsynced, n))
        write_copy(to, copy, &copy->unsynced, LIST_ELEMENT(n, struct sim_write, node));
    for (struct list_node *n = list_first(&inode->in_flight); n != NULL;
         n = list_next(&inode->in_flight, n))
        write_copy(to, copy, &copy->in_flight, LIST_ELEMENT(n, struct sim_write, node));
}

static void copy_names(struct sim_disk *to, struct sim_names *names, const struct sim_names *from,
                       struct sim_inode *const *copies)
{
    for (uint32_t i = 0; i < from->count; i++)
        names_set(to, names, from->entries[i].text, copies[from->entries[i].inode->id]);
}

void disk_copy(struct sim_disk *to, const struct sim_disk *from)
{
    struct sim_inode **copies = calloc(from->inode_next, sizeof(struct sim_inode *));

    XD_ASSERT(copies != NULL && to != from);
    sim_disk_reset(to, from->capacity_bytes);
    for (struct list_node *n = list_first(&from->inodes); n != NULL;
         n = list_next(&from->inodes, n)) {
        const struct sim_inode *inode = LIST_ELEMENT(n, struct sim_inode, node);

        copies[inode->id] = inode_hold(inode_new(to, false));
        copy_inode(to, copies[inode->id], inode);
    }
    copy_names(to, &to->newest, &from->newest, copies);
    copy_names(to, &to->durable, &from->durable, copies);
    for (uint32_t i = 0; i < from->op_count; i++)
        name_op_copy(to, &from->ops[i], copies[from->ops[i].inode->id]);
    for (uint32_t i = 0; i < from->inode_next; i++) {
        if (copies[i] != NULL)
            inode_drop(to, copies[i]); /* frees what only an open handle held */
    }
    to->folder_count = from->folder_count;
    to->inode_next = from->inode_next;
    to->sequence = from->sequence;
    to->limit_bytes = from->limit_bytes;
    free(copies);
}
