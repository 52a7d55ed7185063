/* SPDX-License-Identifier: Apache-2.0
 *
 * Extents: loading, verifying, and what becomes of damage.
 */
#include "tests/support/log_run.h"

#include <criterion/criterion.h>

/* A log of blocks with one batch each, partition i % partitions, none of them in memory. */
static void on_disk_in(struct run *run, uint64_t seed, uint32_t batches, uint32_t batch_bytes,
                       uint32_t partitions)
{
    run_begin(run, seed);
    run->checkpoints = false;
    cr_assert_eq(run_open(run), 0, "%s", run->why);
    for (uint32_t i = 0; i < batches; i++) {
        run_append_wait(run, i % partitions, batch_bytes);
        run_settle(run);
    }
    run_close(run);
    cr_assert_eq(run_open(run), 0, "%s", run->why);
}

static void on_disk(struct run *run, uint64_t seed, uint32_t batches, uint32_t batch_bytes)
{
    on_disk_in(run, seed, batches, batch_bytes, RUN_PARTITIONS);
}

/* Place of block `index` in wal.00 when every block has `block_bytes` and none is local. */
static uint64_t place(uint64_t index, uint32_t block_bytes)
{
    return 4096 + (index - 1) * block_bytes;
}

static bool file_exists(const struct run *run, const char *prefix)
{
    char name[ENV_NAME_BYTES_MAX + 1];

    for (uint32_t i = 0; sim_disk_name(run->sim, i, name) == 0; i++)
        if (strncmp(name, prefix, strlen(prefix)) == 0)
            return true;
    return false;
}

/* A bit that flips after recovery is found when its block is read: never served, copied to
 * quarantine, reported once; every other partition reads on. */
Test(log_extent, quarantines_a_rotten_block_and_serves_the_rest)
{
    struct run run;
    uint64_t next;

    on_disk(&run, 1, 40, 3000);
    cr_assert_eq(sim_disk_flip(run.sim, "wal.00", place(11, 4096) + 700, 2), 0);
    uint32_t partition = 10 % RUN_PARTITIONS; /* batch 10 is block 11: offsets 3..5 of it */
    cr_assert_eq(run_read(&run, partition, 3, &next), XD_RANGE_QUARANTINED);
    cr_assert_eq(run_read(&run, partition, 0, &next), 3000, "what lies before it is served");
    cr_assert_eq(run_read(&run, partition, 6, &next), 3 * 3000, "and what lies behind it");
    cr_assert_eq(run_read(&run, partition, 4, &next), XD_RANGE_QUARANTINED);
    for (uint32_t p = 0; p < RUN_PARTITIONS; p++)
        if (p != partition)
            run_check_partition(&run, p);
    run_idle(&run, 100000000);
    cr_assert_eq(run.news[LOG_NEWS_CORRUPT], 1);
    cr_assert_eq(run.last_news[LOG_NEWS_CORRUPT].a, SEGMENT_BYTES_MIN + place(11, 4096));
    cr_assert_eq(run.last_news[LOG_NEWS_CORRUPT].b, 4096);
    cr_assert_eq(run.counters.v[COUNTER_blocks_corrupt], 1);
    cr_assert_eq(run.counters.v[COUNTER_bytes_quarantined], 4096);
    cr_assert(file_exists(&run, "quarantine/corrupt-1-45056"));
    cr_assert_eq(log_fenced(run.log), 0);
    run_close(&run);
    run_end(&run);
}

/* Every kind of damage to a block is found: header, batch header, body, padding, zeros, old bytes.
 */
Test(log_extent, finds_damage_anywhere_in_a_block)
{
    const uint64_t at[] = {0, 12, 100, 130, 160, 247, 248, 3127, 3130, 4095};

    for (uint32_t i = 0; i <= sizeof(at) / sizeof(at[0]) + 1; i++) {
        struct run run;
        uint64_t next;
        uint8_t page[4096] = {0};

        on_disk(&run, 1, 8, 3000);
        if (i < sizeof(at) / sizeof(at[0])) {
            cr_assert_eq(sim_disk_flip(run.sim, "wal.00", place(5, 4096) + at[i], 0), 0);
        } else {
            if (i == sizeof(at) / sizeof(at[0]) + 1) /* misdirected: another whole block */
                cr_assert_eq(sim_disk_peek(run.sim, "wal.00", place(3, 4096), page, 4096), 4096);
            cr_assert_eq(sim_disk_patch(run.sim, "wal.00", place(5, 4096), page, 4096), 0);
        }
        cr_assert_eq(run_read(&run, 4, 0, &next), XD_RANGE_QUARANTINED, "byte %u", i);
        cr_assert_eq(run_read(&run, 3, 0, &next), 3000);
        cr_assert_eq(run_read(&run, 5, 0, &next), 3000);
        run_close(&run);
        run_end(&run);
    }
}

/* Bytes that are wrong only on their way are read again and served. */
Test(log_extent, reads_again_before_it_judges)
{
    struct run run;
    uint64_t next;

    on_disk(&run, 1, 8, 3000);
    sim_rates(run.sim)->read_flip = 65536;
    cr_assert_eq(log_read(run.log, 0, 0, run.out, RUN_OUT_BYTES, &next), -EAGAIN);
    struct env_event event;
    cr_assert_eq(env_wait(run.env, &event, 1, UINT64_MAX), 1);
    sim_rates(run.sim)->read_flip = 0;
    log_done(run.log, &event);
    cr_assert_eq(run_read(&run, 0, 0, &next), 3000);
    run_check(&run);
    cr_assert_eq(run.news[LOG_NEWS_CORRUPT], 0);
    run_close(&run);
    run_end(&run);
}

/* A block that cannot be read is refused like one that is wrong; one error alone is not enough. */
Test(log_extent, refuses_what_cannot_be_read)
{
    struct run run;
    uint64_t next;

    on_disk(&run, 1, 16, 3000);
    sim_inject(run.sim, SIM_OP_READ, "wal.", 1, -EIO);
    cr_assert_eq(run_read(&run, 0, 0, &next), 3000);
    sim_inject(run.sim, SIM_OP_READ, "wal.", 1, -EIO);
    sim_inject(run.sim, SIM_OP_READ, "wal.", 2, -EIO);
    cr_assert_eq(run_read(&run, 1, 0, &next), XD_RANGE_QUARANTINED);
    cr_assert_eq(run.last_news[LOG_NEWS_CORRUPT].c, EIO);
    run_check_partition(&run, 2);
    run_close(&run);
    run_end(&run);
}

/* Short reads go on with the rest. */
Test(log_extent, finishes_short_reads)
{
    struct run run;

    on_disk(&run, 1, 100, 9000);
    for (uint32_t i = 1; i <= 10; i++)
        sim_inject(run.sim, SIM_OP_READ, "wal.", i, (int32_t)(4096 * i + 512));
    run_check(&run);
    cr_assert_eq(run.news[LOG_NEWS_CORRUPT], 0);
    cr_assert_eq(sim_inject_pending(run.sim), 0);
    run_close(&run);
    run_end(&run);
}

/* At most two reads are in flight; who asks meanwhile is told to come again. */
Test(log_extent, keeps_two_reads_in_flight)
{
    struct run run;
    uint64_t next;

    on_disk(&run, 1, 40, 500000);
    uint64_t reads = sim_op_count(run.sim, SIM_OP_READ);
    for (uint32_t round = 0; round < 3; round++)
        for (uint32_t p = 0; p < RUN_PARTITIONS; p++)
            cr_assert_eq(log_read(run.log, p, 0, run.out, RUN_OUT_BYTES, &next), -EAGAIN);
    cr_assert_eq(sim_op_count(run.sim, SIM_OP_READ), reads + 2);
    run_check(&run);
    run_close(&run);
    run_end(&run);
}

/* One read of 1 MiB serves every whole block in it. */
Test(log_extent, serves_neighbours_from_one_read)
{
    struct run run;
    uint64_t next;

    on_disk(&run, 1, 64, 3000);
    uint64_t reads = sim_op_count(run.sim, SIM_OP_READ);
    for (uint32_t p = 0; p < RUN_PARTITIONS; p++)
        cr_assert_eq(run_read(&run, p, 0, &next), 8 * 3000);
    cr_assert_eq(sim_op_count(run.sim, SIM_OP_READ), reads + 1);
    run_close(&run);
    run_end(&run);
}

/* A log that is read through is read once: the part of a block at the end of a load is carried over
 * into the next. */
Test(log_extent, reads_nothing_twice)
{
    struct run run;

    on_disk_in(&run, 1, 60, 370000, 1); /* 372,736 of log each: two and a part fill an extent */
    run_check_partition(&run, 0);
    cr_assert_eq(run.counters.v[COUNTER_read_bytes_disk], 60 * 370000);
    cr_assert_geq(run.counters.v[COUNTER_cache_load_bytes], 60 * 372736);
    cr_assert_lt(run.counters.v[COUNTER_cache_load_bytes], 60 * 372736 + 65536,
                 "no more than the blocks that end segments");
    run_close(&run);
    run_end(&run);
}

/* A load ends where another extent begins. */
Test(log_extent, loads_up_to_what_is_loaded)
{
    struct run run;
    uint64_t next;

    on_disk(&run, 1, RUN_PARTITIONS, 3000);
    cr_assert_eq(run_read(&run, 3, 0, &next), 3000);
    uint64_t loaded = run.counters.v[COUNTER_cache_load_bytes];
    cr_assert_geq(loaded, (RUN_PARTITIONS - 3) * 4096);
    cr_assert_eq(run_read(&run, 0, 0, &next), 3000);
    cr_assert_eq(run.counters.v[COUNTER_cache_load_bytes] - loaded, 3 * 4096);
    run_check(&run);
    cr_assert_eq(run.counters.v[COUNTER_cache_loads], 2);
    run_close(&run);
    run_end(&run);
}

/* A block of which the carried part is damaged is read anew and served. */
Test(log_extent, reads_a_carried_block_anew_when_it_does_not_verify)
{
    struct run run;
    uint64_t next;
    uint32_t carried = 0;

    on_disk(&run, 1, 12, 370000);
    cr_assert_eq(run_read(&run, 0, 0, &next), 370000);
    cr_assert_eq(run_read(&run, 1, 0, &next), 370000);
    for (uint32_t i = 0; i < run.log->extents.count; i++) {
        struct extent *extent = &run.log->extents.extents[i];
        if (extent->state == EXTENT_VALID && extent->got > extent->bytes) {
            extent->memory[extent->bytes + 500] ^= 1; /* as if it had been wrong on its way */
            carried++;
        }
    }
    cr_assert_gt(carried, 0);
    run_check(&run);
    cr_assert_eq(run.news[LOG_NEWS_CORRUPT], 0);
    run_close(&run);
    run_end(&run);
}

/* A reader that is alone finds its next block loaded when it comes back. */
Test(log_extent, loads_ahead_for_a_reader_alone)
{
    struct run run;
    uint64_t next = 0;
    uint32_t waited = 0;

    on_disk(&run, 1, 40, 500000);
    for (uint64_t offset = 0; offset < run.fold.ends[0]; offset = next) {
        int got = log_read(run.log, 0, offset, run.out, RUN_OUT_BYTES, &next);
        waited += got == -EAGAIN;
        if (got == -EAGAIN)
            got = run_read(&run, 0, offset, &next);
        cr_assert_eq(got, 500000);
        run_idle(&run, 20000000);
    }
    cr_assert_eq(waited, 1, "%u reads waited", waited);
    run_close(&run);
    run_end(&run);
}

/* A reader of a few blocks far apart is not given all that lies between them. */
Test(log_extent, loads_little_between_blocks_far_apart)
{
    struct run run;

    on_disk(&run, 1, 80, 300000);
    run_check_partition(&run, 0);
    cr_assert_eq(run.counters.v[COUNTER_read_bytes_disk], 10 * 300000);
    cr_assert_leq(run.counters.v[COUNTER_cache_load_bytes], 10 * 303104,
                  "every block of one partition and nothing else");
    run_close(&run);
    run_end(&run);
}

/* More corrupt blocks than there is room to remember are refused all the same. */
Test(log_extent, refuses_more_damage_than_it_remembers, .timeout = 60)
{
    struct run run;
    uint64_t next;
    uint32_t refused = 0;

    on_disk(&run, 1, 200, 3000);
    for (uint64_t index = 1; index <= 200; index += 2)
        cr_assert_eq(sim_disk_flip(run.sim, "wal.00", place(index, 4096) + 500, 1), 0);
    for (uint32_t i = 0; i < 200; i++) {
        int got = run_read(&run, i % RUN_PARTITIONS, 3 * (i / RUN_PARTITIONS), &next);
        cr_assert_eq(got < 0, i % 2 == 0, "batch %u: %d", i, got);
        refused += got < 0;
    }
    cr_assert_eq(refused, 100);
    run_idle(&run, 1000000000);
    run_close(&run);
    run_end(&run);
}

/* A quarantine that cannot be written changes nothing for readers and does not fence. */
Test(log_extent, survives_a_full_quarantine)
{
    struct run run;
    uint64_t next;

    on_disk(&run, 1, 16, 3000);
    cr_assert_eq(sim_disk_flip(run.sim, "wal.00", place(1, 4096) + 500, 1), 0);
    sim_inject(run.sim, SIM_OP_WRITE, "quarantine/", 1, -ENOSPC);
    cr_assert_eq(run_read(&run, 0, 0, &next), XD_RANGE_QUARANTINED);
    run_idle(&run, 100000000);
    cr_assert_eq(sim_inject_pending(run.sim), 0);
    cr_assert_eq(run.counters.v[COUNTER_bytes_quarantined], 0);
    cr_assert_eq(log_fenced(run.log), 0);
    run_check_partition(&run, 1);
    run_close(&run);
    run_end(&run);
}

/* A corrupt block that is found again, as by a reader of another of its partitions, is counted and
 * told once. */
Test(log_extent, tells_of_a_corrupt_block_once)
{
    struct run run;
    const uint64_t position = SEGMENT_BYTES_MIN + 4096;

    run_begin(&run, 1);
    cr_assert_eq(run_open(&run), 0, "%s", run.why);
    run_fill(&run, 300000, 60000);
    for (uint32_t i = 0; i < 3; i++)
        extent_range_corrupt(run.log, position, 8192, XD_LOG_CORRUPT);
    extent_range_corrupt(run.log, position + 4096, 4096, XD_LOG_CORRUPT); /* within it */
    run_news(&run);
    cr_assert_eq(run.news[LOG_NEWS_CORRUPT], 1);
    cr_assert_eq(run.counters.v[COUNTER_blocks_corrupt], 1);
    extent_range_corrupt(run.log, position + 8192, 4096, XD_LOG_CORRUPT);
    cr_assert_eq(run.counters.v[COUNTER_blocks_corrupt], 2);
    run_close(&run);
    run_end(&run);
}

/* Each load from disk is timed once, until its blocks were verified. */
Test(log_extent, times_each_load)
{
    struct run run;
    uint64_t next, times = 0;

    on_disk(&run, 1, 12, 370000);
    uint64_t began_ns = env_now_mono_ns(run.env);
    cr_assert_eq(run_read(&run, 0, 0, &next), 370000);
    cr_assert_eq(run_read(&run, 1, 0, &next), 370000);
    uint64_t took_ns = env_now_mono_ns(run.env) - began_ns;
    const struct latency *latency = &run.counters.latency[LATENCY_disk_read_duration_ns];
    for (unsigned i = 0; i <= LATENCY_BOUNDS; i++)
        times += latency->counts[i];
    cr_assert_gt(times, 0);
    cr_assert_eq(times, run.counters.v[COUNTER_cache_loads]);
    cr_assert_gt(latency->sum_ns, 0);
    cr_assert_leq(latency->sum_ns, times * took_ns);
    run_close(&run);
    run_end(&run);
}
