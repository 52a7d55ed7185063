/* SPDX-License-Identifier: Apache-2.0
 *
 * crossdock-shardstest: a client that knows nothing of shards, on a broker with three.
 *
 *   crossdock-shardstest BROKER NEW-FOLDER
 *
 * Normal path: one client, one connection, two producers whose facilities lie on different shards,
 * and a reader of both. Much more is sent than the connection may have unacknowledged; the broker
 * is killed and comes back with batches on their way; another client takes one of the channels,
 * which must leave the other alone. Then every record must have had one outcome and be in the log
 * once, in sequence.
 * Failure path: what is wrong is told, the run ends. A call that makes no progress ends it as well:
 * credit that ran dry looks like that.
 * Exit: 0 all as expected, 1 not, 2 wrong usage.
 */
#include "tools/demo/process.h"

#include <crossdock/crossdock.h>

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SHARDS 3u
#define LANES 2u
#define FACILITIES_MAX 20u
#define START_MS 60000u
#define STOP_MS 30000u
#define CALL_MS 20000u
#define STALL_NS 30000000000u /* without any outcome: nothing goes on any more */
#define PAYLOAD_BYTES 6000u
/* Records of one phase in one lane; together 20 times what a connection may have unanswered. */
#define PHASE 1750u
#define RECORDS_MAX (4u * PHASE)
#define PARTITIONS_MAX 1024u
#define ACKS_PER_CALL 256u

/* One producer and what came of its records; sequences are those that the library gives, from 1. */
struct lane {
    char facility[8];               /* */
    uint32_t shard;                 /* that owns it */
    xdock_producer_t *producer;     /* */
    uint32_t posted;                /* */
    uint32_t outcomes;              /* */
    uint32_t failed;                /* outcomes that are refusals */
    uint32_t read;                  /* records that the reader gave */
    uint8_t acked[RECORDS_MAX + 1]; /* outcomes by sequence */
    uint8_t seen[RECORDS_MAX + 1];  /* reads by sequence */
    uint64_t last[PARTITIONS_MAX];  /* last sequence read of a partition */
};

struct run {
    struct process broker;
    xdock_client_t *client; /* */
    xdock_reader_t *reader; /* of all facilities */
    struct lane lanes[LANES];
};

static int fail(const struct run *run, int status, const char *what)
{
    fprintf(stderr, "crossdock-shardstest: %s: %s (%s) %s\n", what, xdock_status_text(status),
            xdock_status_name(status), run->client != NULL ? xdock_client_error(run->client) : "");
    return -1;
}

static int wrong(const char *what, const struct lane *lane, uint64_t number)
{
    fprintf(stderr, "crossdock-shardstest: %s: facility %s, %" PRIu64 "\n", what, lane->facility,
            number);
    return -1;
}

static int open_client(const struct run *run, xdock_client_t **ret_client)
{
    char error[256] = "";
    xdock_options_t *options = NULL;
    int status = xdock_options_init(&options);
    if (status == 0)
        status = xdock_options_set(options, "address", run->broker.address);
    if (status == 0)
        status = xdock_client_open(options, CALL_MS, ret_client, error, sizeof error);
    xdock_options_free(&options);
    if (status < 0)
        fprintf(stderr, "crossdock-shardstest: cannot connect: %s\n", error);
    return status;
}

/* ---- two facilities on two shards ------------------------------------------------------------ */

/* The shard that owns a facility, or a negative status. */
static int shard_of(struct run *run, const char *facility)
{
    char arguments[128];
    const char *reply;
    for (uint32_t shard = 0; shard < SHARDS; shard++) {
        snprintf(arguments, sizeof arguments, "{\"shard\": %u, \"facility\": \"%s\", \"limit\": 1}",
                 shard, facility);
        int status = xdock_admin_call(run->client, "partition list", arguments, CALL_MS, &reply);
        if (status < 0)
            return fail(run, status, "partition list");
        if (strstr(reply, "\"partition\":") != NULL)
            return (int)shard;
    }
    return fail(run, XDOCK_PARTITION_UNKNOWN, "a facility that no shard owns");
}

static int choose_facilities(struct run *run)
{
    char arguments[64];
    const char *reply;
    uint32_t chosen = 0;
    for (uint32_t i = 0; i < FACILITIES_MAX && chosen < LANES; i++) {
        struct lane *lane = &run->lanes[chosen];
        snprintf(lane->facility, sizeof lane->facility, "DC%02u", i);
        snprintf(arguments, sizeof arguments, "{\"name\": \"%s\"}", lane->facility);
        int status = xdock_admin_call(run->client, "facility add", arguments, CALL_MS, &reply);
        if (status < 0)
            return fail(run, status, "facility add");
        int shard = shard_of(run, lane->facility);
        if (shard < 0)
            return -1;
        lane->shard = (uint32_t)shard;
        if (chosen == 0 || lane->shard != run->lanes[0].shard)
            chosen++;
    }
    return chosen == LANES ? 0 : fail(run, XDOCK_NOT_FOUND, "facilities on two shards");
}

static int open_all(struct run *run)
{
    const xdock_selection_t selection = {.struct_bytes = sizeof selection,
                                         .from = XDOCK_FROM_BEGIN,
                                         .topic = "stock",
                                         .partition = -1};
    if (open_client(run, &run->client) < 0 || choose_facilities(run) < 0)
        return -1;
    for (uint32_t i = 0; i < LANES; i++) {
        int status = xdock_producer_open(run->client, "WMS", NULL, run->lanes[i].facility, CALL_MS,
                                         &run->lanes[i].producer);
        if (status < 0)
            return fail(run, status, "open a producer");
    }
    int status = xdock_reader_open(run->client, &selection, CALL_MS, &run->reader);
    return status < 0 ? fail(run, status, "open the reader") : 0;
}

/* ---- outcomes and reads ---------------------------------------------------------------------- */

static int take_acks(struct run *run, struct lane *lane)
{
    xdock_ack_t acks[ACKS_PER_CALL];
    int count;
    while ((count = xdock_acks(lane->producer, acks, ACKS_PER_CALL, 0)) > 0)
        for (int i = 0; i < count; i++) {
            uint64_t sequence = acks[i].sequence;
            lane->outcomes++;
            lane->failed += acks[i].status < 0;
            if (acks[i].status < 0)
                continue;
            if (sequence < 1 || sequence > lane->posted || lane->acked[sequence]++ > 0)
                return wrong("an outcome of no record, or its second one", lane, sequence);
        }
    if (count < 0 && count != XDOCK_FENCED)
        return fail(run, count, "outcomes");
    return 0;
}

static struct lane *lane_of(struct run *run, const xdock_view_t *view)
{
    const char *name = xdock_reader_facility_name(run->reader, view->facility);
    for (uint32_t i = 0; i < LANES; i++)
        if (strcmp(run->lanes[i].facility, name) == 0)
            return &run->lanes[i];
    return NULL;
}

static int take_records(struct run *run, uint32_t wait_ms)
{
    const xdock_view_t *view;
    int status = xdock_reader_poll(run->reader, wait_ms);
    if (status < 0)
        return fail(run, status, "read");
    while ((view = xdock_reader_next(run->reader)) != NULL) {
        struct lane *lane = lane_of(run, view);
        if (lane == NULL || view->partition >= PARTITIONS_MAX)
            return fail(run, XDOCK_PARTITION_UNKNOWN, "a record of no lane");
        if (view->sequence < 1 || view->sequence > lane->posted || lane->seen[view->sequence]++)
            return wrong("a record that was not sent, or twice", lane, view->sequence);
        if (view->sequence <= lane->last[view->partition])
            return wrong("a record out of sequence", lane, view->sequence);
        lane->last[view->partition] = view->sequence;
        lane->read++;
    }
    return 0;
}

/* ---- sending --------------------------------------------------------------------------------- */

static int post(struct lane *lane)
{
    static const char payload[PAYLOAD_BYTES];
    char sku[16];
    xdock_record_t record;
    xdock_record_init(&record);
    snprintf(sku, sizeof sku, "SKU-%u", lane->posted % 97);
    record.topic = "stock";
    record.type = 0xf001;
    record.sku = sku;
    record.payload = xdock_bytes(payload, sizeof payload);
    int status = xdock_post(lane->producer, &record, 0, 0);
    lane->posted += status == 0;
    return status;
}

/* Sends until both lanes have `target` records; `settle`: until each has its outcome, too. */
static int send_to(struct run *run, uint32_t target, bool settle)
{
    uint64_t moved_ns = process_now_ns();
    uint32_t before = 0;
    for (bool going = true; going;) {
        going = false;
        uint32_t outcomes = 0;
        for (uint32_t i = 0; i < LANES; i++) {
            struct lane *lane = &run->lanes[i];
            int status = lane->posted < target ? post(lane) : 0;
            if (status < 0 && status != XDOCK_BUFFER_FULL)
                return fail(run, status, "post");
            if (take_acks(run, lane) < 0)
                return -1;
            outcomes += lane->outcomes;
            going = going || lane->posted < target || (settle && lane->outcomes < target);
        }
        if (take_records(run, 0) < 0)
            return -1;
        moved_ns = outcomes != before ? process_now_ns() : moved_ns;
        before = outcomes;
        if (going && process_now_ns() - moved_ns > STALL_NS)
            return wrong("nothing goes on", &run->lanes[0], outcomes);
    }
    return 0;
}

/* ---- the steps ------------------------------------------------------------------------------- */

/* Batches of both shards are on their way when the broker dies. */
static int kill_and_go_on(struct run *run)
{
    xdock_client_stats_t stats;
    if (send_to(run, 2 * PHASE, false) < 0)
        return -1;
    for (uint32_t i = 0; i < LANES; i++)
        if (xdock_producer_pending(run->lanes[i].producer) == 0)
            return wrong("nothing is on its way at the kill", &run->lanes[i], 0);
    if (process_kill(&run->broker) < 0 || process_start(&run->broker, START_MS) < 0) {
        fprintf(stderr, "crossdock-shardstest: %s\n", run->broker.why);
        return -1;
    }
    if (send_to(run, 3 * PHASE, true) < 0)
        return -1;
    xdock_client_stats(run->client, &stats);
    return stats.connects == 2 ? 0 : wrong("connections", &run->lanes[0], stats.connects);
}

/* Another client opens the first lane's channel: that lane is over, the other goes on. */
static int fence_one(struct run *run)
{
    xdock_client_t *other = NULL;
    xdock_producer_t *thief = NULL;
    struct lane *lost = &run->lanes[0], *kept = &run->lanes[1];
    int status = open_client(run, &other);
    if (status == 0)
        status = xdock_producer_open(other, "WMS", NULL, lost->facility, CALL_MS, &thief);
    if (status < 0)
        return fail(run, status, "open the channel again");
    if (xdock_producer_resume(thief) != lost->posted)
        return wrong("the channel goes on at", lost, xdock_producer_resume(thief));
    uint64_t end_ns = process_now_ns() + STALL_NS;
    while ((status = post(lost)) != XDOCK_FENCED && process_now_ns() < end_ns) {
        if (xdock_client_step(run->client, 10) < 0 || take_acks(run, lost) < 0)
            return -1;
    }
    if (status != XDOCK_FENCED)
        return fail(run, status, "the fenced channel");
    for (uint32_t target = kept->posted + PHASE; kept->posted < target;) {
        status = post(kept);
        if (status < 0 && status != XDOCK_BUFFER_FULL)
            return fail(run, status, "the channel beside the fenced one");
        if (take_acks(run, kept) < 0)
            return -1;
    }
    status = xdock_flush(kept->producer, STALL_NS / 1000000u);
    if (status < 0)
        return fail(run, status, "flush beside the fenced channel");
    xdock_producer_close(&thief, CALL_MS);
    xdock_client_close(&other, CALL_MS);
    return take_acks(run, kept);
}

/* What was acknowledged, and nothing else, is read, each record once. */
static int compare(struct run *run)
{
    uint64_t end_ns = process_now_ns() + STALL_NS;
    uint32_t wanted = 3 * PHASE + 4 * PHASE;
    while (run->lanes[0].read + run->lanes[1].read < wanted && process_now_ns() < end_ns)
        if (take_records(run, 100) < 0)
            return -1;
    if (take_records(run, 500) < 0)
        return -1;
    for (uint32_t i = 0; i < LANES; i++) {
        const struct lane *lane = &run->lanes[i];
        uint32_t last = (i == 0 ? 3 : 4) * PHASE;
        for (uint32_t sequence = 1; sequence <= last; sequence++)
            if (lane->acked[sequence] != 1 || lane->seen[sequence] != 1)
                return wrong(lane->acked[sequence] != 1 ? "no outcome" : "not in the log", lane,
                             sequence);
        if (lane->read != last)
            return wrong("records read", lane, lane->read);
    }
    return run->lanes[1].failed == 0 ? 0 : wrong("refused", &run->lanes[1], run->lanes[1].failed);
}

static int go(struct run *run)
{
    if (process_start(&run->broker, START_MS) < 0) {
        fprintf(stderr, "crossdock-shardstest: %s\n", run->broker.why);
        return -1;
    }
    if (open_all(run) < 0 || send_to(run, PHASE, true) < 0)
        return -1;
    printf("credit: %u records of %u bytes in shards %u and %u\n", LANES * PHASE, PAYLOAD_BYTES,
           run->lanes[0].shard, run->lanes[1].shard);
    if (kill_and_go_on(run) < 0)
        return -1;
    puts("kill: both channels went on");
    if (fence_one(run) < 0)
        return -1;
    puts("fence: the other channel went on");
    return compare(run);
}

int main(int argc, char **argv)
{
    static struct run run;
    if (argc != 3) {
        fputs("crossdock-shardstest BROKER NEW-FOLDER\n", stderr);
        return 2;
    }
    setenv("CROSSDOCK_PROCESS__SHARDS", "3", 1);
    setenv("CROSSDOCK_PRODUCE__CONNECTION_BYTES", "1MiB", 1);
    setenv("CROSSDOCK_LOG__SEGMENT_BYTES", "16MiB", 1);
    setenv("CROSSDOCK_LOG__RETENTION_BYTES", "1GiB", 1);
    if (process_init(&run.broker, argv[1], argv[2]) < 0) {
        fprintf(stderr, "crossdock-shardstest: %s\n", run.broker.why);
        return 1;
    }
    int status = go(&run);
    xdock_reader_close(&run.reader);
    xdock_client_close(&run.client, 0); /* the fenced channel has nothing to wait for */
    if (process_stop(&run.broker, STOP_MS) < 0) {
        fprintf(stderr, "crossdock-shardstest: %s\n", run.broker.why);
        status = -1;
    }
    return status < 0 ? 1 : 0;
}
