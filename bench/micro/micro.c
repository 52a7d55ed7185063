/* SPDX-License-Identifier: Apache-2.0
 *
 * Micro-benchmarks: what single steps of a record's way cost in CPU time, without device and
 * network. Each row is run RUNS times for RUN_NS; the median is printed.
 *
 *   micro [PART OF A NAME]
 *
 * Must not judge: figures depend on the machine, a bound would fail on the wrong one.
 */
#include "bench/disk/append.h"
#include "bench/micro/env_null.h"
#include "broker/log/block.h"
#include "broker/produce/session.h"
#include "wire/batch.h"
#include "wire/checksum.h"
#include "wire/record.h"
#include "wire/route.h"
#include "wire/status.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define RUNS 5
#define RUN_NS 60000000ull
#define PAYLOAD_BYTES 96u
#define BATCH_BYTES (64u * 1024u)
#define BLOCK_BATCHES 15u

/* What the rows work on; made once. */
struct stage {
    uint8_t *batch;               /* BATCH_BYTES, sealed */
    uint8_t *block;               /* a block of BLOCK_BATCHES of them */
    uint8_t record[512];          /* one encoded record */
    struct xd_record_build build; /* what it was made of */
    uint8_t payload[PAYLOAD_BYTES];
    uint32_t record_bytes; /* */
    struct block_identity identity;
    struct arena arena;          /* of the sessions */
    struct sessions sessions;    /* one channel, one batch in its chain */
    struct xd_batch_header next; /* the next batch of that chain */
    struct env *env;             /* without a world */
    struct append_load large;    /* logs over it: 64 KiB batches */
    struct append_load small;    /* 512 byte batches */
    uint64_t times_ns[APPEND_LOAD_BATCHES_MAX];
    uint64_t sink; /* takes results, so that nothing is left out */
};

/* Does the step `count` times; returns how many units that were. */
typedef uint64_t micro_run(struct stage *stage, uint64_t count);

static uint64_t now_ns(void)
{
    struct timespec time;
    int status = clock_gettime(CLOCK_MONOTONIC, &time);
    XD_ASSERT(status == 0);
    return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

/* ---- steps ----------------------------------------------------------------------------------- */

static uint64_t run_checksum_256(struct stage *stage, uint64_t count)
{
    for (uint64_t i = 0; i < count; i++)
        stage->sink += xd_xxh3(stage->batch + i % 64 * 8, 256);
    return count;
}

static uint64_t run_batch_check(struct stage *stage, uint64_t count)
{
    const struct xd_batch_header *batch = (const struct xd_batch_header *)(void *)stage->batch;
    const char *field;
    for (uint64_t i = 0; i < count; i++) {
        int header = xd_batch_check_header(batch, BATCH_BYTES, &field);
        XD_ASSERT(header == 0);
        int hash = xd_batch_check_hash(batch);
        XD_ASSERT(hash == 0);
    }
    return count;
}

static uint64_t run_record_encode(struct stage *stage, uint64_t count)
{
    const char *field;
    for (uint64_t i = 0; i < count; i++) {
        stage->build.core.source_sequence = i;
        int bytes = xd_record_encode(&stage->build, stage->record, sizeof stage->record, &field);
        XD_ASSERT(bytes == (int)stage->record_bytes);
    }
    return count;
}

static uint64_t run_record_decode(struct stage *stage, uint64_t count)
{
    struct xd_record record;
    const char *field;
    for (uint64_t i = 0; i < count; i++) {
        int bytes = xd_record_decode(stage->record, stage->record_bytes, &record, &field);
        XD_ASSERT(bytes == (int)stage->record_bytes);
        stage->sink += record.core->event_time_us > 0;
    }
    return count;
}

static uint64_t run_route(struct stage *stage, uint64_t count)
{
    struct xd_route_fields fields = {.sku = 4711};
    for (uint64_t i = 0; i < count; i++) {
        fields.sku += i;
        stage->sink += xd_route_bucket(xd_route_key(XD_STRATEGY_SKU, &fields), 8);
    }
    return count;
}

static uint64_t run_session_check(struct stage *stage, uint64_t count)
{
    for (uint64_t i = 0; i < count; i++) {
        int status = session_check(&stage->sessions, &stage->next).status;
        XD_ASSERT(status == 0);
    }
    return count;
}

static uint64_t run_block_seal(struct stage *stage, uint64_t count)
{
    struct block_header *block = (struct block_header *)(void *)stage->block;
    for (uint64_t i = 0; i < count; i++) {
        block->block_sequence = i + 1;
        block_seal(block, &stage->identity, 4096);
    }
    stage->sink += block->header_xxh3;
    return count;
}

static uint64_t run_append(struct stage *stage, struct append_load *load, uint64_t count)
{
    uint64_t durable = 0;
    while (durable < count) {
        int got = append_load_turn(load, true, 0, stage->times_ns);
        XD_ASSERT(got >= 0);
        durable += (uint64_t)got;
    }
    return durable;
}

static uint64_t run_append_large(struct stage *stage, uint64_t count)
{
    return run_append(stage, &stage->large, count);
}

static uint64_t run_append_small(struct stage *stage, uint64_t count)
{
    return run_append(stage, &stage->small, count);
}

static const struct {
    const char *name;
    micro_run *run;
    uint32_t bytes; /* of one unit, 0 = its rate in bytes says nothing */
} rows[] = {
    {"checksum 256 B", run_checksum_256, 256},
    {"batch check with hash, 64 KiB", run_batch_check, BATCH_BYTES},
    {"record encode", run_record_encode, 0},
    {"record decode", run_record_decode, 0},
    {"route", run_route, 0},
    {"session check", run_session_check, 0},
    {"block seal, 15 batches of 64 KiB", run_block_seal, 0},
    {"log append, 64 KiB, no device", run_append_large, BATCH_BYTES - 128u},
    {"log append, 512 B, no device", run_append_small, 512},
};

/* ---- what they work on ----------------------------------------------------------------------- */

static struct xd_text text_of(const char *text)
{
    return (struct xd_text){text, (uint32_t)strlen(text)};
}

static void make_record(struct stage *stage)
{
    const char *field = "";
    memset(stage->payload, 'x', sizeof stage->payload);
    stage->build = (struct xd_record_build){.core = {.event_time_us = 1,
                                                     .source_sequence = 1,
                                                     .channel = 1,
                                                     .facility = 1,
                                                     .type = 0x0107,
                                                     .channel_epoch = 1,
                                                     .present = XD_GROUP_STOCK | XD_GROUP_DOCUMENT},
                                            .sku = text_of("SKU-4711"),
                                            .location_from = text_of("A-12-03"),
                                            .document_text = text_of("SO4711"),
                                            .payload = stage->payload,
                                            .payload_bytes = PAYLOAD_BYTES};
    int bytes = xd_record_encode(&stage->build, stage->record, sizeof stage->record, &field);
    XD_ASSERT(bytes > 0);
    stage->record_bytes = (uint32_t)bytes;
}

static void make_batch(struct stage *stage)
{
    struct xd_batch_header *batch = (struct xd_batch_header *)(void *)stage->batch;
    for (uint32_t i = 0; i < BATCH_BYTES; i++)
        stage->batch[i] = (uint8_t)(i * 2654435761u >> 11);
    *batch = (struct xd_batch_header){.producer_id = 1,
                                      .producer_epoch = 1,
                                      .channel_epoch = 1,
                                      .record_count = 255,
                                      .first_sequence = 1,
                                      .last_sequence = 255,
                                      .first_event_time_us = 1,
                                      .last_event_time_us = 1,
                                      .raw_bytes = BATCH_BYTES - XD_BATCH_HEADER_BYTES};
    xd_batch_seal(batch, BATCH_BYTES);
}

static void make_block(struct stage *stage)
{
    struct block_header *block = (struct block_header *)(void *)stage->block;
    uint32_t payload = BLOCK_BATCHES * BATCH_BYTES;
    memset(stage->block, 0, XD_BLOCK_BYTES_MAX);
    for (uint32_t i = 0; i < BLOCK_BATCHES; i++)
        memcpy(stage->block + BLOCK_HEADER_BYTES + i * BATCH_BYTES, stage->batch, BATCH_BYTES);
    *block = (struct block_header){.type = BLOCK_DATA,
                                   .epoch = 1,
                                   .block_sequence = 1,
                                   .term = 1,
                                   .index = 1,
                                   .payload_bytes = payload,
                                   .batch_count = BLOCK_BATCHES,
                                   .record_count = BLOCK_BATCHES * 255u};
    stage->identity = (struct block_identity){.segment_bytes = 256u << 20, .epoch = 1};
}

/* A channel with one batch appended; `next` follows it. */
static void make_session(struct stage *stage)
{
    const struct session_options options = {.channels_max = 16, .chains_max = 64};
    const struct xd_open_request request = {
        .fixed = {.flags = XD_OPEN_NO_MEMORY}, .source = text_of("wms"), .channel = text_of("dc1")};
    struct control_session entry;
    char detail[XD_DETAIL_BYTES_MAX];
    const char *why = "";
    uint64_t bytes = session_bytes_needed(&options);
    void *memory = env_mem_alloc(stage->env, bytes);
    XD_ASSERT(memory != NULL);
    arena_init(&stage->arena, memory, bytes);
    int status = session_init(&stage->sessions, &stage->arena, &options, 1);
    XD_ASSERT(status == 0);
    status = session_plan_open(&stage->sessions, &request, 1, &entry, detail);
    XD_ASSERT(status == 1);
    status = session_take(&stage->sessions, &entry, &why);
    XD_ASSERT(status == 0);
    session_take_durable(&stage->sessions, &entry);
    struct xd_batch_header first = {.batch_xxh3 = 1,
                                    .producer_id = entry.channel,
                                    .producer_epoch = entry.producer_epoch,
                                    .channel_epoch = entry.channel_epoch,
                                    .record_count = 255,
                                    .first_sequence = 1,
                                    .last_sequence = 255};
    session_append(&stage->sessions, &first, 1);
    status = session_apply(&stage->sessions, &first, 1, &why);
    XD_ASSERT(status == 0);
    stage->next = first;
    stage->next.previous_sequence = 255;
    stage->next.first_sequence = 256;
    stage->next.last_sequence = 510;
}

static void make_log(struct append_load *load, struct env *env, uint32_t batch_bytes)
{
    struct append_load_options options;
    char why[XD_DETAIL_BYTES_MAX] = "";
    append_load_options_init(&options);
    options.batch_bytes = batch_bytes;
    options.log.sync = LOG_SYNC_DSYNC;
    int status = append_load_open(load, env, &options, why);
    if (status < 0)
        fprintf(stderr, "micro: %s: %s\n", xd_status_name(status), why);
    XD_ASSERT(status == 0);
}

/* ---- measuring ------------------------------------------------------------------------------- */

static double run_once(struct stage *stage, micro_run *run)
{
    uint64_t units = 0;
    uint64_t begin_ns = now_ns();
    uint64_t end_ns = begin_ns;
    while (end_ns - begin_ns < RUN_NS) {
        units += run(stage, 64);
        end_ns = now_ns();
    }
    return (double)(end_ns - begin_ns) / (double)units;
}

static int compare(const void *a, const void *b)
{
    const double *x = a;
    const double *y = b;
    return (*x > *y) - (*x < *y);
}

static void measure(struct stage *stage, uint32_t row)
{
    double ns[RUNS];
    (void)run_once(stage, rows[row].run); /* warms caches and the clock of the CPU */
    for (uint32_t i = 0; i < RUNS; i++)
        ns[i] = run_once(stage, rows[row].run);
    qsort(ns, RUNS, sizeof ns[0], compare);
    printf("%-36s %10.1f ns  (%.1f-%.1f)", rows[row].name, ns[RUNS / 2], ns[0], ns[RUNS - 1]);
    if (rows[row].bytes > 0)
        printf("  %8.2f GB/s", (double)rows[row].bytes / ns[RUNS / 2]);
    printf("\n");
}

int main(int argc, char **argv)
{
    struct env *env = env_null_open();
    struct env *env_small = env_null_open();
    struct stage *stage = calloc(1, sizeof *stage);
    XD_ASSERT(env != NULL && env_small != NULL && stage != NULL);
    stage->env = env;
    stage->batch = env_mem_alloc(env, BATCH_BYTES);
    stage->block = env_mem_alloc(env, XD_BLOCK_BYTES_MAX);
    XD_ASSERT(stage->batch != NULL && stage->block != NULL);
    make_record(stage);
    make_batch(stage);
    make_block(stage);
    make_session(stage);
    make_log(&stage->large, env, BATCH_BYTES - 128u);
    make_log(&stage->small, env_small, 512);
    for (uint32_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (argc < 2 || strstr(rows[i].name, argv[1]) != NULL)
            measure(stage, i);
    fprintf(stderr, "micro: done (%" PRIx64 ")\n", stage->sink);
    free(stage);
    env_null_close(env);
    env_null_close(env_small);
    return fflush(stdout) == 0 ? 0 : 1;
}
