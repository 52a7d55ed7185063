/* SPDX-License-Identifier: Apache-2.0
 *
 * Strangers: connections by the hundred that want nothing from the broker's log, beside the clients
 * that do. Some are idle, some come and go at once, some send a frame byte by byte or stop inside
 * it, some ask and never read. Nobody waits for what they are answered; they are there to take
 * places, buffers and turns, and the history and the last stop judge what that does to the others.
 *
 * They draw from the fault's own stream and leave when the faults are over.
 */
#include "tests/sim/sim_run.h"

#include "wire/xassert.h"

#include <string.h>

#define BURST_MAX 64u           /* that come in one turn */
#define MUTE_MAX 8u             /* at a time: each may fill a window */
#define MUTE_READS 4u           /* that one adds in a turn */
#define READ_BYTES (1u << 17)   /* that they ask for */
#define CUT_PAYLOAD_BYTES 1000u /* of a PRODUCE frame that never becomes whole ... */
#define CUT_BYTES 40u           /* ... and what there is of it, header included */
#define STORM_PINGS 3u
#define LEAVES 1000u /* per 65536 turns of one that nobody ends */
#define ACTS 40000u  /* per 65536 turns of one that drips */

/* ---- what they send -------------------------------------------------------------------------- */

static uint32_t put_frame(struct stranger *stranger, uint16_t op, const void *payload,
                          uint32_t bytes, uint32_t length)
{
    const struct xd_frame frame = {
        .length = length, .op = op, .version = 1, .correlation = stranger->bytes + 1u};
    uint8_t *at = stranger->out + stranger->bytes;
    XD_ASSERT(stranger->bytes + XD_FRAME_HEADER_BYTES + bytes <= STRANGER_BYTES);
    xd_frame_encode(&frame, at);
    if (bytes > 0)
        memcpy(at + XD_FRAME_HEADER_BYTES, payload, bytes);
    stranger->bytes = (uint16_t)(stranger->bytes + XD_FRAME_HEADER_BYTES + bytes);
    return XD_FRAME_HEADER_BYTES + bytes;
}

static uint32_t put_hello(struct stranger *stranger)
{
    uint8_t payload[64];
    const struct xd_hello_request hello = {
        .fixed = {.version_min = XD_PROTOCOL_VERSION_MIN, .version_max = XD_PROTOCOL_VERSION_MAX},
        .client_name = {"stranger", 8}};
    int bytes = xd_hello_encode(&hello, payload, sizeof payload);
    XD_ASSERT(bytes > 0);
    return put_frame(stranger, XD_OP_HELLO, payload, (uint32_t)bytes, (uint32_t)bytes);
}

static void put_cut_produce(struct stranger *stranger)
{
    static const uint8_t zeros[CUT_BYTES];
    put_frame(stranger, XD_OP_PRODUCE, zeros, CUT_BYTES - XD_FRAME_HEADER_BYTES, CUT_PAYLOAD_BYTES);
}

/* What it is going to send; `sent` of that are for the first turn. */
static void write_script(struct run *run, struct stranger *stranger)
{
    struct prng *prng = &run->streams[FAULT_CROWD];
    uint32_t hello_bytes = put_hello(stranger);
    stranger->now = stranger->bytes;
    switch (stranger->kind) {
    case STRANGER_STORM:
        for (uint32_t i = 0; i < STORM_PINGS; i++)
            put_frame(stranger, XD_OP_PING, NULL, 0, 0);
        stranger->now = (uint16_t)prng_below(prng, stranger->bytes + 1u);
        break;
    case STRANGER_DRIP_HELLO:
        stranger->now = 1;
        break;
    case STRANGER_CUT_HELLO:
        stranger->now = stranger->bytes = (uint16_t)(1 + prng_below(prng, hello_bytes - 1));
        break;
    case STRANGER_DRIP_PRODUCE:
        put_cut_produce(stranger);
        break;
    case STRANGER_CUT_PRODUCE:
        put_cut_produce(stranger);
        stranger->now = stranger->bytes;
        break;
    case STRANGER_IDLE:
    case STRANGER_MUTE:
    case STRANGER_KINDS:
        break;
    }
}

/* Sends up to `end` of its script. */
static void send_until(struct run *run, struct stranger *stranger, uint32_t end)
{
    while (stranger->at < end) {
        int64_t sent = sim_client_send(run->broker.sim, stranger->id, stranger->out + stranger->at,
                                       end - stranger->at);
        if (sent <= 0)
            return;
        stranger->at = (uint16_t)(stranger->at + sent);
    }
}

/* ---- life ------------------------------------------------------------------------------------ */

static void come(struct run *run, struct stranger *stranger)
{
    struct prng *prng = &run->streams[FAULT_CROWD];
    uint32_t shard = run->plan.shards > 1 ? (uint32_t)prng_below(prng, run->plan.shards) : 0;
    int id = sim_client_connect(run->broker.sim, run->broker.addresses[shard]);
    if (id < 0)
        return;
    *stranger = (struct stranger){.id = id,
                                  .kind = (uint8_t)prng_below(prng, STRANGER_KINDS),
                                  .came_ns = sim_now_ns(run->broker.sim)};
    if (stranger->kind == STRANGER_MUTE && run->mutes == MUTE_MAX)
        stranger->kind = STRANGER_IDLE;
    run->mutes += stranger->kind == STRANGER_MUTE;
    write_script(run, stranger);
    send_until(run, stranger, stranger->now);
    run_count(run, TOTAL_STRANGERS, 1);
}

static void leave(struct run *run, struct stranger *stranger, bool reset)
{
    if (reset)
        sim_client_reset(run->broker.sim, stranger->id);
    sim_client_free(run->broker.sim, stranger->id);
    run->mutes -= stranger->kind == STRANGER_MUTE;
    stranger->id = -1;
}

/* Takes what has come, and remembers that something did. */
static void listen_to(struct run *run, struct stranger *stranger)
{
    uint8_t bytes[512];
    while (sim_client_recv(run->broker.sim, stranger->id, bytes, sizeof bytes) > 0)
        stranger->heard = true;
}

/* The broker has ended it: for want of a place, for being slow, or for another reason. */
static void count_end(struct run *run, const struct stranger *stranger)
{
    const struct net_options *net = &run->broker.options.net;
    uint64_t age_ms = (sim_now_ns(run->broker.sim) - stranger->came_ns) / 1000000;
    bool slow = stranger->kind >= STRANGER_DRIP_HELLO && stranger->kind <= STRANGER_CUT_PRODUCE;
    run_count(run, TOTAL_STRANGERS_SHED, !stranger->heard && age_ms < net->hello_timeout_ms);
    run_count(run, TOTAL_STRANGERS_SLOW,
              slow && (age_ms >= net->hello_timeout_ms || age_ms >= net->frame_timeout_ms));
    run_count(run, TOTAL_STRANGERS_MUTE,
              stranger->kind == STRANGER_MUTE && age_ms >= net->send_timeout_ms);
}

static void ask_more(struct run *run, struct stranger *stranger)
{
    struct prng *prng = &run->streams[FAULT_CROWD];
    if (stranger->at < stranger->bytes)
        return; /* the window is full */
    stranger->at = stranger->bytes = 0;
    for (uint32_t i = 0; i < MUTE_READS; i++) {
        const struct xd_read read = {
            .partition = (uint32_t)prng_below(prng, run->facility_count * (RUN_LANES + 1)),
            .seek = XD_SEEK_BEGIN,
            .bytes_max = READ_BYTES};
        put_frame(stranger, XD_OP_READ, &read, sizeof read, sizeof read);
    }
}

static void act(struct run *run, struct stranger *stranger)
{
    struct prng *prng = &run->streams[FAULT_CROWD];
    bool drips = stranger->kind == STRANGER_DRIP_HELLO || stranger->kind == STRANGER_DRIP_PRODUCE;
    if (stranger->kind != STRANGER_MUTE)
        listen_to(run, stranger);
    if (sim_client_ended(run->broker.sim, stranger->id)) {
        count_end(run, stranger);
        leave(run, stranger, false);
        return;
    }
    if (prng_chance(prng, stranger->kind == STRANGER_STORM ? 32768 : LEAVES)) {
        leave(run, stranger, prng_chance(prng, 32768));
        return;
    }
    if (stranger->kind == STRANGER_MUTE)
        ask_more(run, stranger);
    if (drips && stranger->at < stranger->bytes && prng_chance(prng, ACTS))
        send_until(run, stranger, stranger->at + 1u);
    else if (!drips && stranger->kind != STRANGER_STORM)
        send_until(run, stranger, stranger->bytes);
}

void crowd_reset(struct run *run)
{
    for (uint32_t i = 0; i < RUN_STRANGERS; i++)
        run->strangers[i].id = -1;
    run->mutes = 0;
}

void crowd_begin(struct run *run, struct shard_options *options)
{
    static const uint32_t places[] = {24, 64, RUN_STRANGERS + 20};
    struct net_options *net = &options->net;
    net->connections_max = places[run_fault_below(run, FAULT_CROWD, 3)];
    net->hello_timeout_ms = 20 + (uint32_t)run_fault_below(run, FAULT_CROWD, 60);
    net->frame_timeout_ms = 20 + (uint32_t)run_fault_below(run, FAULT_CROWD, 60);
    net->send_timeout_ms = 20 + (uint32_t)run_fault_below(run, FAULT_CROWD, 60);
}

void crowd_act(struct run *run)
{
    if (!plan_has(&run->plan, FAULT_CROWD))
        return;
    uint32_t coming = run->serving && run_fault(run, FAULT_CROWD)
                          ? 1 + (uint32_t)run_fault_below(run, FAULT_CROWD, BURST_MAX)
                          : 0;
    for (uint32_t i = 0; i < RUN_STRANGERS; i++) {
        struct stranger *stranger = &run->strangers[i];
        if (stranger->id >= 0) {
            act(run, stranger);
        } else if (coming > 0) {
            coming--;
            come(run, stranger);
        }
    }
}

void crowd_cut(struct run *run)
{
    for (uint32_t i = 0; i < RUN_STRANGERS; i++)
        if (run->strangers[i].id >= 0)
            leave(run, &run->strangers[i], true);
    XD_ASSERT(run->mutes == 0);
}
