/* SPDX-License-Identifier: Apache-2.0
 *
 * The shard's life and its turn. What a turn does with a frame is in the on_*.c files.
 *
 * Start: memory is carved, the log opened, its checkpoint loaded and its tail folded; then the
 * start-up topics are appended to a new log; then addresses are bound. Turn: events, frames, block,
 * fold, answers, readers, sends; see shard_turn. Stop: no new connections; what is in flight
 * becomes durable and is answered; the log is marked. Fence: shard_turn returns the status; nothing
 * has been acknowledged since.
 */
#include "broker/shard/shard.h"

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

void shard_options_init(struct shard_options *options)
{
    memset(options, 0, sizeof *options);
    log_options_init(&options->log);
    net_options_init(&options->net);
    options->sessions = (struct session_options){.channels_max = 4096, .chains_max = 8192};
    options->facilities_max = 1024;
    options->partitions_max = 16384;
    options->acks_max = 65536;
    options->waiters_max = 4096;
    options->connection_bytes = 8u * 1024 * 1024;
    options->stall_ms = 2000;
    options->default_durability = XD_DURABILITY_FSYNC;
    options->version = "";
    options->commit = "";
    options->config_json = "{}";
}

/* What the modules are given follows from the shard's own limits. */
static struct shard_options derived(const struct shard_options *options)
{
    struct shard_options all = *options;
    all.log.partitions_max = options->partitions_max;
    all.log.checkpoint_bytes_max = fold_bytes_max(options);
    return all;
}

uint64_t shard_bytes_needed(const struct shard_options *options)
{
    struct shard_options all = derived(options);
    return sizeof(struct shard) + log_bytes_needed(&all.log) + net_bytes_needed(&all.net) +
           catalog_bytes_needed(all.facilities_max, all.partitions_max) +
           session_bytes_needed(&all.sessions) + answers_bytes_needed(&all) +
           readers_bytes_needed(&all) + SHARD_EVENTS_MAX * sizeof(struct env_event) +
           XD_BATCH_RAW_BYTES_MAX + XD_ADMIN_REPLY_BYTES_MAX +
           SHARD_LINES * sizeof(struct shard_line) + 16 * 4096;
}

/* ---- connections --------------------------------------------------------------------------- */

struct connection *shard_connection(struct shard *shard, net_id conn)
{
    struct connection *connection = &shard->connections[net_slot(conn)];
    return connection->id == conn ? connection : NULL;
}

static void connection_open(struct shard *shard, net_id conn)
{
    struct connection *connection = &shard->connections[net_slot(conn)];
    XD_ASSERT(connection->id == 0);
    memset(connection, 0, sizeof *connection);
    connection->id = conn;
    list_init(&connection->ready);
}

/* Channels that it held stay open for nobody; a reconnecting client attaches again. */
static void connection_gone(struct shard *shard, net_id conn)
{
    struct connection *connection = shard_connection(shard, conn);
    XD_ASSERT(connection != NULL);
    answers_forget(shard, connection);
    if (connection->waiters > 0)
        readers_forget(shard, conn);
    for (uint32_t i = 0; i < shard->sessions.channel_count; i++)
        if (shard->holders[i] == conn)
            shard->holders[i] = 0;
    connection->id = 0;
}

static void take_net_news(struct shard *shard)
{
    struct net_news news;
    char text[SHARD_LINE_BYTES_MAX];
    while (net_news_next(shard->net, &news)) {
        if (news.kind == NET_NEWS_ACCEPTED) {
            connection_open(shard, (net_id)news.a);
        } else if (news.kind == NET_NEWS_CLOSED) {
            connection_gone(shard, (net_id)news.a);
            if (news.b == NET_CLOSE_PEER || news.b == NET_CLOSE_ERROR)
                continue;
            snprintf(text, sizeof text, "slot=%u reason=%s", net_slot((net_id)news.a),
                     net_close_reason_name((enum net_close_reason)news.b));
            lines_say(shard, false, "connection_closed", text);
        } else {
            lines_say(shard, true, "connection_refused", "reason=connections_max");
        }
    }
}

/* ---- open ---------------------------------------------------------------------------------- */

static int init_tables(struct shard *shard)
{
    struct arena *arena = &shard->arena;
    arena_budget(arena, "shard");
    shard->events = arena_alloc(arena, SHARD_EVENTS_MAX * sizeof(struct env_event), 64);
    shard->scratch = arena_alloc(arena, XD_BATCH_RAW_BYTES_MAX, 4096);
    shard->json = arena_alloc(arena, XD_ADMIN_REPLY_BYTES_MAX, 4096);
    shard->lines = arena_alloc(arena, SHARD_LINES * sizeof(struct shard_line), 64);
    if (shard->events == NULL || shard->scratch == NULL || shard->json == NULL ||
        shard->lines == NULL)
        return -ENOMEM;
    ring_init(&shard->lines_ring, SHARD_LINES);
    int status = catalog_init(&shard->catalog, arena, shard->options.facilities_max,
                              shard->options.partitions_max);
    if (status == 0)
        status =
            session_init(&shard->sessions, arena, &shard->options.sessions, env_rand64(shard->env));
    if (status == 0)
        status = answers_init(shard);
    if (status == 0)
        status = readers_init(shard);
    if (status == 0)
        status = net_init(shard->env, arena, &shard->counters, &shard->options.net, &shard->net);
    return status;
}

int shard_open(struct env *env, void *memory, uint64_t memory_bytes,
               const struct shard_options *options, struct shard **ret_shard, char *why)
{
    struct arena arena;
    arena_init(&arena, memory, memory_bytes);
    struct shard *shard = arena_alloc(&arena, sizeof *shard, 64);
    if (shard == NULL) {
        snprintf(why, XD_DETAIL_BYTES_MAX, "memory: %" PRIu64 " bytes are too few", memory_bytes);
        return -ENOMEM;
    }
    memset(shard, 0, sizeof *shard);
    shard->arena = arena;
    shard->env = env;
    shard->options = derived(options);
    *ret_shard = shard;

    int status = init_tables(shard);
    if (status < 0) {
        snprintf(why, XD_DETAIL_BYTES_MAX, "memory: the budgets do not fit %" PRIu64 " bytes",
                 memory_bytes);
        return status;
    }
    const uint8_t *state;
    uint64_t state_bytes;
    status = log_open(env, &shard->arena, &shard->counters, &shard->options.log, &shard->log,
                      &state, &state_bytes, why);
    if (status == 0 && state != NULL)
        status = fold_load(shard, state, state_bytes, why);
    return status;
}

/* Entries folded per step, so that progress can be told. */
#define RECOVER_ENTRIES 4096

int shard_recover_step(struct shard *shard, char *why)
{
    XD_ASSERT(shard->stage == STAGE_OPENED);
    struct log_entry entry;
    for (uint32_t i = 0; i < RECOVER_ENTRIES; i++) {
        int status = log_recover_next(shard->log, &entry, why);
        if (status < 0)
            return status;
        if (status == 1) {
            status = fold_entry(shard, &entry, why);
            if (status < 0)
                return status;
            continue;
        }
        status = log_recover_end(shard->log, why);
        if (status < 0)
            return status;
        arena_seal(&shard->arena);
        shard->ready_ns = env_now_mono_ns(shard->env);
        shard->stage = STAGE_RECOVERED;
        lines_take_news(shard);
        return 0;
    }
    return 1;
}

uint32_t shard_recover_percent(const struct shard *shard)
{
    return shard->stage == STAGE_OPENED ? log_recover_percent(shard->log) : 100;
}

/* Topics of a new data folder. They become durable with the first block. */
static int make_topics(struct shard *shard, char *why)
{
    if (shard->catalog.topic_count > 0)
        return 0;
    for (uint32_t i = 0; i < shard->options.topic_count; i++) {
        const struct shard_topic *topic = &shard->options.topics[i];
        struct xd_text name = {topic->name, (uint32_t)strlen(topic->name)};
        struct control_config entry;
        uint64_t index;
        int status =
            catalog_plan_topic(&shard->catalog, name, topic->strategy, topic->width, &entry);
        if (status == 0)
            continue;
        if (status == 1)
            status = fold_append_control(shard, CONTROL_CONFIG, &entry, sizeof entry, &index);
        const char *reason = "";
        if (status == 0)
            status = catalog_take(&shard->catalog, &entry, index, &reason);
        if (status < 0) {
            snprintf(why, XD_DETAIL_BYTES_MAX, "start-up topic '%s': %s", topic->name,
                     xd_status_text(status));
            return status;
        }
    }
    return 0;
}

int shard_listen(struct shard *shard, char (*ret_addresses)[ENV_ADDRESS_BYTES_MAX], char *why)
{
    XD_ASSERT(shard->stage == STAGE_RECOVERED);
    shard->now_us = env_now_wall_us(shard->env);
    int status = make_topics(shard, why);
    if (status < 0)
        return status;
    for (uint32_t i = 0; i < shard->options.address_count; i++) {
        status = net_listen(shard->net, shard->options.addresses[i], ret_addresses[i]);
        if (status < 0) {
            snprintf(why, XD_DETAIL_BYTES_MAX, "cannot listen on %s: %s",
                     shard->options.addresses[i], xd_status_text(status));
            return status;
        }
    }
    shard->stage = STAGE_SERVING;
    return 0;
}

/* ---- turn ---------------------------------------------------------------------------------- */

typedef int (*frame_handler)(struct shard *shard, const struct net_frame *frame);

static frame_handler handler_of(uint16_t op)
{
    switch ((enum xd_op)op) {
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
    if (connection == NULL)
        return 0; /* closed while its frame waited */
    if (frame->head.flags != 0 || (row != NULL && row->direction == XD_DIRECTION_PUSH))
        return -ECONNABORTED;
    if (!connection->greeted && (row == NULL || !row->before_hello))
        return refuse_frame(shard, frame, XD_HELLO_REQUIRED, "send HELLO first");
    if (row == NULL)
        return refuse_frame(shard, frame, XD_OP_UNKNOWN, "op: see docs/PROTOCOL.md");
    if (frame->head.version > row->version)
        return refuse_frame(shard, frame, XD_FORMAT_UNKNOWN,
                            "version: newer than this broker reads");
    return handler_of(frame->head.op)(shard, frame);
}

static void take_frames(struct shard *shard)
{
    struct net_frame frame;
    for (uint32_t i = 0; i < SHARD_FRAMES_MAX && net_frame_next(shard->net, &frame) == 1; i++) {
        int status = dispatch(shard, &frame);
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

/* Hands events on. Returns those that are not the shard's. */
static uint32_t take_events(struct shard *shard, uint32_t count, struct env_event *ret_foreign,
                            uint32_t foreign_max)
{
    uint32_t foreign = 0;
    for (uint32_t i = 0; i < count; i++) {
        const struct env_event *event = &shard->events[i];
        enum env_owner owner = env_token_owner(event->token);
        if (owner == ENV_OWNER_LOG)
            log_done(shard->log, event);
        else if (owner == ENV_OWNER_NET)
            net_done(shard->net, event);
        else if (foreign < foreign_max)
            ret_foreign[foreign++] = *event;
    }
    return foreign;
}

/* A checkpoint may not hold catalog entries that a crash could still take away. */
static bool catalog_settled(const struct shard *shard)
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
    if (catalog_settled(shard) && log_checkpoint_due(shard->log)) {
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

static void read_clocks(struct shard *shard)
{
    int64_t wall_us = env_now_wall_us(shard->env);
    shard->now_ns = env_now_mono_ns(shard->env);
    shard->now_us = wall_us > shard->now_us ? wall_us : shard->now_us;
}

/* Everything but waiting. Returns the status that fenced the log, or 0. */
static int work(struct shard *shard, uint64_t durable_before)
{
    take_net_news(shard);
    bool progress = log_durable_index(shard->log) != durable_before;
    if (shard->stall_retry_ns != 0 && (progress || shard->now_ns >= shard->stall_retry_ns)) {
        shard->stall_retry_ns = 0;
        net_unstall(shard->net);
    }
    if (shard->stage == STAGE_SERVING)
        take_frames(shard);
    log_kick(shard->log);
    int fenced = take_durable(shard);
    answers_release(shard);
    readers_turn(shard);
    net_tick(shard->net);
    net_flush(shard->net);
    lines_take_news(shard);
    update_state(shard);
    return fenced;
}

static void stop_further(struct shard *shard)
{
    if (shard->stage != STAGE_STOPPING)
        return;
    bool answered =
        log_fenced(shard->log) != 0 || (list_empty(&shard->waiting) && list_empty(&shard->dirty));
    if (answered || shard->now_ns >= shard->stop_deadline_ns)
        net_close_begin(shard->net);
    if (log_closed(shard->log) && net_closed(shard->net))
        shard->stage = STAGE_STOPPED;
}

int shard_turn(struct shard *shard, uint64_t wait_until_ns, struct env_event *ret_foreign,
               uint32_t foreign_max, uint32_t *ret_foreign_count)
{
    XD_ASSERT(shard->stage >= STAGE_SERVING);
    uint64_t deadline = next_deadline(shard, wait_until_ns);
    int count = env_wait(shard->env, shard->events, SHARD_EVENTS_MAX, deadline);
    if (count < 0)
        return count;
    read_clocks(shard);
    uint64_t durable_before = log_durable_index(shard->log);
    *ret_foreign_count = take_events(shard, (uint32_t)count, ret_foreign, foreign_max);
    int fenced = work(shard, durable_before);
    stop_further(shard);
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
    return catalog_settled(shard) ? fold_save(shard, out, out_bytes) : 0;
}
