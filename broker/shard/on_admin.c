/* SPDX-License-Identifier: Apache-2.0
 *
 * ADMIN: verbs with JSON. Reading verbs are answered at once; a verb that changes the catalog
 * appends its entry, takes effect for later verdicts, and is answered when the entry is durable.
 */
#include "broker/shard/state.h"

#include "wire/status.h"
#include "wire/xassert.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

static_assert((int)ADMIN_MEMORY_THROTTLED == (int)NET_MEMORY_THROTTLED &&
                  (int)ADMIN_MEMORY_REFUSING == (int)NET_MEMORY_REFUSING &&
                  (int)ADMIN_MEMORY_COUNT == (int)NET_MEMORY_COUNT,
              "one numbering");

void admin_view_of(struct shard *shard, struct admin_view *ret_view)
{
    *ret_view = (struct admin_view){.env = shard->env,
                                    .log = shard->log,
                                    .catalog = &shard->catalog,
                                    .sessions = &shard->sessions,
                                    .counters = &shard->counters,
                                    .recent = &shard->recent,
                                    .arena = &shard->arena,
                                    .config_json = shard->options.config_json,
                                    .version = shard->options.version,
                                    .commit = shard->options.commit,
                                    .started_mono_ns = shard->ready_ns,
                                    .connections = net_connections(shard->net),
                                    .readers_waiting = shard->waiters_count,
                                    .connections_limit = shard->options.net.connections_max -
                                                         shard->options.net.unix_reserve,
                                    .memory_state = net_memory(shard->net),
                                    .acks_waiting = shard->waiting_count,
                                    .ack_oldest_ns = answers_oldest_ns(shard),
                                    .disk_low_bytes = shard->options.log.disk_low_bytes,
                                    .shard = shard->options.log.shard,
                                    .shard_count = shard->options.log.shard_count,
                                    .cluster_id = shard->cluster_id,
                                    .default_durability = shard->options.default_durability,
                                    .state = shard->state};
}

/* A reply of any length: through a large buffer. False: none is free. */
static bool reply_json(struct shard *shard, net_id conn, uint64_t correlation, uint64_t log_index,
                       const char *json, uint32_t json_bytes)
{
    uint8_t *large = answers_large(shard, conn);
    if (large == NULL)
        return false;
    memcpy(large + ANSWERS_BODY_AT, json, json_bytes);
    answers_send_large(shard, conn, XD_OP_ADMIN, correlation, log_index, large, json_bytes);
    return true;
}

bool admin_answer_config(struct shard *shard, const struct answer *answer)
{
    struct admin_view view;
    admin_view_of(shard, &view);
    uint32_t bytes =
        admin_render_entry(&view, &answer->config, shard->json, XD_ADMIN_REPLY_BYTES_MAX);
    XD_ASSERT(answer->kind == ANSWER_CONFIG);
    XD_ASSERT(bytes > 0 && bytes <= XD_ADMIN_REPLY_BYTES_MAX);
    return reply_json(shard, answer->conn, answer->correlation, answer->log_index, shard->json,
                      bytes);
}

/* Appends what the verb planned; its answer waits for the entry. */
static int change(struct shard *shard, const struct net_frame *frame,
                  const struct control_config *entry)
{
    struct answer answer = {.kind = ANSWER_CONFIG,
                            .conn = frame->conn,
                            .correlation = frame->head.correlation,
                            .config = *entry};
    if (!answers_room(shard))
        return -EAGAIN;
    int status =
        fold_append_control(shard, CONTROL_CONFIG, entry, sizeof *entry, &answer.log_index);
    if (status == XD_THROTTLED)
        return -EAGAIN;
    if (status < 0)
        return answers_refuse(shard, frame, status, xd_status_text(status));
    const char *why = "";
    status = catalog_take(&shard->catalog, entry, answer.log_index, &why);
    XD_ASSERT(status == 0);
    /* Less: the object was there already; this entry is only what its answer waits for. */
    XD_ASSERT(shard->catalog.pending_index <= answer.log_index);
    answer.epoch = (uint32_t)shard->catalog.epoch;
    answers_wait(shard, &answer);
    return 0;
}

int on_admin(struct shard *shard, const struct net_frame *frame)
{
    const uint8_t *payload = net_frame_linear(shard->net, frame);
    struct xd_admin_request request;
    const char *field = "";
    char detail[XD_DETAIL_BYTES_MAX] = "";
    int status = xd_admin_decode(payload, frame->head.length, &request, &field);
    if (status < 0)
        return answers_refuse(shard, frame, status, field);

    struct admin_view view;
    struct admin_result result;
    admin_view_of(shard, &view);
    status = admin_run(&view, &request, shard->json, XD_ADMIN_REPLY_BYTES_MAX, &result, detail);
    if (status < 0)
        return answers_refuse(shard, frame, status, detail);
    XD_ASSERT(result.append || result.json_bytes <= XD_ADMIN_REPLY_BYTES_MAX);
    if (result.append)
        return change(shard, frame, &result.entry);
    return reply_json(shard, frame->conn, frame->head.correlation, log_durable_index(shard->log),
                      shard->json, result.json_bytes)
               ? 0
               : -EAGAIN;
}
