/* SPDX-License-Identifier: Apache-2.0
 *
 * One shard's folder or several; see set.h.
 */
#include "tools/inspect/set.h"

#include "wire/status.h"
#include "wire/xassert.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static bool has(const char *path, const char *name)
{
    char whole[FOLDER_PATH_BYTES];
    struct stat about;
    snprintf(whole, sizeof whole, "%s/%s", path, name);
    return stat(whole, &about) == 0;
}

static void shard_name(uint32_t shard, char ret_name[FOLDER_SET_NAME_BYTES])
{
    snprintf(ret_name, FOLDER_SET_NAME_BYTES, "shard-%02u", shard % FOLDER_SET_MAX);
}

/* One more than the highest number of a shard's folder, 0 = there is none. */
static uint32_t count_folders(const char *path)
{
    char name[FOLDER_SET_NAME_BYTES];
    uint32_t count = 0;
    for (uint32_t i = 0; i < FOLDER_SET_MAX; i++) {
        shard_name(i, name);
        count = has(path, name) ? i + 1 : count;
    }
    return count;
}

static int failed(struct folder_set *set, int status, const char *why)
{
    memcpy(set->why, why, sizeof set->why);
    return status;
}

static int open_one(struct folder_set *set, const char *path, bool force)
{
    struct folder_set_row *row = &set->rows[0];
    set->count = 1;
    row->status = data_folder_open(&row->folder, path, force);
    if (row->status == 0)
        return 0;
    failed(set, row->status, row->folder.why);
    if (row->status == -ENOENT && row->folder.fd >= 0)
        snprintf(set->why, sizeof set->why,
                 "%.300s is no data folder: neither file 'meta' nor a folder 'shard-00' is in it; "
                 "name what the broker has as --data, or the folder of one shard in it",
                 path);
    return row->status;
}

/* Whether the folder is the one that its place says. */
static void check_place(struct folder_set *set, uint32_t shard)
{
    struct folder_set_row *row = &set->rows[shard];
    const struct meta *meta = data_folder_meta(&row->folder);
    if (meta->shard == shard)
        return;
    snprintf(row->folder.why, sizeof row->folder.why,
             "the files are those of shard %u: a folder of another name was copied here",
             meta->shard);
    row->status = XD_LOG_CORRUPT;
}

static void open_row(struct folder_set *set, uint32_t shard, const char *path, bool force)
{
    char whole[FOLDER_PATH_BYTES];
    struct folder_set_row *row = &set->rows[shard];
    XD_ASSERT(shard < FOLDER_SET_MAX);
    shard_name(shard, row->name);
    snprintf(whole, sizeof whole, "%s/%s", path, row->name);
    row->status = data_folder_open(&row->folder, whole, force);
    if (row->status == 0)
        check_place(set, shard);
}

/* How many shards the broker had, as one of its folders tells; at least those that are there. */
static uint32_t count_told(const struct folder_set *set, uint32_t there)
{
    for (uint32_t i = 0; i < there; i++) {
        uint32_t told =
            set->rows[i].status == 0 ? data_folder_meta(&set->rows[i].folder)->shard_count : 0;
        if (told > there && told <= FOLDER_SET_MAX)
            return told;
    }
    return there;
}

static int open_several(struct folder_set *set, const char *path, uint32_t there, bool force)
{
    int first = 0; /* status of the first that cannot be read */
    uint32_t whole = 0;
    set->several = true;
    for (; set->count < there; set->count++)
        open_row(set, set->count, path, force);
    for (uint32_t total = count_told(set, there); set->count < total; set->count++)
        open_row(set, set->count, path, force);
    for (uint32_t i = 0; i < set->count; i++) {
        struct folder_set_row *row = &set->rows[i];
        if (row->status == XD_DATA_LOCKED)
            return failed(set, row->status, row->folder.why);
        if (row->status == -ENOENT && row->folder.fd < 0)
            snprintf(row->folder.why, sizeof row->folder.why, "the folder is missing");
        if (row->status == 0) {
            whole++;
        } else if (first == 0) {
            first = row->status;
            snprintf(set->why, sizeof set->why, "%s: %.480s", row->name, row->folder.why);
        }
    }
    return whole > 0 ? 0 : first;
}

int folder_set_open(struct folder_set *set, const char *path, bool force)
{
    *set = (struct folder_set){0};
    set->rows = calloc(FOLDER_SET_MAX, sizeof *set->rows);
    if (set->rows == NULL) {
        snprintf(set->why, sizeof set->why, "%.300s: %s", path, xd_status_text(-ENOMEM));
        return -ENOMEM;
    }
    uint32_t there = has(path, "meta") ? 0 : count_folders(path);
    return there > 0 ? open_several(set, path, there, force) : open_one(set, path, force);
}

void folder_set_close(struct folder_set *set)
{
    for (uint32_t i = 0; i < set->count; i++)
        data_folder_close(&set->rows[i].folder);
    free(set->rows);
    *set = (struct folder_set){0};
}
