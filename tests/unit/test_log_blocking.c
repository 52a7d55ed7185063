/* SPDX-License-Identifier: Apache-2.0
 *
 * Blocking operations: short answers, errors, the end of a file, a broken engine.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

#include "broker/log/blocking.h"
#include "tests/support/env_bent.h"
#include "tests/support/log_recovery.h"

#define FILE_BYTES (64u * 1024u)

/* A file of 16 pages, page n filled with n + 1; *ret_memory has room for it. */
static struct env *make_file(struct sim *sim, env_file *ret_file, uint8_t **ret_memory)
{
    struct env *env = env_sim_process(sim, NULL);
    *ret_memory = env_mem_alloc(env, 2 * FILE_BYTES);
    cr_assert_eq(env_file_open(env, "file", ENV_OPEN_CREATE, ret_file), 0);
    cr_assert_eq(env_file_reserve(env, *ret_file, FILE_BYTES), 0);
    cr_assert_eq(env_dir_sync(env, ""), 0);
    for (uint32_t i = 0; i < 16; i++)
        memset(*ret_memory + i * 4096, (int)i + 1, 4096);
    cr_assert_eq(blocking_write(env, *ret_file, *ret_memory, FILE_BYTES, 0), 0);
    cr_assert_eq(blocking_sync(env, *ret_file), 0);
    memset(*ret_memory, 0xcc, 2 * FILE_BYTES);
    return env;
}

/* Short answers are continued, also those that end inside a page. */
Test(log_blocking, continues_short_reads_and_writes)
{
    struct sim *sim = recovery_world(1);
    env_file file;
    uint8_t *memory;
    struct env *env = make_file(sim, &file, &memory);
    sim_inject(sim, SIM_OP_READ, NULL, 1, 4096 * 3 + 512);
    sim_inject(sim, SIM_OP_READ, NULL, 2, 512);
    cr_assert_eq(blocking_read(env, file, memory, FILE_BYTES, 0), 0);
    cr_assert_eq(sim_inject_pending(sim), 0);
    for (uint32_t i = 0; i < 16; i++)
        cr_assert_eq(memory[i * 4096 + 4095], i + 1);
    memset(memory, 0x77, FILE_BYTES);
    sim_inject(sim, SIM_OP_WRITE, NULL, 1, 4096 + 512);
    cr_assert_eq(blocking_write(env, file, memory, FILE_BYTES, 0), 0);
    uint8_t byte;
    sim_crash(sim, SIM_CRASH_KEEP_NONE);
    for (uint32_t i = 0; i < 16; i++) {
        sim_disk_peek(sim, "file", i * 4096 + 4095, &byte, 1);
        cr_assert_eq(byte, 0x77, "page %u is not durable", i);
    }
    sim_close(sim);
}

/* What lies behind the end of a file reads as zeros. */
Test(log_blocking, reads_zeros_behind_the_end)
{
    struct sim *sim = recovery_world(2);
    env_file file;
    uint8_t *memory;
    struct env *env = make_file(sim, &file, &memory);
    cr_assert_eq(blocking_read(env, file, memory, 8192, FILE_BYTES - 4096), 0);
    cr_assert_eq(memory[4095], 16);
    cr_assert_eq(memory[4096], 0);
    cr_assert_eq(memory[8191], 0);
    sim_close(sim);
}

/* An error of an operation is passed on; nothing is tried twice. */
Test(log_blocking, passes_errors_on)
{
    struct sim *sim = recovery_world(3);
    env_file file;
    uint8_t *memory;
    struct env *env = make_file(sim, &file, &memory);
    sim_inject(sim, SIM_OP_READ, NULL, 1, -EIO);
    cr_assert_eq(blocking_read(env, file, memory, 4096, 0), -EIO);
    sim_inject(sim, SIM_OP_WRITE, NULL, 1, -ENOSPC);
    cr_assert_eq(blocking_write(env, file, memory, 4096, 0), -ENOSPC);
    uint64_t syncs = sim_op_count(sim, SIM_OP_SYNC);
    sim_inject(sim, SIM_OP_SYNC, NULL, 1, -EIO);
    cr_assert_eq(blocking_sync(env, file), -EIO);
    cr_assert_eq(sim_op_count(sim, SIM_OP_SYNC), syncs + 1, "a failed flush is never retried");
    sim_close(sim);
}

/* Around an unreadable page everything else is read; an error that does not come back is none. */
Test(log_blocking, reads_around_bad_pages)
{
    struct sim *sim = recovery_world(4);
    env_file file;
    uint8_t *memory;
    struct env *env = make_file(sim, &file, &memory);
    uint32_t bad;
    int error;
    sim_inject(sim, SIM_OP_READ, NULL, 1, -EIO); /* the whole */
    sim_inject(sim, SIM_OP_READ, NULL, 4, -EIO); /* the third page */
    cr_assert_eq(blocking_read_pages(env, file, memory, FILE_BYTES, 0, &bad, &error), 0);
    cr_assert_eq(bad, 1);
    cr_assert_eq(error, -EIO);
    for (uint32_t i = 0; i < 16; i++)
        cr_assert_eq(memory[i * 4096], i == 2 ? 0 : i + 1);
    sim_inject(sim, SIM_OP_READ, NULL, 1, -EIO);
    cr_assert_eq(blocking_read_pages(env, file, memory, FILE_BYTES, 0, &bad, &error), 0);
    cr_assert_eq(bad, 0);
    cr_assert_eq(error, 0);
    cr_assert_eq(memory[2 * 4096], 3);
    sim_close(sim);
}

/* A process that dies in the middle gets its answer from the engine. */
Test(log_blocking, ends_with_the_engine)
{
    struct sim *sim = recovery_world(5);
    env_file file;
    uint8_t *memory;
    struct env *env = make_file(sim, &file, &memory);
    uint32_t bad;
    int error;
    sim_kill(sim);
    cr_assert_eq(blocking_read_pages(env, file, memory, FILE_BYTES, 0, &bad, &error), -ESHUTDOWN);
    cr_assert_eq(blocking_write(env, file, memory, 4096, 0), -ESHUTDOWN);
    cr_assert_eq(blocking_sync(env, file), -ESHUTDOWN);
    sim_close(sim);
}

/* Answers without a whole page come to an end: a read has what it got and zeros, a write has
 * failed.
 */
Test(log_blocking, gives_up_what_makes_no_progress)
{
    struct sim *sim = recovery_world(6);
    env_file file;
    uint8_t *memory;
    struct env *env = make_file(sim, &file, &memory);
    sim_inject(sim, SIM_OP_READ, NULL, 1, 4096);
    for (uint32_t i = 2; i <= 9; i++)
        sim_inject(sim, SIM_OP_READ, NULL, i, 512);
    cr_assert_eq(blocking_read(env, file, memory, 8192, 0), 0);
    cr_assert_eq(sim_inject_pending(sim), 0);
    cr_assert_eq(memory[4095], 1);
    cr_assert_eq(memory[4096], 0);
    for (uint32_t i = 1; i <= 8; i++)
        sim_inject(sim, SIM_OP_WRITE, NULL, i, 512);
    cr_assert_eq(blocking_write(env, file, memory, 8192, 0), -EIO);
    cr_assert_eq(sim_inject_pending(sim), 0);
    sim_close(sim);
}

/* An event of an operation that somebody else has left behind is not taken for the answer. */
Test(log_blocking, passes_over_strange_events)
{
    struct sim *sim = recovery_world(7);
    env_file file;
    uint8_t *memory;
    struct env *env = env_bend(make_file(sim, &file, &memory));
    bent.stray_token = env_token(ENV_OWNER_LOG, BLOCKING_SCAN, 3);
    cr_assert_eq(blocking_read(env, file, memory, FILE_BYTES, 0), 0);
    cr_assert_eq(memory[FILE_BYTES - 1], 16);
    sim_close(sim);
}

/* Waits that bring nothing are repeated, but not for ever: an operation may have been lost. */
Test(log_blocking, does_not_wait_for_ever)
{
    struct sim *sim = recovery_world(8);
    env_file file;
    uint8_t *memory;
    struct env *env = env_bend(make_file(sim, &file, &memory));
    bent.waits_empty = 63;
    cr_assert_eq(blocking_read(env, file, memory, 4096, 0), 0);
    cr_assert_eq(memory[0], 1);
    bent.waits_empty = 64;
    cr_assert_eq(blocking_read(env, file, memory, 4096, 0), -EIO);
    sim_close(sim);
}

/* The engine breaks between the pages of a file that is read one by one. */
Test(log_blocking, ends_with_the_engine_between_bad_pages)
{
    struct sim *sim = recovery_world(9);
    env_file file;
    uint8_t *memory;
    struct env *env = env_bend(make_file(sim, &file, &memory));
    uint32_t bad = 77;
    int error = 77;
    sim_inject(sim, SIM_OP_READ, NULL, 1, -EIO);
    bent.wait_breaks = 4;
    cr_assert_eq(blocking_read_pages(env, file, memory, FILE_BYTES, 0, &bad, &error), -EBADF);
    cr_assert_eq(bad, 77, "outputs stay as they were");
    cr_assert_eq(error, 77);
    cr_assert_eq(blocking_read(env, file, memory, 4096, 0), -EBADF);
    sim_close(sim);
}
