/* SPDX-License-Identifier: Apache-2.0
 *
 * `crossdock-bench crowd`: thousands of connections to one broker, and what they cost it.
 *
 * Normal path: facility, catalog, then the good connections a few at a time; a line on standard
 * error says when they are there. The bad ones begin with the warm-up. The run ends with its time,
 * or earlier when everything that was asked for has happened; a time that is over before is a
 * failure. Then the last outcomes are awaited, so that the ledger knows of each record.
 * Failure path: what the broker does to connections is counted, it ends nothing.
 */
#include "bench/command.h"

#include "bench/check.h"
#include "bench/crowd/crowd.h"
#include "bench/crowd/scout.h"
#include "bench/machine.h"
#include "bench/result.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define GATHER_NS 120000000000ull
#define REST_NS 60000000000ull
#define DESCRIPTORS_EXTRA 64u /* standard streams, library, epoll */
#define WHY_BYTES 512u
/* A broker may limit the connections of one address: half of its default is kept free. */
#define OF_ONE_ADDRESS 2048u

struct settings {
    struct crowd_options options;
    const char *address;  /* NULL = the library's default */
    const char *client;   /* options of the library by commas, or NULL */
    const char *ledger;   /* file, or NULL */
    uint64_t connections; /* good ones */
    uint64_t active;      /* of these */
    uint64_t storm, loris, mute;
    uint64_t addresses;    /* source addresses, 0 = as many as are needed */
    uint64_t gathering;    /* */
    uint64_t record_bytes; /* */
    uint64_t drip_us;      /* */
    uint64_t hold;         /* flag */
    uint64_t duration_us;  /* measured time */
    uint64_t warmup_us;    /* */
    uint64_t cpu;          /* COMMAND_CPU_NONE = not bound */
    uint64_t broker_pid;   /* 0 = its CPU time is not measured */
    uint64_t output;       /* 0 text, 1 json */
};

struct crowd_run {
    struct settings *settings;
    xdock_options_t *options;
    char *broker; /* its status, JSON */
    struct crowd crowd;
    struct machine_usage usage[2]; /* of the broker: before and behind the measured part */
    uint64_t cpu_ns[2];            /* of this process ... */
    uint64_t user_ns[2];           /* ... and of that outside the kernel */
    uint64_t at_ns[2];
    char why[WHY_BYTES];
};

static void take_options(struct settings *settings)
{
    struct crowd_options *options = &settings->options;
    settings->active =
        settings->active < settings->connections ? settings->active : settings->connections;
    options->active = (uint32_t)settings->active;
    options->idle = (uint32_t)(settings->connections - settings->active);
    options->storm = (uint32_t)settings->storm;
    options->loris = (uint32_t)settings->loris;
    options->mute = (uint32_t)settings->mute;
    options->gathering = (uint32_t)settings->gathering;
    options->record_bytes = (uint32_t)settings->record_bytes;
    options->drip_ns = settings->drip_us * 1000u;
    options->hold = settings->hold != 0;
}

static uint32_t members_of(const struct crowd_options *options)
{
    return options->idle + options->active + options->storm + options->loris + options->mute;
}

static int add_facility(struct crowd_run *run)
{
    char json[128];
    char *reply = NULL;
    snprintf(json, sizeof json, "{\"name\":\"%.64s\"}", run->settings->options.facility);
    int status =
        command_admin(run->options, "facility add", json, &reply, run->why, sizeof run->why);
    free(reply);
    return status == XDOCK_EXISTS ? 0 : status;
}

static int make(struct crowd_run *run)
{
    struct settings *settings = run->settings;
    const struct crowd_options *options = &settings->options;
    struct talk_place place;
    struct dial dial;
    uint32_t members = members_of(options);
    uint32_t sources = (uint32_t)settings->addresses;
    if (sources == 0 && members > OF_ONE_ADDRESS)
        sources = members / OF_ONE_ADDRESS + 1;
    static_assert(DIAL_WHY_BYTES <= WHY_BYTES, "its explanation fits");
    int status = dial_init(&dial, xdock_options_get(run->options, "address"), sources, run->why);
    if (status == 0)
        status = dial_allow(members + DESCRIPTORS_EXTRA, run->why);
    if (status == 0)
        status = add_facility(run);
    if (status == 0)
        status =
            command_admin(run->options, "status", NULL, &run->broker, run->why, sizeof run->why);
    if (status < 0)
        return status;
    run->why[0] = '\0';
    status = scout_place(&dial, options->topic, options->facility, &place);
    if (status == -ENOENT)
        snprintf(run->why, sizeof run->why, "there is no topic %.64s at that facility",
                 options->topic);
    return status < 0 ? status : crowd_make(&run->crowd, options, &dial, &place);
}

static int take_moment(struct crowd_run *run, uint32_t which)
{
    uint64_t pid = run->settings->broker_pid;
    int status = pid != 0 ? machine_usage_of(pid, &run->usage[which]) : 0;
    run->cpu_ns[which] = machine_cpu_ns();
    run->user_ns[which] = machine_user_ns();
    run->at_ns[which] = machine_now_ns();
    return status;
}

/* 1: the goals are reached; 0: the time is over; -errno. */
static int measure(struct crowd_run *run)
{
    struct crowd *crowd = &run->crowd;
    const struct settings *settings = run->settings;
    uint64_t begin_ns = machine_now_ns() + settings->warmup_us * 1000u;
    crowd->begin_ns = begin_ns;
    crowd->end_ns = begin_ns + settings->duration_us * 1000u;
    int status = crowd_run(crowd, begin_ns);
    if (status == 0)
        status = take_moment(run, 0);
    if (status == 0)
        status = crowd_run(crowd, crowd->end_ns);
    return status;
}

static int run_crowd(struct crowd_run *run)
{
    struct crowd *crowd = &run->crowd;
    int status = take_moment(run, 0);
    if (status == 0)
        status = crowd_gather(crowd, machine_now_ns() + GATHER_NS);
    if (status == -ETIMEDOUT)
        snprintf(run->why, sizeof run->why, "only %u connections came to be served", crowd->open);
    if (status == -EADDRNOTAVAIL)
        snprintf(run->why, sizeof run->why, "no source port is free: raise --addresses");
    if (status < 0)
        return status;
    fprintf(stderr, "crowd: %u open, %" PRIu64 " refused, %" PRIu64 " lost%s%s\n", crowd->open,
            crowd->totals.refused, crowd->totals.lost, crowd->totals.first_end != 0 ? ": " : "",
            crowd->totals.first_end != 0 ? xdock_status_text(crowd->totals.first_end) : "");
    int reached = measure(run);
    if (reached < 0)
        return reached;
    status = take_moment(run, 1);
    if (status == 0)
        status = crowd_rest(crowd, machine_now_ns() + REST_NS);
    if (status == 0 && reached == 0 && crowd_has_goals(crowd)) {
        crowd_say_missing(crowd, run->why, sizeof run->why);
        status = -ETIMEDOUT;
    }
    return status;
}

static int write_ledger(const struct crowd *crowd, const char *path)
{
    FILE *file = fopen(path, "we");
    if (file == NULL)
        return -errno;
    crowd_write_ledger(crowd, file);
    int status = ferror(file) ? -EIO : 0;
    return fclose(file) != 0 && status == 0 ? -errno : status;
}

static void print_result(const struct crowd_run *run, const struct argument *table, uint32_t count)
{
    const struct crowd_totals *totals = &run->crowd.totals;
    const struct result_count counts[] = {
        {"connections_open", run->crowd.open}, {"connections_refused", totals->refused},
        {"connections_lost", totals->lost},    {"records_acked", totals->acked},
        {"records_put_off", totals->put_off},  {"storm_connections", totals->storms},
        {"storm_cut", totals->storms_cut},     {"loris_ended", totals->loris_ended},
        {"mute_ended", totals->mute_ended},
    };
    const struct result result = {
        .command = "crowd",
        .table = table,
        .table_count = count,
        .broker = run->broker,
        .library = xdock_version(),
        .latency_of = "ack",
        .latency = &totals->latency,
        .elapsed_ns = run->at_ns[1] - run->at_ns[0],
        .records = totals->latency.count,
        .bytes = totals->latency.count * run->settings->record_bytes,
        .failed = totals->failed,
        .client_cpu_ns = run->cpu_ns[1] - run->cpu_ns[0],
        .client_user_ns = run->user_ns[1] - run->user_ns[0],
        .broker_cpu_ns = run->usage[1].cpu_ns - run->usage[0].cpu_ns,
        .broker_resident_bytes = run->usage[1].resident_bytes,
        .counts = counts,
        .count_count = sizeof counts / sizeof counts[0],
    };
    if (run->settings->output == 1)
        result_print_json(&result, stdout);
    else
        result_print(&result, stdout);
}

static enum bench_exit run_all(struct crowd_run *run, const struct argument *table, uint32_t count)
{
    const struct settings *settings = run->settings;
    struct crowd *crowd = &run->crowd;
    if (members_of(&settings->options) == 0 || members_of(&settings->options) > CROWD_MEMBERS_MAX) {
        fprintf(stderr, "crossdock-bench crowd: 1 to %u connections of all kinds\n",
                CROWD_MEMBERS_MAX);
        return BENCH_EXIT_USAGE;
    }
    crowd->poll_fd = -1;
    int status = command_options(settings->address, settings->client, &run->options, run->why,
                                 sizeof run->why);
    if (status == 0)
        status = make(run);
    if (status == 0)
        status = command_pin(settings->cpu);
    if (status == 0)
        status = run_crowd(run);
    if (run->at_ns[1] != 0)
        print_result(run, table, count);
    if (settings->ledger != NULL && crowd->members != NULL) {
        int written = write_ledger(crowd, settings->ledger);
        status = status == 0 ? written : status;
    }
    if (status == 0 && crowd->totals.failed > 0) {
        status = crowd->totals.first_failure;
        snprintf(run->why, sizeof run->why, "records were refused: %s", xdock_status_text(status));
    }
    crowd_free(crowd);
    xdock_options_free(&run->options);
    free(run->broker);
    return status < 0 ? command_failed("crowd", status, run->why) : BENCH_EXIT_OK;
}

enum bench_exit command_crowd(int argc, char *const *argv)
{
    struct settings s = {
        .options = {.topic = "stock", .facility = "BENCH", .source = "crowd"},
        .connections = 1000,
        .gathering = 32,
        .record_bytes = 256,
        .drip_us = 250000,
        .duration_us = 5000000,
        .warmup_us = 300000,
        .cpu = COMMAND_CPU_NONE,
    };
    struct crowd_options *o = &s.options;
    const struct argument table[] = {
        command_row_address(&s.address),
        {"connections", 'c', ARGUMENT_COUNT, &s.connections, NULL, 0, 20000, "0 to 20000",
         "well-behaved ones, open all the time; default 1000"},
        {"active", 'n', ARGUMENT_COUNT, &s.active, NULL, 0, 20000, "0 to 20000",
         "of these send one record after the other, each when the last one is durable; default 0"},
        {"storm", 0, ARGUMENT_COUNT, &s.storm, NULL, 0, 4096, "0 to 4096",
         "come, send a part of something, end or reset, and come again: that many at a time"},
        {"storm-count", 0, ARGUMENT_COUNT, &o->storms, NULL, 0, 1000000000, "a count",
         "the storm is over, and the run may end, behind as many; 0: it lasts as long as the run"},
        {"storm-rate", 0, ARGUMENT_COUNT, &o->storm_rate, NULL, 0, 1000000, "0 to 1000000",
         "of the storm per second; 0: as fast as it goes"},
        {"loris", 0, ARGUMENT_COUNT, &s.loris, NULL, 0, 10000, "0 to 10000",
         "send HELLO or a PRODUCE frame byte by byte, or stop inside; the run may end when the "
         "broker has ended all of them"},
        {"drip", 0, ARGUMENT_DURATION, &s.drip_us, NULL, 1000, 60000000, "1ms to 60s",
         "between two bytes of a loris; default 250ms"},
        {"mute", 0, ARGUMENT_COUNT, &s.mute, NULL, 0, 10000, "0 to 10000",
         "ask and never read; the run may end when the broker has ended all of them"},
        {"requests", 'm', ARGUMENT_COUNT, &o->requests, NULL, 0, 1000000000, "a count",
         "the run may end when each active one has as many outcomes; 0: it takes its time"},
        {"hold", 0, ARGUMENT_FLAG, &s.hold, NULL, 0, 0, "",
         "the run may end at the end of standard input"},
        {"addresses", 0, ARGUMENT_COUNT, &s.addresses, NULL, 0, DIAL_SOURCES_MAX, "0 to 250",
         "come from 127.0.0.1 and as many more; default: one for each 2,048 connections"},
        {"gathering", 0, ARGUMENT_COUNT, &s.gathering, NULL, 1, 10000, "1 to 10000",
         "connections on their way in at a time; default 32"},
        {"topic", 't', ARGUMENT_TEXT, NULL, &o->topic, 0, 0, "a name", "topic, default stock"},
        {"facility", 'f', ARGUMENT_TEXT, NULL, &o->facility, 0, 0, "a name",
         "made when missing; default BENCH"},
        {"source", 0, ARGUMENT_TEXT, NULL, &o->source, 0, 0, "a name",
         "with a channel for each active connection; default crowd"},
        {"record-bytes", 'r', ARGUMENT_BYTES, &s.record_bytes, NULL, 112, 4096, "112 to 4096",
         "encoded size of a record, a multiple of 8; default 256"},
        {"seed", 0, ARGUMENT_COUNT, &o->seed, NULL, 0, UINT64_MAX, "a number",
         "of what the storm does"},
        {"ledger", 0, ARGUMENT_TEXT, NULL, &s.ledger, 0, 0, "a file",
         "write each channel and the number of its last durable record"},
        command_row_duration(&s.duration_us, "measured time at most; default 5s"),
        command_row_warmup(&s.warmup_us),
        command_row_cpu(&s.cpu),
        command_row_client(&s.client),
        command_row_broker_pid(&s.broker_pid),
        command_row_output(&s.output),
    };
    const uint32_t count = sizeof table / sizeof table[0];
    enum bench_exit result;
    if (!command_parse("crowd", argc, argv, table, count, &result))
        return result;
    struct crowd_run *run = calloc(1, sizeof *run);
    if (run == NULL)
        return command_failed("crowd", -ENOMEM, "");
    take_options(&s);
    run->settings = &s;
    result = run_all(run, table, count);
    free(run);
    return result;
}
