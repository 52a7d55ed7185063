/* SPDX-License-Identifier: Apache-2.0
 *
 * Normal path: read both headers, take the file that meta names, read and check its body. A damaged
 * one (EIO counts) falls back to the other file: the log is kept for both. A newer version or
 * another log's file in the named place is no damage and stops the start instead.
 *
 * Without a whole one, what could not be opened or read is an error of the machine, which may pass
 * or be mended; only files that are there and wrong, or gone, are damage.
 *
 * The other file may hold the generation before, or the next one that was whole but not yet named
 * when the broker died. Either is a fold of durable blocks and will do.
 */
#include "broker/log/checkpoint_load.h"

#include "broker/log/blocking.h"
#include "broker/log/page.h"
#include "broker/log/scan.h"
#include "wire/limits.h"
#include "wire/status.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* Largest errno of the kernel; the statuses of wire/status.def lie above it. */
#define ERRNO_MAX 4095

/* One of the two files. */
struct candidate {
    struct checkpoint_header header; /* valid when status is 0 */
    int status;                      /* of the header, later of the body */
    const char *why;                 /* static text when status < 0 */
};

/* Reads and judges a header. What is wrong with it goes to the candidate; returns the engine's
 * status. */
static int read_header(struct env *env, const struct meta *meta, uint64_t generation,
                       uint8_t *scratch, struct candidate *candidate)
{
    char name[ENV_NAME_BYTES_MAX];
    checkpoint_name(generation, name);
    env_file file;
    candidate->status = env_file_open(env, name, ENV_OPEN_READ_ONLY, &file);
    if (candidate->status < 0) {
        candidate->why = "the file cannot be opened";
        return 0;
    }
    uint32_t bad;
    int error;
    int status = blocking_read_pages(env, file, scratch, CHECKPOINT_HEADER_BYTES, 0, &bad, &error);
    env_file_close(env, file);
    if (status < 0)
        return status;
    memcpy(&candidate->header, scratch, sizeof(candidate->header));
    candidate->status = bad > 0 ? error
                                : checkpoint_check_header(&candidate->header, meta->log_uuid,
                                                          meta->shard, &candidate->why);
    if (bad > 0)
        candidate->why = "the header cannot be read";
    if (candidate->status < 0)
        return 0;
    candidate->status = XD_CHECKPOINT_CORRUPT;
    if (candidate->header.generation % CHECKPOINT_FILES != generation % CHECKPOINT_FILES)
        candidate->why = "the generation belongs into the other file";
    else if (candidate->header.segment_bytes != meta->segment_bytes)
        candidate->why = "segment_bytes differ from meta's";
    else if (candidate->header.epoch > meta->epoch)
        candidate->why = "it is newer than meta";
    else
        candidate->status = 0;
    return 0;
}

/* Reads the body of a candidate into memory. As read_header. */
static int read_body(struct env *env, struct candidate *candidate, uint8_t *memory,
                     uint8_t *scan_memory)
{
    char name[ENV_NAME_BYTES_MAX];
    checkpoint_name(candidate->header.generation, name);
    env_file file;
    candidate->status = env_file_open(env, name, ENV_OPEN_READ_ONLY, &file);
    if (candidate->status < 0) {
        candidate->why = "the file cannot be opened";
        return 0;
    }
    uint64_t bytes =
        checkpoint_body_bytes(candidate->header.state_bytes, candidate->header.local_bytes);
    struct scan scan = {.busy_count = 0};
    scan_begin(&scan, env, scan_memory, file, CHECKPOINT_HEADER_BYTES,
               CHECKPOINT_HEADER_BYTES + bytes);
    int status = 0;
    for (uint64_t at = 0; at < bytes && status == 0;) {
        uint32_t piece = bytes - at < SCAN_READ_BYTES ? (uint32_t)(bytes - at) : SCAN_READ_BYTES;
        const uint8_t *data;
        status = scan_need(&scan, CHECKPOINT_HEADER_BYTES + at, piece, &data);
        if (status == 0)
            memcpy(memory + at, data, piece);
        at += piece;
    }
    XD_ASSERT(scan.busy_count == 0); /* all was read, or the engine is broken */
    env_file_close(env, file);
    if (status < 0)
        return status;
    candidate->status = checkpoint_check_body(&candidate->header, memory, &candidate->why);
    if (candidate->status < 0 && scan.pages_bad > 0) {
        candidate->status = -EIO;
        candidate->why = "a part of the body cannot be read";
    }
    return 0;
}

/* Whether the machine stood in the way, not the content. */
static bool inaccessible(const struct candidate *candidate)
{
    return candidate->status < 0 && candidate->status >= -ERRNO_MAX && candidate->status != -ENOENT;
}

static int engine_failed(int status, char *why)
{
    (void)snprintf(why, XD_DETAIL_BYTES_MAX,
                   "reading the checkpoints failed (%s); check the device", xd_status_name(status));
    return status;
}

/* Tries one file to the end. 0: judged, see the candidate. */
static int try_body(struct env *env, struct candidate *candidate, uint8_t *memory,
                    uint64_t memory_bytes, uint8_t *scan_memory, char *why)
{
    if (candidate->status < 0)
        return 0;
    uint64_t bytes =
        checkpoint_body_bytes(candidate->header.state_bytes, candidate->header.local_bytes);
    if (bytes > memory_bytes) {
        (void)snprintf(why, XD_DETAIL_BYTES_MAX,
                       "checkpoint generation %" PRIu64 " has %" PRIu64 " bytes, the options allow "
                       "%" PRIu64 "; raise checkpoint_bytes_max and index_bytes to what they were",
                       candidate->header.generation, bytes, memory_bytes);
        return XD_OPTION_INVALID;
    }
    int status = read_body(env, candidate, memory, scan_memory);
    return status < 0 ? engine_failed(status, why) : 0;
}

/* The named file is not damaged but not ours to read. */
static int check_stop(const struct candidate *named, uint64_t generation, char *why)
{
    if (named->status != XD_FORMAT_UNKNOWN && named->status != XD_LOG_FOREIGN)
        return 0;
    char name[ENV_NAME_BYTES_MAX];
    checkpoint_name(generation, name);
    (void)snprintf(why, XD_DETAIL_BYTES_MAX, "%s: %s; %s", name, named->why,
                   named->status == XD_LOG_FOREIGN ? "put the file of this folder back"
                                                   : "start the release that wrote it");
    return named->status;
}

int checkpoint_load(struct env *env, const struct meta *meta, uint8_t *memory,
                    uint64_t memory_bytes, uint8_t *scan_memory,
                    struct checkpoint_loaded *ret_loaded, char *why)
{
    const uint64_t generation = meta->checkpoint_generation;
    XD_ASSERT(generation > 0);
    XD_ASSERT(memory_bytes % PAGE_BYTES == 0);
    struct candidate named = {.status = 0}, other = {.status = 0};
    int status = read_header(env, meta, generation, scan_memory, &named);
    if (status == 0)
        status = read_header(env, meta, generation + 1, scan_memory, &other);
    if (status < 0)
        return engine_failed(status, why);
    if (named.status == 0 &&
        (named.header.generation != generation || named.header.xxh3 != meta->checkpoint_xxh3)) {
        named.status = XD_CHECKPOINT_CORRUPT;
        named.why = "it is not the checkpoint that meta names";
    }
    status = check_stop(&named, generation, why);
    if (status == 0)
        status = try_body(env, &named, memory, memory_bytes, scan_memory, why);
    if (status < 0)
        return status;
    if (named.status == 0) {
        *ret_loaded = (struct checkpoint_loaded){.header = named.header};
        if (other.status == 0) {
            ret_loaded->other_position = other.header.position;
            ret_loaded->other_generation = other.header.generation;
        }
        return 0;
    }
    status = try_body(env, &other, memory, memory_bytes, scan_memory, why);
    if (status < 0)
        return status;
    if (other.status == 0) {
        *ret_loaded = (struct checkpoint_loaded){.header = other.header, .fallback = true};
        return 0;
    }
    status = inaccessible(&named)   ? named.status
             : inaccessible(&other) ? other.status
                                    : XD_CHECKPOINT_CORRUPT;
    (void)snprintf(why, XD_DETAIL_BYTES_MAX,
                   "checkpoint generation %" PRIu64 ": %s; the other one: %s; %srestore one of the "
                   "files from a copy of the folder",
                   generation, named.why, other.why,
                   status != XD_CHECKPOINT_CORRUPT ? "check the device and start again, or " : "");
    return status;
}
