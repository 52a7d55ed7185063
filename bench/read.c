/* SPDX-License-Identifier: Apache-2.0
 *
 * `crossdock-bench read`: readers in one thread, each with a connection of its own and the whole
 * selection, so that several of them show what fan-out costs.
 *
 * Normal path: from the beginning until the end is reached or the time is over; from the end for
 * as long as it was told. From the end, the time of a record runs from its append at the broker
 * to its reading here; both clocks are the same only on one machine.
 * Failure path: a status of the library ends the run; XDOCK_OFFSET_GONE is counted, the reader
 * goes on behind the gap by itself.
 */
#include "bench/command.h"

#include "bench/check.h"
#include "bench/histogram.h"
#include "bench/judge/judge.h"
#include "bench/machine.h"
#include "bench/result.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#define OPEN_TIMEOUT_MS 10000u
#define CLOSE_TIMEOUT_MS 1000u
#define PROGRESS_NS 1000000000ull
#define POLL_NS_MAX 100000000ull
#define WHY_BYTES 512u

struct settings {
    const char *address;  /* NULL = the library's default */
    const char *topic;    /* */
    const char *facility; /* NULL = all */
    const char *client;   /* options of the library by commas, or NULL */
    uint64_t connections; /* */
    uint64_t from;        /* 0 begin, 1 end */
    uint64_t duration_us; /* longest time */
    uint64_t cpu;         /* COMMAND_CPU_NONE = not bound */
    uint64_t broker_pid;  /* 0 = its CPU time is not measured */
    uint64_t output;      /* 0 text, 1 json */
    uint64_t judge;       /* flag: see judge/judge.h */
};

/* One connection with its reader. */
struct tap {
    xdock_client_t *client; /* */
    uint32_t number;        /* */
    xdock_reader_t *reader; /* */
    bool ended;             /* everything that there was when it began has been read */
};

struct reading {
    const struct settings *settings;
    struct tap taps[COMMAND_CONNECTIONS_MAX];     /* */
    struct pollfd polls[COMMAND_CONNECTIONS_MAX]; /* of the tap of the same number */
    struct judge *judge;                          /* is told everything, NULL = none */
    struct latency latency;                       /* from append to read; empty from the begin */
    uint32_t tap_count;                           /* taps that must be closed */
    uint64_t records;                             /* read so far */
    uint64_t gaps;                                /* times that retention was faster */
    char why[WHY_BYTES];                          /* detail of what failed */
};

static int open_tap(struct reading *reading, const xdock_options_t *options)
{
    const struct settings *settings = reading->settings;
    struct tap *tap = &reading->taps[reading->tap_count++];
    tap->number = reading->tap_count - 1;
    const xdock_selection_t selection = {.struct_bytes = sizeof selection,
                                         .from = settings->from ? XDOCK_FROM_END : XDOCK_FROM_BEGIN,
                                         .topic = settings->topic,
                                         .facility = settings->facility,
                                         .partition = -1};
    int status = xdock_client_open(options, OPEN_TIMEOUT_MS, &tap->client, reading->why, WHY_BYTES);
    if (status < 0)
        return status;
    status = xdock_reader_open(tap->client, &selection, OPEN_TIMEOUT_MS, &tap->reader);
    if (status < 0)
        snprintf(reading->why, WHY_BYTES, "%s", xdock_client_error(tap->client));
    return status;
}

static uint64_t received_bytes(const struct reading *reading)
{
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < reading->tap_count; i++) {
        xdock_client_stats_t stats;
        xdock_client_stats(reading->taps[i].client, &stats);
        bytes += stats.bytes_received;
    }
    return bytes;
}

/* Takes what is there. */
static int drain_tap(struct reading *reading, struct tap *tap)
{
    const xdock_view_t *view;
    int status = xdock_reader_poll(tap->reader, 0);
    if (status == XDOCK_OFFSET_GONE) {
        reading->gaps++;
        return 0;
    }
    if (status < 0) {
        snprintf(reading->why, WHY_BYTES, "%s", xdock_client_error(tap->client));
        return status;
    }
    int64_t now_us = machine_wall_us();
    while ((view = xdock_reader_next(tap->reader)) != NULL) {
        int64_t age_us = now_us - view->append_time_us;
        reading->records++;
        if (reading->judge != NULL)
            judge_read(reading->judge, tap->number, tap->reader, view);
        if (reading->settings->from == 1)
            latency_add(&reading->latency, age_us > 0 ? (uint64_t)age_us * 1000u : 0, 1);
    }
    if (reading->settings->from == 0 && xdock_reader_at_end(tap->reader)) {
        if (reading->judge != NULL && !tap->ended)
            judge_read_end(reading->judge, tap->number, tap->reader);
        tap->ended = true;
    }
    return status;
}

static bool all_ended(const struct reading *reading)
{
    for (uint32_t i = 0; i < reading->tap_count; i++)
        if (!reading->taps[i].ended)
            return false;
    return true;
}

/* One round over all readers; waits only when none had anything. */
static int turn(struct reading *reading, uint64_t until_ns)
{
    int got = 0;
    uint64_t now_ns = machine_now_ns();
    for (uint32_t i = 0; i < reading->tap_count; i++) {
        int status = drain_tap(reading, &reading->taps[i]);
        if (status < 0)
            return status;
        got += status;
    }
    if (got > 0)
        return 0;
    uint64_t wait_ns = until_ns > now_ns ? until_ns - now_ns : 0;
    wait_ns = wait_ns < POLL_NS_MAX ? wait_ns : POLL_NS_MAX;
    for (uint32_t i = 0; i < reading->tap_count; i++) {
        const xdock_client_t *client = reading->taps[i].client;
        uint64_t step_ns = (uint64_t)xdock_client_deadline(client) * 1000000u;
        wait_ns = step_ns < wait_ns ? step_ns : wait_ns;
        reading->polls[i] =
            (struct pollfd){.fd = xdock_client_fd(client), .events = xdock_client_events(client)};
    }
    const struct timespec wait = {.tv_nsec = (long)wait_ns};
    int status = ppoll(reading->polls, reading->tap_count, &wait, NULL);
    return status < 0 && errno != EINTR ? -errno : 0;
}

static int run_reading(struct reading *reading, uint64_t begin_ns)
{
    uint64_t end_ns = begin_ns + reading->settings->duration_us * 1000u;
    uint64_t second = 0;
    int status = 0;
    while (status == 0 && machine_now_ns() < end_ns && !all_ended(reading)) {
        uint64_t from_ns = machine_now_ns();
        uint64_t next_ns = from_ns + PROGRESS_NS < end_ns ? from_ns + PROGRESS_NS : end_ns;
        uint64_t records = reading->records;
        while (status == 0 && machine_now_ns() < next_ns && !all_ended(reading))
            status = turn(reading, next_ns);
        result_progress("read", ++second, reading->records - records, machine_now_ns() - from_ns);
    }
    return status;
}

static void print_result(const struct reading *reading, struct result *result)
{
    result->command = "read";
    result->library = xdock_version();
    result->latency_of = "append to read";
    result->latency = reading->latency.count > 0 ? &reading->latency : NULL;
    result->records = reading->records;
    if (reading->gaps > 0)
        fprintf(stderr, "read: retention was faster %llu times\n",
                (unsigned long long)reading->gaps);
    if (reading->settings->output == 1)
        result_print_json(result, stdout);
    else
        result_print(result, stdout);
}

static int measure(struct reading *reading, struct result *result)
{
    struct machine_usage before = {0};
    struct machine_usage after = {0};
    uint64_t pid = reading->settings->broker_pid;
    if (pid > 0)
        (void)machine_usage_of(pid, &before);
    uint64_t bytes = received_bytes(reading);
    uint64_t cpu_ns = machine_cpu_ns();
    uint64_t user_ns = machine_user_ns();
    uint64_t begin_ns = machine_now_ns();
    int status = run_reading(reading, begin_ns);
    result->elapsed_ns = machine_now_ns() - begin_ns;
    result->client_cpu_ns = machine_cpu_ns() - cpu_ns;
    result->client_user_ns = machine_user_ns() - user_ns;
    result->bytes = received_bytes(reading) - bytes;
    if (pid > 0)
        (void)machine_usage_of(pid, &after);
    result->broker_cpu_ns = after.cpu_ns - before.cpu_ns;
    result->broker_resident_bytes = after.resident_bytes;
    return status;
}

static enum bench_exit run(struct reading *reading, struct result *result)
{
    const struct settings *settings = reading->settings;
    xdock_options_t *options = NULL;
    char *broker = NULL;
    int status =
        command_options(settings->address, settings->client, &options, reading->why, WHY_BYTES);
    if (status == 0)
        status = command_admin(options, "status", NULL, &broker, reading->why, WHY_BYTES);
    if (status == 0)
        status = command_pin(settings->cpu);
    if (status == 0 && settings->judge > 0)
        status = judge_make(0, (uint32_t)settings->connections, &reading->judge);
    for (uint64_t i = 0; i < settings->connections && status == 0; i++)
        status = open_tap(reading, options);
    if (status == 0)
        status = measure(reading, result);
    result->broker = broker;
    if (status == 0)
        print_result(reading, result);
    if (status == 0 && reading->judge != NULL) {
        status = judge_verdict(reading->judge, "read", reading->gaps > 0, stderr);
        snprintf(reading->why, WHY_BYTES, "promises are broken");
        status = status > 0 ? -EBADMSG : status;
    }
    judge_free(&reading->judge);
    for (uint32_t i = 0; i < reading->tap_count; i++) {
        xdock_reader_close(&reading->taps[i].reader);
        xdock_client_close(&reading->taps[i].client, CLOSE_TIMEOUT_MS);
    }
    xdock_options_free(&options);
    free(broker);
    return status < 0 ? command_failed("read", status, reading->why) : BENCH_EXIT_OK;
}

enum bench_exit command_read(int argc, char *const *argv)
{
    struct settings s = {
        .topic = "stock", .connections = 1, .duration_us = 5000000, .cpu = COMMAND_CPU_NONE};
    const struct argument table[] = {
        command_row_address(&s.address),
        {"topic", 't', ARGUMENT_TEXT, NULL, &s.topic, 0, 0, "a name", "topic, default stock"},
        {"facility", 'f', ARGUMENT_TEXT, NULL, &s.facility, 0, 0, "a name", "default: all"},
        command_row_connections(&s.connections, "readers, each of everything; default 1"),
        {"from", 0, ARGUMENT_CHOICE, &s.from, NULL, 0, 0, "begin|end", "where to start"},
        command_row_duration(&s.duration_us, "longest time; default 5s"),
        command_row_cpu(&s.cpu),
        command_row_client(&s.client),
        command_row_broker_pid(&s.broker_pid),
        command_row_output(&s.output),
        command_row_judge(&s.judge, "judge what the readers are given; with several connections "
                                    "all must be given the same"),
    };
    const uint32_t count = sizeof table / sizeof table[0];
    struct result result = {.table = table, .table_count = count};
    enum bench_exit code;
    if (!command_parse("read", argc, argv, table, count, &code))
        return code;
    struct reading *reading = calloc(1, sizeof *reading);
    if (reading == NULL)
        return command_failed("read", -ENOMEM, "");
    reading->settings = &s;
    code = run(reading, &result);
    free(reading);
    return code;
}
