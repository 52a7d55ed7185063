/* SPDX-License-Identifier: Apache-2.0
 *
 * One copy at a time, as a small state machine, so that the running shard and the blocking recovery
 * share it:
 *
 *   CLOSED -open-> IDLE -write-> WRITING -> IDLE ... -finish-> SYNCING_COPY -> WRITING_TEXT ->
 *   SYNCING_TEXT -> CLOSED
 *
 * Both files are made new: an older, unfinished copy of the same range is unlinked first. The log's
 * own bytes are still in place then, as nothing is cut before its copy is complete.
 */
#include "broker/log/quarantine.h"

#include "broker/log/page.h"
#include "broker/log/segment.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum quarantine_step {
    STEP_CLOSED,
    STEP_IDLE,
    STEP_WRITING,
    STEP_SYNCING_COPY,
    STEP_WRITING_TEXT,
    STEP_SYNCING_TEXT
};

static const char *const kind_names[QUARANTINE_KIND_COUNT] = {
    [QUARANTINE_CUT] = "cut", [QUARANTINE_CORRUPT] = "corrupt"};
static const char *const kind_texts[QUARANTINE_KIND_COUNT] = {
    [QUARANTINE_CUT] = "torn tail, never acknowledged; the log goes on without it",
    [QUARANTINE_CORRUPT] = "was durable and is damaged; the log still holds it in place"};

/* Names and text of a range. A place in a segment has at most 10 digits, so names fit. */
static void describe(struct quarantine *quarantine, const struct quarantine_range *range)
{
    const char *kind = kind_names[range->kind];
    int name = snprintf(quarantine->name, sizeof(quarantine->name),
                        QUARANTINE_FOLDER "/%s-%" PRIu64 "-%" PRIu64 "-e%" PRIu64 ".bin", kind,
                        range->segment_no, range->at, range->epoch);
    XD_ASSERT(name > 0 && (size_t)name < sizeof(quarantine->name));
    memcpy(quarantine->text_name, quarantine->name, sizeof(quarantine->text_name));
    memcpy(quarantine->text_name + name - 3, "txt", 3);
    int text =
        snprintf(quarantine->text, sizeof(quarantine->text),
                 "Copy of log bytes, made by crossdockd.\n"
                 "kind=%s (%s)\n"
                 "file=wal.%02u\n"
                 "segment=%" PRIu64 "\n"
                 "at=%" PRIu64 "\n"
                 "bytes=%" PRIu64 "\n"
                 "epoch=%" PRIu64 "\n"
                 "first_index=%" PRIu64 "\n"
                 "last_index=%" PRIu64 "\n"
                 "reason=%.512s\n",
                 kind, kind_texts[range->kind], range->slot, range->segment_no, range->at,
                 range->bytes, range->epoch, range->first_index, range->last_index, range->reason);
    XD_ASSERT(text > 0 && (size_t)text < sizeof(quarantine->text));
    quarantine->text_bytes = (uint32_t)text;
}

/* Unlinks a leftover; that there is none is the usual case. */
static int unlink_old(struct env *env, const char *name)
{
    int status = env_file_unlink(env, name);
    return status == -ENOENT ? 0 : status;
}

int quarantine_open(struct quarantine *quarantine, struct env *env,
                    const struct quarantine_range *range, uint64_t token)
{
    XD_ASSERT(range->kind < QUARANTINE_KIND_COUNT);
    XD_ASSERT(range->bytes > 0 && range->bytes % PAGE_BYTES == 0);
    XD_ASSERT(range->at % PAGE_BYTES == 0 && range->at < SEGMENT_BYTES_MAX);
    memset(quarantine, 0, sizeof(*quarantine));
    quarantine->env = env;
    quarantine->token = token;
    quarantine->file = -1;
    describe(quarantine, range);
    int status = env_dir_make(env, QUARANTINE_FOLDER);
    if (status == 0)
        status = env_dir_sync(env, "");
    if (status == 0)
        status = unlink_old(env, quarantine->text_name);
    if (status == 0)
        status = unlink_old(env, quarantine->name);
    env_file file;
    if (status == 0)
        status = env_file_open(env, quarantine->name, ENV_OPEN_CREATE, &file);
    if (status < 0)
        return status;
    quarantine->file = file;
    quarantine->step = STEP_IDLE;
    return 0;
}

static void start_write(struct quarantine *quarantine)
{
    env_file_write(quarantine->env, quarantine->file, quarantine->data, quarantine->data_bytes,
                   quarantine->at, 0, quarantine->token);
}

static void start_text(struct quarantine *quarantine)
{
    env_file_write(quarantine->env, quarantine->file, quarantine->text + quarantine->text_at,
                   quarantine->text_bytes - quarantine->text_at, quarantine->text_at, 0,
                   quarantine->token);
}

void quarantine_write(struct quarantine *quarantine, const uint8_t *data, uint32_t bytes)
{
    XD_ASSERT(quarantine->step == STEP_IDLE);
    XD_ASSERT(bytes > 0 && bytes % PAGE_BYTES == 0);
    quarantine->data = data;
    quarantine->data_bytes = bytes;
    quarantine->step = STEP_WRITING;
    start_write(quarantine);
}

void quarantine_finish(struct quarantine *quarantine)
{
    XD_ASSERT(quarantine->step == STEP_IDLE);
    XD_ASSERT(quarantine->at > 0);
    quarantine->step = STEP_SYNCING_COPY;
    env_file_sync(quarantine->env, quarantine->file, quarantine->token);
}

/* Counts writes in a row that brought nothing. 0, or -EIO when they are too many. */
static int count_stall(struct quarantine *quarantine, uint32_t bytes)
{
    quarantine->stalls = bytes > 0 ? 0 : (uint8_t)(quarantine->stalls + 1);
    XD_ASSERT(quarantine->stalls <= LOG_STALLS_MAX);
    return quarantine->stalls < LOG_STALLS_MAX ? 0 : -EIO;
}

/* The piece, or a part of it, is written. */
static int write_done(struct quarantine *quarantine, int32_t result)
{
    uint32_t bytes = (uint32_t)result / PAGE_BYTES * PAGE_BYTES;
    XD_ASSERT(bytes <= quarantine->data_bytes);
    int status = count_stall(quarantine, bytes);
    if (status < 0)
        return status;
    quarantine->at += bytes;
    quarantine->data += bytes;
    quarantine->data_bytes -= bytes;
    if (quarantine->data_bytes > 0) {
        start_write(quarantine);
        return 0;
    }
    quarantine->step = STEP_IDLE;
    return 1;
}

/* The copy is on stable storage: now the text that says so. */
static int copy_synced(struct quarantine *quarantine)
{
    env_file_close(quarantine->env, quarantine->file);
    quarantine->file = -1;
    env_file file;
    int status = env_file_open(quarantine->env, quarantine->text_name,
                               ENV_OPEN_CREATE | ENV_OPEN_BUFFERED, &file);
    if (status < 0)
        return status;
    quarantine->file = file;
    quarantine->step = STEP_WRITING_TEXT;
    start_text(quarantine);
    return 0;
}

static int text_written(struct quarantine *quarantine, int32_t result)
{
    XD_ASSERT((uint32_t)result <= quarantine->text_bytes - quarantine->text_at);
    int status = count_stall(quarantine, (uint32_t)result);
    if (status < 0)
        return status;
    quarantine->text_at += (uint32_t)result;
    if (quarantine->text_at < quarantine->text_bytes) {
        start_text(quarantine);
        return 0;
    }
    quarantine->step = STEP_SYNCING_TEXT;
    env_file_sync(quarantine->env, quarantine->file, quarantine->token);
    return 0;
}

static int text_synced(struct quarantine *quarantine)
{
    quarantine_close(quarantine);
    int status = env_dir_sync(quarantine->env, QUARANTINE_FOLDER);
    return status < 0 ? status : 1;
}

int quarantine_done(struct quarantine *quarantine, const struct env_event *event)
{
    XD_ASSERT(event->token == quarantine->token);
    XD_ASSERT(quarantine->step > STEP_IDLE);
    int status = event->result;
    if (status >= 0) {
        switch (quarantine->step) {
        case STEP_WRITING:
            status = write_done(quarantine, event->result);
            break;
        case STEP_SYNCING_COPY:
            status = copy_synced(quarantine);
            break;
        case STEP_WRITING_TEXT:
            status = text_written(quarantine, event->result);
            break;
        default:
            status = text_synced(quarantine);
            break;
        }
    }
    if (status < 0)
        quarantine_close(quarantine);
    return status;
}

void quarantine_close(struct quarantine *quarantine)
{
    if (quarantine->step != STEP_CLOSED && quarantine->file >= 0)
        env_file_close(quarantine->env, quarantine->file);
    quarantine->file = -1;
    quarantine->step = STEP_CLOSED;
}
