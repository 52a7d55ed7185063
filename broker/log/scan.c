/* SPDX-License-Identifier: Apache-2.0
 *
 * The ring of reads. Chunk n covers [from + n MiB, from + (n + 1) MiB) and lies in ring place
 * n % SCAN_CHUNKS; it is read again only when the caller has moved past it. Chunks are independent:
 * their events may come in any sequence.
 */
#include "broker/log/scan.h"

#include "broker/log/blocking.h"
#include "broker/log/page.h"
#include "wire/xassert.h"

#include <string.h>

static struct scan_chunk *chunk_of(struct scan *scan, uint64_t number)
{
    return &scan->chunks[number % SCAN_CHUNKS];
}

static uint8_t *memory_of(struct scan *scan, uint64_t number)
{
    return scan->memory + number % SCAN_CHUNKS * SCAN_READ_BYTES;
}

/* Starts, or goes on with, the read of a chunk. */
static void chunk_read(struct scan *scan, uint64_t number)
{
    struct scan_chunk *chunk = chunk_of(scan, number);
    XD_ASSERT(!chunk->busy && chunk->got < chunk->bytes);
    chunk->busy = true;
    scan->busy_count++;
    env_file_read(scan->env, scan->file, memory_of(scan, number) + chunk->got,
                  chunk->bytes - chunk->got, chunk->at + chunk->got,
                  env_token(ENV_OWNER_LOG, BLOCKING_SCAN, number % SCAN_CHUNKS));
}

/* Keeps the ring full. */
static void read_ahead(struct scan *scan)
{
    while (scan->next < scan->first + SCAN_CHUNKS && scan->busy_count < SCAN_DEPTH) {
        uint64_t at = scan->from + scan->next * SCAN_READ_BYTES;
        if (at >= scan->to)
            return;
        uint64_t left = scan->to - at;
        *chunk_of(scan, scan->next) = (struct scan_chunk){
            .at = at, .bytes = left < SCAN_READ_BYTES ? (uint32_t)left : SCAN_READ_BYTES};
        chunk_read(scan, scan->next);
        scan->next++;
    }
}

/* Takes one event. A chunk that got nothing whole, or an error, is left to chunk_repair. */
static int take_event(struct scan *scan)
{
    struct env_event event;
    int status = blocking_wait(scan->env, &event);
    if (status < 0) {
        scan->busy_count = 0; /* nothing answers any more */
        for (uint32_t i = 0; i < SCAN_CHUNKS; i++)
            scan->chunks[i].busy = false;
        return status;
    }
    uint64_t place = env_token_value(event.token);
    if (env_token_owner(event.token) != ENV_OWNER_LOG ||
        env_token_kind(event.token) != BLOCKING_SCAN || place >= SCAN_CHUNKS)
        return 0;
    struct scan_chunk *chunk = &scan->chunks[place];
    XD_ASSERT(chunk->busy && scan->busy_count > 0);
    chunk->busy = false;
    scan->busy_count--;
    uint32_t pages = event.result > 0 ? (uint32_t)event.result / PAGE_BYTES * PAGE_BYTES : 0;
    XD_ASSERT(pages <= chunk->bytes - chunk->got);
    chunk->got += pages;
    if (pages == 0)
        chunk->error = true;
    return 0;
}

/* Waits until a chunk is in memory, whatever it takes. */
static int chunk_wait(struct scan *scan, uint64_t number)
{
    struct scan_chunk *chunk = chunk_of(scan, number);
    while (chunk->busy || (chunk->got < chunk->bytes && !chunk->error)) {
        if (!chunk->busy)
            chunk_read(scan, number);
        int status = take_event(scan);
        if (status < 0)
            return status;
    }
    if (chunk->got == chunk->bytes)
        return 0;
    while (scan->busy_count > 0) { /* blocking reads need the env for themselves */
        int status = take_event(scan);
        if (status < 0)
            return status;
    }
    uint32_t bad;
    int error;
    uint64_t at = chunk->at + chunk->got;
    int status = blocking_read_pages(scan->env, scan->file, memory_of(scan, number) + chunk->got,
                                     chunk->bytes - chunk->got, at, &bad, &error);
    if (status < 0)
        return status;
    chunk->got = chunk->bytes;
    scan->pages_bad += bad;
    scan->bad_error = scan->bad_error == 0 ? error : scan->bad_error;
    return 0;
}

void scan_begin(struct scan *scan, struct env *env, uint8_t *memory, env_file file, uint64_t from,
                uint64_t to)
{
    XD_ASSERT(((uintptr_t)memory & (PAGE_BYTES - 1u)) == 0);
    XD_ASSERT(from % PAGE_BYTES == 0 && to % PAGE_BYTES == 0);
    XD_ASSERT(from <= to);
    XD_ASSERT(scan->busy_count == 0);
    *scan = (struct scan){.env = env, .memory = memory, .file = file, .from = from, .to = to};
    read_ahead(scan);
}

int scan_need(struct scan *scan, uint64_t at, uint32_t bytes, const uint8_t **ret_data)
{
    XD_ASSERT(bytes > 0 && bytes <= SCAN_READ_BYTES);
    XD_ASSERT(at >= scan->from && at + bytes <= scan->to);
    uint64_t first = (at - scan->from) / SCAN_READ_BYTES;
    uint64_t last = (at + bytes - 1 - scan->from) / SCAN_READ_BYTES;
    XD_ASSERT(first >= scan->first && last <= first + 1);
    while (scan->first < first) { /* given up: must not be written to any more */
        if (scan->first < scan->next)
            while (chunk_of(scan, scan->first)->busy) {
                int status = take_event(scan);
                if (status < 0)
                    return status;
            }
        else
            scan->next = scan->first + 1; /* skipped before it was read */
        scan->first++;
    }
    for (uint64_t number = first; number <= last; number++) {
        read_ahead(scan);
        int status = chunk_wait(scan, number);
        if (status < 0)
            return status;
    }
    read_ahead(scan);
    uint64_t in_chunk = (at - scan->from) % SCAN_READ_BYTES;
    if (in_chunk + bytes > SCAN_READ_BYTES && first % SCAN_CHUNKS == SCAN_CHUNKS - 1)
        memcpy(scan->memory + (uint64_t)SCAN_CHUNKS * SCAN_READ_BYTES, memory_of(scan, last),
               in_chunk + bytes - SCAN_READ_BYTES);
    *ret_data = memory_of(scan, first) + in_chunk;
    return 0;
}

int scan_end(struct scan *scan)
{
    while (scan->busy_count > 0) {
        int status = take_event(scan);
        if (status < 0)
            return status;
    }
    return 0;
}
