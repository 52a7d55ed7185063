/* SPDX-License-Identifier: Apache-2.0
 *
 * Replaying rows: names, sizes, writes, and when they become safe. Images are crash_image.c's.
 */
#include "tests/crash/crash_disk.h"

#include "tests/crash/crash_image.h"
#include "wire/xassert.h"

#include <stdlib.h>
#include <string.h>

/* ---- names ----------------------------------------------------------------------------------- */

uint32_t crash_names_find(const struct crash_names *names, const char *text)
{
    uint32_t i = 0;

    while (i < names->count && strcmp(names->rows[i].text, text) != 0)
        i++;
    return i;
}

void crash_names_change(struct crash_names *names, const struct crash_change *change)
{
    uint32_t at = crash_names_find(names, change->from);

    if (change->from[0] != '\0' && at < names->count)
        names->rows[at] = names->rows[--names->count];
    if (change->to[0] == '\0')
        return;
    at = crash_names_find(names, change->to);
    if (at == names->count) {
        XD_ASSERT(names->count < CRASH_NAMES_MAX);
        names->count++;
    }
    text_copy(names->rows[at].text, SIM_NAME_ROOM, change->to);
    names->rows[at].inode = change->inode;
}

/* Whether a name lies in the folder ("" = the data folder). */
static bool lies_in(const char *name, const char *folder)
{
    const char *slash = strchr(name, '/');
    size_t bytes = strlen(folder);

    if (name[0] == '\0')
        return false;
    if (slash == NULL)
        return bytes == 0;
    return (size_t)(slash - name) == bytes && strncmp(name, folder, bytes) == 0;
}

/* ---- changes --------------------------------------------------------------------------------- */

static struct crash_change *change_add(struct crash_disk *disk, uint32_t inode)
{
    struct crash_change *change;

    XD_ASSERT(disk->change_count < CRASH_CHANGES_MAX);
    change = &disk->changes[disk->change_count++];
    *change =
        (struct crash_change){.inode = inode, .write = CRASH_NOT_DONE, .done_row = disk->next_row};
    return change;
}

static void change_names(struct crash_disk *disk, const char *from, const char *to, uint32_t inode)
{
    struct crash_change *change = change_add(disk, inode);

    text_copy(change->from, SIM_NAME_ROOM, from);
    text_copy(change->to, SIM_NAME_ROOM, to);
    crash_names_change(&disk->newest, change);
}

/* The file grows; a write that does it (its row) ends later. */
static void change_bytes(struct crash_disk *disk, uint32_t inode, uint64_t bytes, uint32_t write)
{
    struct crash_change *change;

    if (bytes <= disk->inodes[inode].bytes)
        return;
    disk->inodes[inode].bytes = bytes;
    change = change_add(disk, inode);
    change->bytes = bytes;
    change->write = write;
    if (write != CRASH_NOT_DONE)
        change->done_row = CRASH_NOT_DONE;
}

/* Forgets changes that are safe and behind nothing else; a size is safe whatever came before. */
static void changes_settle(struct crash_disk *disk)
{
    uint32_t kept = 0;
    bool first = true;

    for (uint32_t i = 0; i < disk->change_count; i++) {
        struct crash_change *change = &disk->changes[i];
        struct crash_inode *inode = &disk->inodes[change->inode];

        if (change->safe && change->bytes > 0) {
            if (change->bytes > inode->safe_bytes)
                inode->safe_bytes = change->bytes;
        } else if (change->safe && first) {
            crash_names_change(&disk->safe, change);
        } else {
            first = first && change->bytes > 0;
            disk->changes[kept++] = *change;
        }
    }
    disk->change_count = kept;
}

/* ---- writes ---------------------------------------------------------------------------------- */

static struct crash_write *write_of(struct crash_disk *disk, uint32_t row)
{
    for (uint32_t i = 0; i < disk->write_count; i++)
        if (disk->writes[i].row == row)
            return &disk->writes[i];
    return NULL;
}

static bool overlap(const struct crash_write *a, const struct crash_write *b)
{
    return a->inode == b->inode && a->position < b->position + b->bytes &&
           b->position < a->position + a->bytes;
}

static bool covers(const struct crash_write *a, const struct crash_write *b)
{
    return a->inode == b->inode && a->position <= b->position &&
           a->position + a->bytes >= b->position + b->bytes;
}

/* Whether write `i` must wait: an older one that is still here lies under it. */
static bool lies_over(const struct crash_disk *disk, uint32_t i)
{
    for (uint32_t j = 0; j < i; j++)
        if (disk->writes[j].bytes > 0 && overlap(&disk->writes[j], &disk->writes[i]))
            return true;
    return false;
}

/* Whether a later, safe write hides all of write `i`. */
static bool is_hidden(const struct crash_disk *disk, uint32_t i)
{
    for (uint32_t j = i + 1; j < disk->write_count; j++)
        if (disk->writes[j].safe && covers(&disk->writes[j], &disk->writes[i]))
            return true;
    return false;
}

static void write_free(struct crash_disk *disk, struct crash_write *write)
{
    for (uint32_t i = 0; i < write->piece_count; i++)
        page_drop(disk->pages, write->pieces[i].page);
    free(write->pieces);
    write->pieces = NULL;
    write->piece_count = 0;
    write->bytes = 0;
}

/* Stores the writes that are safe and drops those that nobody can see any more. */
static void writes_settle(struct crash_disk *disk)
{
    uint32_t kept = 0;

    for (uint32_t i = 0; i < disk->write_count; i++) {
        struct crash_write *write = &disk->writes[i];

        if (write->done_row != CRASH_NOT_DONE && is_hidden(disk, i)) {
            write_free(disk, write);
        } else if (write->safe && !lies_over(disk, i)) {
            crash_image_settle(disk, write);
            write_free(disk, write);
        }
    }
    for (uint32_t i = 0; i < disk->write_count; i++)
        if (disk->writes[i].bytes > 0)
            disk->writes[kept++] = disk->writes[i];
    disk->write_count = kept;
}

static void write_start(struct crash_disk *disk, const struct env_trace_row *row, uint32_t inode)
{
    struct crash_write *write;
    const uint8_t *data = row->data == ENV_TRACE_ZEROS ? NULL : disk->trace->data + row->data;

    XD_ASSERT(disk->write_count < CRASH_WRITES_MAX && row->bytes > 0);
    write = &disk->writes[disk->write_count++];
    *write = (struct crash_write){.inode = inode,
                                  .position = row->position,
                                  .bytes = row->bytes,
                                  .row = disk->next_row,
                                  .done_row = CRASH_NOT_DONE,
                                  .dsync = row->value == 1};
    crash_image_pieces(disk, write, data);
    change_bytes(disk, inode, row->position + row->bytes, disk->next_row);
}

static void write_done(struct crash_disk *disk, const struct env_trace_row *row)
{
    struct crash_write *write = write_of(disk, row->of);

    XD_ASSERT(write != NULL && write->done_row == CRASH_NOT_DONE);
    write->done_row = disk->next_row;
    write->doubtful = row->result < 0;
    write->safe = write->dsync && row->result >= 0;
    for (uint32_t i = 0; i < disk->change_count; i++) {
        if (disk->changes[i].write != row->of)
            continue;
        disk->changes[i].done_row = disk->next_row;
        disk->changes[i].safe = write->safe;
    }
    if (row->result == 0)
        write_free(disk, write);
    else if (row->result > 0 && (uint32_t)row->result < write->bytes)
        crash_image_shorten(disk, write, (uint32_t)row->result);
    writes_settle(disk);
    changes_settle(disk);
}

/* Writes that a killed process had in flight have reached the device. */
static void process_killed(struct crash_disk *disk)
{
    for (uint32_t i = 0; i < disk->write_count; i++)
        if (disk->writes[i].done_row == CRASH_NOT_DONE)
            disk->writes[i].done_row = disk->next_row;
    for (uint32_t i = 0; i < disk->change_count; i++)
        if (disk->changes[i].done_row == CRASH_NOT_DONE)
            disk->changes[i].done_row = disk->next_row;
}

static void sync_done(struct crash_disk *disk, const struct env_trace_row *row, uint32_t inode)
{
    for (uint32_t i = 0; i < disk->write_count; i++) {
        struct crash_write *write = &disk->writes[i];

        if (write->inode != inode || write->done_row == CRASH_NOT_DONE || write->done_row > row->of)
            continue;
        if (row->result < 0) {
            write->doubtful = true;
            write->reread_bytes = 0;
        } else if (!write->doubtful) {
            write->safe = true;
        }
    }
    for (uint32_t i = 0; i < disk->change_count; i++) {
        struct crash_change *change = &disk->changes[i];

        if (change->inode == inode && change->bytes > 0 && row->result >= 0 &&
            change->done_row != CRASH_NOT_DONE && change->done_row <= row->of)
            change->safe = true;
    }
    writes_settle(disk);
    changes_settle(disk);
}

/* What was read back is on its way to being believed again. */
static void read_done(struct crash_disk *disk, const struct env_trace_row *row, uint32_t inode)
{
    for (uint32_t i = 0; i < disk->write_count; i++) {
        struct crash_write *write = &disk->writes[i];
        uint64_t from = write->position > row->position ? write->position : row->position;
        uint64_t write_end = write->position + write->bytes;
        uint64_t read_end = row->position + row->bytes;
        uint64_t to = write_end < read_end ? write_end : read_end;

        if (!write->doubtful || write->inode != inode || from >= to)
            continue;
        write->reread_bytes += to - from;
        write->doubtful = write->reread_bytes < write->bytes;
    }
}

/* ---- rows ------------------------------------------------------------------------------------ */

static uint32_t inode_add(struct crash_disk *disk, bool folder)
{
    XD_ASSERT(disk->inode_count < CRASH_INODES_MAX);
    disk->inodes[disk->inode_count] = (struct crash_inode){.folder = folder};
    return disk->inode_count++;
}

static void opened_set(struct crash_disk *disk, uint32_t number, uint32_t inode)
{
    if (number >= disk->opened_room) {
        disk->opened_room = 2 * number + 64;
        disk->opened = realloc(disk->opened, disk->opened_room * sizeof(uint32_t));
        XD_ASSERT(disk->opened != NULL);
    }
    disk->opened[number] = inode;
}

static void file_opened(struct crash_disk *disk, const struct env_trace_row *row)
{
    const char *name = env_trace_text(disk->trace, row);
    uint32_t at;

    if (row->value == 1)
        change_names(disk, "", name, inode_add(disk, false));
    at = crash_names_find(&disk->newest, name);
    XD_ASSERT(at < disk->newest.count);
    opened_set(disk, row->file, disk->newest.rows[at].inode);
}

static void file_renamed(struct crash_disk *disk, const struct env_trace_row *row)
{
    const char *from = env_trace_text(disk->trace, row);
    uint32_t at = crash_names_find(&disk->newest, from);

    XD_ASSERT(at < disk->newest.count);
    change_names(disk, from, env_trace_text_second(disk->trace, row), disk->newest.rows[at].inode);
}

static void file_unlinked(struct crash_disk *disk, const struct env_trace_row *row)
{
    const char *name = env_trace_text(disk->trace, row);
    uint32_t at = crash_names_find(&disk->newest, name);

    XD_ASSERT(at < disk->newest.count);
    change_names(disk, name, "", disk->newest.rows[at].inode);
}

static void folder_synced(struct crash_disk *disk, const struct env_trace_row *row)
{
    const char *folder = env_trace_text(disk->trace, row);

    for (uint32_t i = 0; i < disk->change_count; i++) {
        struct crash_change *change = &disk->changes[i];

        if (change->bytes == 0 && (lies_in(change->from, folder) || lies_in(change->to, folder)))
            change->safe = true;
    }
    changes_settle(disk);
}

void crash_disk_step(struct crash_disk *disk)
{
    const struct env_trace_row *row = &disk->trace->rows[disk->next_row];
    uint32_t inode = CRASH_NOT_DONE;

    XD_ASSERT(disk->next_row < disk->trace->row_count);
    if (row->kind == ENV_TRACE_RESERVE || row->kind == ENV_TRACE_WRITE ||
        row->kind == ENV_TRACE_SYNC_DONE || row->kind == ENV_TRACE_READ_DONE)
        inode = disk->opened[row->file];
    switch ((enum env_trace_kind)row->kind) {
    case ENV_TRACE_PROCESS:
        process_killed(disk);
        break;
    case ENV_TRACE_OPEN:
        file_opened(disk, row);
        break;
    case ENV_TRACE_RESERVE:
        change_bytes(disk, inode, row->value, CRASH_NOT_DONE);
        break;
    case ENV_TRACE_RENAME:
        file_renamed(disk, row);
        break;
    case ENV_TRACE_UNLINK:
        file_unlinked(disk, row);
        break;
    case ENV_TRACE_DIR_MAKE:
        change_names(disk, "", env_trace_text(disk->trace, row), inode_add(disk, true));
        break;
    case ENV_TRACE_DIR_SYNC:
        folder_synced(disk, row);
        break;
    case ENV_TRACE_WRITE:
        write_start(disk, row, inode);
        break;
    case ENV_TRACE_WRITE_DONE:
        write_done(disk, row);
        break;
    case ENV_TRACE_SYNC_DONE:
        sync_done(disk, row, inode);
        break;
    case ENV_TRACE_READ_DONE:
        read_done(disk, row, inode);
        break;
    case ENV_TRACE_SYNC:
    case ENV_TRACE_MARK:
    case ENV_TRACE_KIND_COUNT:
    default:
        break;
    }
    disk->next_row++;
}

/* ---- life ------------------------------------------------------------------------------------ */

void crash_disk_init(struct crash_disk *disk, const struct env_trace *trace,
                     const struct sim_snapshot *start)
{
    memset(disk, 0, sizeof(*disk));
    disk->trace = trace;
    disk->pages = start->pages;
    for (uint32_t i = 0; i < start->count; i++) {
        const struct sim_snapshot_file *file = &start->files[i];
        uint32_t inode = inode_add(disk, file->folder);
        struct crash_change name = {.inode = inode};

        text_copy(name.to, SIM_NAME_ROOM, file->name);
        crash_names_change(&disk->newest, &name);
        crash_names_change(&disk->safe, &name);
        image_share_all(disk->pages, &disk->inodes[inode].safe, &file->image);
        disk->inodes[inode].bytes = file->bytes;
        disk->inodes[inode].safe_bytes = file->bytes;
        disk->inodes[inode].hash = crash_image_hash(&file->image);
    }
}

void crash_disk_deinit(struct crash_disk *disk)
{
    for (uint32_t i = 0; i < disk->write_count; i++)
        write_free(disk, &disk->writes[i]);
    for (uint32_t i = 0; i < disk->inode_count; i++)
        image_deinit(disk->pages, &disk->inodes[i].safe);
    free(disk->opened);
    disk->opened = NULL;
}
