/* SPDX-License-Identifier: Apache-2.0
 *
 * Clients in several threads: what the library promises is that threads which share no handle need
 * no lock, and that a handle in the wrong thread is refused instead of damaged.
 *
 *   test_threads_clients THREADS      2..16
 *
 * Normal path: all threads begin together; each has a broker, a client, a producer and a reader of
 * its own, posts and reads in turn, and must get back each of its records once, in sequence within
 * a partition. Then a client of the real transport is handed to another thread, which every call
 * must refuse, and goes on in its own.
 * Failure path: what went wrong first in a thread is printed. Exit: 0 all as expected, 1 not, 2
 * wrong usage. A data race is the thread sanitizer's to find.
 */
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <crossdock/crossdock.h>

#include "client/client.h"
#include "tests/support/fake_broker.h"
#include "wire/status.h"

#define THREADS_MAX 16u
#define RECORDS 3000u
#define RECORDS_PER_ROUND 50u
#define POLLS_MAX 100000u
#define CALL_MS 1000u

/* One thread and what it has. */
struct work {
    pthread_t thread;
    pthread_barrier_t *start; /* of all threads */
    struct fake_broker *broker;
    xdock_client_t *client;
    xdock_producer_t *producer;
    xdock_reader_t *reader;
    uint64_t next[FAKE_PARTITIONS]; /* offset expected per partition */
    bool seen[RECORDS + 1];         /* by sequence */
    uint32_t seen_count;
    char failure[256]; /* "" = none */
};

static bool failed(struct work *work, const char *what, int status)
{
    snprintf(work->failure, sizeof(work->failure), "%s: %s: %s", what, xdock_status_name(status),
             work->client != NULL ? xdock_client_error(work->client) : "");
    return false;
}

static bool open_all(struct work *work)
{
    char error[256] = "";
    xdock_options_t *options = NULL;
    work->broker = fake_broker_new();
    int status = xdock_options_init(&options);
    if (status >= 0)
        status = xdock_options_set(options, "producer.batch_bytes", "4KiB");
    if (status >= 0)
        status = xdock_options_set(options, "producer.codec", "lz4");
    if (status >= 0)
        status = xd_client_open_over(options, &work->broker->transport, CALL_MS, &work->client,
                                     error, sizeof(error));
    xdock_options_free(&options);
    if (status < 0)
        return failed(work, "client", status);
    status = xdock_producer_open(work->client, "wms", NULL, "DC07", CALL_MS, &work->producer);
    if (status < 0)
        return failed(work, "producer", status);
    const xdock_selection_t selection = {.struct_bytes = sizeof(selection),
                                         .from = XDOCK_FROM_BEGIN,
                                         .topic = "stock",
                                         .facility = "DC07",
                                         .partition = -1};
    status = xdock_reader_open(work->client, &selection, CALL_MS, &work->reader);
    return status < 0 ? failed(work, "reader", status) : true;
}

static bool post_some(struct work *work, uint32_t first)
{
    for (uint32_t i = first; i < first + RECORDS_PER_ROUND; i++) {
        char sku[32];
        snprintf(sku, sizeof(sku), "SKU-%u", i % 97u);
        xdock_record_t record = XDOCK_RECORD_INIT;
        record.topic = "stock";
        record.type = XDOCK_STOCK_MOVED;
        record.sku = sku;
        record.location = "A-01";
        record.document = "TASK-1";
        record.quantity = xdock_quantity((int32_t)i, 0, XDOCK_UOM_PIECE);
        int status = xdock_post(work->producer, &record, i, CALL_MS);
        if (status < 0)
            return failed(work, "post", status);
    }
    int status = xdock_flush(work->producer, CALL_MS);
    return status < 0 ? failed(work, "flush", status) : true;
}

static bool take_outcomes(struct work *work)
{
    for (uint32_t taken = 0; taken < RECORDS_PER_ROUND;) {
        xdock_ack_t acks[RECORDS_PER_ROUND];
        int count = xdock_acks(work->producer, acks, RECORDS_PER_ROUND - taken, CALL_MS);
        if (count <= 0)
            return failed(work, "outcomes", count);
        for (int i = 0; i < count; i++) {
            if (acks[i].status < 0)
                return failed(work, "outcome", acks[i].status);
        }
        taken += (uint32_t)count;
    }
    return true;
}

static bool take_view(struct work *work, const xdock_view_t *view)
{
    if (view->partition >= FAKE_PARTITIONS || view->offset != work->next[view->partition])
        return failed(work, "offsets of a partition have a gap", 0);
    work->next[view->partition]++;
    if (view->sequence == 0 || view->sequence > RECORDS || work->seen[view->sequence])
        return failed(work, "a sequence came twice, or was never given", 0);
    work->seen[view->sequence] = true;
    work->seen_count++;
    return true;
}

static bool read_up_to(struct work *work, uint32_t wanted)
{
    for (uint32_t polls = 0; work->seen_count < wanted; polls++) {
        int status = xdock_reader_poll(work->reader, CALL_MS);
        if (status < 0 || polls == POLLS_MAX)
            return failed(work, "poll", status);
        const xdock_view_t *view;
        while ((view = xdock_reader_next(work->reader)) != NULL) {
            if (!take_view(work, view))
                return false;
        }
    }
    return work->seen_count == wanted ? true : failed(work, "more records than were posted", 0);
}

static void *produce_and_read(void *argument)
{
    struct work *work = argument;
    pthread_barrier_wait(work->start);
    bool good = open_all(work);
    for (uint32_t first = 0; good && first < RECORDS; first += RECORDS_PER_ROUND)
        good = post_some(work, first) && take_outcomes(work) &&
               read_up_to(work, first + RECORDS_PER_ROUND);
    int unknown = xdock_client_close(&work->client, CALL_MS);
    if (good && unknown != 0)
        failed(work, "close", unknown);
    if (work->broker->freed)
        fake_broker_free(work->broker);
    else if (good)
        failed(work, "close left the transport", 0);
    return NULL;
}

/* All threads at once: number of those that failed. */
static int run_side_by_side(uint32_t count)
{
    int failures = 0;
    pthread_barrier_t start;
    struct work *works = calloc(count, sizeof(*works));
    if (works == NULL || pthread_barrier_init(&start, NULL, count) != 0)
        abort();
    for (uint32_t i = 0; i < count; i++) {
        works[i].start = &start;
        if (pthread_create(&works[i].thread, NULL, produce_and_read, &works[i]) != 0)
            abort();
    }
    for (uint32_t i = 0; i < count; i++) {
        pthread_join(works[i].thread, NULL);
        if (works[i].failure[0] == '\0')
            continue;
        fprintf(stderr, "thread %u: %s\n", i, works[i].failure);
        failures++;
    }
    pthread_barrier_destroy(&start);
    free(works);
    return failures;
}

/* ---- a handle in the wrong thread ------------------------------------------------------------ */

/* A call that must have been refused. */
struct refusal {
    const char *call;
    int status;
};

#define CALLS 6u

struct visit {
    xdock_client_t *client; /* of another thread */
    struct refusal refusals[CALLS];
};

static void *use_handle(void *argument)
{
    struct visit *visit = argument;
    xdock_client_t *client = visit->client;
    xdock_producer_t *producer = NULL;
    xdock_reader_t *reader = NULL;
    const char *reply = NULL;
    const xdock_selection_t selection = {
        .struct_bytes = sizeof(selection), .topic = "stock", .partition = -1};
    const struct refusal refusals[CALLS] = {
        {"step", xdock_client_step(client, 0)},
        {"producer_open", xdock_producer_open(client, "wms", NULL, NULL, 0, &producer)},
        {"reader_open", xdock_reader_open(client, &selection, 0, &reader)},
        {"admin_call", xdock_admin_call(client, "status", NULL, 0, &reply)},
        {"close", xdock_client_close(&client, 0)},
        {"close again", xdock_client_close(&client, 0)},
    };
    memcpy(visit->refusals, refusals, sizeof(refusals));
    return NULL;
}

/* A client that is handed to another thread: number of calls that were not refused. */
static int run_handed_over(void)
{
    int failures = 0;
    char error[256] = "";
    pthread_t thread;
    struct visit visit = {.client = NULL};
    xdock_options_t *options = NULL;
    int status = xdock_options_init(&options);
    if (status >= 0)
        status = xdock_options_set(options, "address", "unix:/crossdock-nobody-listens-here");
    if (status >= 0)
        status = xdock_client_open(options, 0, &visit.client, error, sizeof(error));
    xdock_options_free(&options);
    if (status < 0) {
        fprintf(stderr, "client: %s: %s\n", xdock_status_name(status), error);
        return 1;
    }
    if (pthread_create(&thread, NULL, use_handle, &visit) != 0)
        abort();
    pthread_join(thread, NULL);
    for (uint32_t i = 0; i < CALLS; i++) {
        if (visit.refusals[i].status == XDOCK_WRONG_THREAD)
            continue;
        fprintf(stderr, "%s in another thread: %s\n", visit.refusals[i].call,
                xdock_status_name(visit.refusals[i].status));
        failures++;
    }
    status = xdock_client_step(visit.client, 0);
    if (status < 0 || xdock_client_close(&visit.client, 0) != 0) {
        fprintf(stderr, "the thread that owns it: %s\n", xdock_status_name(status));
        failures++;
    }
    return failures;
}

int main(int argc, char **argv)
{
    unsigned long count = argc == 2 ? strtoul(argv[1], NULL, 10) : 0;
    if (count < 2 || count > THREADS_MAX) {
        fprintf(stderr, "usage: %s THREADS (2..%u)\n", argv[0], THREADS_MAX);
        return 2;
    }
    int failures = run_side_by_side((uint32_t)count) + run_handed_over();
    return failures == 0 ? 0 : 1;
}
