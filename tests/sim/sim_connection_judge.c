/* SPDX-License-Identifier: Apache-2.0
 *
 * The end of a script: nobody is left without an answer, everything acknowledged is there, and
 * everything that the connections took has come back.
 */
#include "tests/sim/sim_connection.h"

#include "wire/status.h"
#include "wire/xassert.h"

#include <string.h>

#define TURN_NS 1000000ull
#define SETTLE_NS 70000000000ull /* the longest of all time-outs, twice */
#define QUICK_NS 20000000000ull  /* for a client that does everything right */

/* ---- no answer is missing -------------------------------------------------------------------- */

static bool waits(const struct script_connection *connection)
{
    if (connection->wire.id < 0 || connection->wire.ended || !connection->orderly)
        return false;
    if (connection->fatal)
        return true; /* for its end */
    return connection->hello && (connection->pending_count > 0 || connection->unanswered_count > 0);
}

static bool any_waits(const struct script *script)
{
    for (uint32_t i = 0; i < SCRIPT_CONNECTIONS; i++)
        if (waits(&script->connections[i]))
            return true;
    return false;
}

/* A client that has done nothing wrong keeps its connection, and all is answered. Not so one whose
 * HELLO was late, or that found no place. */
static void check_settled(const struct script *script, const struct script_connection *connection)
{
    if (connection->wire.id < 0 || connection->half || connection->fatal || !connection->orderly ||
        !connection->greeted || script->rough)
        return;
    XD_ASSERT(!connection->wire.ended);
    XD_ASSERT(connection->pending_count == 0 && connection->unanswered_count == 0);
    XD_ASSERT(connection->acked_bytes == connection->produced_bytes);
}

void script_settle(struct script *script)
{
    uint64_t end_ns = sim_now_ns(script->world.sim) + SETTLE_NS;
    for (uint32_t i = 0; i < SCRIPT_CONNECTIONS; i++)
        script->connections[i].deaf = false;
    do {
        script_turn(script, TURN_NS * 1000);
    } while (any_waits(script) && sim_now_ns(script->world.sim) < end_ns);
    XD_ASSERT(!any_waits(script));
    for (uint32_t i = 0; i < SCRIPT_CONNECTIONS; i++)
        check_settled(script, &script->connections[i]);
    connection_world_check(&script->world);
}

/* ---- another client -------------------------------------------------------------------------- */

/* The next frame; there must be one within QUICK_NS. */
static struct wire_frame next_frame(struct script *script)
{
    uint64_t end_ns = sim_now_ns(script->world.sim) + QUICK_NS;
    struct wire_frame frame;
    while (!wire_client_next(&script->judge, &frame)) {
        XD_ASSERT(!script->judge.ended && sim_now_ns(script->world.sim) < end_ns);
        connection_world_turn(&script->world, TURN_NS);
        wire_client_pump(&script->judge);
    }
    return frame;
}

/* The next frame is the reply with that status; its body. */
static const uint8_t *next_reply(struct script *script, uint16_t op, int status, size_t *ret_bytes)
{
    struct xd_reply_head head;
    struct xd_text detail;
    const uint8_t *body;
    wire_client_pump(&script->judge);
    struct wire_frame frame = next_frame(script);
    XD_ASSERT(frame.head.flags == XD_FRAME_REPLY && frame.head.op == op);
    int decoded =
        xd_reply_decode(frame.payload, frame.head.length, &head, &detail, &body, ret_bytes);
    XD_ASSERT(decoded == 0 && head.status == status);
    totals_answer(op, status);
    return body;
}

/* Opens the filler's channel anew and appends one batch, which is acknowledged and read back. */
static void produce(struct script *script)
{
    struct xd_open open = {.flags = XD_OPEN_NO_MEMORY};
    struct xd_open_view view;
    struct xd_ack_view acks;
    const char *field = "";
    size_t bytes;
    wire_client_open(&script->judge, &open, "wms", "filler", "");
    const uint8_t *body = next_reply(script, XD_OP_PRODUCER_OPEN, 0, &bytes);
    XD_ASSERT(xd_open_reply_decode(body, bytes, &view, &field) == 0);
    XD_ASSERT(view.fixed.chain_count == 1 && view.chains[0].partition == WORLD_WIDTH);
    struct batch_target target = {.producer_id = view.fixed.producer_id,
                                  .producer_epoch = view.fixed.producer_epoch,
                                  .channel_epoch = view.fixed.channel_epoch,
                                  .partition = WORLD_WIDTH,
                                  .strategy = XD_STRATEGY_SKU};
    uint64_t previous = view.chains[0].last_sequence;
    batch_begin(&script->build, &target, previous);
    batch_add(&script->build, previous + 1, "SKU", "judge", 5);
    batch_end(&script->build);
    const struct xd_batch_header *batch = &script->build.header;
    wire_client_produce(&script->judge, &batch, 1, XD_DURABILITY_FSYNC);
    wire_client_pump(&script->judge);
    struct wire_frame frame = next_frame(script);
    XD_ASSERT(frame.head.op == XD_OP_ACK);
    XD_ASSERT(xd_ack_decode(frame.payload, frame.head.length, &acks, &field) == 0);
    XD_ASSERT(acks.fixed.ack_count == 1 && acks.acks[0].status == 0);
    XD_ASSERT(acks.acks[0].last_sequence == batch->last_sequence);
    struct xd_read_reply reply;
    const uint8_t *batches;
    wire_client_read(&script->judge, WORLD_WIDTH, XD_SEEK_OFFSET, acks.acks[0].base_offset, 0, 0);
    body = next_reply(script, XD_OP_READ, 0, &bytes);
    XD_ASSERT(xd_read_reply_decode(body, bytes, &reply, &batches, &field) == 0);
    XD_ASSERT(((const struct xd_batch_header *)(const void *)batches)->batch_xxh3 ==
              batch->batch_xxh3);
}

/* ---- the log --------------------------------------------------------------------------------- */

/* Each chain of a partition goes on where it stood. Indexed by channel of the script. */
struct chains {
    uint64_t last[SCRIPT_CHANNELS];
    uint16_t epoch[SCRIPT_CHANNELS];
};

static void check_chain(struct chains *chains, const struct xd_batch_header *batch)
{
    uint64_t channel = batch->producer_id - 2;
    XD_ASSERT(channel < SCRIPT_CHANNELS);
    XD_ASSERT(batch->channel_epoch >= chains->epoch[channel]);
    if (batch->channel_epoch > chains->epoch[channel])
        chains->last[channel] = 0;
    XD_ASSERT(batch->previous_sequence == chains->last[channel]);
    XD_ASSERT(batch->first_sequence > batch->previous_sequence);
    chains->epoch[channel] = batch->channel_epoch;
    chains->last[channel] = batch->last_sequence;
}

/* Acknowledgements that name this batch's offsets name its sequences too; counts what they find. */
static void check_acked(struct script *script, const struct xd_batch_header *batch, uint32_t *found)
{
    for (uint32_t i = 0; i < script->acked_count; i++) {
        const struct script_acked *acked = &script->acked[i];
        uint64_t end = acked->base_offset + acked->record_count;
        if (acked->partition != batch->partition || batch->base_offset < acked->base_offset ||
            batch->base_offset >= end)
            continue;
        XD_ASSERT(acked->producer_id == batch->producer_id);
        XD_ASSERT(batch->base_offset + batch->record_count <= end);
        XD_ASSERT(batch->base_offset != acked->base_offset ||
                  batch->first_sequence == acked->first_sequence);
        XD_ASSERT(batch->base_offset + batch->record_count != end ||
                  batch->last_sequence == acked->last_sequence);
        found[i] += batch->record_count;
    }
}

static void read_partition(struct script *script, uint32_t partition, uint32_t *found)
{
    struct chains chains = {{0}, {0}};
    struct xd_read_reply reply = {0};
    uint64_t offset = 0;
    do {
        const uint8_t *batches;
        const char *field = "";
        size_t bytes;
        wire_client_read(&script->judge, partition, XD_SEEK_OFFSET, offset, 1u << 20, 0);
        const uint8_t *body = next_reply(script, XD_OP_READ, 0, &bytes);
        XD_ASSERT(xd_read_reply_decode(body, bytes, &reply, &batches, &field) == 0);
        XD_ASSERT(reply.first_offset == 0 && reply.batches_bytes > 0);
        for (uint32_t at = 0; at < reply.batches_bytes;) {
            const struct xd_batch_header *batch = (const void *)(batches + at);
            XD_ASSERT(xd_batch_check_stored(batch, reply.batches_bytes - at, &field) == 0);
            XD_ASSERT(xd_batch_check_hash(batch) == 0 && batch->base_offset == offset);
            struct script_sent *sent = script_sent_of(script, batch);
            XD_ASSERT(sent != NULL);
            sent->found++;
            check_chain(&chains, batch);
            check_acked(script, batch, found);
            offset += batch->record_count;
            at += xd_batch_stride(batch);
        }
    } while (offset < reply.end_offset);
    XD_ASSERT(offset == reply.end_offset);
}

/* Whether scripts write there; the others hold what fills the log. */
static bool of_scripts(uint32_t partition)
{
    return partition % (WORLD_WIDTH + 1) < WORLD_WIDTH;
}

/* Offsets of the ends of the scripts' partitions, asked for at once. */
static void find_ends(struct script *script, uint64_t *ret_ends)
{
    uint32_t asked = 0;
    for (uint32_t partition = 0; partition < WORLD_PARTITIONS; partition++) {
        if (!of_scripts(partition))
            continue;
        wire_client_read(&script->judge, partition, XD_SEEK_END, 0, 0, 0);
        asked++;
    }
    for (uint32_t i = 0; i < asked; i++) {
        struct xd_read_reply reply;
        const uint8_t *batches;
        const char *field = "";
        size_t bytes;
        const uint8_t *body = next_reply(script, XD_OP_READ, XD_END, &bytes);
        XD_ASSERT(xd_read_reply_decode(body, bytes, &reply, &batches, &field) == 0);
        XD_ASSERT(reply.partition < WORLD_PARTITIONS);
        ret_ends[reply.partition] = reply.end_offset;
    }
}

static void read_all(struct script *script)
{
    uint32_t found[SCRIPT_ACKED_MAX] = {0};
    uint64_t ends[WORLD_PARTITIONS] = {0};
    find_ends(script, ends);
    for (uint32_t partition = 0; partition < WORLD_PARTITIONS; partition++)
        if (ends[partition] > 0)
            read_partition(script, partition, found);
    for (uint32_t i = 0; i < script->acked_count; i++)
        XD_ASSERT(found[i] == script->acked[i].record_count);
    for (uint32_t i = 0; i < script->sent_count; i++) {
        XD_ASSERT(script->sent[i].found <= 1);
        XD_ASSERT(script->sent[i].refusals <= script->sent[i].sends);
        XD_ASSERT(script->sent[i].found == 0 || script->sent[i].refusals < script->sent[i].sends);
    }
}

/* ---- the end --------------------------------------------------------------------------------- */

/* The broker has noticed that the clients are gone. */
static void wait_for_places(struct script *script)
{
    const struct counters *counters = shard_counters(script->world.shard);
    uint64_t end_ns = sim_now_ns(script->world.sim) + QUICK_NS;
    while (counters->v[COUNTER_connections_open] > 0) {
        XD_ASSERT(sim_now_ns(script->world.sim) < end_ns);
        connection_world_turn(&script->world, TURN_NS);
    }
}

/* Everything that connections took has come back. */
static void check_returned(struct script *script)
{
    struct connection_world *world = &script->world;
    uint64_t end_ns = sim_now_ns(world->sim) + SETTLE_NS;
    while (!connection_world_idle(world)) {
        XD_ASSERT(sim_now_ns(world->sim) < end_ns);
        connection_world_turn(world, TURN_NS * 100);
    }
}

static void stop(struct script *script)
{
    shard_stop(script->world.shard);
    wire_client_pump(&script->judge);
    struct wire_frame frame = next_frame(script);
    XD_ASSERT(frame.head.flags == XD_FRAME_PUSH && frame.head.op == XD_OP_GOAWAY);
    totals_sent(XD_OP_GOAWAY);
    uint64_t end_ns = sim_now_ns(script->world.sim) + QUICK_NS;
    while (!shard_stopped(script->world.shard)) {
        XD_ASSERT(sim_now_ns(script->world.sim) < end_ns);
        connection_world_turn(&script->world, TURN_NS);
        wire_client_pump(&script->judge);
    }
    XD_ASSERT(script->judge.ended);
}

void script_judge(struct script *script, bool orderly_stop)
{
    size_t bytes;
    for (uint32_t i = 0; i < SCRIPT_CONNECTIONS; i++)
        wire_client_leave(&script->connections[i].wire, i % 2 == 0);
    wait_for_places(script);
    int status = wire_client_connect(&script->judge, script->world.address);
    XD_ASSERT(status == 0);
    wire_client_hello(&script->judge);
    (void)next_reply(script, XD_OP_HELLO, 0, &bytes);
    produce(script);
    read_all(script);
    if (orderly_stop)
        stop(script);
    wire_client_leave(&script->judge, false);
    if (!orderly_stop)
        check_returned(script);
}
