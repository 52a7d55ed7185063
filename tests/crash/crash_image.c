/* SPDX-License-Identifier: Apache-2.0
 *
 * Making the disk that a crash leaves, page by page.
 */
#include "tests/crash/crash_image.h"

#include "broker/base/prng.h"
#include "wire/checksum.h"
#include "wire/xassert.h"

#include <stdlib.h>
#include <string.h>

/* ---- pieces ---------------------------------------------------------------------------------- */

void crash_image_pieces(struct crash_disk *disk, struct crash_write *write, const uint8_t *data)
{
    uint64_t first = write->position / SIM_PAGE_BYTES;
    uint64_t end = write->position + write->bytes;
    uint32_t count = (uint32_t)((end + SIM_PAGE_BYTES - 1) / SIM_PAGE_BYTES - first);

    write->pieces = calloc(count, sizeof(struct sim_piece));
    XD_ASSERT(write->pieces != NULL);
    write->piece_count = count;
    for (uint32_t i = 0; i < count; i++) {
        struct sim_piece *piece = &write->pieces[i];
        uint64_t start = (first + i) * SIM_PAGE_BYTES;

        piece->page_index = (uint32_t)(first + i);
        piece->from = (uint16_t)(i == 0 ? write->position - start : 0);
        piece->to = (uint16_t)(end - start < SIM_PAGE_BYTES ? end - start : SIM_PAGE_BYTES);
        if (data == NULL)
            continue;
        piece_fill(disk->pages, piece, data);
        data += piece->to - piece->from;
    }
}

void crash_image_shorten(struct crash_disk *disk, struct crash_write *write, uint32_t bytes)
{
    uint64_t first = write->position / SIM_PAGE_BYTES;
    uint64_t end = write->position + bytes;
    uint32_t count = (uint32_t)((end + SIM_PAGE_BYTES - 1) / SIM_PAGE_BYTES - first);

    XD_ASSERT(bytes > 0 && bytes < write->bytes);
    for (uint32_t i = count; i < write->piece_count; i++)
        page_drop(disk->pages, write->pieces[i].page);
    write->piece_count = count;
    write->pieces[count - 1].to = (uint16_t)(end - (first + count - 1) * SIM_PAGE_BYTES);
    write->bytes = bytes;
}

/* Stores bytes from..to of the write, counted from its start. */
static void store(const struct crash_disk *disk, struct sim_image *image,
                  const struct crash_write *write, uint32_t from, uint32_t to)
{
    uint64_t at = write->position + from;
    uint64_t end = write->position + to;

    XD_ASSERT(to <= write->bytes);
    while (at < end) {
        const struct sim_piece *piece =
            &write->pieces[at / SIM_PAGE_BYTES - write->position / SIM_PAGE_BYTES];
        uint64_t start = (uint64_t)piece->page_index * SIM_PAGE_BYTES;
        uint64_t part = end - start < SIM_PAGE_BYTES ? end : start + SIM_PAGE_BYTES;

        image_put(disk->pages, image, piece, (uint16_t)(at - start), (uint16_t)(part - start));
        at = part;
    }
}

/* ---- hashes ---------------------------------------------------------------------------------- */

static uint64_t page_hash(const struct sim_page *page, uint64_t index)
{
    return page == NULL ? 0 : xd_xxh3_seeded(page->bytes, SIM_PAGE_BYTES, prng_mix(index + 1));
}

uint64_t crash_image_hash(const struct sim_image *image)
{
    uint64_t hash = 0;

    for (uint32_t i = 0; i < image->end; i++)
        hash += page_hash(image->pages[i], i);
    return hash;
}

static const struct sim_page *page_at(const struct sim_image *image, uint32_t index)
{
    return index < image->end ? image->pages[index] : NULL;
}

/* The hash of `image`, which differs from `base` in few pages. */
static uint64_t hash_moved(const struct sim_image *image, const struct sim_image *base,
                           uint64_t hash)
{
    uint32_t end = image->end > base->end ? image->end : base->end;

    for (uint32_t i = 0; i < end; i++) {
        const struct sim_page *now = page_at(image, i);
        const struct sim_page *before = page_at(base, i);

        if (now != before)
            hash += page_hash(now, i) - page_hash(before, i);
    }
    return hash;
}

void crash_image_settle(struct crash_disk *disk, const struct crash_write *write)
{
    struct crash_inode *inode = &disk->inodes[write->inode];

    for (uint32_t i = 0; i < write->piece_count; i++) {
        uint32_t index = write->pieces[i].page_index;

        inode->hash -= page_hash(page_at(&inode->safe, index), index);
    }
    store(disk, &inode->safe, write, 0, write->bytes);
    for (uint32_t i = 0; i < write->piece_count; i++) {
        uint32_t index = write->pieces[i].page_index;

        inode->hash += page_hash(page_at(&inode->safe, index), index);
    }
}

/* ---- what is at stake ------------------------------------------------------------------------ */

/* Whether storing zeros over zeros is all that the write can do. */
static bool changes_nothing(const struct crash_disk *disk, uint32_t i)
{
    const struct crash_write *write = &disk->writes[i];

    for (uint32_t p = 0; p < write->piece_count; p++)
        if (write->pieces[p].page != NULL ||
            page_at(&disk->inodes[write->inode].safe, write->pieces[p].page_index) != NULL)
            return false;
    for (uint32_t j = 0; j < i; j++)
        if (disk->writes[j].inode == write->inode &&
            disk->writes[j].position < write->position + write->bytes &&
            write->position < disk->writes[j].position + disk->writes[j].bytes)
            return false;
    return true;
}

uint32_t crash_disk_window(const struct crash_disk *disk, uint32_t *ret_writes)
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < disk->write_count; i++)
        if (!disk->writes[i].safe && !changes_nothing(disk, i))
            ret_writes[count++] = i;
    return count;
}

uint32_t crash_disk_changes(const struct crash_disk *disk)
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < disk->change_count; i++)
        count += !disk->changes[i].safe;
    return count;
}

uint32_t crash_disk_grains(const struct crash_write *write, uint32_t grain)
{
    uint64_t first = write->position / grain;

    return (uint32_t)((write->position + write->bytes + grain - 1) / grain - first);
}

/* ---- one choice ------------------------------------------------------------------------------ */

static bool grain_stored(const struct crash_fate *fate, uint32_t i)
{
    bool inside = i >= fate->first && i - fate->first < fate->count;

    switch ((enum crash_fate_kind)fate->kind) {
    case CRASH_FATE_WHOLE:
        return true;
    case CRASH_FATE_PREFIX:
        return i < fate->first;
    case CRASH_FATE_SUFFIX:
        return i >= fate->first;
    case CRASH_FATE_HOLE:
        return !inside;
    case CRASH_FATE_ISLAND:
        return inside;
    case CRASH_FATE_SOME:
        return (prng_mix(fate->seed + i) >> 63) != 0;
    case CRASH_FATE_LOST:
    case CRASH_FATE_COUNT:
    default:
        return false;
    }
}

/* First byte and end of a grain, counted from the start of the write. */
static void grain_bounds(const struct crash_write *write, uint32_t grain, uint32_t i,
                         uint32_t *ret_from, uint32_t *ret_to)
{
    uint64_t from = (write->position / grain + i) * grain;
    uint64_t to = from + grain;

    from = from < write->position ? write->position : from;
    to = to > write->position + write->bytes ? write->position + write->bytes : to;
    XD_ASSERT(from < to);
    *ret_from = (uint32_t)(from - write->position);
    *ret_to = (uint32_t)(to - write->position);
}

/* Random bytes in one sector of the write. */
static void store_garbage(const struct crash_disk *disk, struct sim_image *image,
                          const struct crash_write *write, const struct crash_fate *fate)
{
    uint32_t sectors = crash_disk_grains(write, SIM_SECTOR_BYTES);
    uint32_t sector = fate->first * (fate->grain / SIM_SECTOR_BYTES);
    uint64_t noise[SIM_SECTOR_BYTES / sizeof(uint64_t)];
    struct prng prng;
    uint32_t from;
    uint32_t to;

    prng_seed(&prng, fate->seed);
    for (size_t i = 0; i < sizeof(noise) / sizeof(noise[0]); i++)
        noise[i] = prng_next(&prng);
    grain_bounds(write, SIM_SECTOR_BYTES, sector < sectors ? sector : sectors - 1, &from, &to);
    image_write(disk->pages, image, write->position + from, noise, to - from);
}

static void store_fate(const struct crash_disk *disk, struct sim_image *image,
                       const struct crash_write *write, const struct crash_fate *fate)
{
    uint32_t grains;

    if (write->safe || fate->kind == CRASH_FATE_WHOLE) {
        store(disk, image, write, 0, write->bytes);
        return;
    }
    if (fate->kind == CRASH_FATE_LOST)
        return;
    grains = crash_disk_grains(write, fate->grain);
    for (uint32_t i = 0; i < grains; i++) {
        uint32_t from;
        uint32_t to;

        if (!grain_stored(fate, i))
            continue;
        grain_bounds(write, fate->grain, i, &from, &to);
        store(disk, image, write, from, to);
    }
    if (fate->garbage)
        store_garbage(disk, image, write, fate);
}

/* Names and sizes after the changes that the crash kept. */
static void changes_apply(const struct crash_disk *disk, uint32_t kept, struct crash_names *names,
                          uint64_t *bytes)
{
    for (uint32_t i = 0; i < disk->inode_count; i++)
        bytes[i] = disk->inodes[i].safe_bytes;
    for (uint32_t i = 0; i < disk->change_count; i++) {
        const struct crash_change *change = &disk->changes[i];

        if (!change->safe) {
            if (kept == 0)
                continue;
            kept--;
        }
        if (change->bytes == 0)
            crash_names_change(names, change);
        else if (change->bytes > bytes[change->inode])
            bytes[change->inode] = change->bytes;
    }
}

/* Whether the folder of a name is there. */
static bool is_reachable(const struct crash_names *names, const char *text)
{
    const char *slash = strchr(text, '/');
    char folder[SIM_NAME_ROOM];

    if (slash == NULL)
        return true;
    memcpy(folder, text, (size_t)(slash - text));
    folder[slash - text] = '\0';
    return crash_names_find(names, folder) < names->count;
}

/* Contents of one file, and their hash. */
static uint64_t file_image(const struct crash_disk *disk, const struct crash_plan *plan,
                           uint32_t inode, struct sim_snapshot_file *file)
{
    const struct sim_image *safe = &disk->inodes[inode].safe;

    image_share_all(disk->pages, &file->image, safe);
    for (uint32_t i = 0; i < disk->write_count; i++)
        if (disk->writes[i].inode == inode)
            store_fate(disk, &file->image, &disk->writes[i], &plan->fates[i]);
    image_cut(disk->pages, &file->image, file->bytes);
    return hash_moved(&file->image, safe, disk->inodes[inode].hash);
}

uint64_t crash_disk_image(const struct crash_disk *disk, const struct crash_plan *plan,
                          struct sim_snapshot *ret)
{
    struct crash_names names = disk->safe;
    uint64_t bytes[CRASH_INODES_MAX];
    uint64_t hash = 0;

    sim_snapshot_clear(ret);
    changes_apply(disk, plan->changes_kept, &names, bytes);
    for (uint32_t i = 0; i < names.count; i++) {
        const struct crash_name *name = &names.rows[i];
        struct sim_snapshot_file *file;
        uint64_t about[2];

        if (!is_reachable(&names, name->text))
            continue;
        file =
            sim_snapshot_add(ret, name->text, bytes[name->inode], disk->inodes[name->inode].folder);
        about[0] = file->bytes;
        about[1] = file->folder ? 1 : file_image(disk, plan, name->inode, file);
        hash += xd_xxh3_seeded(about, sizeof(about), xd_xxh3(name->text, strlen(name->text)));
    }
    return hash;
}
