/* SPDX-License-Identifier: Apache-2.0
 *
 * The simulator behind the seam keeps the seam's rules: the conformance suite on many seeds; then
 * what only a simulator has: planned deaths, time that jumps, switches. Traces, disk, crashes and
 * network have test programs of their own (test_support_sim_*.c).
 */
#include "tests/support/env_sim.h"

#include "tests/support/conformance_sim.h"
#include "tests/support/env_conformance.h"

#include <errno.h>
#include <signal.h>
#include <string.h>

#include <criterion/criterion.h>

#define CONFORMANCE_SEEDS 8u
#define PAGE 4096u

/* ---- the kit --------------------------------------------------------------------------------- */

static void on_many_seeds(void (*conform)(const struct conformance_kit *kit))
{
    struct kit_world world = {0};
    struct conformance_kit kit = {
        .context = &world,
        .address = "127.0.0.1:0",
        .env_open = kit_env_open,
        .env_close = kit_env_close,
        .peer_connect = kit_peer_connect,
        .peer_send = kit_peer_send,
        .peer_recv = kit_peer_recv,
        .peer_finish = kit_peer_finish,
        .peer_reset = kit_peer_reset,
        .peer_free = kit_peer_free,
    };

    for (world.seed = 1; world.seed <= CONFORMANCE_SEEDS; world.seed++)
        conform(&kit);
}

#define CASE(name)                                                                                 \
    Test(support_env_sim, name)                                                                    \
    {                                                                                              \
        on_many_seeds(conformance_##name);                                                         \
    }
ENV_CONFORMANCE_CASES(CASE)

/* ---- death and what comes after -------------------------------------------------------------- */

static struct sim *world_open(uint64_t seed)
{
    struct sim_options options;

    sim_options_init(&options, seed);
    return sim_open(&options);
}

/* The process dies at the planned hit of the planned point: nothing it does later has any effect,
 * what was in flight stays for the crash to decide. */
Test(support_env_sim, process_dies_at_the_planned_crash_point)
{
    struct sim *sim = world_open(1);
    struct env *env = env_sim_process(sim, NULL);
    struct env_event event;
    env_file file;
    uint8_t *page = env_mem_alloc(env, PAGE);
    uint64_t bytes;

    memset(page, 8, PAGE);
    cr_assert_eq(env_file_open(env, "data", ENV_OPEN_CREATE, &file), 0);
    cr_assert_eq(env_dir_sync(env, ""), 0);
    env_file_write(env, file, page, PAGE, 0, 0, 1);
    sim_plan_crash(sim, ENV_CRASH_BLOCK_WRITTEN, 2);
    env_crash_point(env, ENV_CRASH_BLOCK_WRITTEN);
    env_crash_point(env, ENV_CRASH_BLOCK_DURABLE);
    cr_assert(sim_alive(sim) && !sim_dead(sim));
    env_crash_point(env, ENV_CRASH_BLOCK_WRITTEN);
    cr_assert(sim_dead(sim) && !sim_alive(sim));
    cr_assert_eq(sim_crash_point_hits(sim, ENV_CRASH_BLOCK_WRITTEN), 2);

    env_file_write(env, file, page, PAGE, PAGE, 0, 2);
    cr_assert_eq(env_wait(env, &event, 1, UINT64_MAX), -ESHUTDOWN);
    cr_assert_eq(env_file_open(env, "more", ENV_OPEN_CREATE, &file), -ESHUTDOWN);
    cr_assert_eq(env_file_unlink(env, "data"), -ESHUTDOWN);
    cr_assert_eq(env_file_bytes(env, file, &bytes), -ESHUTDOWN);
    cr_assert_eq(sim_disk_unsynced_bytes(sim), PAGE, "the first write only");
    sim_crash(sim, SIM_CRASH_KEEP_ALL);
    cr_assert_eq(sim_disk_durable_bytes(sim, "data"), PAGE);
    cr_assert(!sim_dead(sim) && !sim_alive(sim));
    sim_close(sim);
}

/* Dying instead of the N-th operation: enumerating N visits every operation once. */
Test(support_env_sim, process_dies_instead_of_the_planned_operation)
{
    uint64_t nth = 0;
    bool died = true;

    while (died) {
        struct sim *sim = world_open(1);
        struct env *env = env_sim_process(sim, NULL);
        struct env_event event;
        env_file file;
        uint8_t *page = env_mem_alloc(env, PAGE);

        sim_plan_crash_op(sim, ++nth);
        if (env_file_open(env, "data", ENV_OPEN_CREATE, &file) == 0) {
            env_file_write(env, file, page, PAGE, 0, 0, 1);
            if (env_wait(env, &event, 1, UINT64_MAX) == 1)
                env_file_sync(env, file, 2);
            if (sim_alive(sim))
                cr_assert_eq(env_wait(env, &event, 1, UINT64_MAX), 1);
        }
        died = sim_dead(sim);
        sim_close(sim);
    }
    cr_assert_eq(nth, 4, "open, write, sync, and one that finds nothing left");
}

/* A new process finds zeroed memory, no handles and no events of the old one. */
Test(support_env_sim, new_process_starts_clean)
{
    struct sim *sim = world_open(2);
    struct env *env = env_sim_process(sim, NULL);
    struct env_event event;
    env_file file;
    uint64_t bytes;
    uint8_t *page = env_mem_alloc(env, PAGE);

    memset(page, 1, PAGE);
    cr_assert_eq(env_file_open(env, "data", ENV_OPEN_CREATE, &file), 0);
    env_file_write(env, file, page, PAGE, 0, 0, 1);
    sim_crash(sim, SIM_CRASH_KEEP_ALL);
    env = env_sim_process(sim, NULL);
    page = env_mem_alloc(env, PAGE);
    for (uint32_t i = 0; i < PAGE; i++)
        cr_assert_eq(page[i], 0);
    cr_assert_eq(env_file_bytes(env, file, &bytes), -EBADF);
    cr_assert_eq(env_wait(env, &event, 1, env_now_mono_ns(env) + 1000000000), 0);
    sim_close(sim);
}

/* Memory ends at its budget, an injection makes an allocation fail earlier. */
Test(support_env_sim, memory_ends_at_its_budget)
{
    struct sim *sim = world_open(3);
    struct env_sim_options options;
    struct env *env;

    env_sim_options_init(&options);
    options.mem_bytes_max = 1 << 20;
    options.buffer_count = 2;
    env = env_sim_process(sim, &options);
    sim_inject(sim, SIM_OP_MEM_ALLOC, NULL, 2, -ENOMEM);
    cr_assert_not_null(env_mem_alloc(env, PAGE));
    cr_assert_null(env_mem_alloc(env, PAGE));
    cr_assert_not_null(env_mem_alloc(env, (1 << 20) - PAGE));
    cr_assert_null(env_mem_alloc(env, 2));
    sim_close(sim);
}

/* Allocation after the seal is a bug and aborts. */
Test(support_env_sim, allocation_after_the_seal_is_caught, .signal = SIGABRT)
{
    struct env *env = env_sim_process(world_open(3), NULL);

    env_mem_seal(env);
    (void)env_mem_alloc(env, PAGE);
}

/* The bytes of a write belong to the env until its event; changing them is a bug and aborts. */
Test(support_env_sim, write_buffer_changed_in_flight_is_caught, .signal = SIGABRT)
{
    struct env *env = env_sim_process(world_open(4), NULL);
    struct env_event event;
    env_file file;
    uint8_t *page = env_mem_alloc(env, PAGE);

    cr_assert_eq(env_file_open(env, "data", ENV_OPEN_CREATE, &file), 0);
    env_file_write(env, file, page, PAGE, 0, 0, 1);
    page[17] = 1;
    (void)env_wait(env, &event, 1, UINT64_MAX);
}

/* ---- time and switches ----------------------------------------------------------------------- */

/* The wall clock jumps both ways, the monotonic one only advances. */
Test(support_env_sim, wall_clock_jumps_and_monotonic_does_not)
{
    struct sim *sim = world_open(5);
    struct env *env = env_sim_process(sim, NULL);
    int64_t wall = env_now_wall_us(env);
    uint64_t mono = env_now_mono_ns(env);

    sim_wall_jump(sim, -3600000000);
    cr_assert_eq(env_now_wall_us(env), wall - 3600000000);
    sim_wall_jump(sim, 7200000000);
    cr_assert_eq(env_now_wall_us(env), wall + 3600000000);
    cr_assert_eq(env_now_mono_ns(env), mono);
    sim_pause(sim, 5000000);
    cr_assert_eq(env_now_mono_ns(env), mono + 5000000);
    cr_assert_eq(env_now_wall_us(env), wall + 3600005000);
    sim_close(sim);
}

/* A wait without deadline and without anything that could end it returns and is counted; a wake-up
 * time bounds any wait. */
Test(support_env_sim, endless_wait_is_counted_and_wake_up_bounds_it)
{
    struct sim *sim = world_open(6);
    struct env *env = env_sim_process(sim, NULL);
    struct env_event event;
    uint64_t wake = sim_now_ns(sim) + 1000000;

    sim_wake_at(sim, wake);
    cr_assert_eq(env_wait(env, &event, 1, UINT64_MAX), 0);
    cr_assert_eq(sim_now_ns(sim), wake);
    cr_assert_eq(sim_stuck_count(sim), 0);
    sim_wake_at(sim, UINT64_MAX);
    cr_assert_eq(env_wait(env, &event, 1, UINT64_MAX), 0);
    cr_assert_eq(sim_stuck_count(sim), 1);
    sim_close(sim);
}

/* A disk operation with a spike takes that much longer. */
Test(support_env_sim, latency_spike_delays_an_operation)
{
    struct sim *sim = world_open(7);
    struct env *env = env_sim_process(sim, NULL);
    struct env_event event;
    env_file file;
    uint64_t start;

    cr_assert_eq(env_file_open(env, "data", ENV_OPEN_CREATE, &file), 0);
    sim_rates(sim)->spike = 65536;
    start = sim_now_ns(sim);
    env_file_sync(env, file, 1);
    cr_assert_eq(env_wait(env, &event, 1, start + 499000000), 0);
    cr_assert_eq(env_wait(env, &event, 1, UINT64_MAX), 1);
    cr_assert_geq(sim_now_ns(sim), start + 500000000);
    sim_close(sim);
}

/* A buggify site is live for a whole world or never fires in it; live ones fire now and then. */
Test(support_env_sim, buggify_switches_in_two_steps)
{
    uint32_t live = 0;

    for (uint64_t seed = 1; seed <= 100; seed++) {
        struct sim_options options;
        struct sim *sim;
        struct env *env;
        uint32_t fired = 0;

        sim_options_init(&options, seed);
        options.rates.buggify_enabled = 32768;
        options.rates.buggify_fires = 32768;
        sim = sim_open(&options);
        env = env_sim_process(sim, NULL);
        for (uint32_t i = 0; i < 100; i++)
            fired += env_buggify(env, ENV_BUGGIFY_TAIL_SMALL);
        cr_assert(fired == 0 || (fired > 20 && fired < 80), "%u", fired);
        cr_assert_eq(sim_buggify_hits(sim, ENV_BUGGIFY_TAIL_SMALL), 100);
        cr_assert_eq(sim_buggify_fires(sim, ENV_BUGGIFY_TAIL_SMALL), fired);
        live += fired > 0;
        sim_close(sim);
    }
    cr_assert(live > 25 && live < 75, "%u of 100 worlds", live);
}
