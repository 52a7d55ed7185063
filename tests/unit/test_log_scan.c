/* SPDX-License-Identifier: Apache-2.0
 *
 * Read-ahead: any walk gives the file's bytes, in contiguous memory.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

#include "broker/base/prng.h"
#include "broker/log/blocking.h"
#include "broker/log/scan.h"
#include "tests/support/env_bent.h"
#include "tests/support/log_recovery.h"

#define FILE_BYTES (24u * SCAN_READ_BYTES + 12288u)

/* Every page starts with its number. */
static struct env *make_file(struct sim *sim, env_file *ret_file, uint8_t **ret_memory)
{
    struct env *env = env_sim_process(sim, NULL);
    *ret_memory = env_mem_alloc(env, SCAN_BYTES);
    cr_assert_eq(env_file_open(env, "file", ENV_OPEN_CREATE, ret_file), 0);
    cr_assert_eq(env_file_reserve(env, *ret_file, FILE_BYTES), 0);
    for (uint64_t at = 0; at < FILE_BYTES; at += 4096) {
        uint64_t number = at / 4096 + 1;
        memcpy(*ret_memory + at % SCAN_READ_BYTES, &number, sizeof(number));
        if ((at + 4096) % SCAN_READ_BYTES == 0 || at + 4096 == FILE_BYTES)
            cr_assert_eq(blocking_write(env, *ret_file, *ret_memory,
                                        (uint32_t)(at % SCAN_READ_BYTES) + 4096,
                                        at / SCAN_READ_BYTES * SCAN_READ_BYTES),
                         0);
    }
    return env;
}

static void check(const uint8_t *data, uint64_t at, uint32_t bytes)
{
    for (uint32_t i = 0; i < bytes; i += 4096) {
        uint64_t number;
        memcpy(&number, data + i, sizeof(number));
        cr_assert_eq(number, (at + i) / 4096 + 1);
    }
}

/* Random pieces of up to 1 MiB, over several turns of the ring, with skips and short reads. */
Test(log_scan, gives_contiguous_pieces_of_any_size)
{
    for (uint64_t seed = 1; seed <= 8; seed++) {
        struct sim *sim = recovery_world(seed);
        env_file file;
        uint8_t *memory;
        struct env *env = make_file(sim, &file, &memory);
        sim_rates(sim)->read_short = seed % 2 == 0 ? 20000 : 0;
        sim_rates(sim)->read_error = seed % 4 == 0 ? 2000 : 0;
        struct prng prng;
        prng_seed(&prng, seed);
        struct scan scan = {.busy_count = 0};
        uint64_t from = prng_below(&prng, 300) * 4096;
        scan_begin(&scan, env, memory, file, from, FILE_BYTES);
        for (uint64_t at = from; at < FILE_BYTES;) {
            uint64_t left = FILE_BYTES - at;
            uint64_t bytes = (1 + prng_below(&prng, 256)) * 4096;
            bytes = bytes < left ? bytes : left;
            const uint8_t *data;
            cr_assert_eq(scan_need(&scan, at, 4096, &data), 0);
            if (scan.pages_bad == 0)
                check(data, at, 4096);
            cr_assert_eq(scan_need(&scan, at, (uint32_t)bytes, &data), 0);
            if (scan.pages_bad == 0)
                check(data, at, (uint32_t)bytes);
            at += bytes;
            if (prng_below(&prng, 8) == 0)
                at += prng_below(&prng, 700) * 4096;
        }
        cr_assert_eq(scan_end(&scan), 0);
        sim_close(sim);
    }
}

/* Memory of a chunk that was skipped while it was being read is not used before its read ended. */
Test(log_scan, waits_for_reads_that_were_skipped)
{
    for (uint64_t seed = 20; seed < 40; seed++) {
        struct sim *sim = recovery_world(seed);
        env_file file;
        uint8_t *memory;
        struct env *env = make_file(sim, &file, &memory);
        struct scan scan = {.busy_count = 0};
        scan_begin(&scan, env, memory, file, 0, FILE_BYTES);
        for (uint64_t at = 5ull * SCAN_READ_BYTES; at < FILE_BYTES; at += 3ull * SCAN_READ_BYTES) {
            const uint8_t *data;
            cr_assert_eq(scan_need(&scan, at, 12288, &data), 0);
            check(data, at, 12288);
        }
        cr_assert_eq(scan_end(&scan), 0);
        sim_close(sim);
    }
}

/* Eight reads are in flight, not one and not more. */
Test(log_scan, keeps_eight_reads_in_flight)
{
    struct sim *sim = recovery_world(9);
    env_file file;
    uint8_t *memory;
    struct env *env = make_file(sim, &file, &memory);
    struct scan scan = {.busy_count = 0};
    scan_begin(&scan, env, memory, file, 0, FILE_BYTES);
    cr_assert_eq(scan.busy_count, SCAN_DEPTH);
    const uint8_t *data;
    for (uint64_t at = 0; at < 12ull * SCAN_READ_BYTES; at += 4096) {
        cr_assert_eq(scan_need(&scan, at, 4096, &data), 0);
        cr_assert_leq(scan.busy_count, SCAN_DEPTH);
    }
    cr_assert_eq(scan_end(&scan), 0);
    cr_assert_eq(scan.busy_count, 0);
    sim_close(sim);
}

/* A read that fails once loses nothing; what stays unreadable reads as zeros and is counted. */
Test(log_scan, repairs_what_can_be_read)
{
    struct sim *sim = recovery_world(10);
    env_file file;
    uint8_t *memory;
    struct env *env = make_file(sim, &file, &memory);
    struct scan scan = {.busy_count = 0};
    sim_inject(sim, SIM_OP_READ, NULL, 1, -EIO);
    scan_begin(&scan, env, memory, file, 0, 2 * SCAN_READ_BYTES);
    const uint8_t *data;
    cr_assert_eq(scan_need(&scan, 0, SCAN_READ_BYTES, &data), 0);
    check(data, 0, SCAN_READ_BYTES);
    cr_assert_eq(scan.pages_bad, 0);
    cr_assert_eq(scan_end(&scan), 0);

    sim_inject(sim, SIM_OP_READ, NULL, 1, -EIO); /* the read-ahead */
    sim_inject(sim, SIM_OP_READ, NULL, 2, -EIO); /* the whole chunk again */
    sim_inject(sim, SIM_OP_READ, NULL, 4, -EIO); /* its second page */
    scan_begin(&scan, env, memory, file, 0, SCAN_READ_BYTES);
    cr_assert_eq(scan_need(&scan, 0, SCAN_READ_BYTES, &data), 0);
    cr_assert_eq(scan.pages_bad, 1);
    cr_assert_eq(scan.bad_error, -EIO);
    check(data, 0, 4096);
    cr_assert_eq(data[4096], 0);
    check(data + 8192, 8192, SCAN_READ_BYTES - 8192);
    cr_assert_eq(scan_end(&scan), 0);
    sim_close(sim);
}

/* A broken engine ends the scan instead of hanging it. */
Test(log_scan, ends_with_the_engine)
{
    struct sim *sim = recovery_world(11);
    env_file file;
    uint8_t *memory;
    struct env *env = make_file(sim, &file, &memory);
    struct scan scan = {.busy_count = 0};
    scan_begin(&scan, env, memory, file, 0, FILE_BYTES);
    sim_kill(sim);
    const uint8_t *data;
    cr_assert_eq(scan_need(&scan, 0, 4096, &data), -ESHUTDOWN);
    cr_assert_eq(scan_end(&scan), 0);
    sim_close(sim);
}

/* The engine breaks at any wait of a walk with a skip and a chunk that must be repaired: the walk
 * ends with its status, and nothing is left that the scan would wait for. */
Test(log_scan, ends_with_an_engine_that_breaks_at_any_wait)
{
    struct sim *sim = recovery_world(12);
    env_file file;
    uint8_t *memory;
    struct env *env = env_bend(make_file(sim, &file, &memory));
    uint64_t nth = 1;
    for (int status = -1; status != 0; nth++) {
        struct scan scan = {.busy_count = 0};
        const uint8_t *data;
        sim_inject(sim, SIM_OP_READ, NULL, 6, -EIO);
        scan_begin(&scan, env, memory, file, 0, FILE_BYTES);
        bent.waits = 0;
        bent.wait_breaks = nth;
        status = scan_need(&scan, 0, 4096, &data);
        for (uint64_t at = 3ull * SCAN_READ_BYTES; at < FILE_BYTES && status == 0;
             at += SCAN_READ_BYTES) {
            status = scan_need(&scan, at, 4096, &data);
            if (status == 0)
                check(data, at, 4096);
        }
        if (status == 0)
            status = scan_end(&scan);
        cr_assert_eq(status, bent_broke() ? -EBADF : 0);
        cr_assert_eq(scan.busy_count, 0);
        cr_assert_eq(scan_end(&scan), 0);
        sim_inject_clear(sim);
        sim_crash(sim, SIM_CRASH_KEEP_ALL);
        env = env_bend(env_sim_process(sim, NULL));
        memory = env_mem_alloc(env, SCAN_BYTES);
        cr_assert_eq(env_file_open(env, "file", 0, &file), 0);
    }
    cr_assert_gt(nth, 20);
    sim_close(sim);
}

/* Events of nobody, and of a place that no ring has, are not counted as reads. */
Test(log_scan, passes_over_strange_events)
{
    static const struct {
        enum env_owner owner; /* */
        uint8_t kind;         /* */
        uint64_t value;       /* place in the ring */
    } strays[] = {{ENV_OWNER_NET, BLOCKING_SCAN, 0},
                  {ENV_OWNER_LOG, BLOCKING_ONE, 0},
                  {ENV_OWNER_LOG, BLOCKING_SCAN, SCAN_CHUNKS}};
    struct sim *sim = recovery_world(13);
    env_file file;
    uint8_t *memory;
    struct env *env = env_bend(make_file(sim, &file, &memory));
    for (uint32_t i = 0; i < sizeof(strays) / sizeof(strays[0]); i++) {
        struct scan scan = {.busy_count = 0};
        const uint8_t *data;
        scan_begin(&scan, env, memory, file, 0, FILE_BYTES);
        bent.stray_token = env_token(strays[i].owner, strays[i].kind, strays[i].value);
        cr_assert_eq(scan_need(&scan, 0, 4096, &data), 0);
        check(data, 0, 4096);
        cr_assert_eq(bent.stray_token, 0);
        cr_assert_eq(scan_end(&scan), 0);
    }
    sim_close(sim);
}
