/* SPDX-License-Identifier: Apache-2.0
 *
 * Verbs on the broker as a whole: status, health, configuration, log, and the verbs themselves.
 */
#include "broker/admin/verbs.h"
#include "wire/status.h"
#include "wire/xassert.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static const char *sync_name(enum log_sync sync)
{
    static const char *const names[] = {"auto", "dsync", "fdatasync"};
    static_assert(sizeof names / sizeof names[0] == LOG_SYNC_COUNT, "one name per method");
    XD_ASSERT(sync < LOG_SYNC_COUNT);
    return names[sync];
}

static const char *durability_name(enum xd_durability durability)
{
    static const char *const names[] = {"fsync", "written", "memory"};
    static_assert(sizeof names / sizeof names[0] == XD_DURABILITY_COUNT, "one name per level");
    XD_ASSERT(durability < XD_DURABILITY_COUNT);
    return names[durability];
}

static void log_members(struct writer *out, struct log *log)
{
    struct log_stats stats;
    log_stats(log, &stats);
    writer_number(out, "durable_index", log_durable_index(log));
    writer_number(out, "last_index", log_last_index(log));
    writer_number(out, "epoch", stats.epoch);
    writer_string(out, "sync", sync_name(log_sync_mode(log)));
    writer_number(out, "log_bytes", stats.log_bytes);
    writer_number(out, "disk_bytes", stats.disk_bytes);
    writer_number(out, "disk_free_bytes", stats.disk_free_bytes);
    writer_number(out, "disk_size_bytes", stats.disk_total_bytes);
    writer_time(out, "oldest_append_time", stats.oldest_time_us);
    writer_number(out, "segments_full", stats.segments_full);
    writer_number(out, "segments_ready", stats.segments_ready);
    writer_number(out, "segments_preparing", stats.segments_preparing);
    writer_number(out, "segment_first", stats.first_segment_no);
    writer_number(out, "segment_active", stats.active_segment_no);
    writer_number(out, "tail_first_index", stats.tail_first_index);
    writer_number(out, "index_entries", stats.index_entries);
    writer_number(out, "index_entries_max", stats.index_entries_max);
    writer_number(out, "checkpoint_index", stats.checkpoint_index);
    writer_number(out, "checkpoint_generation", stats.checkpoint_generation);
}

int verb_log_stats(struct call *call)
{
    writer_object(call->out, NULL);
    log_members(call->out, call->view->log);
    writer_object_end(call->out);
    return 0;
}

/* ---- status ---------------------------------------------------------------------------------- */

/* What an operator does about a state; NULL when there is nothing to do. */
static const char *next_step(enum admin_state state)
{
    switch (state) {
    case ADMIN_STATE_RUNNING:
        return NULL;
    case ADMIN_STATE_THROTTLING:
        return "producers wait for room: compare acks_waiting, undurable_bytes and sync_ns_max in "
               "'metrics'; a slow disk, log.tail_bytes or log.index_bytes are the usual causes";
    case ADMIN_STATE_READ_ONLY:
        return "free space on the data folder's file system, or lower log.retention_bytes";
    case ADMIN_STATE_FENCED:
        return "look for storage errors in the kernel's log; the broker opens the folder again by "
               "itself, and producers resend what was not acknowledged";
    case ADMIN_STATE_DRAINING:
        return "the broker is stopping; clients connect again when it is back";
    case ADMIN_STATE_COUNT:
        break;
    }
    XD_ASSERT(false);
    return NULL;
}

/* The same about memory for received bytes. */
static const char *memory_step(uint32_t memory)
{
    switch (memory) {
    case ADMIN_MEMORY_NORMAL:
        return NULL;
    case ADMIN_MEMORY_THROTTLED:
        return "memory for received bytes is scarce, senders of large frames wait: "
               "look for clients that send frames slowly, or raise net.receive_buffers";
    case ADMIN_MEMORY_REFUSING:
        return "memory for received bytes is used up, new connections are refused: "
               "look for clients that begin frames and do not end them, or raise "
               "net.receive_buffers";
    default:
        break;
    }
    XD_ASSERT(false);
    return NULL;
}

static void write_uuid(struct writer *out, const uint8_t uuid[16])
{
    char text[33];
    for (uint32_t i = 0; i < 16; i++)
        snprintf(text + 2u * i, 3, "%02x", uuid[i]);
    writer_string(out, "cluster_id", text);
}

static void write_memory(struct writer *out, const struct arena *arena)
{
    const struct arena_budget *budget;
    writer_object(out, "memory");
    writer_number(out, "used_bytes", arena_used(arena));
    writer_number(out, "limit_bytes", arena->bytes);
    writer_object(out, "budgets_bytes");
    for (uint32_t row = 0; (budget = arena_budget_at(arena, row)) != NULL; row++)
        writer_number(out, budget->name, budget->bytes);
    writer_object_end(out);
    writer_object_end(out);
}

/* What a stage's values did not exceed, in whole us; null = longer than the largest bound. */
static void write_at_most(struct writer *out, const char *key, const struct latency *latency,
                          uint32_t per_million)
{
    uint64_t ns = latency_at_most_ns(latency, per_million);
    if (ns == UINT64_MAX)
        writer_null(out, key);
    else
        writer_number(out, key, ns / 1000);
}

static void write_latency(struct writer *out, const struct admin_view *view, uint64_t now_ns)
{
    struct latency recent;
    char key[48];
    writer_object(out, "latency");
    writer_number(out, "seconds", latency_window_ns(view->recent, now_ns) / 1000000000u);
    for (unsigned stage = 0; stage < LATENCY_STAGES; stage++) {
        latency_window_read(view->recent, view->counters->latency, (enum latency_stage)stage,
                            &recent);
        const char *name = latency_row(stage)->name;
        snprintf(key, sizeof key, "%.*s", (int)(strstr(name, "_duration_ns") - name), name);
        writer_object(out, key);
        writer_number(out, "count", latency_count(&recent));
        write_at_most(out, "p50_us", &recent, 500000);
        write_at_most(out, "p99_us", &recent, 990000);
        write_at_most(out, "max_us", &recent, 1000000);
        writer_object_end(out);
    }
    writer_object_end(out);
}

int verb_status(struct call *call)
{
    const struct admin_view *view = call->view;
    struct writer *out = call->out;
    uint64_t now_ns = env_now_mono_ns(view->env);
    XD_ASSERT(now_ns >= view->started_mono_ns);
    writer_object(out, NULL);
    writer_string(out, "version", view->version);
    writer_string(out, "commit", view->commit);
    writer_string(out, "engine", view->env->engine);
    writer_string(out, "engine_reason", view->env->engine_reason);
    writer_string(out, "state", admin_state_name(view->state));
    writer_time(out, "time", env_now_wall_us(view->env));
    writer_number(out, "uptime_seconds", (now_ns - view->started_mono_ns) / 1000000000u);
    writer_number(out, "shard", view->shard);
    writer_number(out, "shards", view->shard_count);
    write_uuid(out, view->cluster_id);
    writer_string(out, "default_durability", durability_name(view->default_durability));
    writer_number(out, "connections", view->connections);
    writer_number(out, "readers_waiting", view->readers_waiting);
    writer_number(out, "acks_waiting", view->acks_waiting);
    writer_number(out, "topics", view->catalog->topic_count);
    writer_number(out, "facilities", view->catalog->facility_count);
    writer_number(out, "partitions", view->catalog->partition_count);
    writer_number(out, "channels", view->sessions->channel_count);
    writer_object(out, "log");
    log_members(out, view->log);
    writer_object_end(out);
    write_memory(out, view->arena);
    write_latency(out, view, now_ns);
    writer_array(out, "next_steps");
    if (next_step(view->state) != NULL)
        writer_string(out, NULL, next_step(view->state));
    if (memory_step(view->memory_state) != NULL)
        writer_string(out, NULL, memory_step(view->memory_state));
    writer_array_end(out);
    writer_object_end(out);
    return 0;
}

/* ---- health ---------------------------------------------------------------------------------- */

/* Writes one check; returns whether it is well, so that findings add up. */
static bool check(struct call *call, const char *name, bool ok, const char *text)
{
    writer_object(call->out, NULL);
    writer_string(call->out, "check", name);
    writer_bool(call->out, "ok", ok);
    writer_string(call->out, "text", text);
    writer_object_end(call->out);
    return ok;
}

static bool check_storage(struct call *call)
{
    char text[160];
    int fenced = log_fenced(call->view->log);
    if (fenced == 0)
        snprintf(text, sizeof text, "durable up to index %" PRIu64,
                 log_durable_index(call->view->log));
    else
        snprintf(text, sizeof text, "%s: %s", xd_status_name(fenced), xd_status_text(fenced));
    return check(call, "storage", fenced == 0, text);
}

static bool check_disk(struct call *call, const struct log_stats *stats)
{
    char text[160];
    uint64_t low = call->view->disk_low_bytes;
    bool ok = stats->disk_free_bytes > low;
    snprintf(text, sizeof text, "%" PRIu64 " bytes free, producers wait at %" PRIu64 " and less%s",
             stats->disk_free_bytes, low, ok ? "" : ": free space or lower log.retention_bytes");
    return check(call, "disk", ok, text);
}

static bool check_segments(struct call *call, const struct log_stats *stats)
{
    char text[160];
    bool ok = stats->segments_ready + stats->segments_preparing > 0;
    snprintf(text, sizeof text, "%" PRIu64 " ready, %" PRIu64 " being prepared%s",
             stats->segments_ready, stats->segments_preparing,
             ok ? "" : ": producers wait when the active one is full");
    return check(call, "segments", ok, text);
}

static bool check_index(struct call *call, const struct log_stats *stats)
{
    char text[160];
    bool ok = stats->index_entries < stats->index_entries_max;
    snprintf(text, sizeof text, "%" PRIu64 " of %" PRIu64 " entries%s", stats->index_entries,
             stats->index_entries_max,
             ok ? "" : ": raise log.index_bytes or lower log.retention_bytes");
    return check(call, "index", ok, text);
}

static bool check_state(struct call *call)
{
    enum admin_state state = call->view->state;
    bool ok = state == ADMIN_STATE_RUNNING || state == ADMIN_STATE_THROTTLING;
    const char *step = next_step(state);
    char text[320];
    snprintf(text, sizeof text, "%s%s%s", admin_state_name(state), step != NULL ? ": " : "",
             step != NULL ? step : "");
    return check(call, "state", ok, text);
}

static bool check_memory(struct call *call)
{
    uint32_t memory = call->view->memory_state;
    const char *step = memory_step(memory);
    return check(call, "memory", memory != ADMIN_MEMORY_REFUSING,
                 step != NULL ? step : "everybody is read from");
}

int verb_health(struct call *call)
{
    struct log_stats stats;
    log_stats(call->view->log, &stats);
    writer_object(call->out, NULL);
    writer_array(call->out, "checks");
    bool ok = check_state(call);
    ok = check_storage(call) && ok;
    ok = check_disk(call, &stats) && ok;
    ok = check_segments(call, &stats) && ok;
    ok = check_index(call, &stats) && ok;
    ok = check_memory(call) && ok;
    writer_array_end(call->out);
    writer_bool(call->out, "ok", ok);
    writer_object_end(call->out);
    return 0;
}

/* ---- configuration and the table ------------------------------------------------------------- */

int verb_config_show(struct call *call)
{
    writer_object(call->out, NULL);
    writer_json(call->out, "options", call->view->config_json);
    writer_object_end(call->out);
    return 0;
}

static const char *kind_name(enum admin_argument_kind kind)
{
    static const char *const names[] = {"text", "number", "flag", "unsupported"};
    static_assert(sizeof names / sizeof names[0] == ADMIN_ARGUMENT_KIND_COUNT, "one per kind");
    XD_ASSERT(kind < ADMIN_ARGUMENT_KIND_COUNT);
    return names[kind];
}

static void write_argument(struct writer *out, const struct admin_argument_row *row)
{
    writer_object(out, NULL);
    writer_string(out, "argument", row->name);
    writer_string(out, "kind", kind_name(row->kind));
    writer_bool(out, "required", row->required);
    writer_string(out, "text", row->text);
    writer_object_end(out);
}

int verb_verbs(struct call *call)
{
    struct writer *out = call->out;
    const struct admin_verb_row *verb;
    const struct admin_argument_row *argument;
    writer_object(out, NULL);
    writer_array(out, "verbs");
    for (unsigned i = 0; (verb = admin_verb_at(i)) != NULL; i++) {
        writer_object(out, NULL);
        writer_string(out, "verb", verb->name);
        writer_string(out, "text", verb->text);
        writer_bool(out, "changes", verb->changes);
        writer_array(out, "arguments");
        for (unsigned k = 0; (argument = admin_argument_at(i, k)) != NULL; k++)
            write_argument(out, argument);
        writer_array_end(out);
        writer_object_end(out);
    }
    writer_array_end(out);
    writer_object_end(out);
    return 0;
}
