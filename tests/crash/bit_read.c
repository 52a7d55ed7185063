/* SPDX-License-Identifier: Apache-2.0
 *
 * The reader. It asks for what comes next, and steps over what was refused, if that may be refused.
 */
#include "tests/crash/bit_read.h"

#include "tests/crash/bit_rule.h"
#include "wire/status.h"
#include "wire/xassert.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define TURN_NS 1000000ull
#define TURNS_MAX 100000u
#define READ_BYTES (1u << 20)

/* One partition being read. */
struct reading {
    uint32_t partition;
    uint32_t next;   /* batch of the map that comes next, or the count */
    uint64_t offset; /* of it, or behind the last */
};

static const struct bit_map *map_of(const struct bit_judge *judge)
{
    return &judge->damage->base->map;
}

static bool broken_at(struct bit_judge *judge, const char *rule, const char *what,
                      const struct reading *reading)
{
    char place[80];
    (void)snprintf(place, sizeof place, "partition %u, offset %" PRIu64, reading->partition,
                   reading->offset);
    return bit_broken(judge, rule, what, place);
}

/* The first batch of the partition from number `from` on. */
static void go_to(struct bit_judge *judge, struct reading *reading, uint32_t from)
{
    const struct bit_map *map = map_of(judge);
    while (from < map->batch_count && map->batches[from].partition != reading->partition)
        from++;
    reading->next = from;
    if (from < map->batch_count)
        reading->offset = map->batches[from].offset;
}

/* A batch will not be served. */
static void step_over(struct bit_judge *judge, struct reading *reading, uint32_t number)
{
    const struct bit_batch *batch = &map_of(judge)->batches[number];
    if (batch->partition == reading->partition)
        reading->offset = batch->offset + batch->records;
}

/* Waits for the next reply, which is the only one there can be. */
static bool await(struct bit_judge *judge, struct xd_reply_head *ret_head, const uint8_t **ret_body,
                  size_t *ret_bytes)
{
    struct wire_frame frame;
    struct xd_text detail;
    for (uint32_t i = 0; i < TURNS_MAX; i++) {
        (void)wire_client_pump(&judge->client); /* whether bytes moved does not matter */
        if (wire_client_next(&judge->client, &frame)) {
            int status = xd_reply_decode(frame.payload, frame.head.length, ret_head, &detail,
                                         ret_body, ret_bytes);
            return status == 0 || bit_broken(judge, "failure", "a reply", "does not decode");
        }
        if (judge->client.ended)
            return bit_broken(judge, "failure", "the connection", "was closed");
        int status = sim_broker_turn(&judge->broker, TURN_NS);
        if (status < 0)
            return bit_broken(judge, "failure", "a turn", xd_status_name(status));
    }
    return bit_broken(judge, "failure", "no reply", "");
}

static bool connect_to(struct bit_judge *judge)
{
    struct xd_reply_head head;
    const uint8_t *body;
    size_t bytes;
    if (wire_client_connect(&judge->client, judge->broker.address) < 0)
        return bit_broken(judge, "failure", "no connection", "");
    (void)wire_client_hello(&judge->client);
    return await(judge, &head, &body, &bytes);
}

/* Batches that were served: those that come next, byte by byte, out of blocks that are whole. */
static bool take_batches(struct bit_judge *judge, struct reading *reading, const uint8_t *batches,
                         uint32_t bytes)
{
    static _Alignas(8) uint8_t wanted[XD_BLOCK_BYTES_MAX];
    const struct bit_map *map = map_of(judge);
    for (uint32_t at = 0; at < bytes;) {
        if (reading->next == map->batch_count)
            return broken_at(judge, "content", "a batch behind the last one", reading);
        const struct bit_batch *batch = &map->batches[reading->next];
        image_read(&map->files[map->blocks[batch->block].file].disk->image, batch->at, wanted,
                   batch->bytes);
        if (batch->bytes > bytes - at || memcmp(batches + at, wanted, batch->bytes) != 0)
            return broken_at(judge, "content", "another batch than was written", reading);
        if (judge->block_hit[batch->block])
            return broken_at(judge, "content", "a batch of a damaged block", reading);
        at += batch->bytes;
        judge->served++;
        reading->offset = batch->offset + batch->records;
        go_to(judge, reading, reading->next + 1);
    }
    return true;
}

/* A refused range: the block must be a damaged one, and a line must name its position. */
static bool take_refusal(struct bit_judge *judge, struct reading *reading)
{
    const struct bit_map *map = map_of(judge);
    char position[64];
    if (reading->next == map->batch_count)
        return broken_at(judge, "missing", "a range is refused where nothing is", reading);
    uint32_t number = map->batches[reading->next].block;
    const struct bit_block *block = &map->blocks[number];
    if (!judge->block_hit[number])
        return broken_at(judge, "missing", "a range is refused and is not damaged", reading);
    (void)snprintf(position, sizeof position, "position=%" PRIu64 " ",
                   map->files[block->file].segment_no * map->segment_bytes + block->at);
    if (!bit_line(judge, "log_corrupt", position))
        return broken_at(judge, "silent", "a range is refused and no line says so", reading);
    judge->quarantined++;
    uint32_t next = reading->next;
    for (; next < map->batch_count && map->batches[next].block == number; next++)
        step_over(judge, reading, next);
    go_to(judge, reading, next);
    return true;
}

/* The oldest segments are gone: one of them must be, and a line must name each. */
static bool take_gone(struct bit_judge *judge, struct reading *reading)
{
    const struct bit_map *map = map_of(judge);
    char segment[48];
    uint32_t next = reading->next;
    for (; next < map->batch_count; next++) {
        uint64_t no = map->files[map->blocks[map->batches[next].block].file].segment_no;
        if (no > judge->lost_no)
            break;
        (void)snprintf(segment, sizeof segment, "segment=%" PRIu64 " reason=missing", no);
        if (!bit_line(judge, "log_segment_dropped", segment))
            return broken_at(judge, "silent", "a segment is gone and no line says so", reading);
        judge->gone += map->batches[next].partition == reading->partition &&
                       !judge->block_hit[map->batches[next].block];
        step_over(judge, reading, next);
    }
    if (next == reading->next)
        return broken_at(judge, "missing", "an offset is gone and its segment is there", reading);
    go_to(judge, reading, next);
    return true;
}

/* The partition ends: at its end, or where a cut is allowed. */
static bool take_end(struct bit_judge *judge, const struct reading *reading)
{
    const struct bit_map *map = map_of(judge);
    if (reading->next == map->batch_count ||
        map->blocks[map->batches[reading->next].block].index >= judge->gap_from)
        return true;
    return broken_at(judge, "missing", "the partition ends early", reading);
}

static bool read_partition(struct bit_judge *judge, uint32_t partition)
{
    struct reading reading = {.partition = partition};
    struct xd_reply_head head;
    struct xd_read_reply reply;
    const uint8_t *body, *batches;
    size_t bytes;
    const char *field = "";
    go_to(judge, &reading, 0);
    for (uint32_t i = 0; i < TURNS_MAX; i++) {
        (void)wire_client_read(&judge->client, partition, XD_SEEK_OFFSET, reading.offset,
                               READ_BYTES, 0);
        if (!await(judge, &head, &body, &bytes))
            return false;
        bool good = true;
        if (head.status == XD_RANGE_QUARANTINED)
            good = take_refusal(judge, &reading);
        else if (head.status == XD_OFFSET_GONE)
            good = take_gone(judge, &reading);
        else if (head.status == XD_END || head.status == XD_OFFSET_FUTURE)
            return take_end(judge, &reading);
        else if (head.status < 0)
            return broken_at(judge, "missing", xd_status_name(head.status), &reading);
        else if (xd_read_reply_decode(body, bytes, &reply, &batches, &field) < 0)
            return broken_at(judge, "failure", field, &reading);
        else
            good = take_batches(judge, &reading, batches, reply.batches_bytes);
        if (!good)
            return false;
    }
    return broken_at(judge, "failure", "reading does not come to an end", &reading);
}

bool bit_read_all(struct bit_judge *judge)
{
    if (!connect_to(judge))
        return false;
    for (uint32_t lane = 0; lane < CRASH_LANES; lane++)
        if (!read_partition(judge, judge->damage->base->partition + lane))
            return false;
    return true;
}
