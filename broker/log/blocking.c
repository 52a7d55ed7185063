/* SPDX-License-Identifier: Apache-2.0
 *
 * Blocking wrappers over the seam. The engine's own failure ends a wait at once: operations that
 * were outstanding then never answer.
 */
#include "broker/log/blocking.h"

#include "broker/log/page.h"

#include <errno.h>
#include <string.h>

/* Waits that bring nothing although an operation is outstanding: more mean a lost operation. */
#define EMPTY_WAITS_MAX 64u
/* Answers without a whole page of progress before a transfer counts as ended. */
#define STALLS_MAX 8u
/* Unreadable pages in one call after which the rest is given up: a dead device answers slowly. */
#define PAGES_BAD_MAX 64u

int blocking_wait(struct env *env, struct env_event *ret_event)
{
    XD_ASSERT(ret_event != NULL);
    for (uint32_t empty = 0; empty < EMPTY_WAITS_MAX;) {
        int count = env_wait(env, ret_event, 1, UINT64_MAX);
        if (count < 0)
            return count;
        if (count == 0)
            empty++;
        else if (env_token_owner(ret_event->token) != ENV_OWNER_BELL)
            return 0; /* whoever rang a bell is heard between two steps */
    }
    return -EIO;
}

/* Waits for the event of the one operation. *ret_result is its result. */
static int wait_one(struct env *env, uint64_t token, int32_t *ret_result)
{
    struct env_event event;
    do {
        int status = blocking_wait(env, &event);
        if (status < 0)
            return status;
    } while (event.token != token);
    *ret_result = event.result;
    return 0;
}

/* Reads until the pages are there, the file ends or a read fails. *ret_got: whole pages read;
 * *ret_error: -errno of the read or 0. Returns the engine's status. */
static int read_pages(struct env *env, env_file file, uint8_t *data, uint32_t bytes,
                      uint64_t position, uint32_t *ret_got, int *ret_error)
{
    const uint64_t token = env_token(ENV_OWNER_LOG, BLOCKING_ONE, 0);
    uint32_t got = 0;
    int32_t result = 0;
    for (uint32_t stalls = 0; got < bytes && stalls < STALLS_MAX;) {
        env_file_read(env, file, data + got, bytes - got, position + got, token);
        int status = wait_one(env, token, &result);
        if (status < 0)
            return status;
        if (result <= 0)
            break;
        uint32_t pages = (uint32_t)result / PAGE_BYTES * PAGE_BYTES;
        XD_ASSERT(pages <= bytes - got);
        got += pages;
        stalls = pages == 0 ? stalls + 1 : 0;
    }
    *ret_got = got;
    *ret_error = result < 0 ? result : 0;
    return 0;
}

int blocking_read(struct env *env, env_file file, void *data, uint32_t bytes, uint64_t position)
{
    XD_ASSERT(bytes % PAGE_BYTES == 0 && position % PAGE_BYTES == 0);
    uint32_t got;
    int error;
    int status = read_pages(env, file, data, bytes, position, &got, &error);
    if (status < 0 || error < 0)
        return status < 0 ? status : error;
    memset((uint8_t *)data + got, 0, bytes - got);
    return 0;
}

int blocking_read_pages(struct env *env, env_file file, void *data, uint32_t bytes,
                        uint64_t position, uint32_t *ret_pages_bad, int *ret_error)
{
    XD_ASSERT(bytes % PAGE_BYTES == 0 && position % PAGE_BYTES == 0);
    uint8_t *out = data;
    uint32_t got;
    int error;
    int status = read_pages(env, file, out, bytes, position, &got, &error);
    if (status < 0)
        return status;
    uint32_t bad = 0;
    int first_error = 0;
    if (error == 0) {
        memset(out + got, 0, bytes - got);
        got = bytes;
    }
    for (; got < bytes && bad < PAGES_BAD_MAX; got += PAGE_BYTES) {
        uint32_t page_got;
        status = read_pages(env, file, out + got, PAGE_BYTES, position + got, &page_got, &error);
        if (status < 0)
            return status;
        if (page_got < PAGE_BYTES)
            memset(out + got, 0, PAGE_BYTES);
        if (error < 0) {
            bad++;
            first_error = first_error == 0 ? error : first_error;
        }
    }
    memset(out + got, 0, bytes - got);
    *ret_pages_bad = bad + (bytes - got) / PAGE_BYTES;
    *ret_error = first_error;
    return 0;
}

int blocking_write(struct env *env, env_file file, const void *data, uint32_t bytes,
                   uint64_t position)
{
    XD_ASSERT(bytes % PAGE_BYTES == 0 && position % PAGE_BYTES == 0);
    const uint64_t token = env_token(ENV_OWNER_LOG, BLOCKING_ONE, 0);
    uint32_t put = 0;
    for (uint32_t stalls = 0; put < bytes;) {
        env_file_write(env, file, (const uint8_t *)data + put, bytes - put, position + put,
                       ENV_WRITE_DSYNC, token);
        int32_t result;
        int status = wait_one(env, token, &result);
        if (status < 0 || result < 0)
            return status < 0 ? status : result;
        uint32_t pages = (uint32_t)result / PAGE_BYTES * PAGE_BYTES;
        put += pages;
        stalls = pages == 0 ? stalls + 1 : 0;
        if (stalls == STALLS_MAX)
            return -EIO;
    }
    return 0;
}

int blocking_sync(struct env *env, env_file file)
{
    const uint64_t token = env_token(ENV_OWNER_LOG, BLOCKING_ONE, 0);
    env_file_sync(env, file, token);
    int32_t result;
    int status = wait_one(env, token, &result);
    return status < 0 ? status : result;
}
