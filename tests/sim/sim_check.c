/* SPDX-License-Identifier: Apache-2.0
 *
 * The last reads: every partition whole, from its oldest offset to its end, so that the history can
 * be judged. What it cannot tell is checked here: which statuses replies have, and the catalog.
 *
 * Offsets below the first one kept are refused as gone, when there is retention. Ranges may be
 * refused as quarantined when something was damaged and the broker has said so.
 */
#include "tests/sim/sim_run.h"

#include "wire/checksum.h"
#include "wire/status.h"
#include "wire/xassert.h"

#include <string.h>

#define CHECK_TURNS 200000u

/* Refusals that are no failure, a set. */
enum allowed { ALLOW_NONE = 0, ALLOW_GONE = 1, ALLOW_QUARANTINED = 2 };

static bool is_allowed(int status, uint32_t allowed)
{
    return status >= 0 || (status == XD_OFFSET_GONE && (allowed & ALLOW_GONE) != 0) ||
           (status == XD_RANGE_QUARANTINED && (allowed & ALLOW_QUARANTINED) != 0);
}

/* Sends a request and turns until its reply is there. False after a failure, which every refusal is
 * that is not allowed. */
static bool await(struct run *run, struct wire_client *wire, uint64_t correlation, uint32_t allowed,
                  struct xd_reply_head *ret_head, const uint8_t **ret_body, size_t *ret_bytes)
{
    for (uint32_t i = 0; i < CHECK_TURNS; i++) {
        struct wire_frame frame;
        struct xd_text detail;
        wire_client_pump(wire);
        while (wire_client_next(wire, &frame)) {
            if (frame.head.op == XD_OP_GOAWAY || frame.head.correlation != correlation)
                continue;
            if (xd_reply_decode(frame.payload, frame.head.length, ret_head, &detail, ret_body,
                                ret_bytes) < 0)
                RUN_FAIL(run, "check: op %u: the reply does not decode", frame.head.op);
            else if (!is_allowed(ret_head->status, allowed))
                RUN_FAIL(run, "check: op %u: %s: %.*s", frame.head.op,
                         xd_status_name(ret_head->status), (int)detail.bytes, detail.data);
            return !run_failed(run);
        }
        int status = sim_broker_turn(&run->broker, 1000000);
        if (status < 0) {
            RUN_FAIL(run, "check: turn: %s", xd_status_name(status));
            return false;
        }
    }
    RUN_FAIL(run, "check: no reply");
    return false;
}

/* One READ in the check. *ret_batches is valid until the next one. False after a failure. */
static bool read_at(struct run *run, struct wire_client *wire, uint32_t partition,
                    enum xd_seek seek, uint64_t offset, uint32_t allowed, int *ret_status,
                    struct xd_read_reply *ret_reply, const uint8_t **ret_batches)
{
    struct xd_reply_head head;
    const uint8_t *body;
    const char *field = "";
    size_t body_bytes;
    uint64_t asked_ns = sim_now_ns(run->broker.sim);
    uint64_t correlation = wire_client_read(wire, partition, seek, offset, 1u << 20, 0);
    if (!await(run, wire, correlation, allowed, &head, &body, &body_bytes))
        return false;
    *ret_status = head.status;
    if (head.status == XD_RANGE_QUARANTINED)
        return true;
    if (xd_read_reply_decode(body, body_bytes, ret_reply, ret_batches, &field) < 0)
        RUN_FAIL(run, "check: READ: %s", field);
    else
        note_reply(run, 0, asked_ns, seek == XD_SEEK_OFFSET ? offset : ret_reply->start_offset,
                   ret_reply, *ret_batches);
    return !run_failed(run);
}

/* The first offset kept: 0 without retention; else what is below is said to be gone. */
static uint64_t check_floor(struct run *run, struct wire_client *wire, uint32_t partition,
                            uint32_t allowed)
{
    struct xd_read_reply reply = {0};
    const uint8_t *batches;
    int status;
    if ((allowed & ALLOW_GONE) == 0 ||
        !read_at(run, wire, partition, XD_SEEK_OFFSET, 0, allowed, &status, &reply, &batches))
        return 0;
    uint64_t floor = reply.first_offset;
    if (status != XD_RANGE_QUARANTINED && (status == XD_OFFSET_GONE) != (floor > 0))
        RUN_FAIL(run, "partition %u: %s where %llu is the first offset", partition,
                 xd_status_name(status), (unsigned long long)floor);
    if (status != XD_OFFSET_GONE || run_failed(run))
        return 0;
    run_count(run, TOTAL_GONE, 1);
    if (read_at(run, wire, partition, XD_SEEK_BEGIN, 0, allowed, &status, &reply, &batches) &&
        status >= 0 && reply.start_offset != reply.first_offset)
        RUN_FAIL(run, "partition %u begins at %llu, not at %llu", partition,
                 (unsigned long long)reply.start_offset, (unsigned long long)reply.first_offset);
    return floor;
}

/* One partition, from its oldest offset to its end. Returns how many ranges are refused as
 * quarantined. */
static uint32_t check_partition(struct run *run, struct wire_client *wire, uint32_t partition,
                                uint32_t allowed)
{
    struct xd_read_reply reply;
    const uint8_t *batches;
    int status;
    uint32_t gaps = 0;
    uint64_t offset = check_floor(run, wire, partition, allowed), damaged = 0; /* before offset */
    while (!run_failed(run) && read_at(run, wire, partition, XD_SEEK_OFFSET, offset, allowed,
                                       &status, &reply, &batches)) {
        if (status == XD_RANGE_QUARANTINED) {
            damaged++;
            offset++;
            continue;
        }
        if (damaged > 0) {
            note_damage(run, partition, offset - damaged, offset - 1);
            gaps++;
        }
        damaged = 0;
        if (status == XD_END)
            break;
        /* Gone meanwhile, or read. */
        uint64_t next = status == XD_OFFSET_GONE ? reply.first_offset : reply.next_offset;
        if (next <= offset)
            RUN_FAIL(run, "partition %u: a READ at offset %llu leads nowhere", partition,
                     (unsigned long long)offset);
        offset = next;
    }
    if (gaps > 0 && run->broker.corrupt == 0)
        RUN_FAIL(run, "partition %u: a range is quarantined and nothing was reported", partition);
    run_count(run, TOTAL_QUARANTINED, gaps);
    return gaps;
}

void check_started(struct run *run)
{
    if (!sim_broker_one_catalog(&run->broker))
        RUN_FAIL(run, "the broker serves, and a shard lacks entries of the catalog");
    for (uint32_t n = 0; n < RUN_TOPICS; n++)
        if (run->reader.topics[n] != 0)
            run->reader.topics[n] = UINT8_MAX;
}

void check_topics(struct run *run, uint32_t shard, const struct xd_catalog_view *view)
{
    for (uint32_t n = 0; n < RUN_TOPICS; n++) {
        char name[32];
        bool found = false;
        snprintf(name, sizeof name, "topic-%u", n);
        for (uint32_t i = 0; i < view->fixed.topic_count; i++)
            found |= view->topics[i].name_bytes == strlen(name) &&
                     memcmp(view->topics[i].name, name, strlen(name)) == 0;
        if (((uint32_t)run->reader.topics[n] >> shard & 1u) != 0 && !found)
            RUN_FAIL(run, "%s was created, or shown, and is missing on shard %u", name, shard);
        if (found) /* what one of the others has, shard 0 has had before */
            run->reader.topics[n] = (uint8_t)(run->reader.topics[n] | 1u << shard | 1u);
    }
}

/* The catalog of one shard, which is that of all: `hash` is 0 for the first one. Returns the count
 * of partitions. */
static uint32_t check_catalog(struct run *run, struct wire_client *wire, uint32_t shard,
                              uint64_t *hash)
{
    struct xd_reply_head head;
    struct xd_catalog_view view;
    const uint8_t *body;
    const char *field = "";
    size_t body_bytes;
    uint32_t partitions = 0;
    uint64_t correlation = wire_client_send(wire, XD_OP_CATALOG, NULL, 0);
    if (!await(run, wire, correlation, 0, &head, &body, &body_bytes))
        return 0;
    if (xd_catalog_reply_decode(body, body_bytes, &view, &field) < 0) {
        RUN_FAIL(run, "check: CATALOG: %s", field);
        return 0;
    }
    check_topics(run, shard, &view);
    uint64_t own = xd_xxh3(body, body_bytes);
    if (*hash != 0 && own != *hash)
        RUN_FAIL(run, "check: the catalog of shard %u is another one", shard);
    *hash = own;
    for (uint32_t i = 0; i < view.fixed.placement_count; i++)
        partitions += view.placements[i].width;
    return partitions;
}

/* Asks every shard for its catalog. The connection to the last one stays. Returns the count of
 * partitions, 0 after a failure. */
static uint32_t check_catalogs(struct run *run, struct wire_client *wire)
{
    struct xd_reply_head head;
    const uint8_t *body;
    size_t body_bytes;
    uint64_t hash = 0;
    uint32_t partitions = 0, shards = run->plan.shards;
    uint32_t first = shards > 1 ? run_below(run, shards) : 0;
    for (uint32_t i = 0; i < shards && !run_failed(run); i++) {
        uint32_t shard = (first + i) % shards;
        if (wire_client_connect(wire, run->broker.addresses[shard]) < 0)
            RUN_FAIL(run, "check: nobody listens");
        else if (await(run, wire, wire_client_hello(wire), 0, &head, &body, &body_bytes))
            partitions = check_catalog(run, wire, shard, &hash);
    }
    return run_failed(run) ? 0 : partitions;
}

uint32_t check_log(struct run *run, bool damaged)
{
    struct wire_client *wire = &run->reader.wire;
    const struct log_options *options = &run->broker.options.log;
    uint32_t gaps = 0, allowed = damaged ? ALLOW_QUARANTINED : ALLOW_NONE;
    if (options->retention_bytes > 0 || options->retention_us > 0)
        allowed |= ALLOW_GONE;
    uint32_t partitions = check_catalogs(run, wire);
    XD_ASSERT(partitions <= RUN_PARTITIONS);
    for (uint32_t i = 0; i < partitions && !run_failed(run); i++)
        gaps += check_partition(run, wire, i, allowed);
    reader_cut(run);
    return gaps;
}
