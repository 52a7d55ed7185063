/* SPDX-License-Identifier: Apache-2.0
 *
 * Files of the simulated disk: writes on their way, the newest and the durable image, syncs.
 *
 * A write that is durable at once (ENV_WRITE_DSYNC) may lie over older ones that are not: those
 * are patched with the newer bytes, so that a later sync or crash cannot bring old data back.
 */
#include "tests/support/sim_disk.h"

#include "wire/xassert.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static uint64_t whole_pages(uint64_t bytes)
{
    return (bytes + SIM_PAGE_BYTES - 1) / SIM_PAGE_BYTES * SIM_PAGE_BYTES;
}

/* ---- inodes ---------------------------------------------------------------------------------- */

struct sim_inode *inode_new(struct sim_disk *disk, bool folder)
{
    struct list_node *node = list_pop_front(&disk->free_inodes);
    struct sim_inode *inode;

    if (node == NULL) {
        inode = calloc(1, sizeof(*inode));
        XD_ASSERT(inode != NULL);
        list_init(&inode->in_flight);
        list_init(&inode->unsynced);
    } else {
        inode = LIST_ELEMENT(node, struct sim_inode, node);
    }
    XD_ASSERT(inode->holders == 0 && inode->newest_bytes == 0 && inode->durable_bytes == 0);
    inode->id = disk->inode_next++;
    inode->folder = folder ? disk->folder_count++ : 0;
    XD_ASSERT(disk->folder_count <= SIM_FOLDERS_MAX);
    list_push_back(&disk->inodes, &inode->node);
    return inode;
}

struct sim_inode *inode_hold(struct sim_inode *inode)
{
    XD_ASSERT(list_linked(&inode->node));
    inode->holders++;
    return inode;
}

static void inode_free(struct sim_disk *disk, struct sim_inode *inode)
{
    struct list_node *node;

    while ((node = list_first(&inode->in_flight)) != NULL)
        write_forget(disk, LIST_ELEMENT(node, struct sim_write, node));
    while ((node = list_first(&inode->unsynced)) != NULL)
        write_forget(disk, LIST_ELEMENT(node, struct sim_write, node));
    image_cut(&disk->pages, &inode->newest, 0);
    image_cut(&disk->pages, &inode->durable, 0);
    XD_ASSERT(disk->used_bytes >= whole_pages(inode->newest_bytes));
    disk->used_bytes -= whole_pages(inode->newest_bytes);
    inode->newest_bytes = 0;
    inode->durable_bytes = 0;
    inode->holders = 0;
    list_remove(&inode->node);
    list_push_back(&disk->free_inodes, &inode->node);
}

void inode_drop(struct sim_disk *disk, struct sim_inode *inode)
{
    XD_ASSERT(inode->holders > 0);
    if (--inode->holders == 0)
        inode_free(disk, inode);
}

/* ---- life ------------------------------------------------------------------------------------ */

void sim_disk_init(struct sim_disk *disk, uint64_t capacity_bytes)
{
    *disk = (struct sim_disk){0};
    list_init(&disk->inodes);
    list_init(&disk->free_inodes);
    list_init(&disk->free_writes);
    sim_disk_reset(disk, capacity_bytes);
}

void sim_disk_reset(struct sim_disk *disk, uint64_t capacity_bytes)
{
    struct list_node *node;

    disk_names_clear(disk);
    while ((node = list_first(&disk->inodes)) != NULL)
        inode_free(disk, LIST_ELEMENT(node, struct sim_inode, node));
    XD_ASSERT(disk->used_bytes == 0 && disk->unsynced_bytes == 0);
    disk->folder_count = 1;
    disk->inode_next = 1;
    disk->sequence = 0;
    disk->capacity_bytes = capacity_bytes;
    disk->limit_bytes = UINT64_MAX;
}

void sim_disk_deinit(struct sim_disk *disk)
{
    struct list_node *node;

    sim_disk_reset(disk, 0);
    while ((node = list_pop_front(&disk->free_inodes)) != NULL) {
        struct sim_inode *inode = LIST_ELEMENT(node, struct sim_inode, node);

        image_deinit(&disk->pages, &inode->newest);
        image_deinit(&disk->pages, &inode->durable);
        free(inode);
    }
    while ((node = list_pop_front(&disk->free_writes)) != NULL) {
        struct sim_write *write = LIST_ELEMENT(node, struct sim_write, node);

        free(write->pieces);
        free(write);
    }
    free(disk->newest.entries);
    free(disk->durable.entries);
    free(disk->ops);
    pages_deinit(&disk->pages);
}

/* ---- space ----------------------------------------------------------------------------------- */

void inode_resize(struct sim_disk *disk, struct sim_inode *inode, uint64_t bytes)
{
    disk->used_bytes -= whole_pages(inode->newest_bytes);
    disk->used_bytes += whole_pages(bytes);
    inode->newest_bytes = bytes;
}

uint32_t disk_room(struct sim_disk *disk, const struct sim_inode *inode, uint64_t position,
                   uint32_t bytes)
{
    uint64_t end = position + bytes;
    uint64_t have = whole_pages(inode->newest_bytes);
    uint64_t room = bytes;

    if (end > have) {
        uint64_t spare =
            disk->capacity_bytes > disk->used_bytes ? disk->capacity_bytes - disk->used_bytes : 0;
        uint64_t end_max = have + spare;

        if (end_max <= position)
            room = 0;
        else if (end_max - position < room)
            room = end_max - position;
    }
    if (disk->limit_bytes < room)
        room = disk->limit_bytes;
    if (room < bytes)
        room -= room % SIM_SECTOR_BYTES;
    if (disk->limit_bytes != UINT64_MAX)
        disk->limit_bytes = room < bytes ? 0 : disk->limit_bytes - room;
    return (uint32_t)room;
}

int disk_reserve(struct sim_disk *disk, struct sim_inode *inode, uint64_t bytes)
{
    uint64_t more;

    if (bytes <= inode->newest_bytes)
        return 0;
    more = whole_pages(bytes) - whole_pages(inode->newest_bytes);
    if (more > disk->limit_bytes || disk->used_bytes + more > disk->capacity_bytes)
        return -ENOSPC;
    if (disk->limit_bytes != UINT64_MAX)
        disk->limit_bytes -= more;
    inode_resize(disk, inode, bytes);
    return 0;
}

/* ---- writes ---------------------------------------------------------------------------------- */

static struct sim_write *write_new(struct sim_disk *disk, uint32_t piece_count)
{
    struct list_node *node = list_pop_front(&disk->free_writes);
    struct sim_write *write;

    if (node == NULL)
        write = calloc(1, sizeof(*write));
    else
        write = LIST_ELEMENT(node, struct sim_write, node);
    XD_ASSERT(write != NULL);
    if (write->piece_capacity < piece_count) {
        write->pieces = realloc(write->pieces, piece_count * sizeof(struct sim_piece));
        XD_ASSERT(write->pieces != NULL);
        write->piece_capacity = piece_count;
    }
    write->piece_count = piece_count;
    write->patched = false;
    return write;
}

void write_forget(struct sim_disk *disk, struct sim_write *write)
{
    for (uint32_t i = 0; i < write->piece_count; i++)
        page_drop(&disk->pages, write->pieces[i].page);
    XD_ASSERT(disk->unsynced_bytes >= write->bytes);
    disk->unsynced_bytes -= write->bytes;
    write->piece_count = 0;
    list_remove(&write->node);
    list_push_front(&disk->free_writes, &write->node);
}

struct sim_write *disk_write_start(struct sim_disk *disk, struct sim_inode *inode, const void *data,
                                   uint32_t bytes, uint64_t position)
{
    uint64_t first = position / SIM_PAGE_BYTES;
    uint64_t end = position + bytes;
    uint32_t count = (uint32_t)((end + SIM_PAGE_BYTES - 1) / SIM_PAGE_BYTES - first);
    struct sim_write *write;
    const uint8_t *from = data;

    XD_ASSERT(bytes > 0);
    XD_ASSERT(end / SIM_PAGE_BYTES < UINT32_MAX);
    write = write_new(disk, count);
    for (uint32_t i = 0; i < count; i++) {
        struct sim_piece *piece = &write->pieces[i];
        uint64_t page_start = (first + i) * SIM_PAGE_BYTES;

        piece->page_index = (uint32_t)(first + i);
        piece->from = (uint16_t)(i == 0 ? position - page_start : 0);
        piece->to =
            (uint16_t)(end - page_start < SIM_PAGE_BYTES ? end - page_start : SIM_PAGE_BYTES);
        piece_fill(&disk->pages, piece, from);
        from += piece->to - piece->from;
    }
    write->inode = inode;
    write->position = position;
    write->bytes = bytes;
    write->sequence = ++disk->sequence;
    disk->unsynced_bytes += bytes;
    list_push_back(&inode->in_flight, &write->node);
    return write;
}

bool disk_write_zeros(const struct sim_write *write)
{
    for (uint32_t i = 0; i < write->piece_count; i++)
        if (write->pieces[i].page != NULL)
            return false;
    return true;
}

void write_move(struct sim_write *write, struct sim_inode *inode, uint64_t position)
{
    XD_ASSERT(write->position % SIM_PAGE_BYTES == 0 && position % SIM_PAGE_BYTES == 0);
    for (uint32_t i = 0; i < write->piece_count; i++)
        write->pieces[i].page_index = (uint32_t)(position / SIM_PAGE_BYTES + i);
    write->position = position;
    write->inode = inode;
    list_remove(&write->node);
    list_push_back(&inode->in_flight, &write->node);
}

void write_copy(struct sim_disk *disk, struct sim_inode *inode, struct list *list,
                const struct sim_write *write)
{
    struct sim_write *copy = write_new(disk, write->piece_count);

    for (uint32_t i = 0; i < write->piece_count; i++) {
        copy->pieces[i] = write->pieces[i];
        if (write->pieces[i].page != NULL) {
            copy->pieces[i].page = page_new(&disk->pages);
            memcpy(copy->pieces[i].page->bytes, write->pieces[i].page->bytes, SIM_PAGE_BYTES);
        }
    }
    copy->inode = inode;
    copy->position = write->position;
    copy->bytes = write->bytes;
    copy->sequence = write->sequence;
    copy->patched = write->patched;
    disk->unsynced_bytes += write->bytes;
    list_push_back(list, &copy->node);
}

void write_store(struct sim_disk *disk, struct sim_image *image, const struct sim_write *write,
                 uint32_t first, uint32_t end)
{
    uint64_t from = write->position + first;
    uint64_t to = write->position + end;
    uint64_t base = write->position / SIM_PAGE_BYTES;

    XD_ASSERT(first <= end && end <= write->bytes);
    while (from < to) {
        const struct sim_piece *piece = &write->pieces[from / SIM_PAGE_BYTES - base];
        uint64_t page_start = (uint64_t)piece->page_index * SIM_PAGE_BYTES;
        uint64_t part_end = to - page_start < SIM_PAGE_BYTES ? to : page_start + SIM_PAGE_BYTES;

        image_put(&disk->pages, image, piece, (uint16_t)(from - page_start),
                  (uint16_t)(part_end - page_start));
        from = part_end;
    }
}

/* Cuts the write down to its first `bytes`. */
static void write_shorten(struct sim_disk *disk, struct sim_write *write, uint32_t bytes)
{
    uint64_t end = write->position + bytes;
    uint64_t first = write->position / SIM_PAGE_BYTES;
    uint32_t count = (uint32_t)((end + SIM_PAGE_BYTES - 1) / SIM_PAGE_BYTES - first);

    XD_ASSERT(bytes > 0 && bytes <= write->bytes);
    for (uint32_t i = count; i < write->piece_count; i++)
        page_drop(&disk->pages, write->pieces[i].page);
    write->piece_count = count;
    write->pieces[count - 1].to = (uint16_t)(end - (first + count - 1) * SIM_PAGE_BYTES);
    disk->unsynced_bytes -= write->bytes - bytes;
    write->bytes = bytes;
}

/* Puts the newer bytes of one piece over those of an older piece of the same page. */
static void piece_patch(struct sim_disk *disk, struct sim_piece *older,
                        const struct sim_piece *newer)
{
    uint16_t from = older->from > newer->from ? older->from : newer->from;
    uint16_t to = older->to < newer->to ? older->to : newer->to;

    XD_ASSERT(older->page_index == newer->page_index);
    if (from >= to)
        return;
    if (from == older->from && to == older->to) {
        page_hold(newer->page);
        page_drop(&disk->pages, older->page);
        older->page = newer->page;
        return;
    }
    piece_own(&disk->pages, older);
    if (newer->page == NULL)
        memset(older->page->bytes + from, 0, (size_t)(to - from));
    else
        memcpy(older->page->bytes + from, newer->page->bytes + from, (size_t)(to - from));
}

/* Lets no unsynced write of the file bring back what lies under `newer`. */
static void unsynced_patch(struct sim_disk *disk, const struct sim_write *newer)
{
    struct list *unsynced = &newer->inode->unsynced;

    for (struct list_node *n = list_first(unsynced); n != NULL; n = list_next(unsynced, n)) {
        struct sim_write *older = LIST_ELEMENT(n, struct sim_write, node);

        for (uint32_t i = 0; i < older->piece_count; i++) {
            uint32_t index = older->pieces[i].page_index - newer->pieces[0].page_index;

            if (older->pieces[i].page_index < newer->pieces[0].page_index ||
                index >= newer->piece_count)
                continue;
            piece_patch(disk, &older->pieces[i], &newer->pieces[index]);
            older->patched = true;
        }
    }
}

void disk_write_finish(struct sim_disk *disk, struct sim_write *write, uint32_t bytes, bool durable)
{
    struct sim_inode *inode = write->inode;
    uint64_t end = write->position + bytes;

    if (bytes == 0) {
        write_forget(disk, write);
        return;
    }
    if (bytes < write->bytes)
        write_shorten(disk, write, bytes);
    write_store(disk, &inode->newest, write, 0, bytes);
    if (end > inode->newest_bytes)
        inode_resize(disk, inode, end);
    if (durable) {
        write_store(disk, &inode->durable, write, 0, bytes);
        /* The size is one number in the inode: when it has to go out, it goes as it is now. */
        if (end > inode->durable_bytes)
            inode->durable_bytes = inode->newest_bytes;
        unsynced_patch(disk, write);
        write_forget(disk, write);
        return;
    }
    write->sequence = ++disk->sequence;
    list_remove(&write->node);
    list_push_back(&inode->unsynced, &write->node);
}

uint32_t disk_read(const struct sim_inode *inode, void *data, uint32_t bytes, uint64_t position)
{
    uint64_t left = inode->newest_bytes > position ? inode->newest_bytes - position : 0;

    if (left < bytes)
        bytes = (uint32_t)left;
    image_read(&inode->newest, position, data, bytes);
    return bytes;
}

/* ---- syncs ----------------------------------------------------------------------------------- */

/* First unsynced write of the file if it finished at `sequence` or before. */
static struct sim_write *unsynced_first(struct sim_inode *inode, uint64_t sequence)
{
    struct list_node *node = list_first(&inode->unsynced);
    struct sim_write *write;

    if (node == NULL)
        return NULL;
    write = LIST_ELEMENT(node, struct sim_write, node);
    return write->sequence <= sequence ? write : NULL;
}

void disk_sync(struct sim_disk *disk, struct sim_inode *inode, uint64_t sequence,
               uint64_t size_bytes)
{
    struct sim_write *write;

    while ((write = unsynced_first(inode, sequence)) != NULL) {
        write_store(disk, &inode->durable, write, 0, write->bytes);
        write_forget(disk, write);
    }
    if (size_bytes > inode->durable_bytes)
        inode->durable_bytes = size_bytes;
    XD_ASSERT(inode->durable_bytes <= inode->newest_bytes);
}

void disk_sync_fail(struct sim_disk *disk, struct sim_inode *inode, uint64_t sequence, bool shows,
                    struct prng *prng)
{
    struct sim_write *write;

    while ((write = unsynced_first(inode, sequence)) != NULL) {
        write_tear(disk, write, SIM_SECTOR_BYTES, prng);
        if (!shows) {
            for (uint32_t i = 0; i < write->piece_count; i++)
                image_share(&disk->pages, &inode->newest, &inode->durable,
                            write->pieces[i].page_index);
        }
        write_forget(disk, write);
    }
    if (shows)
        return;
    /* What finished after the sync was started may lie in the same pages. */
    for (struct list_node *n = list_first(&inode->unsynced); n != NULL;
         n = list_next(&inode->unsynced, n)) {
        write = LIST_ELEMENT(n, struct sim_write, node);
        write_store(disk, &inode->newest, write, 0, write->bytes);
    }
}
