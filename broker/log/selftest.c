/* SPDX-License-Identifier: Apache-2.0
 *
 * Measures both ways to durable and chooses. See selftest.h.
 */
#include "broker/log/selftest.h"

#include "broker/log/blocking.h"
#include "wire/xassert.h"

#include <errno.h>

/* Waits for the one operation that is outstanding; its result. */
static int wait_result(struct env *env, uint64_t token)
{
    struct env_event event;
    int status = blocking_wait(env, &event);

    if (status < 0)
        return status;
    XD_ASSERT(event.token == token);
    return event.result;
}

/* One write made durable: 0 and the time it took, or -errno. A short write counts as an error: the
 * device is asked for 64 KiB inside a file that has them. */
static int measure(struct env *env, env_file file, uint64_t at, const uint8_t *zeros,
                   uint64_t token, enum log_sync way, uint64_t *ret_ns)
{
    uint64_t started_ns = env_now_mono_ns(env);
    uint32_t flags = way == LOG_SYNC_DSYNC ? ENV_WRITE_DSYNC : 0;
    int status;

    env_file_write(env, file, zeros, SELFTEST_WRITE_BYTES, at, flags, token);
    status = wait_result(env, token);
    if (status >= 0 && status < (int)SELFTEST_WRITE_BYTES)
        return -EIO;
    if (status >= 0 && way == LOG_SYNC_FDATASYNC) {
        env_file_sync(env, file, token);
        status = wait_result(env, token);
    }
    if (status < 0)
        return status;
    *ret_ns = env_now_mono_ns(env) - started_ns;
    return 0;
}

/* Insertion sort: about a hundred numbers, once per start. */
static uint64_t median(uint64_t *values, uint32_t count)
{
    XD_ASSERT(count > 0);
    for (uint32_t i = 1; i < count; i++) {
        uint64_t value = values[i];
        uint32_t at = i;

        for (; at > 0 && values[at - 1] > value; at--)
            values[at] = values[at - 1];
        values[at] = value;
    }
    return values[count / 2];
}

int selftest_run(struct env *env, env_file file, uint64_t at, const uint8_t *zeros, uint64_t token,
                 struct selftest_result *ret_result)
{
    uint64_t took[LOG_SYNC_COUNT][SELFTEST_ROUNDS_MAX];
    uint64_t until_ns = env_now_mono_ns(env) + SELFTEST_NS;
    struct selftest_result result = {.rounds = 0};
    int status;

    do {
        for (int way = LOG_SYNC_DSYNC; way < LOG_SYNC_COUNT; way++) {
            status =
                measure(env, file, at, zeros, token, (enum log_sync)way, &took[way][result.rounds]);
            if (status < 0)
                return status;
        }
        result.rounds++;
    } while (result.rounds < SELFTEST_ROUNDS_MAX && env_now_mono_ns(env) < until_ns);
    result.dsync_ns = median(took[LOG_SYNC_DSYNC], result.rounds);
    result.fdatasync_ns = median(took[LOG_SYNC_FDATASYNC], result.rounds);
    result.chosen =
        result.dsync_ns * 10 <= result.fdatasync_ns * 9 ? LOG_SYNC_DSYNC : LOG_SYNC_FDATASYNC;
    *ret_result = result;
    return 0;
}
