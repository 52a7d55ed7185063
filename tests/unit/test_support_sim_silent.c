/* SPDX-License-Identifier: Apache-2.0
 *
 * Faults that the simulated disk reports as success.
 */
#include "tests/support/sim_bench.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

#include <criterion/criterion.h>

/* What each silent fault does to a write of page 1 (value 2) over pages of value 50 and its read.
 */
struct silent_case {
    const char *name;
    size_t rate; /* offset of the field in struct sim_rates */
};

/* Each silent fault is reported as success, is counted, and shows in the bytes. */
Test(support_sim_disk, silent_faults_report_success_and_bend_the_bytes)
{
    static const struct silent_case cases[] = {
        {"write_flip", offsetof(struct sim_rates, write_flip)},
        {"write_misdirect", offsetof(struct sim_rates, write_misdirect)},
        {"write_drop", offsetof(struct sim_rates, write_drop)},
        {"write_zero", offsetof(struct sim_rates, write_zero)},
        {"read_flip", offsetof(struct sim_rates, read_flip)},
        {"read_misdirect", offsetof(struct sim_rates, read_misdirect)},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct bench bench;
        uint32_t *rate;

        bench_open(&bench, 31);
        memset(bench.pages + 32 * PAGE, 50, 8 * PAGE);
        cr_assert_eq(write_pages(&bench, 32, 8, 0, 0), 8 * PAGE);
        rate = (uint32_t *)(void *)((uint8_t *)sim_rates(bench.sim) + cases[i].rate);
        *rate = 65536;
        cr_assert_eq(write_pages(&bench, 1, 1, 1, 0), PAGE, "%s", cases[i].name);
        env_file_read(bench.env, bench.file, bench.pages + 40 * PAGE, PAGE, PAGE, 3);
        cr_assert_eq(await(&bench, 3), PAGE, "%s", cases[i].name);
        cr_assert_neq(memcmp(bench.pages + 40 * PAGE, bench.pages + PAGE, PAGE), 0, "%s",
                      cases[i].name);
        cr_assert_eq(sim_silent_count(bench.sim), 1, "%s", cases[i].name);
        *rate = 0;
        env_file_read(bench.env, bench.file, bench.pages + 40 * PAGE, PAGE, PAGE, 3);
        cr_assert_eq(await(&bench, 3), PAGE);
        cr_assert_eq(memcmp(bench.pages + 40 * PAGE, bench.pages + PAGE, PAGE) != 0, i < 4,
                     "%s: faults of reads pass, those of writes stay", cases[i].name);
        bench_close(&bench);
    }
}

/* A misdirected write damages its own file or another one, and never both. */
Test(support_sim_disk, misdirected_write_lands_in_either_file)
{
    uint32_t elsewhere = 0;

    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct bench bench;
        env_file other;
        uint8_t page[PAGE];
        uint32_t own_hits = 0;
        uint32_t other_hits = 0;

        bench_open(&bench, seed);
        prepare(&bench, 8);
        cr_assert_eq(env_file_open(bench.env, "other", ENV_OPEN_CREATE, &other), 0);
        cr_assert_eq(env_file_reserve(bench.env, other, 8 * PAGE), 0);
        cr_assert_eq(env_dir_sync(bench.env, ""), 0);
        sim_rates(bench.sim)->write_misdirect = 65536;
        cr_assert_eq(write_pages(&bench, 6, 1, 2, 0), PAGE);
        sim_crash(bench.sim, SIM_CRASH_KEEP_ALL);
        for (uint32_t i = 0; i < 8; i++) {
            cr_assert_eq(sim_disk_peek(bench.sim, "data", i * PAGE, page, PAGE), PAGE);
            own_hits += page[0] == 7 ? 1 : 0;
            cr_assert(page[0] == 0 || i != 2, "not where it belongs");
            cr_assert_eq(sim_disk_peek(bench.sim, "other", i * PAGE, page, PAGE), PAGE);
            other_hits += page[0] == 7 ? 1 : 0;
        }
        cr_assert_eq(own_hits + other_hits, 1);
        elsewhere += other_hits;
        bench_close(&bench);
    }
    cr_assert(elsewhere > SEEDS / 4 && elsewhere < SEEDS * 3 / 4, "%u", elsewhere);
}

/* A sync that lies answers 0 and leaves the data where a crash takes it. */
Test(support_sim_disk, lying_sync_makes_nothing_durable)
{
    struct bench bench;

    bench_open(&bench, 32);
    prepare(&bench, 2);
    sim_rates(bench.sim)->sync_lie = 65536;
    cr_assert_eq(write_pages(&bench, 0, 1, 0, 0), PAGE);
    cr_assert_eq(sync_file(&bench), 0);
    sim_crash(bench.sim, SIM_CRASH_KEEP_NONE);
    cr_assert_eq(durable_at(&bench, 0), 0);
    bench_close(&bench);
}
