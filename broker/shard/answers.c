/* SPDX-License-Identifier: Apache-2.0
 *
 * Answers that rest on durable ground.
 *
 * Every outcome names the log index it rests on, waits in log sequence until that index is durable
 * (a refusal and a duplicate wait like an append: they were decided over entries that may not
 * survive), then moves to its connection and leaves in one ACK frame per connection and turn, in
 * which runs of successes are merged. "Later, perhaps" (class BACKOFF) rests on index 0, which is
 * nothing: it moves at once, and may overtake.
 *
 * A batch produced at a weaker durability is answered twice: early, when its level is reached, and
 * again when it is durable, because the client keeps it until then.
 *
 * Failure paths: a connection without room keeps its ready answers and is tried again next turn; a
 * connection that is gone loses them. The count of answers is bounded by options.acks_max.
 */
#include "broker/shard/state.h"

#include "broker/base/probes.h"
#include "wire/frame.h"
#include "wire/status.h"
#include "wire/xassert.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* Acks in one frame: together with the texts they fit one output chunk. */
#define ACKS_PER_FRAME 128u
#define DETAIL_BYTES_PER_FRAME 2048u
#define DETAILS_MAX 256u

static_assert(XD_FRAME_HEADER_BYTES + sizeof(struct xd_ack_head) +
                      ACKS_PER_FRAME * sizeof(struct xd_ack) + DETAIL_BYTES_PER_FRAME <=
                  16384,
              "an ack frame fits the smallest output chunk");

static uint64_t connection_slots(const struct shard_options *options)
{
    return options->net.connections_max + (uint64_t)options->net.remote_max + 1;
}

uint64_t answers_bytes_needed(const struct shard_options *options)
{
    return pool_bytes(sizeof(struct answer), options->acks_max) +
           pool_bytes(XD_DETAIL_BYTES_MAX, DETAILS_MAX) +
           connection_slots(options) * sizeof(struct connection) +
           options->sessions.channels_max * sizeof(net_id) + 4 * 64;
}

int answers_init(struct shard *shard)
{
    const struct shard_options *options = &shard->options;
    struct arena *arena = &shard->arena;
    size_t answers_bytes = pool_bytes(sizeof(struct answer), options->acks_max);
    size_t details_bytes = pool_bytes(XD_DETAIL_BYTES_MAX, DETAILS_MAX);
    arena_budget(arena, "answers");
    XD_ASSERT(options->acks_max >= 2); /* a batch takes two */
    void *answers = arena_alloc(arena, answers_bytes, 64);
    void *details = arena_alloc(arena, details_bytes, 64);
    shard->connections =
        arena_alloc(arena, connection_slots(options) * sizeof(struct connection), 64);
    shard->holders = arena_alloc(arena, options->sessions.channels_max * sizeof(net_id), 64);
    if (answers == NULL || details == NULL || shard->connections == NULL || shard->holders == NULL)
        return -ENOMEM;
    pool_init(&shard->answers, answers, answers_bytes, sizeof(struct answer), options->acks_max);
    pool_init(&shard->details, details, details_bytes, XD_DETAIL_BYTES_MAX, DETAILS_MAX);
    list_init(&shard->waiting);
    list_init(&shard->written);
    list_init(&shard->spreading);
    list_init(&shard->dirty);
    return 0;
}

/* A batch at a weaker level takes two. */
bool answers_room(const struct shard *shard)
{
    return pool_free_count(&shard->answers) >= 2;
}

static struct answer *answer_new(struct shard *shard, const struct answer *from)
{
    struct answer *answer = pool_acquire(&shard->answers);
    XD_ASSERT(answer != NULL);
    *answer = *from;
    answer->link = (struct list_node){NULL, NULL};
    return answer;
}

static void answer_free(struct shard *shard, struct answer *answer)
{
    XD_ASSERT(!list_linked(&answer->link));
    XD_ASSERT(answer->detail <= DETAILS_MAX);
    if (answer->detail != 0)
        pool_release(&shard->details, pool_at(&shard->details, answer->detail - 1u));
    pool_release(&shard->answers, answer);
}

/* Hands an answer to its connection, or drops it when that is gone. */
static void answer_ready(struct shard *shard, struct answer *answer)
{
    struct connection *connection = shard_connection(shard, answer->conn);
    if (connection == NULL) {
        answer_free(shard, answer);
        return;
    }
    XD_ASSERT(connection->greeted && connection->unanswered_bytes >= answer->bytes);
    XD_ASSERT(connection->dirty == list_linked(&connection->dirty_link));
    list_push_back(&connection->ready, &answer->link);
    if (!connection->dirty) {
        connection->dirty = true;
        list_push_back(&shard->dirty, &connection->dirty_link);
    }
}

/* What an answer rests on is the newest entry, so that the list stays in log sequence. A duplicate
 * names the entry of its original and waits for the newest one as well. */
static bool answer_rests_well(const struct shard *shard, const struct answer *answer)
{
    uint64_t newest = log_last_index(shard->log);
    if (answer->kind != ANSWER_ACK)
        return answer->log_index == newest;
    XD_ASSERT(answer->ack.log_index == answer->log_index);
    if (answer->ack.status == XD_DUPLICATE) {
        XD_ASSERT(answer->log_index > 0);
        return answer->log_index <= newest;
    }
    if (answer->ack.status < 0 && xd_status_class(answer->ack.status) == XD_CLASS_BACKOFF)
        return answer->log_index == 0;
    return answer->log_index == newest;
}

void answers_wait(struct shard *shard, const struct answer *template)
{
    XD_ASSERT(answers_room(shard));
    XD_ASSERT(answer_rests_well(shard, template));
    struct answer *answer = answer_new(shard, template);
    if (answer->log_index == 0) {
        answer_ready(shard, answer);
        return;
    }
    list_push_back(&shard->waiting, &answer->link);
    shard->waiting_count++;
    XD_ASSERT(shard->waiting_count <= shard->options.acks_max);
    if (answer->kind != ANSWER_ACK || answer->ack.status != 0 ||
        answer->durability == XD_DURABILITY_FSYNC)
        return;

    struct answer *early = answer_new(shard, template);
    early->kind = ANSWER_ACK_EARLY;
    early->bytes = 0;
    early->detail = 0;
    early->ack.durability = early->durability;
    XD_ASSERT(early->durability < XD_DURABILITY_COUNT);
    if (early->durability == XD_DURABILITY_WRITTEN)
        list_push_back(&shard->written, &early->link);
    else
        answer_ready(shard, early);
}

void answers_stamp(struct shard *shard, uint64_t log_index, uint64_t since_ns)
{
    struct stamp *stamp = &shard->stamps[log_index % SHARD_STAMPS];
    XD_ASSERT(since_ns <= shard->now_ns);
    if (stamp->log_index == log_index)
        return; /* its first batch was there before */
    XD_ASSERT(stamp->log_index <= shard->timed_index);
    *stamp = (struct stamp){.log_index = log_index, .since_ns = since_ns};
}

uint64_t answers_oldest_ns(const struct shard *shard)
{
    uint64_t last = log_last_index(shard->log);
    if (list_empty(&shard->waiting))
        return 0;
    for (uint64_t index = last >= SHARD_STAMPS ? last - SHARD_STAMPS + 1 : 1; index <= last;
         index++) {
        const struct stamp *stamp = &shard->stamps[index % SHARD_STAMPS];
        if (index > shard->timed_index && stamp->log_index == index)
            return shard->now_ns - stamp->since_ns;
    }
    return 0; /* no batch: only opens, closes and changes of the catalog wait */
}

/* What the blocks up to `durable` took from their first frame on, now that their answers are
 * queued. */
static void take_times(struct shard *shard, uint64_t durable, bool answered)
{
    if (durable == shard->timed_index)
        return;
    uint64_t now_ns = env_now_mono_ns(shard->env);
    uint64_t from = shard->timed_index + 1;
    XD_ASSERT(durable > shard->timed_index && now_ns >= shard->now_ns);
    if (durable - shard->timed_index > SHARD_STAMPS)
        from = durable - SHARD_STAMPS + 1; /* recovered: nobody waited */
    for (uint64_t index = from; index <= durable; index++) {
        const struct stamp *stamp = &shard->stamps[index % SHARD_STAMPS];
        if (stamp->log_index == index)
            counters_time(&shard->counters, LATENCY_produce_duration_ns, now_ns - stamp->since_ns);
    }
    if (answered)
        counters_time(&shard->counters, LATENCY_reply_duration_ns, now_ns - shard->now_ns);
    shard->timed_index = durable;
}

uint16_t answers_detail(struct shard *shard, const char *text)
{
    char *detail = pool_acquire(&shard->details);
    if (detail == NULL)
        return 0;
    XD_ASSERT(pool_index(&shard->details, detail) < DETAILS_MAX);
    snprintf(detail, XD_DETAIL_BYTES_MAX, "%s", text);
    return (uint16_t)(pool_index(&shard->details, detail) + 1);
}

/* ---- one ACK frame ------------------------------------------------------------------------- */

static bool is_ack(const struct answer *answer)
{
    return answer->kind == ANSWER_ACK || answer->kind == ANSWER_ACK_EARLY;
}

static const char *detail_of(const struct shard *shard, const struct answer *answer)
{
    return answer->detail == 0 ? "" : pool_at(&shard->details, answer->detail - 1u);
}

/* True when `ack` could be added to the run that `run` covers. */
static bool ack_continues(const struct xd_ack *run, const struct xd_ack *ack)
{
    return run->status == 0 && ack->status == 0 && run->producer_id == ack->producer_id &&
           run->partition == ack->partition && run->durability == ack->durability &&
           run->base_offset + run->record_count == ack->base_offset &&
           run->last_sequence < ack->first_sequence;
}

static void ack_extend(struct xd_ack *run, const struct xd_ack *ack)
{
    XD_ASSERT(run->log_index <= ack->log_index);
    run->last_sequence = ack->last_sequence;
    run->record_count += ack->record_count;
    run->log_index = ack->log_index;
}

/* Writes as many ready acks of the connection as one frame takes. False: no room. */
static bool write_acks(struct shard *shard, struct connection *connection)
{
    uint8_t *out = net_out_reserve(shard->net, connection->id, 16384);
    if (out == NULL)
        return false;
    struct xd_ack_head head = {.catalog_epoch = shard->catalog.epoch};
    struct xd_ack *acks =
        (struct xd_ack *)(void *)(out + XD_FRAME_HEADER_BYTES + sizeof(struct xd_ack_head));
    char details[DETAIL_BYTES_PER_FRAME];
    uint64_t durable = log_durable_index(shard->log);
    uint32_t details_bytes = 0;
    struct list_node *node;
    while ((node = list_first(&connection->ready)) != NULL && head.ack_count < ACKS_PER_FRAME) {
        struct answer *answer = LIST_ELEMENT(node, struct answer, link);
        const char *detail = detail_of(shard, answer);
        uint32_t detail_bytes = (uint32_t)strlen(detail);
        if (!is_ack(answer) || details_bytes + detail_bytes > DETAIL_BYTES_PER_FRAME)
            break;
        struct xd_ack *run = head.ack_count > 0 ? &acks[head.ack_count - 1] : NULL;
        if (run != NULL && ack_continues(run, &answer->ack) &&
            !env_buggify(shard->env, ENV_BUGGIFY_ACK_SPLIT)) {
            ack_extend(run, &answer->ack);
        } else {
            answer->ack.detail_bytes = (uint16_t)detail_bytes;
            acks[head.ack_count++] = answer->ack;
            memcpy(details + details_bytes, detail, detail_bytes);
            details_bytes += detail_bytes;
        }
        XD_ASSERT(answer->conn == connection->id);
        XD_ASSERT(answer->kind == ANSWER_ACK_EARLY || answer->log_index <= durable);
        XD_ASSERT(connection->unanswered_bytes >= answer->bytes);
        connection->unanswered_bytes -= answer->bytes;
        connection->acked_bytes += answer->bytes;
        list_remove(node);
        answer_free(shard, answer);
    }
    XD_ASSERT(head.ack_count > 0 && details_bytes <= DETAIL_BYTES_PER_FRAME);
    head.acked_bytes = connection->acked_bytes;
    memcpy(out + XD_FRAME_HEADER_BYTES, &head, sizeof head);
    memcpy(acks + head.ack_count, details, details_bytes);
    uint32_t body_bytes =
        (uint32_t)(sizeof head + head.ack_count * sizeof(struct xd_ack)) + details_bytes;
    struct xd_frame frame = {
        .length = body_bytes, .op = XD_OP_ACK, .version = 1, .flags = XD_FRAME_PUSH};
    xd_frame_encode(&frame, out);
    net_out_commit(shard->net, connection->id, XD_FRAME_HEADER_BYTES + body_bytes);
    PROBE_ACK_SENT(connection->id, head.ack_count, XD_FRAME_HEADER_BYTES + body_bytes,
                   acks[head.ack_count - 1].log_index);
    return true;
}

/* ---- replies ------------------------------------------------------------------------------- */

bool answers_reply(struct shard *shard, net_id conn, uint16_t op, uint64_t correlation, int status,
                   uint64_t log_index, const char *detail, const void *body, uint32_t body_bytes)
{
    uint32_t room = XD_FRAME_HEADER_BYTES + (uint32_t)sizeof(struct xd_reply_head) +
                    XD_DETAIL_BYTES_MAX + 8u + body_bytes;
    uint8_t *out = net_out_reserve(shard->net, conn, room);
    XD_ASSERT(log_index <= log_durable_index(shard->log));
    if (out == NULL)
        return false;
    struct xd_reply_head head = {
        .status = status, .log_index = log_index, .catalog_epoch = shard->catalog.epoch};
    if (status < 0 && xd_status_class(status) == XD_CLASS_BACKOFF)
        head.retry_after_ms = 100;
    int head_bytes =
        xd_reply_encode(&head, detail, out + XD_FRAME_HEADER_BYTES, room - XD_FRAME_HEADER_BYTES);
    XD_ASSERT(head_bytes > 0);
    if (body_bytes > 0)
        memcpy(out + XD_FRAME_HEADER_BYTES + head_bytes, body, body_bytes);
    struct xd_frame frame = {.length = (uint32_t)head_bytes + body_bytes,
                             .op = op,
                             .version = 1,
                             .flags = XD_FRAME_REPLY,
                             .correlation = correlation};
    xd_frame_encode(&frame, out);
    net_out_commit(shard->net, conn, XD_FRAME_HEADER_BYTES + frame.length);
    return true;
}

uint8_t *answers_large(struct shard *shard, net_id conn)
{
    return net_large_room(shard->net, conn) ? net_large_acquire(shard->net) : NULL;
}

void answers_send_large(struct shard *shard, net_id conn, uint16_t op, uint64_t correlation,
                        uint64_t log_index, uint8_t *large, uint32_t body_bytes)
{
    struct xd_reply_head head = {.log_index = log_index, .catalog_epoch = shard->catalog.epoch};
    struct xd_frame frame = {.length = (uint32_t)sizeof head + body_bytes,
                             .op = op,
                             .version = 1,
                             .flags = XD_FRAME_REPLY,
                             .correlation = correlation};
    XD_ASSERT(body_bytes <= net_large_bytes(shard->net) - ANSWERS_BODY_AT);
    XD_ASSERT(log_index <= log_durable_index(shard->log));
    xd_frame_encode(&frame, large);
    memcpy(large + XD_FRAME_HEADER_BYTES, &head, sizeof head);
    net_large_send(shard->net, conn, large, ANSWERS_BODY_AT + body_bytes);
}

int answers_refuse(struct shard *shard, const struct net_frame *frame, int status,
                   const char *detail)
{
    XD_ASSERT(status < 0);
    bool written = answers_reply(shard, frame->conn, frame->head.op, frame->head.correlation,
                                 status, 0, detail, NULL, 0);
    return written ? 0 : -EAGAIN;
}

/* Writes one ready answer that is not an ack. False: no room. */
static bool write_reply(struct shard *shard, const struct answer *answer)
{
    XD_ASSERT(answer->log_index > 0 && answer->log_index <= log_durable_index(shard->log));
    if (answer->kind == ANSWER_OPEN)
        return session_answer_open(shard, answer);
    if (answer->kind == ANSWER_CLOSE)
        return answers_reply(shard, answer->conn, XD_OP_PRODUCER_CLOSE, answer->correlation, 0,
                             answer->log_index, "", NULL, 0);
    return admin_answer_config(shard, answer);
}

static void connection_write(struct shard *shard, struct connection *connection)
{
    struct list_node *node;
    XD_ASSERT(connection->id != 0 && connection->dirty);
    while ((node = list_first(&connection->ready)) != NULL) {
        struct answer *answer = LIST_ELEMENT(node, struct answer, link);
        if (is_ack(answer)) {
            if (!write_acks(shard, connection))
                return;
            continue;
        }
        if (!write_reply(shard, answer))
            return;
        list_remove(node);
        answer_free(shard, answer);
    }
    connection->dirty = false;
    list_remove(&connection->dirty_link);
}

static bool is_duplicate(const struct answer *answer)
{
    return answer->kind == ANSWER_ACK && answer->ack.status == XD_DUPLICATE;
}

/* A change of the catalog is answered when all shards have it. */
static void release_spread(struct shard *shard)
{
    struct list_node *node;
    while ((node = list_first(&shard->spreading)) != NULL) {
        struct answer *answer = LIST_ELEMENT(node, struct answer, link);
        if (!spread_reached(shard, answer->epoch))
            return;
        list_remove(node);
        answer_ready(shard, answer);
    }
}

void answers_release(struct shard *shard)
{
    struct list_node *node;
    uint64_t durable = log_durable_index(shard->log);
    uint64_t written = log_written_index(shard->log);
    while ((node = list_first(&shard->written)) != NULL) {
        struct answer *answer = LIST_ELEMENT(node, struct answer, link);
        if (answer->log_index > written)
            break;
        list_remove(node);
        answer_ready(shard, answer);
    }
    uint64_t newest = 0; /* index of the newest answer released in this turn */
    bool reached = false;
    while ((node = list_first(&shard->waiting)) != NULL) {
        struct answer *answer = LIST_ELEMENT(node, struct answer, link);
        if (answer->log_index > durable)
            break;
        if (!reached)
            env_crash_point(shard->env, ENV_CRASH_BLOCK_DURABLE);
        reached = true;
        XD_ASSERT(shard->waiting_count > 0);
        XD_ASSERT(answer->log_index >= newest || is_duplicate(answer));
        newest = is_duplicate(answer) ? newest : answer->log_index;
        list_remove(node);
        shard->waiting_count--;
        if (answer->kind == ANSWER_CONFIG)
            list_push_back(&shard->spreading, node);
        else
            answer_ready(shard, answer);
    }
    release_spread(shard);
    XD_ASSERT(durable <= written && written <= log_last_index(shard->log));
    XD_ASSERT(list_empty(&shard->waiting) == (shard->waiting_count == 0));
    for (node = list_first(&shard->dirty); node != NULL;) {
        struct connection *connection = LIST_ELEMENT(node, struct connection, dirty_link);
        node = list_next(&shard->dirty, node);
        connection_write(shard, connection);
    }
    take_times(shard, durable, reached);
}

void answers_forget(struct shard *shard, struct connection *connection)
{
    struct list_node *node;
    while ((node = list_pop_front(&connection->ready)) != NULL)
        answer_free(shard, LIST_ELEMENT(node, struct answer, link));
    if (connection->dirty) {
        connection->dirty = false;
        list_remove(&connection->dirty_link);
    }
    XD_ASSERT(!list_linked(&connection->dirty_link));
}
