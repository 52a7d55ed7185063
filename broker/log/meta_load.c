/* SPDX-License-Identifier: Apache-2.0
 *
 * Normal path: read both slots, choose, compare with the options. Without a whole slot the folder
 * must hold nothing else of a log: then a meta is made up, also after a crash while the folder was
 * being made; finish.c writes it with the first epoch.
 */
#include "broker/log/meta_load.h"

#include "broker/log/blocking.h"
#include "wire/limits.h"
#include "wire/status.h"
#include "wire/xassert.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static struct meta made_up(struct env *env, const struct meta_expected *expected)
{
    struct meta meta;
    memset(&meta, 0, sizeof(meta));
    uint64_t uuid[2] = {env_rand64(env), env_rand64(env)};
    memcpy(meta.log_uuid, uuid, sizeof(meta.log_uuid));
    meta.shard = expected->shard;
    meta.shard_count = expected->shard_count;
    meta.segment_bytes = expected->segment_bytes;
    meta.term = 1;
    return meta;
}

/* The chosen slot of the open file. 1 when it was taken, 0 when no slot is whole and *ret_what says
 * why, else a status. */
static int read_slots(struct env *env, uint8_t *scratch, struct meta_loaded *loaded,
                      const char **ret_what, char *why)
{
    uint32_t bad;
    int error;
    int status = blocking_read_pages(env, loaded->file, scratch, META_SLOTS * META_SLOT_BYTES, 0,
                                     &bad, &error);
    if (status < 0) {
        (void)snprintf(why, XD_DETAIL_BYTES_MAX, "meta: reading failed; check the device");
        return status;
    }
    const struct meta *slots = (const struct meta *)(const void *)scratch;
    int slot = meta_choose(slots, ret_what);
    if (slot == XD_FORMAT_UNKNOWN) {
        (void)snprintf(why, XD_DETAIL_BYTES_MAX, "meta: %s; start the release that wrote it",
                       *ret_what);
        return slot;
    }
    if (slot < 0) {
        *ret_what = bad > 0 ? "it cannot be read" : *ret_what;
        return 0;
    }
    XD_ASSERT(slot < (int)META_SLOTS);
    loaded->meta = slots[slot];
    loaded->other_damaged = meta_damaged(slots, slot) != NULL;
    loaded->other_number = 1u - (uint32_t)slot;
    return 1;
}

/* What the folder was made for must be what the options say. */
static int check_options(const struct meta *meta, const struct meta_expected *expected, char *why)
{
    XD_ASSERT(meta->generation > 0);
    if (meta->shard != expected->shard) {
        (void)snprintf(
            why, XD_DETAIL_BYTES_MAX,
            "meta: the folder belongs to shard %u, not %u; put the folders back in place",
            meta->shard, expected->shard);
        return XD_LOG_FOREIGN;
    }
    if (meta->shard_count != expected->shard_count) {
        (void)snprintf(
            why, XD_DETAIL_BYTES_MAX,
            "meta: the data folder was made with %u shards, the options say %u; the count "
            "cannot be changed, set it back",
            meta->shard_count, expected->shard_count);
        return XD_OPTION_INVALID;
    }
    if (meta->segment_bytes != expected->segment_bytes) {
        (void)snprintf(why, XD_DETAIL_BYTES_MAX,
                       "meta: the log was made with segment_bytes %" PRIu64
                       ", the options say %" PRIu64 "; set it back",
                       meta->segment_bytes, expected->segment_bytes);
        return XD_OPTION_INVALID;
    }
    return 0;
}

/* From an open meta file, or without one. */
static int load(struct env *env, const struct folder *folder, const struct meta_expected *expected,
                uint8_t *scratch, struct meta_loaded *loaded, char *why)
{
    const char *what = "the file is missing";
    if (loaded->file >= 0) {
        int taken = read_slots(env, scratch, loaded, &what, why);
        if (taken != 0)
            return taken < 0 ? taken : check_options(&loaded->meta, expected, why);
    }
    if (folder->slot_count == 0 && !folder->checkpoints) {
        loaded->meta = made_up(env, expected);
        loaded->created = true;
        return 0;
    }
    (void)snprintf(why, XD_DETAIL_BYTES_MAX,
                   "meta: %s, but the folder holds a log; restore meta from a copy of the folder",
                   what);
    return XD_LOG_CORRUPT;
}

int meta_load(struct env *env, const struct folder *folder, const struct meta_expected *expected,
              uint8_t *scratch, struct meta_loaded *ret_loaded, char *why)
{
    XD_ASSERT(expected->shard < expected->shard_count);
    XD_ASSERT(expected->segment_bytes > 0);
    struct meta_loaded loaded = {.file = -1};
    if (folder->meta) {
        int status = env_file_open(env, FOLDER_META, 0, &loaded.file);
        if (status < 0) {
            (void)snprintf(why, XD_DETAIL_BYTES_MAX, "meta: %s; check the file's permissions",
                           xd_status_text(status));
            return status;
        }
    }
    int status = load(env, folder, expected, scratch, &loaded, why);
    if (status < 0) {
        if (loaded.file >= 0)
            env_file_close(env, loaded.file);
        return status;
    }
    *ret_loaded = loaded;
    return 0;
}
