/* SPDX-License-Identifier: Apache-2.0
 *
 * Equal batches into a log; see append.h.
 */
#include "bench/disk/append.h"

#include "wire/limits.h"
#include "wire/status.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define EVENTS 256u
#define PARTITIONS 8u
#define CLOSE_TURNS 100000u
/* A stand-in for the fold's state: the log wants a checkpoint before it recycles a segment. */
#define STATE_BYTES 64u

void append_load_options_init(struct append_load_options *options)
{
    *options = (struct append_load_options){.batch_bytes = 64u * 1024u, .inflight = 128};
    log_options_init(&options->log);
    options->log.partitions_max = PARTITIONS;
    options->log.tail_bytes = 128u << 20;
    options->log.index_bytes = 64u << 20;
    options->log.checkpoint_bytes_max = 64u << 10;
    options->log.checkpoint_every_bytes = 256u << 20;
    options->log.retention_bytes = 4 * options->log.segment_bytes;
}

static void make_batch(uint8_t *memory, uint32_t bytes)
{
    struct xd_batch_header *batch = (struct xd_batch_header *)(void *)memory;
    uint32_t word = 2463534242u;
    for (uint32_t i = XD_BATCH_HEADER_BYTES; i < bytes; i++) {
        word = word * 1664525u + 1013904223u;
        memory[i] = (uint8_t)(word >> 24);
    }
    memset(batch, 0, sizeof *batch);
    batch->producer_id = 1;
    batch->producer_epoch = 1;
    batch->channel_epoch = 1;
    batch->record_count = 1;
    batch->first_sequence = 1;
    batch->last_sequence = 1;
    batch->first_event_time_us = 1;
    batch->last_event_time_us = 1;
    batch->raw_bytes = bytes - XD_BATCH_HEADER_BYTES;
    xd_batch_seal(batch, bytes);
}

/* An empty log recovers at once. */
static int open_log(struct append_load *load, const struct log_options *options, char *why)
{
    struct log_entry entry;
    const uint8_t *state;
    uint64_t state_bytes;
    int status = log_open(load->env, &load->arena, &load->counters, options, &load->log, &state,
                          &state_bytes, why);
    if (status < 0)
        return status;
    status = log_recover_next(load->log, &entry, why);
    if (status > 0) {
        snprintf(why, XD_DETAIL_BYTES_MAX, "the folder holds a log already: take an empty one");
        return -EEXIST;
    }
    return status < 0 ? status : log_recover_end(load->log, why);
}

int append_load_open(struct append_load *load, struct env *env,
                     const struct append_load_options *options, char *ret_why)
{
    uint64_t bytes = log_bytes_needed(&options->log);
    XD_ASSERT(options->inflight >= 1 && options->inflight <= APPEND_LOAD_BATCHES_MAX);
    XD_ASSERT(options->batch_bytes > XD_BATCH_HEADER_BYTES);
    XD_ASSERT(options->batch_bytes <= XD_BATCH_BYTES_MAX && options->batch_bytes % 8 == 0);
    *load = (struct append_load){
        .env = env, .batch_bytes = options->batch_bytes, .inflight = options->inflight};
    load->batch = env_mem_alloc(env, options->batch_bytes);
    load->started_ns = env_mem_alloc(env, APPEND_LOAD_BATCHES_MAX * sizeof *load->started_ns);
    void *memory = env_mem_alloc(env, bytes);
    if (load->batch == NULL || load->started_ns == NULL || memory == NULL) {
        snprintf(ret_why, XD_DETAIL_BYTES_MAX, "no memory");
        return -ENOMEM;
    }
    arena_init(&load->arena, memory, bytes);
    make_batch(load->batch, options->batch_bytes);
    return open_log(load, &options->log, ret_why);
}

/* Copies batches in until the window or the log is full. */
static int append(struct append_load *load)
{
    while (load->appended - load->durable < load->inflight) {
        uint8_t *memory;
        int status = log_reserve(load->log, load->batch_bytes, &memory);
        if (status == XD_THROTTLED)
            return 0;
        if (status < 0)
            return status;
        struct xd_batch_header *batch = (struct xd_batch_header *)(void *)memory;
        memcpy(memory, load->batch, load->batch_bytes);
        batch->base_offset = load->appended;
        batch->append_time_us = env_now_wall_us(load->env);
        (void)log_append(load->log);
        load->started_ns[load->appended++ % APPEND_LOAD_BATCHES_MAX] = env_now_mono_ns(load->env);
    }
    return 0;
}

static uint32_t fold(struct append_load *load, uint64_t *ret_times_ns)
{
    struct log_entry entry;
    uint32_t count = 0;
    uint64_t now_ns = env_now_mono_ns(load->env);
    while (log_durable_next(load->log, &entry)) {
        XD_ASSERT(load->durable < load->appended && count < APPEND_LOAD_BATCHES_MAX);
        XD_ASSERT(entry.batch->base_offset == load->durable);
        ret_times_ns[count++] =
            now_ns - load->started_ns[load->durable++ % APPEND_LOAD_BATCHES_MAX];
    }
    if (log_checkpoint_due(load->log)) {
        uint64_t bytes_max;
        uint8_t *state = log_checkpoint_begin(load->log, &bytes_max);
        XD_ASSERT(bytes_max >= STATE_BYTES);
        memset(state, 0, STATE_BYTES);
        log_checkpoint_commit(load->log, STATE_BYTES);
    }
    return count;
}

static int wait_for_log(struct append_load *load, uint64_t until_ns)
{
    struct env_event events[EVENTS];
    uint64_t deadline_ns = log_deadline_ns(load->log);
    deadline_ns = deadline_ns < until_ns ? deadline_ns : until_ns;
    int count = env_wait(load->env, events, EVENTS, deadline_ns);
    for (int i = 0; i < count; i++) {
        XD_ASSERT(env_token_owner(events[i].token) == ENV_OWNER_LOG);
        log_done(load->log, &events[i]);
    }
    return count < 0 ? count : log_fenced(load->log);
}

int append_load_turn(struct append_load *load, bool append_more, uint64_t until_ns,
                     uint64_t *ret_times_ns)
{
    struct log_news news;
    int status = append_more ? append(load) : 0;
    if (status < 0)
        return status;
    log_kick(load->log);
    status = wait_for_log(load, until_ns);
    if (status < 0)
        return status;
    while (log_news_next(load->log, &news)) {
        /* Segments come and go; a fence shows in log_fenced(). */
    }
    return (int)fold(load, ret_times_ns);
}

int append_load_close(struct append_load *load)
{
    if (load->log == NULL)
        return 0;
    log_close_begin(load->log);
    int status = 0;
    for (uint32_t i = 0; i < CLOSE_TURNS && !log_closed(load->log); i++) {
        struct log_entry entry;
        log_kick(load->log);
        status = wait_for_log(load, env_now_mono_ns(load->env) + 100000000u);
        while (log_durable_next(load->log, &entry))
            load->durable++;
        if (status < 0)
            break;
    }
    log_deinit(load->log);
    load->log = NULL;
    return status;
}
