/* SPDX-License-Identifier: Apache-2.0
 *
 * The sweep: many readers of many partitions at once share what is read from disk, none starves,
 * and every wait ends.
 */
#define RUN_PARTITIONS 64u
#include "tests/support/log_run.h"

#include "broker/log/sweep.h"

#include <criterion/criterion.h>

#define READERS_MAX 256u

/* One reader of one partition: asks, waits, goes through what it got, asks again. */
struct reader {
    struct log_wait wait;
    uint64_t offset;    /* of its next read */
    uint32_t partition; /* */
    uint32_t pause;     /* turns until it asks */
    uint32_t pause_max; /* longest pause between two reads, turns */
    uint64_t bytes;     /* given to it */
    int status;         /* of its newest read */
    bool waiting;       /* with the log */
};

struct crowd {
    struct run run;
    struct prng prng;
    struct reader readers[READERS_MAX];
    uint32_t count; /* readers in use */
};

/* An empty log of RUN_PARTITIONS partitions. */
static struct crowd *crowd_open(uint64_t seed, uint32_t extents)
{
    struct crowd *crowd = calloc(1, sizeof(*crowd));

    cr_assert_not_null(crowd);
    run_begin(&crowd->run, seed);
    crowd->run.checkpoints = false;
    crowd->run.options.read_cache_extents = extents;
    crowd->run.options.index_bytes = 1u << 20;
    prng_seed(&crowd->prng, seed);
    cr_assert_eq(run_open(&crowd->run), 0, "%s", crowd->run.why);
    return crowd;
}

static void crowd_close(struct crowd *crowd)
{
    run_close(&crowd->run);
    run_end(&crowd->run);
    free(crowd);
}

/* A new process, which has nothing in memory. */
static void restart(struct crowd *crowd)
{
    run_settle(&crowd->run);
    run_close(&crowd->run);
    cr_assert_eq(run_open(&crowd->run), 0, "%s", crowd->run.why);
}

/* Partitions of which some get four times as much as others, in blocks of very different size. */
static void fill_unevenly(struct crowd *crowd, uint32_t batches)
{
    for (uint32_t i = 0; i < batches;) {
        uint32_t p = (uint32_t)prng_below(&crowd->prng, RUN_PARTITIONS);

        if (prng_below(&crowd->prng, 4) > p % 4)
            continue;
        run_append_wait(&crowd->run, p, 15000 + (uint32_t)prng_below(&crowd->prng, 20000));
        if (prng_below(&crowd->prng, 16) == 0)
            cr_assert(run_turn(&crowd->run));
        i++;
    }
}

/* Blocks with one batch each, in partition 0, 1, ... in turn; `gap` bytes of the last partition
 * behind each. */
static void fill_blocks(struct crowd *crowd, uint32_t blocks, uint32_t partitions, uint32_t gap)
{
    for (uint32_t i = 0; i < blocks; i++) {
        run_append_wait(&crowd->run, i % partitions, 3000);
        run_settle(&crowd->run);
        for (uint32_t bytes = 0; bytes < gap; bytes += 500000) {
            run_append_wait(&crowd->run, RUN_PARTITIONS - 1, 500000);
            run_settle(&crowd->run);
        }
    }
}

static struct reader *add_reader(struct crowd *crowd, uint32_t partition, uint32_t pause_max)
{
    struct reader *reader = &crowd->readers[crowd->count++];

    cr_assert_leq(crowd->count, READERS_MAX);
    *reader = (struct reader){.partition = partition, .pause_max = pause_max};
    return reader;
}

static bool at_end(const struct crowd *crowd, const struct reader *reader)
{
    return reader->offset >= crowd->run.fold.ends[reader->partition];
}

/* One read; what it gives is compared with the model. */
static void attempt(struct crowd *crowd, struct reader *reader)
{
    uint64_t next;

    reader->status = log_read(crowd->run.log, reader->partition, reader->offset, crowd->run.out,
                              RUN_OUT_BYTES, &next);
    reader->waiting = reader->status == -EAGAIN;
    if (reader->waiting)
        log_wait(crowd->run.log, &reader->wait, reader->partition, reader->offset);
    if (reader->status <= 0)
        return;
    run_compare(&crowd->run, reader->partition, reader->offset, reader->status, next);
    reader->bytes += (uint64_t)reader->status;
    reader->offset = next;
    reader->pause = (uint32_t)prng_below(&crowd->prng, reader->pause_max + 1);
}

/* Reads again for every wait that is over. */
static uint32_t take_over(struct crowd *crowd)
{
    struct log_wait *wait;
    uint32_t count = 0;

    while ((wait = log_wait_next(crowd->run.log)) != NULL) {
        attempt(crowd, (struct reader *)(void *)((char *)wait - offsetof(struct reader, wait)));
        count++;
    }
    return count;
}

static void turn(struct crowd *crowd)
{
    for (uint32_t i = 0; i < crowd->count; i++) {
        struct reader *reader = &crowd->readers[i];

        if (reader->waiting || at_end(crowd, reader))
            continue;
        if (reader->pause > 0)
            reader->pause--;
        else
            attempt(crowd, reader);
    }
    (void)take_over(crowd);
    cr_assert(run_turn_within(&crowd->run, 200000));
}

/* Turns until every reader has everything. */
static void read_all(struct crowd *crowd)
{
    uint32_t ended = 0;

    for (uint32_t i = 0; i < 1000000 && ended < crowd->count; i++) {
        turn(crowd);
        ended = 0;
        for (uint32_t r = 0; r < crowd->count; r++)
            ended += at_end(crowd, &crowd->readers[r]);
    }
    cr_assert_eq(ended, crowd->count);
}

/* Bytes loaded per hundred bytes given. */
static uint64_t percent_loaded(const struct crowd *crowd)
{
    const uint64_t *v = crowd->run.counters.v;

    cr_assert_gt(v[COUNTER_read_bytes_disk], 0);
    cr_assert_eq(v[COUNTER_read_bytes_disk], v[COUNTER_read_bytes]);
    return 100 * v[COUNTER_cache_load_bytes] / v[COUNTER_read_bytes_disk];
}

/* Readers of all partitions at once, each at its own pace: the disk gives at most twice what they
 * get, although the cache holds a fraction of the log and partitions differ in density. */
Test(log_sweep, shares_loads_among_readers_of_many_partitions)
{
    for (uint64_t seed = 1; seed <= 4; seed++) {
        struct crowd *crowd = crowd_open(seed, 16);

        fill_unevenly(crowd, 2000);
        restart(crowd);
        for (uint32_t p = 0; p < RUN_PARTITIONS; p++)
            add_reader(crowd, p, 6);
        read_all(crowd);
        cr_assert_leq(percent_loaded(crowd), 200, "seed %u: %u %%", (unsigned)seed,
                      (unsigned)percent_loaded(crowd));
        crowd_close(crowd);
    }
}

/* Four readers of each partition that begin one after the other: those behind come up to the
 * others, and the disk gives less than they get. */
Test(log_sweep, brings_readers_of_the_same_partitions_together)
{
    struct crowd *crowd = crowd_open(7, 16);

    fill_unevenly(crowd, 2000);
    restart(crowd);
    for (uint32_t i = 0; i < 4 * RUN_PARTITIONS; i++)
        add_reader(crowd, i % RUN_PARTITIONS, 6)->pause = 20 * (i / RUN_PARTITIONS);
    read_all(crowd);
    cr_assert_lt(percent_loaded(crowd), 100);
    crowd_close(crowd);
}

/* A reader far in front is passed over by a bounded number of loads, however many come behind. */
Test(log_sweep, starves_no_reader)
{
    struct crowd *crowd = crowd_open(2, 2);
    struct reader *far;
    uint64_t loads;
    uint32_t turns = 0;

    fill_blocks(crowd, 24, 24, 1500000);
    restart(crowd);
    for (uint32_t p = 0; p < 23; p++)
        add_reader(crowd, p, 0);
    far = add_reader(crowd, 23, 0);
    for (uint32_t i = 0; i < 40; i++) { /* the others have been coming for long */
        for (uint32_t r = 0; r < 23; r++)
            crowd->readers[r].offset = crowd->readers[r].waiting ? crowd->readers[r].offset : 0;
        far->pause = i < 39 ? 1000 : 0;
        turn(crowd);
    }
    cr_assert(far->waiting);
    loads = crowd->run.log->extents.sweep.loads;
    while (far->waiting && turns++ < 10000) {
        for (uint32_t r = 0; r < 23; r++)
            crowd->readers[r].offset = crowd->readers[r].waiting ? crowd->readers[r].offset : 0;
        turn(crowd);
    }
    loads = crowd->run.log->extents.sweep.loads - loads;
    cr_assert(!far->waiting && far->bytes == 3000);
    cr_assert_gt(loads, 4, "it was not passed over at all: the test shows nothing");
    cr_assert_leq(loads, SWEEP_PASSED_MAX + 24 + EXTENT_INFLIGHT_MAX);
    crowd_close(crowd);
}

/* The reader that is furthest back is next, not the one that came first. */
Test(log_sweep, serves_who_lags_first)
{
    struct crowd *crowd = crowd_open(3, 8);
    struct log *log;
    uint64_t end;

    fill_blocks(crowd, 8, 8, 1500000);
    restart(crowd);
    log = crowd->run.log;
    for (uint32_t i = 0; i < 8; i++) /* the first two loads begin at once */
        attempt(crowd, add_reader(crowd, 7 - i, 0));
    cr_assert_eq(log->extents.inflight, EXTENT_INFLIGHT_MAX);
    cr_assert_eq(sweep_pick(log, &end), &crowd->readers[7].wait);
    cr_assert_eq(end, crowd->readers[7].wait.position + 4096, "the next is 1.5 MB further on");
    log_wait_cancel(log, &crowd->readers[7].wait);
    cr_assert_eq(sweep_pick(log, &end), &crowd->readers[6].wait);
    for (uint32_t i = 0; i < crowd->count; i++)
        log_wait_cancel(log, &crowd->readers[i].wait);
    cr_assert_null(sweep_pick(log, &end));
    crowd_close(crowd);
}

/* A load reaches as far as somebody waits, and at most 1 MiB. */
Test(log_sweep, loads_as_far_as_somebody_waits)
{
    struct crowd *crowd = crowd_open(3, 8);
    struct log *log;
    uint64_t end;

    for (uint32_t i = 0; i < 8; i++) {
        run_append_wait(&crowd->run, i, 300000); /* 303,104 bytes of log */
        run_settle(&crowd->run);
    }
    fill_blocks(crowd, 2, 2, 1500000);
    restart(crowd);
    log = crowd->run.log;
    for (uint32_t p = 0; p < 2; p++) { /* the disk is busy elsewhere */
        add_reader(crowd, p, 0)->offset = 3;
        attempt(crowd, &crowd->readers[p]);
    }
    for (uint32_t p = 0; p < 8; p += p == 2 ? 2 : 1) /* all but partition 3 */
        attempt(crowd, add_reader(crowd, p, 0));
    cr_assert_eq(sweep_pick(log, &end), &crowd->readers[2].wait);
    cr_assert_eq(end, crowd->readers[2].wait.position + 3 * 303104);
    log_wait_cancel(log, &crowd->readers[4].wait);
    cr_assert_eq(sweep_pick(log, &end), &crowd->readers[2].wait);
    cr_assert_eq(end, crowd->readers[2].wait.position + 2 * 303104);
    for (uint32_t i = 0; i < crowd->count; i++)
        log_wait_cancel(log, &crowd->readers[i].wait);
    crowd_close(crowd);
}

/* What was read stays until all who waited for it have been served, whatever else is asked for. */
Test(log_sweep, keeps_what_was_read_for_those_who_waited)
{
    struct crowd *crowd = crowd_open(4, 2);
    uint64_t loads;

    fill_blocks(crowd, 6, 6, 1500000);
    restart(crowd);
    for (uint32_t p = 0; p < 6; p++)
        attempt(crowd, add_reader(crowd, p, 0));
    run_idle(&crowd->run, 1000000000);
    loads = crowd->run.counters.v[COUNTER_cache_loads];
    cr_assert_eq(loads, 2, "%u: two extents hold what two readers wait for", (unsigned)loads);
    for (uint32_t i = 0; i < 1000 && crowd->run.log->extents.sweep.waiting_count > 0; i++)
        turn(crowd);
    (void)take_over(crowd);
    for (uint32_t p = 0; p < 6; p++)
        cr_assert_eq(crowd->readers[p].bytes, 3000);
    cr_assert_eq(crowd->run.counters.v[COUNTER_cache_loads], 6, "nothing was read twice");
    crowd_close(crowd);
}

/* A reader that is gone holds nothing and is not read for. */
Test(log_sweep, forgets_who_is_gone)
{
    struct crowd *crowd = crowd_open(4, 2);

    fill_blocks(crowd, 6, 6, 1500000);
    restart(crowd);
    for (uint32_t p = 0; p < 6; p++)
        attempt(crowd, add_reader(crowd, p, 0));
    run_idle(&crowd->run, 1000000000);
    for (uint32_t p = 0; p < 5; p++) {
        log_wait_cancel(crowd->run.log, &crowd->readers[p].wait);
        log_wait_cancel(crowd->run.log, &crowd->readers[p].wait);
    }
    for (uint32_t i = 0; i < 1000 && !log_wait_over(crowd->run.log); i++)
        cr_assert(run_turn_within(&crowd->run, 1000));
    cr_assert_eq(take_over(crowd), 1);
    cr_assert_eq(crowd->readers[5].bytes, 3000);
    cr_assert_eq(crowd->run.counters.v[COUNTER_cache_loads], 3);
    crowd_close(crowd);
}

/* Everybody who waits for a block that cannot be read is told so; who waits for the blocks around
 * it, in the same read, gets them. */
Test(log_sweep, tells_all_who_wait_for_an_unreadable_block)
{
    struct crowd *crowd = crowd_open(5, 4);

    fill_blocks(crowd, 12, 12, 0);
    restart(crowd);
    sim_rates(crowd->run.sim)->read_flip = 0;
    cr_assert_eq(sim_disk_flip(crowd->run.sim, "wal.00", 4096 + 4 * 4096 + 700, 2), 0);
    for (uint32_t i = 0; i < 36; i++)
        attempt(crowd, add_reader(crowd, i % 12, 0));
    for (uint32_t i = 0; i < 10000 && crowd->run.log->extents.sweep.waiting_count > 0; i++) {
        (void)take_over(crowd);
        cr_assert(run_turn_within(&crowd->run, 100000));
    }
    (void)take_over(crowd);
    for (uint32_t i = 0; i < 36; i++)
        cr_assert_eq(crowd->readers[i].status, i % 12 == 4 ? XD_RANGE_QUARANTINED : 3000,
                     "reader %u: %d", i, crowd->readers[i].status);
    cr_assert_eq(crowd->run.counters.v[COUNTER_blocks_corrupt], 1);
    crowd_close(crowd);
}

/* The same when the device refuses: one read of several blocks fails, then the one that is bad. */
Test(log_sweep, tells_all_who_wait_for_what_the_device_refuses)
{
    struct crowd *crowd = crowd_open(6, 4);

    fill_blocks(crowd, 12, 12, 0);
    restart(crowd);
    sim_inject(crowd->run.sim, SIM_OP_READ, "wal.", 1, -EIO);
    sim_inject(crowd->run.sim, SIM_OP_READ, "wal.", 2, -EIO);
    for (uint32_t i = 0; i < 36; i++)
        attempt(crowd, add_reader(crowd, i % 12, 0));
    for (uint32_t i = 0; i < 10000 && crowd->run.log->extents.sweep.waiting_count > 0; i++) {
        (void)take_over(crowd);
        cr_assert(run_turn_within(&crowd->run, 100000));
    }
    (void)take_over(crowd);
    for (uint32_t i = 0; i < 36; i++)
        cr_assert_eq(crowd->readers[i].status, i % 12 == 0 ? XD_RANGE_QUARANTINED : 3000,
                     "reader %u: %d", i, crowd->readers[i].status);
    cr_assert_eq(crowd->run.news[LOG_NEWS_CORRUPT], 1);
    cr_assert_eq(crowd->run.last_news[LOG_NEWS_CORRUPT].c, EIO);
    crowd_close(crowd);
}

/* More unreadable blocks than are remembered: each of their readers is told nevertheless. */
Test(log_sweep, tells_of_more_unreadable_blocks_than_it_remembers)
{
    struct crowd *crowd = crowd_open(6, 4);

    fill_blocks(crowd, 2 * EXTENT_RANGES_MAX, RUN_PARTITIONS, 0);
    restart(crowd);
    for (uint32_t i = 0; i < 2 * EXTENT_RANGES_MAX; i++) {
        struct reader *reader = add_reader(crowd, i % RUN_PARTITIONS, 0);

        reader->offset = 3 * (i / RUN_PARTITIONS);
        for (uint32_t n = 1; n <= EXTENT_ATTEMPTS; n++)
            sim_inject(crowd->run.sim, SIM_OP_READ, "wal.", n, -EIO);
        attempt(crowd, reader);
        for (uint32_t n = 0; n < 1000 && reader->waiting; n++) {
            (void)take_over(crowd);
            cr_assert(run_turn_within(&crowd->run, 100000));
        }
        cr_assert_eq(reader->status, XD_RANGE_QUARANTINED, "block %u: %d", i, reader->status);
    }
    crowd_close(crowd);
}

/* Waits for a segment that retention drops end, those that are over and not taken too, and its
 * extents are given up. */
Test(log_sweep, ends_waits_for_a_dropped_segment)
{
    struct crowd *crowd = crowd_open(8, 2);
    struct run *run = &crowd->run;
    uint64_t first, end;

    run->options.retention_bytes = 4 * SEGMENT_BYTES_MIN;
    fill_blocks(crowd, 3, 3, 1000000);
    restart(crowd);
    for (uint32_t p = 0; p < 3; p++)
        attempt(crowd, add_reader(crowd, p, 0));
    run_idle(run, 1000000000);
    cr_assert(log_wait_over(run->log));
    cr_assert_eq(run->log->extents.sweep.waiting_count, 1, "one finds no extent");
    run->checkpoints = true;
    for (uint32_t i = 0; i < 500 && run->news[LOG_NEWS_SEGMENT_DROPPED] == 0; i++) {
        run_append_wait(run, RUN_PARTITIONS - 1, 500000);
        run_settle(run);
        run_idle(run, 100000000);
    }
    cr_assert_gt(run->news[LOG_NEWS_SEGMENT_DROPPED], 0);
    log_bounds(run->log, 0, &first, &end);
    cr_assert_eq(first, 3);
    cr_assert_eq(run->log->extents.sweep.waiting_count, 0);
    cr_assert_eq(take_over(crowd), 3);
    for (uint32_t p = 0; p < 3; p++)
        cr_assert_eq(crowd->readers[p].status, XD_OFFSET_GONE);
    cr_assert_eq(run_read(run, RUN_PARTITIONS - 1, run->fold.ends[RUN_PARTITIONS - 1] - 3, &first),
                 500000);
    crowd_close(crowd);
}
