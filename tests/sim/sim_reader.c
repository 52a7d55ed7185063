/* SPDX-License-Identifier: Apache-2.0
 *
 * The reader: reads anywhere at any time, for the history, because nothing that was served once may
 * ever change or vanish. Now and then it creates a topic instead. Checked here is what no history
 * can tell: statuses, and where a seek by time comes to.
 */
#include "tests/sim/sim_run.h"

#include "wire/status.h"

#include <string.h>

/* A reply to a seek says where it came to; the history takes that for what was asked. */
static void take_read(struct run *run, const uint8_t *body, size_t body_bytes)
{
    struct reader *reader = &run->reader;
    struct xd_read_reply reply;
    const uint8_t *batches;
    const char *field = "";
    if (xd_read_reply_decode(body, body_bytes, &reply, &batches, &field) < 0)
        return RUN_FAIL(run, "a READ reply does not decode: %s", field);
    if (reply.partition != reader->partition)
        return RUN_FAIL(run, "a READ is answered for partition %u", reply.partition);
    if (reader->seek == XD_SEEK_OFFSET && reply.start_offset != reader->position)
        return RUN_FAIL(run, "a READ of an offset is answered for another one");
    note_reply(run, 1, reader->asked_ns, reply.start_offset, &reply, batches);
    const struct xd_batch_header *first = (const void *)batches;
    if (reader->seek == XD_SEEK_TIME && reply.batches_bytes > 0 &&
        first->append_time_us < (int64_t)reader->position)
        RUN_FAIL(run, "a READ from a time on gives an earlier batch");
    run_count(run, TOTAL_READS, reply.batches_bytes > 0);
    run_count(run, TOTAL_READ_ONLY_READS, run->read_only && reply.batches_bytes > 0);
    if (reply.end_offset > reader->ends[reader->partition])
        reader->ends[reader->partition] = reply.end_offset;
}

/* A READ was refused: in bounds that are told, or for a reason that this run has. */
static void take_read_refusal(struct run *run, int status, const struct xd_text *detail,
                              const uint8_t *body, size_t body_bytes)
{
    const struct log_options *options = &run->broker.options.log;
    const struct reader *reader = &run->reader;
    struct xd_read_reply reply;
    const uint8_t *batches;
    const char *field = "";
    if (xd_status_class(status) == XD_CLASS_BACKOFF)
        return;
    if (status == XD_RANGE_QUARANTINED && (run->damaged || rot_count(run) > 0)) {
        if (run->broker.corrupt == 0)
            RUN_FAIL(run, "READ: quarantined, and nothing was reported: %.*s", (int)detail->bytes,
                     detail->data);
        /* A buggify site has blocks read back that memory still holds; when such a read is bad, and
         * memory is asked the next time, the range is served after all, rightly. */
        bool from_memory = plan_has(&run->plan, FAULT_BUGGIFY) || plan_has(&run->plan, FAULT_ROLL);
        if (reader->seek == XD_SEEK_OFFSET && !from_memory)
            note_damage(run, reader->partition, reader->position, reader->position);
        run_count(run, TOTAL_QUARANTINED, 1);
        return;
    }
    if (status != XD_OFFSET_FUTURE &&
        (status != XD_OFFSET_GONE || (options->retention_bytes == 0 && options->retention_us == 0)))
        return RUN_FAIL(run, "READ: %s: %.*s", xd_status_name(status), (int)detail->bytes,
                        detail->data);
    if (xd_read_reply_decode(body, body_bytes, &reply, &batches, &field) < 0)
        return RUN_FAIL(run, "a refused READ does not decode: %s", field);
    bool asked = reader->seek != XD_SEEK_OFFSET || reply.start_offset == reader->position;
    bool outside = status == XD_OFFSET_GONE ? reply.start_offset < reply.first_offset
                                            : reply.start_offset > reply.end_offset;
    if (!asked || !outside)
        RUN_FAIL(run, "partition %u: %s at %llu, kept are %llu to %llu", reader->partition,
                 xd_status_name(status), (unsigned long long)reply.start_offset,
                 (unsigned long long)reply.first_offset, (unsigned long long)reply.end_offset);
    note_reply(run, 1, reader->asked_ns, reply.start_offset, &reply, batches);
    run_count(run, TOTAL_GONE, status == XD_OFFSET_GONE);
}

/* What a catalog shows is durable: it stays. */
static void take_catalog(struct run *run, const uint8_t *body, size_t body_bytes)
{
    struct xd_catalog_view view;
    const char *field = "";
    if (xd_catalog_reply_decode(body, body_bytes, &view, &field) < 0)
        return RUN_FAIL(run, "a CATALOG reply does not decode: %s", field);
    check_topics(run, run->reader.home, &view);
    run_count(run, TOTAL_CATALOGS, 1);
}

static void take_reply(struct run *run, const struct wire_frame *frame)
{
    struct reader *reader = &run->reader;
    struct xd_reply_head head;
    struct xd_text detail;
    const uint8_t *body;
    size_t body_bytes;
    if (xd_reply_decode(frame->payload, frame->head.length, &head, &detail, &body, &body_bytes) < 0)
        return RUN_FAIL(run, "a reply to the reader does not decode");
    if (frame->head.op == XD_OP_HELLO) {
        reader->greeted = true;
        return;
    }
    if (frame->head.op == XD_OP_CATALOG && frame->head.correlation == reader->catalog) {
        reader->catalog = 0;
        if (head.status >= 0)
            take_catalog(run, body, body_bytes);
        return;
    }
    if (frame->head.correlation != reader->correlation)
        return RUN_FAIL(run, "a reply that nobody waits for");
    reader->correlation = 0;
    if (frame->head.op == XD_OP_READ && head.status >= 0)
        take_read(run, body, body_bytes);
    else if (frame->head.op == XD_OP_READ)
        take_read_refusal(run, head.status, &detail, body, body_bytes);
    if (frame->head.op == XD_OP_ADMIN && head.status >= 0 && reader->topic >= 0) {
        reader->topics[reader->topic] = UINT8_MAX;
        run_count(run, TOTAL_TOPICS, 1);
    }
}

static void ask(struct run *run)
{
    struct reader *reader = &run->reader;
    char json[64];
    bool changes = run->plan.shards > 1 && plan_has(&run->plan, FAULT_SPREAD_CRASH);
    if (run_chance(run, changes ? 24000 : 8000)) {
        reader->topic = (int32_t)run_below(run, RUN_TOPICS);
        snprintf(json, sizeof json, "{\"name\":\"topic-%d\",\"width\":1}", reader->topic);
        reader->correlation = wire_client_admin(&reader->wire, "topic create", json);
        if (run_chance(run, 32768)) /* while it is not durable yet */
            reader->catalog = wire_client_send(&reader->wire, XD_OP_CATALOG, NULL, 0);
        return;
    }
    reader->partition = run_below(run, run->facility_count * (RUN_LANES + 1));
    reader->seek = XD_SEEK_OFFSET;
    if (run_chance(run, 32768))
        reader->seek = (uint8_t)run_below(run, XD_SEEK_COUNT);
    /* From the beginning to a little behind the end. */
    reader->position = prng_below(&run->prng, run->reader.ends[reader->partition] * 9 / 8 + 16);
    if (reader->seek == XD_SEEK_TIME)
        reader->position = (uint64_t)(RUN_WALL_US + (int64_t)run_below(run, 40000));
    reader->asked_ns = sim_now_ns(run->broker.sim);
    reader->correlation = wire_client_read(
        &reader->wire, reader->partition, (enum xd_seek)reader->seek, reader->position,
        1 + run_below(run, 1u << 17), run_chance(run, 8000) ? 5 : 0);
}

void reader_act(struct run *run)
{
    struct reader *reader = &run->reader;
    struct wire_frame frame;
    if (reader->wire.id < 0) {
        if (!run->serving || !run_chance(run, 32768) ||
            wire_client_connect(&reader->wire, run_address(run, &reader->home)) < 0)
            return;
        wire_client_hello(&reader->wire);
    }
    wire_client_pump(&reader->wire);
    while (!run_failed(run) && wire_client_next(&reader->wire, &frame))
        if (frame.head.op != XD_OP_GOAWAY)
            take_reply(run, &frame);
    if (reader->wire.ended) {
        reader_cut(run);
        return;
    }
    if (reader->greeted && reader->correlation == 0 && reader->catalog == 0 && !run->healing)
        ask(run);
    wire_client_pump(&reader->wire);
}

void reader_cut(struct run *run)
{
    wire_client_leave(&run->reader.wire, true);
    run->reader.greeted = false;
    run->reader.correlation = run->reader.catalog = 0;
    run->reader.topic = -1;
}
