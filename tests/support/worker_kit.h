/* SPDX-License-Identifier: Apache-2.0
 *
 * Workers without a supervisor, for tests that are one themselves: small shards over a folder of
 * their own, started, waited for, told to end, joined.
 *
 * What goes wrong here is a Criterion assertion. One kit per test process.
 */
#ifndef CROSSDOCK_TESTS_SUPPORT_WORKER_KIT_H
#define CROSSDOCK_TESTS_SUPPORT_WORKER_KIT_H

#include "broker/worker.h"
#include "tests/support/broker_child.h"
#include "wire/status.h"

/* How long a worker may take for anything, in ns. */
#define KIT_WAIT_NS 20000000000ull

struct kit {
    struct setup setup;          /* */
    struct config config;        /* */
    struct lines lines;          /* */
    struct bells bells;          /* the kit's is the last one */
    struct worker_common common; /* */
    struct worker *workers;      /* */
    uint32_t count;              /* of them */
    void *links_memory;          /* NULL with one */
    char folder[64];             /* its working folder */
    char why[CONFIG_WHY_BYTES];  /* */
    FILE *out;                   /* of the lines */
    char *text;                  /* all lines so far, after kit_flush */
    size_t bytes;                /* */
};

static inline void kit_set(struct kit *kit, const char *name, const char *value)
{
    struct xd_text text = {name, (uint32_t)strlen(name)};
    cr_assert_eq(config_set(&kit->config, text, value, "here", kit->why), 0, "%s", kit->why);
}

/* Small options; kit_set may follow, then kit_make. */
static inline void kit_init(struct kit *kit)
{
    static const char *const small[][2] = {
        {"log.segment_bytes", "4MiB"},     {"log.tail_bytes", "16MiB"},
        {"log.retention_bytes", "32MiB"},  {"log.index_bytes", "1MiB"},
        {"log.disk_low_bytes", "0"},       {"log.sync", "fdatasync"},
        {"net.connections_max", "16"},     {"net.out_chunk_count", "64"},
        {"net.receive_buffers", "16"},     {"produce.acks_max", "1024"},
        {"produce.chains_max", "64"},      {"catalog.facilities_max", "16"},
        {"catalog.partitions_max", "256"}, {"server.listen", "127.0.0.1:0"}};
    memset(kit, 0, sizeof *kit);
    snprintf(kit->folder, sizeof kit->folder, "/tmp/xd_worker_XXXXXX");
    cr_assert_not_null(mkdtemp(kit->folder));
    config_defaults(&kit->config);
    for (size_t i = 0; i < sizeof small / sizeof small[0]; i++)
        kit_set(kit, small[i][0], small[i][1]);
    kit->out = open_memstream(&kit->text, &kit->bytes);
    lines_init(&kit->lines, kit->out);
}

static inline void kit_links(struct kit *kit)
{
    uint32_t messages = shard_messages_max(&kit->setup.shard);
    uint64_t bytes = (links_bytes_needed(kit->count, messages) + 63) / 64 * 64;
    kit->links_memory = aligned_alloc(64, bytes);
    cr_assert_not_null(kit->links_memory);
    kit->common.links = links_init(kit->links_memory, bytes, kit->count, messages);
}

/* `count` workers that can be started. */
static inline void kit_make(struct kit *kit, uint32_t count)
{
    char number[16], data[128];
    snprintf(number, sizeof number, "%u", count);
    kit_set(kit, "process.shards", number);
    snprintf(data, sizeof data, "%s/data", kit->folder);
    cr_assert_eq(setup_make(&kit->config, data, &kit->setup, kit->why), 0, "%s", kit->why);
    (void)mkdir(data, 0700);
    kit->count = count;
    cr_assert_eq(bells_open(&kit->bells, count + 1), 0);
    kit->workers = workers_make(count);
    cr_assert_not_null(kit->workers);
    kit->common = (struct worker_common){
        .setup = &kit->setup, .bells = &kit->bells, .lines = &kit->lines, .shard_count = count};
    if (count > 1)
        kit_links(kit);
}

static inline void kit_start(struct kit *kit)
{
    for (uint32_t i = 0; i < kit->count; i++)
        cr_assert_eq(worker_start(&kit->workers[i], &kit->common, i), 0);
}

static inline uint64_t kit_now_ns(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

/* What all workers have said. */
static inline const char *kit_text(struct kit *kit)
{
    pthread_mutex_lock(&kit->lines.lock);
    fflush(kit->out);
    pthread_mutex_unlock(&kit->lines.lock);
    return kit->text;
}

/* Waits for a stage or one behind it. */
static inline void kit_await(struct kit *kit, uint32_t shard, enum worker_stage stage)
{
    for (uint64_t until = kit_now_ns() + KIT_WAIT_NS; worker_stage(&kit->workers[shard]) < stage;) {
        cr_assert_lt(kit_now_ns(), until, "shard %u is only %s:\n%s", shard,
                     worker_stage_name(worker_stage(&kit->workers[shard])), kit_text(kit));
        sleep_ms(2);
    }
}

static inline void kit_await_all(struct kit *kit, enum worker_stage stage)
{
    for (uint32_t i = 0; i < kit->count; i++)
        kit_await(kit, i, stage);
}

static inline void kit_wish(struct kit *kit, enum worker_wish wish)
{
    for (uint32_t i = 0; i < kit->count; i++)
        worker_wish(&kit->workers[i], wish);
}

/* Until all serve. */
static inline void kit_serve(struct kit *kit)
{
    char addresses[SETUP_ADDRESSES_MAX][ENV_ADDRESS_BYTES_MAX];
    kit_start(kit);
    kit_await_all(kit, WORKER_READY);
    memcpy(addresses, kit->setup.addresses, sizeof addresses);
    for (uint32_t i = 0; i < kit->count; i++) {
        worker_listen(&kit->workers[i], addresses);
        kit_await(kit, i, WORKER_SERVING);
        cr_assert_eq(worker_stage(&kit->workers[i]), WORKER_SERVING, "%s", kit_text(kit));
        if (i == 0)
            worker_addresses(&kit->workers[0], addresses);
    }
}

/* Workers that are over give all back. */
static inline void kit_join(struct kit *kit)
{
    kit_wish(kit, WORKER_WISH_FREE);
    for (uint32_t i = 0; i < kit->count; i++)
        worker_join(&kit->workers[i]);
}

static inline void kit_end(struct kit *kit)
{
    workers_free(kit->workers, kit->count);
    bells_close(&kit->bells);
    free(kit->links_memory);
    fclose(kit->out);
    free(kit->text);
    remove_folder(kit->folder);
}

#endif
