/* SPDX-License-Identifier: Apache-2.0
 *
 * crossdock-killtest: producers under load, the broker killed -9 again and again, then everything
 * is read back and its history judged: nothing lost, nothing doubled, every sequence kept.
 *
 * Normal path: the seed decides content, facilities, when the broker is killed, how long it stays
 * away, and whether the answers that had arrived are thrown away with the connection. One kill more
 * comes right behind the last acknowledgement, so that all that is read went through a recovery.
 * Failure path: a violation is counted and told by the model; any other failure ends the run. The
 * broker never outlives this program.
 * Exit: 0 nothing found, 1 violations or failure, 2 wrong usage.
 */
#include "tests/e2e/kill_model.h"
#include "tests/support/arguments.h"
#include "tools/demo/process.h"

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define KILLS_MAX 10000u
#define CALL_MS 30000u
#define START_MS 60000u
#define FLUSH_MS 120000u
#define STOP_MS 30000u
#define CHUNK_MAX 2048u /* records between two looks at answers and clock */
#define ACKS_PER_CALL 1024u
#define KILL_DELAY_US 20000u /* at most, behind the place where a kill is due */
#define AWAY_US 200000u      /* at most, that a killed broker stays away */
#define READ_QUIET_MS 3000u  /* without a record before the end: reading has failed */

struct settings {
    const char *broker; /* path of crossdockd */
    const char *data;   /* new data folder */
    uint64_t record_count;
    uint64_t seed;
    uint32_t kill_count;
};

struct run {
    struct settings settings;
    struct process broker;
    struct model model;
    xdock_client_t *client;
    xdock_producer_t *producers[MODEL_CHANNELS];
    uint64_t random;         /* state; content has its own */
    uint64_t sent;           /* over all channels */
    uint64_t *kill_places;   /* rising: records sent when kill i is due */
    uint32_t killed;         /* so far */
    uint64_t kill_due_ns;    /* monotonic, 0 = none is due */
    uint64_t recover_ns_max; /* longest start of a killed broker */
    uint64_t answers_lost;   /* bytes thrown away */
};

static int complain(int status, const char *what, const char *detail)
{
    fprintf(stderr, "crossdock-killtest: %s: %s (%s) %s\n", what, xdock_status_text(status),
            xdock_status_name(status), detail);
    return status;
}

static int fail(const struct run *run, int status, const char *what)
{
    return complain(status, what, run->client != NULL ? xdock_client_error(run->client) : "");
}

static int broker_failed(const struct run *run, int status)
{
    fprintf(stderr, "crossdock-killtest: %s\n", run->broker.why);
    return status;
}

static void facility_name(uint32_t channel, char *ret_name)
{
    snprintf(ret_name, 8, "KT%02u", channel % 100);
}

/* ---- the broker dies ------------------------------------------------------------------------- */

static int compare_places(const void *left, const void *right)
{
    const uint64_t *a = left, *b = right;
    return *a < *b ? -1 : *a > *b;
}

/* Kills fall anywhere in the run. */
static int plan_kills(struct run *run)
{
    uint32_t count = run->settings.kill_count;
    run->kill_places = calloc(count, sizeof *run->kill_places);
    if (run->kill_places == NULL)
        return -ENOMEM;
    for (uint32_t i = 0; i < count; i++)
        run->kill_places[i] = model_random(&run->random) % run->settings.record_count;
    qsort(run->kill_places, count, sizeof *run->kill_places, compare_places);
    return 0;
}

/* Answers that have arrived but were not looked at are lost, as when the network goes too. */
static void lose_answers(struct run *run)
{
    char bytes[16384];
    ssize_t received;
    int fd = xdock_client_fd(run->client);
    while (fd >= 0 && (received = recv(fd, bytes, sizeof bytes, MSG_DONTWAIT)) > 0)
        run->answers_lost += (uint64_t)received;
}

/* Tells the history what has happened to the broker. */
static int mark(struct run *run, enum history_mark what)
{
    int status = history_mark(&run->model.history, what, process_now_ns());
    return status < 0 ? complain(status, "the history is incomplete", "") : 0;
}

static int kill_broker(struct run *run)
{
    uint64_t choice = model_random(&run->random);
    /* Answers to be lost must have come and not been looked at. */
    if (choice & 1)
        process_sleep_us((choice >> 32) % KILL_DELAY_US);
    int status = process_kill(&run->broker);
    if (status < 0)
        return broker_failed(run, status);
    status = mark(run, HISTORY_CRASH);
    if (status < 0)
        return status;
    if (choice & 1)
        lose_answers(run);
    /* The client meets a broker that is not there. */
    uint64_t back_ns = process_now_ns() + (choice >> 8) % AWAY_US * 1000u;
    while (process_now_ns() < back_ns) {
        status = xdock_client_step(run->client, 5);
        if (status < 0)
            return fail(run, status, "step without a broker");
    }
    status = process_start(&run->broker, START_MS);
    if (status < 0)
        return broker_failed(run, status);
    if (run->broker.ready_ns > run->recover_ns_max)
        run->recover_ns_max = run->broker.ready_ns;
    run->killed++;
    status = mark(run, HISTORY_RESTART);
    return status < 0 ? status : mark(run, HISTORY_HEALED);
}

/* A kill that is due is delayed by a random time, so that it hits anything that goes on. */
static int kill_when_due(struct run *run)
{
    if (run->kill_due_ns == 0) {
        if (run->killed >= run->settings.kill_count || run->sent < run->kill_places[run->killed])
            return 0;
        run->kill_due_ns = process_now_ns() + model_random(&run->random) % KILL_DELAY_US * 1000u;
    }
    if (process_now_ns() < run->kill_due_ns)
        return 0;
    run->kill_due_ns = 0;
    return kill_broker(run);
}

/* ---- sending --------------------------------------------------------------------------------- */

static int open_client(struct run *run)
{
    char error[256] = "";
    xdock_options_t *options = NULL;
    int status = xdock_options_init(&options);
    if (status >= 0)
        status = xdock_options_set(options, "address", run->broker.address);
    if (status >= 0)
        status = xdock_options_set(options, "client.name", "crossdock-killtest");
    /* More than there are partitions: those that are read to their end, and wait there, then leave
     * requests for the others. */
    if (status >= 0)
        status = xdock_options_set(options, "reader.requests", "64");
    if (status >= 0)
        status = xdock_client_open(options, CALL_MS, &run->client, error, sizeof error);
    xdock_options_free(&options);
    return status < 0 ? complain(status, "cannot connect", error) : 0;
}

static int open_channels(struct run *run)
{
    char name[8], arguments[64];
    const char *reply;
    for (uint32_t i = 0; i < MODEL_CHANNELS; i++) {
        facility_name(i, name);
        snprintf(arguments, sizeof arguments, "{\"name\": \"%s\"}", name);
        int status = xdock_admin_call(run->client, "facility add", arguments, CALL_MS, &reply);
        if (status >= 0)
            status = xdock_producer_open(run->client, "killtest", NULL, name, CALL_MS,
                                         &run->producers[i]);
        if (status < 0)
            return fail(run, status, "cannot open a channel");
    }
    return 0;
}

static int take_acks(struct run *run)
{
    xdock_ack_t acks[ACKS_PER_CALL];
    for (uint32_t channel = 0; channel < MODEL_CHANNELS; channel++) {
        int count;
        do {
            count = xdock_acks(run->producers[channel], acks, ACKS_PER_CALL, 0);
            if (count < 0)
                return fail(run, count, "cannot take outcomes");
            uint64_t now_ns = process_now_ns();
            for (int i = 0; i < count; i++)
                model_ack(&run->model, channel, &acks[i], now_ns);
        } while (count == (int)ACKS_PER_CALL);
    }
    return 0;
}

/* Posts one record; while there is no room, outcomes are taken and kills go on. */
static int post(struct run *run)
{
    struct model_content content;
    uint32_t channel = (uint32_t)(model_random(&run->random) % MODEL_CHANNELS);
    uint64_t now_ns = process_now_ns(), give_up_ns = now_ns + (uint64_t)FLUSH_MS * 1000000u;
    xdock_record_t record = XDOCK_RECORD_INIT;
    int status;
    int64_t user = model_send(&run->model, channel, now_ns, &content);
    if (user < 0)
        return complain((int)user, "the history is incomplete", "");
    record.type = XDOCK_STOCK_MOVED;
    record.flags = XDOCK_SYNTHETIC;
    record.topic = "stock";
    record.sku = content.sku;
    record.location = content.location;
    record.document = content.document;
    record.document_type = XDOCK_DOC_WORK;
    record.quantity = xdock_quantity((int32_t)content.sku_index + 1, 0, XDOCK_UOM_PIECE);
    record.payload = xdock_bytes(content.payload, content.payload_bytes);
    record.sequence = run->model.sent[channel];
    while ((status = xdock_post(run->producers[channel], &record, (uint64_t)user, 2)) ==
           XDOCK_BUFFER_FULL) {
        int trouble = take_acks(run);
        if (trouble >= 0)
            trouble = kill_when_due(run);
        if (trouble < 0)
            return trouble;
        if (process_now_ns() > give_up_ns)
            return fail(run, status, "no room for a record for very long");
    }
    if (status < 0)
        return fail(run, status, "a record was not taken");
    run->sent++;
    return 0;
}

static int flush_all(struct run *run)
{
    for (uint32_t i = 0; i < MODEL_CHANNELS; i++) {
        int status = xdock_flush(run->producers[i], FLUSH_MS);
        if (status < 0)
            return fail(run, status, "not everything has an outcome");
    }
    return take_acks(run);
}

static int send_all(struct run *run)
{
    int status = 0;
    while (status >= 0 && run->sent < run->settings.record_count) {
        /* Batches of all sizes come from this. */
        uint64_t chunk = 1 + model_random(&run->random) % CHUNK_MAX;
        while (status >= 0 && chunk-- > 0 && run->sent < run->settings.record_count)
            status = post(run);
        if (status >= 0)
            status = take_acks(run);
        if (status >= 0)
            status = kill_when_due(run);
    }
    /* Kills that were planned for the very end. */
    while (status >= 0 && run->killed < run->settings.kill_count)
        status = kill_broker(run);
    if (status >= 0)
        status = flush_all(run);
    return status >= 0 ? kill_broker(run) : status;
}

/* ---- reading back ---------------------------------------------------------------------------- */

/* The channel that feeds the facility of a record. */
static uint32_t channel_of(xdock_reader_t *reader, const xdock_view_t *view)
{
    char name[8];
    const char *facility = xdock_reader_facility_name(reader, view->facility);
    for (uint32_t i = 0; i < MODEL_CHANNELS; i++) {
        facility_name(i, name);
        if (strcmp(name, facility) == 0)
            return i;
    }
    return MODEL_CHANNELS;
}

static int read_back(struct run *run)
{
    const xdock_selection_t selection = {.struct_bytes = sizeof selection,
                                         .from = XDOCK_FROM_BEGIN,
                                         .topic = "stock",
                                         .partition = -1};
    xdock_reader_t *reader = NULL;
    uint32_t facility = 0, channel = MODEL_CHANNELS, partition = HISTORY_PARTITION_NONE;
    uint64_t end_offset = 0;
    int status = xdock_reader_open(run->client, &selection, CALL_MS, &reader);
    if (status < 0)
        return fail(run, status, "cannot open a reader");
    for (;;) {
        const xdock_view_t *view;
        /* When all that was sent has been read, a short silence is the end: more would be doubled.
         */
        bool enough = run->model.read_count >= run->sent && xdock_reader_at_end(reader);
        status = xdock_reader_poll(reader, enough ? 300 : READ_QUIET_MS);
        if (status <= 0)
            break;
        uint64_t now_ns = process_now_ns();
        while ((view = xdock_reader_next(reader)) != NULL) {
            if (channel == MODEL_CHANNELS || facility != view->facility)
                channel = channel_of(reader, view);
            facility = view->facility;
            if (partition != view->partition || view->offset >= end_offset)
                (void)xdock_reader_position(reader, view->partition, NULL, &end_offset);
            partition = view->partition;
            model_read(&run->model, channel, view, end_offset, now_ns);
        }
    }
    if (status < 0)
        status = fail(run, status, "cannot read");
    xdock_reader_close(&reader);
    return status;
}

/* ---- the whole ------------------------------------------------------------------------------- */

static void report(const struct run *run, uint64_t send_ns, uint64_t read_ns, uint64_t judge_ns)
{
    xdock_client_stats_t stats;
    const struct model *model = &run->model;
    xdock_client_stats(run->client, &stats);
    printf("seed               %" PRIu64 "\n", run->settings.seed);
    printf("sent               %" PRIu64 " records in %u channels, %.1f s, %.0f/s\n", run->sent,
           MODEL_CHANNELS, (double)send_ns / 1e9, (double)run->sent / ((double)send_ns / 1e9));
    printf(
        "kills              %u, the last before reading; longest start after one %.0f ms, %" PRIu64
        " bytes of answers lost\n",
        run->killed, (double)run->recover_ns_max / 1e6, run->answers_lost);
    printf("connections        %" PRIu64 ", batches %" PRIu64 ", of them sent again %" PRIu64 "\n",
           stats.connects, stats.batches_sent, stats.batches_resent);
    printf("outcomes           %" PRIu64 " appended, %" PRIu64 " duplicates recognised\n",
           model->appended, model->duplicates);
    printf("read back          %" PRIu64 " records, %" PRIu64 " payload bytes, %.1f s, %.0f/s\n",
           model->read_count, model->payload_bytes, (double)read_ns / 1e9,
           (double)model->read_count / ((double)read_ns / 1e9));
    printf("judged             %" PRIu64 " operations, %.1f s\n", model->history.op_count,
           (double)judge_ns / 1e9);
    for (unsigned i = 0; i < HISTORY_PROPERTY_COUNT; i++)
        printf("%-24s %" PRIu64 "\n", history_property_name((enum history_property)i),
               model->report.properties[i].count);
    for (unsigned i = 0; i < MODEL_FAULT_COUNT; i++)
        printf("%-24s %" PRIu64 "\n", model_fault_name((enum model_fault)i), model->faults[i]);
}

static int run_all(struct run *run)
{
    const struct settings *settings = &run->settings;
    uint64_t start_ns = process_now_ns();
    run->random = settings->seed;
    int status = plan_kills(run);
    if (status >= 0)
        status = model_init(&run->model, settings->seed);
    if (status < 0)
        return complain(status, "start", "");
    status = process_init(&run->broker, settings->broker, settings->data);
    if (status >= 0)
        status = process_start(&run->broker, START_MS);
    if (status < 0)
        return broker_failed(run, status);
    status = open_client(run);
    if (status >= 0)
        status = open_channels(run);
    if (status >= 0)
        status = send_all(run);
    if (status < 0)
        return status;
    uint64_t sent_ns = process_now_ns();
    status = read_back(run);
    uint64_t read_ns = process_now_ns();
    int judged = model_judge(&run->model, settings->kill_count);
    report(run, sent_ns - start_ns, read_ns - sent_ns, process_now_ns() - read_ns);
    if (judged < 0)
        return complain(judged, "the history cannot be judged", "");
    return status;
}

static bool parse(int argc, char **argv, struct settings *ret_settings)
{
    static const struct option options[] = {
        {"broker", required_argument, NULL, 'b'},  {"data", required_argument, NULL, 'd'},
        {"records", required_argument, NULL, 'r'}, {"kills", required_argument, NULL, 'k'},
        {"seed", required_argument, NULL, 's'},    {NULL, 0, NULL, 0},
    };
    struct settings settings = {.record_count = 10000000, .seed = 1, .kill_count = 20};
    uint64_t number = 0;
    bool ok = true;
    int choice;
    while (ok && (choice = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (choice == 'b')
            settings.broker = optarg;
        else if (choice == 'd')
            settings.data = optarg;
        else if (choice == 'r')
            ok = argument_number(optarg, UINT32_MAX, &settings.record_count);
        else if (choice == 's')
            ok = argument_number(optarg, UINT64_MAX, &settings.seed);
        else if (choice == 'k' && (ok = argument_number(optarg, KILLS_MAX, &number)))
            settings.kill_count = (uint32_t)number;
        else
            ok = ok && choice == 'k';
    }
    if (!ok || settings.broker == NULL || settings.data == NULL || optind != argc)
        return false;
    *ret_settings = settings;
    return true;
}

int main(int argc, char **argv)
{
    struct run run = {0};
    if (!parse(argc, argv, &run.settings)) {
        fputs("crossdock-killtest --broker PATH --data NEW-FOLDER [--records N] [--kills N] "
              "[--seed N]\n",
              stderr);
        return 2;
    }
    int status = run_all(&run);
    bool failed = status < 0 || model_faults(&run.model) > 0;
    (void)xdock_client_close(&run.client, 0); /* All outcomes were counted before. */
    status = process_stop(&run.broker, STOP_MS);
    if (status < 0)
        (void)broker_failed(&run, status);
    failed = failed || status < 0;
    printf("%s\n", failed ? "FAILED" : "nothing lost, nothing doubled, every sequence kept");
    free(run.kill_places);
    model_deinit(&run.model);
    return failed ? 1 : 0;
}
