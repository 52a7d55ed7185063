/* SPDX-License-Identifier: Apache-2.0
 *
 * `crossdock-bench produce`: feeds in one thread, turned when their descriptor, their schedule or
 * their client wants it.
 *
 * Normal path: warm-up, measured part, drain until every record has an outcome. Rates count the
 * outcomes that came in the measured part; times count the units that were due in it, whenever
 * their outcome came.
 * Failure path: a status of the library ends the run with its detail. Records that the broker
 * refused are counted, and make the run fail.
 */
#include "bench/command.h"

#include "bench/check.h"
#include "bench/feed.h"
#include "bench/machine.h"
#include "bench/result.h"
#include "bench/watch.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define DRAIN_NS 30000000000ull
#define PROGRESS_NS 1000000000ull
#define POLL_NS_MAX 100000000ull
#define CLOSE_TIMEOUT_MS 5000u
#define READ_BACK_TIMEOUT_MS 60000u

struct settings {
    const char *address;    /* NULL = the library's default */
    const char *topic;      /* */
    const char *facilities; /* names by commas */
    const char *source;     /* */
    const char *client;     /* options of the library by commas, or NULL */
    uint64_t connections;   /* */
    uint64_t inflight;      /* batches of a connection */
    uint64_t record_bytes;  /* encoded */
    uint64_t batch_bytes;   /* with header */
    uint64_t rate;          /* records/s of all connections, 0 = as fast as it goes */
    uint64_t duration_us;   /* of the measured part */
    uint64_t warmup_us;     /* before it */
    uint64_t durability;    /* enum xdock_durability */
    uint64_t post;          /* flag; the three of them exclude each other */
    uint64_t encoded;       /* flag */
    uint64_t send;          /* flag */
    uint64_t keys;          /* SKUs of a connection */
    uint64_t acks;          /* 0 auto, 1 count, 2 each */
    uint64_t cpu;           /* COMMAND_CPU_NONE = not bound */
    uint64_t broker_pid;    /* 0 = its CPU time is not measured */
    uint64_t output;        /* 0 text, 1 json */
    uint64_t judge;         /* flag: see judge/judge.h */
    const char *judge_from; /* broker that is read back from, NULL = the same */
};

struct produce {
    const struct settings *settings;
    struct feed_plan plan;
    struct feed_sum sum;
    struct feed feeds[COMMAND_CONNECTIONS_MAX]; /* */
    struct watch watch;                         /* of the feeds, by number */
    uint32_t feed_count;                        /* feeds that must be closed */
    char why[FEED_WHY_BYTES];                   /* detail of what failed */
};

/* What is read at both ends of the measured part. */
struct moment {
    uint64_t at_ns;              /* monotonic */
    uint64_t records;            /* with an outcome so far */
    uint64_t cpu_ns;             /* of this process so far */
    uint64_t user_ns;            /* of that, outside the kernel */
    struct machine_usage broker; /* zero when it is not measured */
};

static void read_moment(const struct produce *produce, struct moment *ret_moment)
{
    *ret_moment = (struct moment){.at_ns = machine_now_ns(),
                                  .records = produce->sum.records,
                                  .cpu_ns = machine_cpu_ns(),
                                  .user_ns = machine_user_ns()};
    if (produce->settings->broker_pid > 0)
        (void)machine_usage_of(produce->settings->broker_pid, &ret_moment->broker);
}

/* ---- the loop -------------------------------------------------------------------------------- */

/* Waits until a feed has an event or is wanted. */
static int wait_for_feeds(struct produce *produce, uint64_t until_ns)
{
    uint64_t now_ns = machine_now_ns();
    for (uint32_t i = 0; i < produce->feed_count; i++) {
        const struct feed *feed = &produce->feeds[i];
        uint64_t wanted_ns = feed_wanted_ns(feed, now_ns);
        until_ns = wanted_ns < until_ns ? wanted_ns : until_ns;
    }
    uint64_t wait_ns = until_ns > now_ns ? until_ns - now_ns : 0;
    return watch_wait(&produce->watch, wait_ns < POLL_NS_MAX ? wait_ns : POLL_NS_MAX);
}

static int turn_feeds(struct produce *produce)
{
    uint64_t now_ns = machine_now_ns();
    for (uint32_t i = 0; i < produce->feed_count; i++) {
        struct feed *feed = &produce->feeds[i];
        if (!watch_is_ready(&produce->watch, i) && feed_wanted_ns(feed, now_ns) > now_ns)
            continue;
        int status = feed_turn(feed);
        if (status < 0) {
            snprintf(produce->why, sizeof produce->why, "%s", xdock_client_error(feed->client));
            return status;
        }
        status = watch_set(&produce->watch, i, feed->client);
        if (status < 0)
            return status;
    }
    return 0;
}

/* Turns until a time, or until nothing is on its way any more. */
static int run_until(struct produce *produce, uint64_t until_ns, bool drain)
{
    while (machine_now_ns() < until_ns) {
        bool idle = drain;
        for (uint32_t i = 0; idle && i < produce->feed_count; i++)
            idle = feed_idle(&produce->feeds[i]);
        if (idle)
            return 0;
        int status = 0;
        if (!produce->plan.blocking)
            status = wait_for_feeds(produce, until_ns);
        if (status == 0)
            status = turn_feeds(produce);
        if (status < 0)
            return status;
    }
    return 0;
}

/* The measured part, second by second. */
static int run_measured(struct produce *produce, uint64_t begin_ns, uint64_t end_ns)
{
    uint64_t second = 0;
    int status = 0;
    for (uint64_t at_ns = begin_ns; at_ns < end_ns && status == 0; at_ns += PROGRESS_NS) {
        uint64_t records = produce->sum.records;
        uint64_t from_ns = machine_now_ns();
        uint64_t next_ns = at_ns + PROGRESS_NS < end_ns ? at_ns + PROGRESS_NS : end_ns;
        status = run_until(produce, next_ns, false);
        for (uint32_t i = 0; i < produce->feed_count; i++)
            feed_collect_failures(&produce->feeds[i]);
        result_progress("produce", ++second, produce->sum.records - records,
                        machine_now_ns() - from_ns);
    }
    return status;
}

static void explain_stall(struct produce *produce, const struct feed *feed, uint32_t number)
{
    xdock_client_stats_t stats;
    xdock_client_stats(feed->client, &stats);
    snprintf(
        produce->why, sizeof produce->why,
        "connection %u: %llu of %llu records have no outcome 30 s later; %llu batches were sent, "
        "%llu of them again, over %llu connections, %llu records were acknowledged. %.200s",
        number, (unsigned long long)(feed->posted - feed->done), (unsigned long long)feed->posted,
        (unsigned long long)stats.batches_sent, (unsigned long long)stats.batches_resent,
        (unsigned long long)stats.connects, (unsigned long long)stats.records_acked,
        xdock_client_error(feed->client));
}

static int run_phases(struct produce *produce, struct moment *ret_begin, struct moment *ret_end)
{
    const struct settings *settings = produce->settings;
    struct feed_plan *plan = &produce->plan;
    plan->base_ns = machine_now_ns();
    plan->begin_ns = plan->base_ns + settings->warmup_us * 1000u;
    plan->end_ns = plan->begin_ns + settings->duration_us * 1000u;
    for (uint32_t i = 0; i < produce->feed_count; i++) {
        /* Schedules of the feeds are spread over one interval. */
        feed_start(&produce->feeds[i], plan->base_ns + plan->interval_ns * i / produce->feed_count);
    }
    int status = run_until(produce, plan->begin_ns, false);
    read_moment(produce, ret_begin);
    if (status == 0)
        status = run_measured(produce, plan->begin_ns, plan->end_ns);
    read_moment(produce, ret_end);
    if (status == 0)
        status = run_until(produce, plan->end_ns + DRAIN_NS, true);
    for (uint32_t i = 0; i < produce->feed_count && status == 0; i++) {
        feed_collect_failures(&produce->feeds[i]);
        if (!feed_idle(&produce->feeds[i])) {
            explain_stall(produce, &produce->feeds[i], i);
            status = XDOCK_DEADLINE_EXCEEDED;
        }
    }
    return status;
}

static int run_load(struct produce *produce, struct moment *ret_begin, struct moment *ret_end)
{
    int status = watch_open(&produce->watch);
    if (status == 0)
        status = run_phases(produce, ret_begin, ret_end);
    watch_close(&produce->watch);
    return status;
}

/* ---- set-up ---------------------------------------------------------------------------------- */

static int set_number(xdock_options_t *options, const char *name, uint64_t number)
{
    char text[32];
    snprintf(text, sizeof text, "%llu", (unsigned long long)number);
    return xdock_options_set(options, name, text);
}

/* The producer's options follow from ours. */
static int set_producer(struct produce *produce, xdock_options_t *options)
{
    const struct settings *settings = produce->settings;
    const char *const levels[] = {"fsync", "written", "memory"};
    /* Room for the window, and for a batch being filled in every partition. */
    uint64_t buffer = (settings->inflight + 64u) * settings->batch_bytes;
    buffer = buffer > (32u << 20) ? buffer : 32u << 20;
    int status = set_number(options, "producer.batch_bytes", settings->batch_bytes);
    if (status == 0)
        status = set_number(options, "producer.buffer_bytes", buffer);
    if (status == 0)
        status = set_number(options, "producer.inflight_batches",
                            settings->inflight < 16 ? settings->inflight : 16);
    if (status == 0)
        status = xdock_options_set(options, "producer.durability", levels[settings->durability]);
    if (status == 0)
        status =
            xdock_options_set(options, "producer.acks", produce->plan.each ? "all" : "failures");
    if (status < 0)
        snprintf(produce->why, sizeof produce->why, "%s", xdock_options_error(options));
    return status;
}

static int make_plan(struct produce *produce)
{
    const struct settings *settings = produce->settings;
    struct feed_plan *plan = &produce->plan;
    if (settings->post + settings->encoded + settings->send > 1) {
        snprintf(produce->why, sizeof produce->why, "take one of --post, --encoded, --send");
        return -EINVAL;
    }
    if (settings->acks == 1 && settings->keys > 1 && !settings->send) {
        snprintf(produce->why, sizeof produce->why,
                 "with several keys outcomes do not come in posting sequence: --acks each");
        return -EINVAL;
    }
    plan->how = settings->encoded ? FEED_ENCODED : settings->send ? FEED_SEND : FEED_POST;
    plan->blocking = plan->how == FEED_SEND && settings->connections == 1 && settings->rate == 0;
    plan->each = !plan->blocking && (settings->acks == 2 || settings->judge > 0 ||
                                     (settings->acks == 0 && settings->keys > 1));
    plan->level = (uint8_t)settings->durability;
    plan->topic = settings->topic;
    plan->source = settings->source;
    plan->keys = (uint32_t)settings->keys;
    plan->record_bytes = (uint32_t)settings->record_bytes;
    plan->batch_bytes = (uint32_t)settings->batch_bytes;
    plan->inflight = (uint32_t)settings->inflight;
    if (settings->rate > 0) {
        uint64_t records = 1;
        if (plan->how == FEED_ENCODED && settings->batch_bytes > CARGO_BATCH_HEADER_BYTES)
            records = (settings->batch_bytes - CARGO_BATCH_HEADER_BYTES) / settings->record_bytes;
        plan->interval_ns = records * settings->connections * 1000000000u / settings->rate;
        plan->interval_ns += plan->interval_ns == 0;
    }
    return 0;
}

/* Facility number `index`, round and round through the list. */
static void pick_facility(const char *list, uint32_t index, char *ret_name, uint32_t bytes)
{
    uint32_t count = 1;
    for (const char *at = list; (at = strchr(at, ',')) != NULL; at++)
        count++;
    for (index %= count; index > 0; index--)
        list = strchr(list, ',') + 1;
    snprintf(ret_name, bytes, "%.*s", (int)strcspn(list, ","), list);
}

/* Names go into JSON as they are: the broker refuses what no name may have. */
static int add_facilities(struct produce *produce, const xdock_options_t *options)
{
    char name[80];
    char json[128];
    uint32_t count = 1;
    for (const char *at = produce->settings->facilities; (at = strchr(at, ',')) != NULL; at++)
        count++;
    for (uint32_t i = 0; i < count; i++) {
        char *reply = NULL;
        pick_facility(produce->settings->facilities, i, name, sizeof name);
        snprintf(json, sizeof json, "{\"name\":\"%s\"}", name);
        int status =
            command_admin(options, "facility add", json, &reply, produce->why, sizeof produce->why);
        free(reply);
        if (status < 0 && status != XDOCK_EXISTS)
            return status;
    }
    return 0;
}

static int open_feeds(struct produce *produce)
{
    char name[80];
    for (uint32_t i = 0; i < produce->settings->connections; i++) {
        pick_facility(produce->settings->facilities, i, name, sizeof name);
        produce->feed_count = i + 1;
        int status =
            feed_open(&produce->feeds[i], &produce->plan, &produce->sum, i, name, produce->why);
        if (status < 0)
            return status;
    }
    return 0;
}

/* ---- judging --------------------------------------------------------------------------------- */

/* Everything is read back by a client of its own. 0, a status, or -EBADMSG when a promise is
 * broken. */
static int judge_run(struct produce *produce)
{
    const struct settings *settings = produce->settings;
    xdock_options_t *options = NULL;
    xdock_client_t *client = NULL;
    const char *from = settings->judge_from != NULL ? settings->judge_from : settings->address;
    int status =
        command_options(from, settings->client, &options, produce->why, sizeof produce->why);
    if (status == 0)
        status = xdock_client_open(options, CLOSE_TIMEOUT_MS, &client, produce->why,
                                   sizeof produce->why);
    if (status == 0) {
        status = judge_read_all(produce->plan.judge, client, settings->topic, READ_BACK_TIMEOUT_MS);
        if (status < 0)
            snprintf(produce->why, sizeof produce->why, "%s", xdock_client_error(client));
    }
    if (status == 0) {
        status = judge_verdict(produce->plan.judge, "produce", false, stderr);
        snprintf(produce->why, sizeof produce->why, "promises are broken");
        status = status > 0 ? -EBADMSG : status;
    }
    if (client != NULL)
        xdock_client_close(&client, CLOSE_TIMEOUT_MS);
    xdock_options_free(&options);
    return status;
}

/* ---- the command ----------------------------------------------------------------------------- */

static void print_result(const struct produce *produce, const struct argument *table,
                         uint32_t count, const struct moment *begin, const struct moment *end,
                         const char *broker)
{
    uint64_t records = end->records - begin->records;
    struct result result = {.command = "produce",
                            .table = table,
                            .table_count = count,
                            .broker = broker,
                            .library = xdock_version(),
                            .latency_of = "ack",
                            .latency = &produce->sum.latency,
                            .elapsed_ns = end->at_ns - begin->at_ns,
                            .records = records,
                            .bytes = records * produce->settings->record_bytes,
                            .failed = produce->sum.failed,
                            .waited = produce->sum.waited,
                            .client_cpu_ns = end->cpu_ns - begin->cpu_ns,
                            .client_user_ns = end->user_ns - begin->user_ns,
                            .broker_cpu_ns = end->broker.cpu_ns - begin->broker.cpu_ns,
                            .broker_resident_bytes = end->broker.resident_bytes};
    if (produce->plan.how == FEED_ENCODED)
        result.batches = records / produce->feeds[0].cargo.batch_records;
    if (produce->settings->output == 1)
        result_print_json(&result, stdout);
    else
        result_print(&result, stdout);
}

static enum bench_exit run(struct produce *produce, const struct argument *table, uint32_t count)
{
    const struct settings *settings = produce->settings;
    xdock_options_t *options = NULL;
    char *broker = NULL;
    struct moment begin;
    struct moment end;
    int status = make_plan(produce);
    if (status < 0) {
        fprintf(stderr, "crossdock-bench produce: %s\n", produce->why);
        return BENCH_EXIT_USAGE;
    }
    status = command_options(settings->address, settings->client, &options, produce->why,
                             sizeof produce->why);
    if (status == 0)
        status = set_producer(produce, options);
    produce->plan.options = options;
    if (status == 0)
        status = add_facilities(produce, options);
    if (status == 0)
        status = command_admin(options, "status", NULL, &broker, produce->why, sizeof produce->why);
    if (status == 0 && settings->judge > 0)
        status = judge_make((uint32_t)settings->connections, 1, &produce->plan.judge);
    if (status == 0)
        status = open_feeds(produce);
    if (status == 0)
        status = command_pin(settings->cpu);
    if (status == 0)
        status = run_load(produce, &begin, &end);
    if (status == 0)
        print_result(produce, table, count, &begin, &end, broker);
    if (status == 0 && produce->sum.failed > 0) {
        snprintf(produce->why, sizeof produce->why, "records were refused: %s",
                 xdock_status_text(produce->sum.first_failure));
        status = produce->sum.first_failure;
    }
    if (status == 0 && settings->judge > 0)
        status = judge_run(produce);
    for (uint32_t i = 0; i < produce->feed_count; i++)
        (void)feed_close(&produce->feeds[i], CLOSE_TIMEOUT_MS);
    judge_free(&produce->plan.judge);
    xdock_options_free(&options);
    free(broker);
    return status < 0 ? command_failed("produce", status, produce->why) : BENCH_EXIT_OK;
}

enum bench_exit command_produce(int argc, char *const *argv)
{
    struct settings s = {.topic = "stock",
                         .facilities = "BENCH",
                         .source = "bench",
                         .connections = 1,
                         .inflight = 16,
                         .record_bytes = 256,
                         .batch_bytes = 64 * 1024,
                         .duration_us = 5000000,
                         .warmup_us = 300000,
                         .keys = 1,
                         .cpu = COMMAND_CPU_NONE};
    const struct argument table[] = {
        command_row_address(&s.address),
        {"topic", 't', ARGUMENT_TEXT, NULL, &s.topic, 0, 0, "a name", "topic, default stock"},
        {"facility", 'f', ARGUMENT_TEXT, NULL, &s.facilities, 0, 0, "names by commas",
         "connections take them in turn; made when missing; default BENCH"},
        {"source", 0, ARGUMENT_TEXT, NULL, &s.source, 0, 0, "a name", "source, default bench"},
        command_row_connections(&s.connections, "connections, with one producer each; default 1"),
        {"inflight", 'w', ARGUMENT_COUNT, &s.inflight, NULL, 1, 1024, "1 to 1024",
         "batches without outcome per connection, at most 16 of a partition; default 16"},
        {"record-bytes", 'r', ARGUMENT_BYTES, &s.record_bytes, NULL, 8, 1 << 20, "8 to 1MiB",
         "encoded size of a record; default 256"},
        {"batch-bytes", 'b', ARGUMENT_BYTES, &s.batch_bytes, NULL, 4096, 1032192, "4KiB to 1008KiB",
         "size of a batch; default 64KiB"},
        {"rate", 'R', ARGUMENT_COUNT, &s.rate, NULL, 0, 1000000000, "0 to 1000000000",
         "records/s of all connections on a schedule; 0: as fast as it goes"},
        command_row_duration(&s.duration_us, "measured time; default 5s"),
        command_row_warmup(&s.warmup_us),
        {"durability", 'D', ARGUMENT_CHOICE, &s.durability, NULL, 0, 0, "fsync|written|memory",
         "what an acknowledgement stands for"},
        {"post", 0, ARGUMENT_FLAG, &s.post, NULL, 0, 0, "", "record by record (the default)"},
        {"encoded", 0, ARGUMENT_FLAG, &s.encoded, NULL, 0, 0, "",
         "whole batches of records encoded before"},
        {"send", 0, ARGUMENT_FLAG, &s.send, NULL, 0, 0, "",
         "one record per request, the next one after its outcome"},
        {"keys", 'k', ARGUMENT_COUNT, &s.keys, NULL, 1, CARGO_KEYS_MAX, "1 to 4096",
         "SKUs of a connection, in turn; default 1"},
        {"acks", 0, ARGUMENT_CHOICE, &s.acks, NULL, 0, 0, "auto|count|each",
         "how outcomes are taken: counted, or each record's own; auto: by --keys"},
        command_row_judge(&s.judge, "note each outcome, read all back behind the run and judge; "
                                    "for short runs, whose figures then mean nothing"),
        {"judge-from", 0, ARGUMENT_TEXT, NULL, &s.judge_from, 0, 0, "ip:port or unix:/path",
         "with --judge: read back from this broker; default: the same"},
        command_row_cpu(&s.cpu),
        command_row_client(&s.client),
        command_row_broker_pid(&s.broker_pid),
        command_row_output(&s.output),
    };
    const uint32_t count = sizeof table / sizeof table[0];
    enum bench_exit result;
    if (!command_parse("produce", argc, argv, table, count, &result))
        return result;
    struct produce *produce = calloc(1, sizeof *produce);
    if (produce == NULL)
        return command_failed("produce", -ENOMEM, "");
    produce->settings = &s;
    result = run(produce, table, count);
    free(produce);
    return result;
}
