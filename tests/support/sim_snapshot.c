/* SPDX-License-Identifier: Apache-2.0
 *
 * Taking and putting whole disks. Taking copies pages into the snapshot's own pool; putting lets
 * the newest and the durable image of each new file hold the snapshot's pages, or copies of them
 * in the world's own pool.
 */
#include "tests/support/sim_snapshot.h"

#include "tests/support/sim_world.h"
#include "wire/xassert.h"

#include <stdlib.h>
#include <string.h>

void sim_snapshot_init(struct sim_snapshot *snapshot, struct sim *sim)
{
    *snapshot = (struct sim_snapshot){.pages = &sim->disk.pages};
}

void sim_snapshot_clear(struct sim_snapshot *snapshot)
{
    for (uint32_t i = 0; i < snapshot->count; i++)
        image_cut(snapshot->pages, &snapshot->files[i].image, 0);
    snapshot->count = 0;
}

void sim_snapshot_deinit(struct sim_snapshot *snapshot)
{
    for (uint32_t i = 0; i < snapshot->capacity; i++)
        image_deinit(snapshot->pages, &snapshot->files[i].image);
    free(snapshot->files);
    *snapshot = (struct sim_snapshot){.pages = snapshot->pages};
}

struct sim_snapshot_file *sim_snapshot_add(struct sim_snapshot *snapshot, const char *name,
                                           uint64_t bytes, bool folder)
{
    struct sim_snapshot_file *file;

    if (snapshot->count == snapshot->capacity) {
        uint32_t capacity = snapshot->capacity == 0 ? 16 : 2 * snapshot->capacity;

        snapshot->files = realloc(snapshot->files, capacity * sizeof(struct sim_snapshot_file));
        XD_ASSERT(snapshot->files != NULL);
        memset(&snapshot->files[snapshot->capacity], 0,
               (capacity - snapshot->capacity) * sizeof(struct sim_snapshot_file));
        snapshot->capacity = capacity;
    }
    file = &snapshot->files[snapshot->count++];
    XD_ASSERT(file->image.end == 0);
    text_copy(file->name, sizeof(file->name), name);
    file->bytes = bytes;
    file->folder = folder;
    return file;
}

/* Copies the pages that are not zero into an image of another pool. */
static void image_copy(struct sim_pages *pages, struct sim_image *to, const struct sim_image *from)
{
    for (uint32_t i = 0; i < from->end; i++)
        if (from->pages[i] != NULL)
            image_write(pages, to, (uint64_t)i * SIM_PAGE_BYTES, from->pages[i]->bytes,
                        SIM_PAGE_BYTES);
}

void sim_snapshot_take(struct sim_snapshot *snapshot, const struct sim *from)
{
    const struct sim_names *names = &from->disk.durable;

    sim_snapshot_clear(snapshot);
    for (uint32_t i = 0; i < names->count; i++) {
        const struct sim_inode *inode = names->entries[i].inode;
        struct sim_snapshot_file *file = sim_snapshot_add(snapshot, names->entries[i].text,
                                                          inode->durable_bytes, inode->folder != 0);

        image_copy(snapshot->pages, &file->image, &inode->durable);
    }
}

void sim_snapshot_put(const struct sim_snapshot *snapshot, struct sim *to)
{
    struct sim_disk *disk = &to->disk;

    XD_ASSERT(!to->process.started);
    sim_disk_reset(disk, disk->capacity_bytes);
    for (uint32_t i = 0; i < snapshot->count; i++) {
        const struct sim_snapshot_file *file = &snapshot->files[i];
        struct sim_inode *inode = inode_new(disk, file->folder);

        names_set(disk, &disk->newest, file->name, inode);
        names_set(disk, &disk->durable, file->name, inode);
        if (snapshot->pages == &disk->pages)
            image_share_all(&disk->pages, &inode->durable, &file->image);
        else
            image_copy(&disk->pages, &inode->durable, &file->image);
        image_share_all(&disk->pages, &inode->newest, &inode->durable);
        inode_resize(disk, inode, file->bytes);
        inode->durable_bytes = file->bytes;
    }
}
