/* SPDX-License-Identifier: Apache-2.0
 *
 * The shard's turn and its end. How it comes to serve is in start.c, what a turn does with a frame
 * in the on_*.c files.
 *
 * Turn: events, frames, block, fold, answers, readers, sends; see shard_turn. Stop: no new
 * connections; what is in flight becomes durable and is answered; the log is marked. Fence:
 * shard_turn returns the status; nothing has been acknowledged since.
 */
#include "broker/shard/shard.h"

#include "broker/base/probes.h"
#include "broker/shard/state.h"
#include "wire/status.h"
#include "wire/xassert.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* Stalled frames are tried again at least this often, in ns: refusals after stall_ms need it. */
#define STALL_RETRY_NS 20000000ull
/* How long connections get for their last answers after shard_stop, in ns. */
#define DRAIN_NS 5000000000ull

/* ---- connections --------------------------------------------------------------------------- */

struct connection *shard_connection(struct shard *shard, net_id conn)
{
    struct connection *connection = &shard->connections[net_slot(conn)];
    return connection->id == conn ? connection : NULL;
}

struct connection *shard_connection_open(struct shard *shard, net_id conn)
{
    struct connection *connection = &shard->connections[net_slot(conn)];
    XD_ASSERT(connection->id == 0 && conn != 0);
    XD_ASSERT(net_slot(conn) <= shard->options.net.connections_max + shard->options.net.remote_max);
    memset(connection, 0, sizeof *connection);
    connection->id = conn;
    list_init(&connection->ready);
    list_init(&connection->held);
    return connection;
}

/* Channels that it held stay open for nobody; a reconnecting client attaches again. */
static void connection_gone(struct shard *shard, net_id conn, enum net_close_reason reason)
{
    struct connection *connection = shard_connection(shard, conn);
    XD_ASSERT(connection != NULL);
    answers_forget(shard, connection);
    if (connection->waiters > 0)
        readers_forget(shard, conn);
    for (uint32_t i = 0; i < shard->sessions.channel_count; i++)
        if (shard->holders[i] == conn)
            shard->holders[i] = 0;
    XD_ASSERT(connection->waiters == 0 && list_empty(&connection->ready));
    XD_ASSERT(list_empty(&connection->held) && !list_linked(&connection->held_link));
    peers_gone(shard, connection, reason != NET_CLOSE_PEER);
    connection->id = 0;
}

/* Every channel is held by a connection that is there and has said HELLO, or by none. */
static void check_holders(struct shard *shard)
{
    for (uint32_t i = 0; i < shard->sessions.channel_count; i++) {
        net_id conn = shard->holders[i];
        XD_DEBUG_ASSERT(conn == 0 || shard_connection(shard, conn) != NULL);
        XD_DEBUG_ASSERT(conn == 0 || shard_connection(shard, conn)->greeted);
    }
}

static void take_net_news(struct shard *shard)
{
    struct net_news news;
    char text[SHARD_LINE_BYTES_MAX];
    while (net_news_next(shard->net, &news)) {
        if (news.kind == NET_NEWS_ACCEPTED) {
            PROBE_CONNECTION_OPENED(news.a);
            peers_begin(shard, shard_connection_open(shard, (net_id)news.a));
        } else if (news.kind == NET_NEWS_CLOSED) {
            XD_ASSERT(news.b < NET_CLOSE_REASON_COUNT);
            PROBE_CONNECTION_CLOSED(news.a, news.b);
            connection_gone(shard, (net_id)news.a, (enum net_close_reason)news.b);
            if (news.b == NET_CLOSE_PEER || news.b == NET_CLOSE_ERROR)
                continue;
            snprintf(text, sizeof text, "slot=%u reason=%s", net_slot((net_id)news.a),
                     net_close_reason_name((enum net_close_reason)news.b));
            lines_say(shard, false, "connection_closed", text);
        } else {
            lines_refused(shard, (enum net_refusal)news.a, news.b);
        }
    }
}

/* ---- turn ---------------------------------------------------------------------------------- */

typedef int (*frame_handler)(struct shard *shard, const struct net_frame *frame);

static frame_handler handler_of(uint16_t op)
{
    switch ((enum xd_op)op) { /* GCOVR_EXCL_BR_LINE dispatch lets neither pushes nor others pass */
    case XD_OP_HELLO:
        return on_hello;
    case XD_OP_PING:
        return on_ping;
    case XD_OP_CATALOG:
        return on_catalog;
    case XD_OP_PRODUCER_OPEN:
        return on_open;
    case XD_OP_PRODUCER_CLOSE:
        return on_close;
    case XD_OP_PRODUCE:
        return on_produce;
    case XD_OP_READ:
        return on_read;
    case XD_OP_ADMIN:
        return on_admin;
    case XD_OP_ACK:
    case XD_OP_GOAWAY:
        break;
    }
    return NULL;
}

static int refuse_frame(struct shard *shard, const struct net_frame *frame, int status,
                        const char *detail)
{
    int refused = answers_refuse(shard, frame, status, detail);
    bool ends = refused == 0 && xd_status_class(status) == XD_CLASS_FATAL;
    return ends ? -ECONNABORTED : refused;
}

/* The request table decides what may be reached; then the handler. */
static int dispatch(struct shard *shard, const struct net_frame *frame)
{
    const struct connection *connection = shard_connection(shard, frame->conn);
    const struct xd_op_row *row = xd_op_find(frame->head.op);
    XD_ASSERT(shard->stage == STAGE_SERVING);
    XD_ASSERT(connection != NULL); /* net gives no frame of one that is going */
    if (frame->head.flags != 0 || (row != NULL && row->direction == XD_DIRECTION_PUSH))
        return -ECONNABORTED;
    if (!connection->greeted && (row == NULL || !row->before_hello))
        return refuse_frame(shard, frame, XD_HELLO_REQUIRED, "send HELLO first");
    if (row == NULL)
        return refuse_frame(shard, frame, XD_OP_UNKNOWN, "op: see docs/PROTOCOL.md");
    if (frame->head.version > row->version)
        return refuse_frame(shard, frame, XD_FORMAT_UNKNOWN,
                            "version: newer than this broker reads");
    uint32_t owner = connection->home == shard->options.log.shard ? route_frame(shard, frame)
                                                                  : shard->options.log.shard;
    if (owner != shard->options.log.shard)
        return peers_forward(shard, owner);
    frame_handler handler = handler_of(frame->head.op);
    XD_ASSERT(handler != NULL); /* the table has a request that no file handles */
    return handler(shard, frame);
}

static void take_frames(struct shard *shard)
{
    struct net_frame frame;
    for (uint32_t i = 0; i < SHARD_FRAMES_MAX && net_frame_next(shard->net, &frame) == 1; i++) {
        PROBE_FRAME_RECEIVED(frame.conn, frame.head.op, frame.head.length, frame.head.correlation);
        int status = dispatch(shard, &frame);
        XD_ASSERT(status == 0 || status == -EAGAIN || status == -ECONNABORTED ||
                  status == PEERS_FORWARDED);
        if (status == PEERS_FORWARDED)
            continue;
        if (status == -EAGAIN) {
            net_frame_stall(shard->net);
            if (shard->stall_retry_ns == 0)
                shard->stall_retry_ns = shard->now_ns + STALL_RETRY_NS;
            continue;
        }
        net_frame_done(shard->net);
        if (status < 0) {
            counters_add(&shard->counters, COUNTER_frames_malformed, 1);
            net_close(shard->net, frame.conn);
        }
    }
}

/* Hands events on. A bell has done its work by ending the wait. */
static void take_events(struct shard *shard, uint32_t count)
{
    XD_ASSERT(count <= SHARD_EVENTS_MAX);
    for (uint32_t i = 0; i < count; i++) {
        const struct env_event *event = &shard->events[i];
        XD_ASSERT(event->op < ENV_OP_COUNT);
        enum env_owner owner = env_token_owner(event->token);
        if (owner == ENV_OWNER_LOG)
            log_done(shard->log, event);
        else if (owner == ENV_OWNER_NET)
            net_done(shard->net, event);
        else
            XD_ASSERT(owner == ENV_OWNER_BELL);
    }
}

/* A checkpoint may not hold catalog entries that a crash could still take away. */
bool shard_catalog_settled(const struct shard *shard)
{
    return shard->catalog.pending_index <= log_durable_index(shard->log);
}

/* Folds what is durable; takes a checkpoint when the fold stands at a block's end. */
static int take_durable(struct shard *shard)
{
    struct log_entry entry;
    while (log_durable_next(shard->log, &entry) == 1) {
        char why[XD_DETAIL_BYTES_MAX];
        int status = fold_entry(shard, &entry, why);
        XD_ASSERT(status == 0); /* it was staged by this process: anything else is a bug */
    }
    if (shard_catalog_settled(shard) && log_checkpoint_due(shard->log)) {
        uint64_t bytes_max;
        uint8_t *out = log_checkpoint_begin(shard->log, &bytes_max);
        log_checkpoint_commit(shard->log, fold_save(shard, out, bytes_max));
    }
    return log_fenced(shard->log);
}

static void update_state(struct shard *shard)
{
    if (log_fenced(shard->log) != 0)
        shard->state = ADMIN_STATE_FENCED;
    else if (shard->stage >= STAGE_STOPPING)
        shard->state = ADMIN_STATE_DRAINING;
    else if (log_disk_low(shard->log))
        shard->state = ADMIN_STATE_READ_ONLY;
    else if (shard->stall_retry_ns != 0)
        shard->state = ADMIN_STATE_THROTTLING;
    else
        shard->state = ADMIN_STATE_RUNNING;
}

static uint64_t next_deadline(const struct shard *shard, uint64_t wait_until_ns)
{
    uint64_t deadlines[] = {log_deadline_ns(shard->log), net_deadline_ns(shard->net),
                            readers_deadline_ns(shard),
                            shard->stall_retry_ns != 0 ? shard->stall_retry_ns : UINT64_MAX,
                            shard->stage == STAGE_STOPPING ? shard->stop_deadline_ns : UINT64_MAX};
    uint64_t deadline = wait_until_ns;
    for (uint32_t i = 0; i < sizeof deadlines / sizeof deadlines[0]; i++)
        deadline = deadlines[i] < deadline ? deadlines[i] : deadline;
    return deadline;
}

uint64_t shard_deadline_ns(struct shard *shard)
{
    uint64_t deadline = next_deadline(shard, UINT64_MAX);
    if (!peers_sleep(shard))
        return 0;
    peers_wake(shard);
    return deadline;
}

static void read_clocks(struct shard *shard)
{
    int64_t wall_us = env_now_wall_us(shard->env);
    uint64_t now_ns = env_now_mono_ns(shard->env);
    XD_ASSERT(now_ns >= shard->now_ns);
    shard->now_ns = now_ns;
    shard->now_us = wall_us > shard->now_us ? wall_us : shard->now_us;
}

/* Everything but waiting. Returns the status that fenced the log, or 0. */
static int work(struct shard *shard, uint64_t durable_before)
{
    XD_ASSERT(shard->stage >= STAGE_JOINING);
    take_net_news(shard);
    peers_take(shard);
    check_holders(shard);
    bool progress = log_durable_index(shard->log) != durable_before || shard->peers.returned;
    if (shard->stall_retry_ns != 0 && (progress || shard->now_ns >= shard->stall_retry_ns)) {
        shard->stall_retry_ns = 0;
        net_unstall(shard->net);
    }
    if (shard->stage == STAGE_SERVING)
        take_frames(shard);
    spread_append(shard);
    log_kick(shard->log);
    int fenced = take_durable(shard);
    spread_turn(shard);
    answers_release(shard);
    readers_turn(shard);
    net_tick(shard->net);
    net_flush(shard->net);
    peers_flush(shard);
    lines_take_news(shard);
    lines_memory(shard);
    update_state(shard);
    return fenced < 0 ? fenced : shard->peers.status;
}

/* Remote connections go at once: their homes have all that there was for them. */
static void close_all(struct shard *shard)
{
    for (uint32_t i = 1; i <= shard->options.net.remote_max; i++) {
        net_id id = shard->connections[shard->options.net.connections_max + i].id;
        if (id != 0)
            net_remote_gone(shard->net, id);
    }
    net_close_begin(shard->net);
}

static void stop_further(struct shard *shard)
{
    if (shard->stage != STAGE_STOPPING)
        return;
    bool answered =
        log_fenced(shard->log) != 0 || (list_empty(&shard->waiting) && list_empty(&shard->dirty));
    if ((answered && peers_drain(shard)) || shard->now_ns >= shard->stop_deadline_ns)
        close_all(shard);
    peers_flush(shard);
    if (log_closed(shard->log) && net_closed(shard->net))
        shard->stage = STAGE_STOPPED;
    XD_ASSERT(shard->stage != STAGE_STOPPED || log_fenced(shard->log) != 0 ||
              shard->waiting_count == 0);
}

int shard_turn(struct shard *shard, uint64_t wait_until_ns)
{
    XD_ASSERT(shard->stage >= STAGE_JOINING);
    uint64_t deadline = next_deadline(shard, wait_until_ns);
    if (!peers_sleep(shard))
        deadline = 0; /* a message has come */
    int count = env_wait(shard->env, shard->events, SHARD_EVENTS_MAX, deadline);
    peers_wake(shard);
    if (count < 0)
        return count;
    read_clocks(shard);
    uint64_t durable_before = log_durable_index(shard->log);
    take_events(shard, (uint32_t)count);
    int fenced = work(shard, durable_before);
    stop_further(shard);
    latency_window_note(&shard->recent, shard->counters.latency, shard->now_ns);
    counters_add(&shard->counters, COUNTER_loop_turns, 1);
    counters_max(&shard->counters, COUNTER_loop_ns_max,
                 env_now_mono_ns(shard->env) - shard->now_ns);
    return fenced < 0 ? fenced : count;
}

/* ---- stop ---------------------------------------------------------------------------------- */

static void send_goaway(struct shard *shard, net_id conn)
{
    uint8_t *out = net_out_reserve(shard->net, conn, XD_FRAME_HEADER_BYTES);
    if (out == NULL)
        return; /* gone, or not reading: it will notice the close */
    struct xd_frame frame = {.op = XD_OP_GOAWAY, .version = 1, .flags = XD_FRAME_PUSH};
    xd_frame_encode(&frame, out);
    net_out_commit(shard->net, conn, XD_FRAME_HEADER_BYTES);
}

void shard_stop(struct shard *shard)
{
    if (shard->stage >= STAGE_STOPPING)
        return;
    XD_ASSERT(shard->stage == STAGE_SERVING);
    read_clocks(shard);
    shard->stage = STAGE_STOPPING;
    shard->stop_deadline_ns = shard->now_ns + DRAIN_NS;
    for (uint32_t i = 1; i <= shard->options.net.connections_max; i++)
        if (shard->connections[i].greeted)
            send_goaway(shard, shard->connections[i].id);
    log_close_begin(shard->log);
}

bool shard_stopped(const struct shard *shard)
{
    return shard->stage == STAGE_STOPPED;
}

bool shard_closable(const struct shard *shard)
{
    return shard->stage == STAGE_OPENED || shard->stage == STAGE_STOPPED;
}

void shard_close(struct shard *shard)
{
    if (shard != NULL)
        log_deinit(shard->log);
}

/* ---- inspection ---------------------------------------------------------------------------- */

const struct counters *shard_counters(const struct shard *shard)
{
    return &shard->counters;
}

enum admin_state shard_sample(struct shard *shard, struct metrics_sample *ret_sample)
{
    struct admin_view view;
    admin_view_of(shard, &view);
    metrics_sample_take(&view, ret_sample);
    return shard->state;
}

uint32_t shard_status_json(struct shard *shard, char *out, uint32_t out_bytes)
{
    struct admin_view view;
    struct admin_result result = {0};
    struct xd_admin_request request = {.verb = {"status", 6}};
    char detail[XD_DETAIL_BYTES_MAX];
    admin_view_of(shard, &view);
    int status = admin_run(&view, &request, out, out_bytes, &result, detail);
    XD_ASSERT(status == 0);
    return result.json_bytes;
}

uint64_t shard_state_bytes_max(const struct shard *shard)
{
    return fold_bytes_max(&shard->options);
}

uint64_t shard_state_save(struct shard *shard, uint8_t *out, uint64_t out_bytes)
{
    XD_ASSERT(out_bytes >= shard_state_bytes_max(shard));
    return shard_catalog_settled(shard) ? fold_save(shard, out, out_bytes) : 0;
}
