/* SPDX-License-Identifier: Apache-2.0
 *
 * Makes segments READY in the background. See prepare.h.
 */
#include "broker/log/prepare.h"

#include "broker/log/log_state.h"
#include "wire/status.h"

#include <errno.h>
#include <string.h>

static struct segment *preparing(struct log *log)
{
    struct segment *segment = &log->table.slots[log->prepare.slot];

    XD_ASSERT(log->prepare.step != PREPARE_IDLE);
    XD_ASSERT(segment->state == SEGMENT_PREPARING);
    return segment;
}

/* Writes of zeros whose buffer belongs to the env. */
static uint32_t zeros_busy(const struct prepare *p)
{
    uint32_t busy = 0;

    for (uint32_t row = 0; row < PREPARE_DEPTH; row++)
        busy += p->writes[row].busy;
    return busy;
}

/* Gives the slot up. Status 0: the log is closing or fenced; without space it is tried again later;
 * anything else is the device. */
static void give_up(struct log *log, int status, enum env_op op)
{
    struct prepare *p = &log->prepare;
    struct segment *segment = preparing(log);

    XD_ASSERT(status <= 0 && zeros_busy(p) == 0);
    XD_ASSERT(segment->segment_no == 0);
    segment->state = SEGMENT_FREE;
    p->step = PREPARE_IDLE;
    p->wanted = true;
    if (log_lacks_space(status)) {
        p->no_space = true;
        p->not_before_ns = env_now_mono_ns(log->env) + PREPARE_CHECK_NS;
        counters_add(log->counters, COUNTER_io_errors, 1);
    } else if (status < 0) {
        log_fence(log, status, op, 0);
    }
}

/* ---- header ---------------------------------------------------------------------------------- */

static void header_write(struct log *log)
{
    struct prepare *p = &log->prepare;

    XD_ASSERT(p->step == PREPARE_HEADER && p->header->segment_no == log->table.next_no);
    log_write(log, preparing(log)->file, p->header, SEGMENT_HEADER_BYTES, 0, ENV_WRITE_DSYNC,
              log_token(LOG_TOKEN_PREPARE_HEADER, 0));
}

static void header_start(struct log *log)
{
    struct prepare *p = &log->prepare;

    /* Every byte was written and is durable: numbers are given out in sequence and without gaps. */
    XD_ASSERT(preparing(log)->zeroed && zeros_busy(p) == 0);
    XD_ASSERT(segment_find(&log->table, log->table.next_no) == NULL);
    memset(p->header, 0, sizeof(*p->header));
    p->header->kind = SEGMENT_KIND_WAL;
    p->header->shard = log->options.shard;
    p->header->align_bytes = XD_BLOCK_ALIGN;
    p->header->segment_no = log->table.next_no;
    p->header->segment_bytes = log->table.segment_bytes;
    p->header->epoch = log->meta.epoch;
    memcpy(p->header->log_uuid, log->meta.log_uuid, sizeof(p->header->log_uuid));
    p->header->created_time_us = env_now_wall_us(log->env);
    segment_header_seal(p->header);
    p->step = PREPARE_HEADER;
    p->stalls = 0;
    header_write(log);
}

void prepare_header_done(struct log *log, const struct env_event *event)
{
    struct prepare *p = &log->prepare;
    struct segment *segment = preparing(log);
    int status = log_page_written(event->result, &p->stalls);

    XD_ASSERT(p->step == PREPARE_HEADER);
    if (status < 0 || (status > 0 && log->fenced)) {
        give_up(log, status < 0 ? status : 0, ENV_OP_WRITE);
        return;
    }
    if (status > 0) {
        header_write(log);
        return;
    }
    p->step = PREPARE_IDLE;
    env_crash_point(log->env, ENV_CRASH_SEGMENT_PREPARED);
    *segment = (struct segment){.segment_no = log->table.next_no++,
                                .used_bytes = SEGMENT_HEADER_BYTES,
                                .file = segment->file,
                                .slot = segment->slot,
                                .state = SEGMENT_READY,
                                .zeroed = 1,
                                .epoch = (uint32_t)log->meta.epoch};
    XD_ASSERT(segment->segment_no == p->header->segment_no);
    p->starved = false;
    p->no_space = false;
    p->wanted = true;
}

/* ---- zeros ----------------------------------------------------------------------------------- */

static void zeros_write(struct log *log, uint32_t row)
{
    struct prepare_write *write = &log->prepare.writes[row];

    XD_ASSERT(!write->busy && write->bytes > 0 && write->bytes <= PREPARE_WRITE_BYTES);
    XD_ASSERT(write->at + write->bytes <= log->table.segment_bytes);
    write->busy = true;
    log_write(log, preparing(log)->file, log->prepare.zeros, write->bytes, write->at, 0,
              log_token(LOG_TOKEN_PREPARE_WRITE, row));
}

/* Keeps PREPARE_DEPTH writes in flight; at the end of the segment starts the flush. */
static void zeros_continue(struct log *log)
{
    struct prepare *p = &log->prepare;
    uint64_t end = log->table.segment_bytes;

    XD_ASSERT(p->step == PREPARE_ZEROS && p->failed == 0);
    XD_ASSERT(p->zeroed_to <= end && end % PREPARE_WRITE_BYTES == 0);
    for (uint32_t row = 0; row < PREPARE_DEPTH && p->zeroed_to < end; row++) {
        struct prepare_write *write = &p->writes[row];

        if (write->busy)
            continue;
        write->at = p->zeroed_to;
        write->bytes = PREPARE_WRITE_BYTES;
        p->zeroed_to += PREPARE_WRITE_BYTES;
        zeros_write(log, row);
    }
    if (zeros_busy(p) == 0) {
        p->step = PREPARE_FLUSH;
        log_sync_file(log, preparing(log)->file, log_token(LOG_TOKEN_PREPARE_SYNC, 0));
    }
}

void prepare_write_done(struct log *log, const struct env_event *event)
{
    struct prepare *p = &log->prepare;
    uint32_t row = (uint32_t)env_token_value(event->token);
    struct prepare_write *write = &p->writes[row];
    uint32_t pages = event->result > 0 ? log_whole_pages(event->result) : 0;

    XD_ASSERT(row < PREPARE_DEPTH && write->busy && p->step == PREPARE_ZEROS);
    XD_ASSERT(pages <= write->bytes);
    write->busy = false;
    write->at += pages;
    write->bytes -= pages;
    p->stalls = pages > 0 ? 0 : (uint8_t)(p->stalls + 1);
    if (event->result < 0)
        p->failed = event->result;
    else if (p->stalls >= LOG_STALLS_MAX)
        p->failed = -EIO;
    if (p->failed || log->fenced || log->phase == LOG_CLOSING) {
        /* The other write still owns its buffer: wait for it, then stop. */
        if (zeros_busy(p) == 0)
            give_up(log, p->failed, ENV_OP_WRITE);
        return;
    }
    if (write->bytes > 0)
        zeros_write(log, row);
    else
        zeros_continue(log);
}

void prepare_sync_done(struct log *log, const struct env_event *event)
{
    XD_ASSERT(log->prepare.step == PREPARE_FLUSH && zeros_busy(&log->prepare) == 0);
    XD_ASSERT(log->prepare.zeroed_to == log->table.segment_bytes);
    if (event->result < 0 || log->fenced || log->phase == LOG_CLOSING) {
        give_up(log, event->result < 0 ? event->result : 0, ENV_OP_SYNC);
        return;
    }
    preparing(log)->zeroed = 1;
    header_start(log);
}

/* ---- choosing a slot ------------------------------------------------------------------------- */

/* The FREE slot to take: the one whose segment was the oldest, whatever it costs to prepare.
 * Recovery relies on that: see folder_gap(). NULL when there is none. */
static struct segment *slot_free(struct segment_table *table)
{
    struct segment *best = NULL;

    for (uint32_t i = 0; i < table->slot_count; i++) {
        struct segment *segment = &table->slots[i];

        if (segment->state != SEGMENT_FREE)
            continue;
        XD_ASSERT(segment->segment_no == 0 && segment->slot == i);
        if (!best || segment->freed_no < best->freed_no)
            best = segment;
    }
    return best;
}

/* Opens the slot's file and reserves its space; the name is durable afterwards. */
static int slot_create(struct log *log, struct segment *segment)
{
    char name[ENV_NAME_BYTES_MAX];
    int status = 0;

    XD_ASSERT(segment->state == SEGMENT_PREPARING && !segment->zeroed);
    segment_name(segment->slot, name);
    if (segment->file < 0)
        status = env_file_open(log->env, name, ENV_OPEN_CREATE, &segment->file);
    if (status == 0)
        status = env_file_reserve(log->env, segment->file, log->table.segment_bytes);
    if (status == 0)
        status = env_dir_sync(log->env, "");
    return status;
}

static void slot_start(struct log *log, struct segment *segment)
{
    struct prepare *p = &log->prepare;
    int status;

    XD_ASSERT(p->step == PREPARE_IDLE && segment->state == SEGMENT_FREE);
    XD_ASSERT(segment->file >= 0 || !segment->zeroed);
    p->slot = segment->slot;
    p->failed = 0;
    p->stalls = 0;
    segment->state = SEGMENT_PREPARING;
    segment->segment_no = 0;
    p->step = PREPARE_ZEROS;
    if (segment->zeroed) {
        header_start(log);
        return;
    }
    status = slot_create(log, segment);
    if (status < 0) {
        give_up(log, status, ENV_OP_WRITE);
        return;
    }
    p->zeroed_to = 0;
    zeros_continue(log);
}

/* Looks at the disk's free space; what cannot be known counts as enough. */
static void disk_look(struct log *log, uint64_t now_ns)
{
    struct prepare *p = &log->prepare;

    if (p->disk_checked_ns && now_ns < p->disk_checked_ns + PREPARE_CHECK_NS)
        return;
    if (env_disk_free(log->env, &p->disk_free_bytes, &p->disk_total_bytes) < 0) {
        p->disk_free_bytes = UINT64_MAX / 2;
        p->disk_total_bytes = UINT64_MAX / 2;
    } else {
        uint64_t low = log->options.disk_low_bytes;
        forecast_note(&p->disk_falls, now_ns,
                      p->disk_free_bytes > low ? p->disk_free_bytes - low : 0);
    }
    p->disk_checked_ns = now_ns | 1u; /* 0 = never */
}

/* True when a file may be made without coming near the end of the disk. */
static bool space_for_file(struct log *log, uint64_t now_ns)
{
    struct prepare *p = &log->prepare;

    p->disk_checked_ns = 0; /* what was true a second ago is not good enough here */
    disk_look(log, now_ns);
    return p->disk_free_bytes >= log->options.disk_low_bytes + log->table.segment_bytes;
}

void prepare_wake(struct log *log)
{
    log->prepare.wanted = true;
}

void prepare_kick(struct log *log, uint64_t now_ns)
{
    struct prepare *p = &log->prepare;
    struct segment_table *table = &log->table;
    struct segment *segment;
    uint32_t ready;

    if (log->fenced || log->phase == LOG_CLOSING)
        return;
    disk_look(log, now_ns);
    if (!p->wanted || p->step != PREPARE_IDLE || now_ns < p->not_before_ns)
        return;
    ready = segment_count(table, SEGMENT_READY);
    counters_set(log->counters, COUNTER_segments_ready, ready);
    if (ready >= p->ready_target) {
        p->wanted = false;
        return;
    }
    segment = slot_free(table);
    if (!segment && table->slot_count >= p->slot_limit) {
        p->wanted = false; /* retain_kick frees a slot and wakes us */
        return;
    }
    if ((!segment || segment->file < 0) && !space_for_file(log, now_ns)) {
        p->no_space = true;
        p->not_before_ns = now_ns + PREPARE_CHECK_NS;
        return;
    }
    if (!segment) {
        XD_ASSERT(table->slot_count < table->slot_max);
        segment = &table->slots[table->slot_count];
        *segment = (struct segment){.file = -1, .slot = (uint16_t)table->slot_count};
        table->slot_count++;
    }
    slot_start(log, segment);
}

uint64_t prepare_deadline_ns(const struct log *log)
{
    const struct prepare *p = &log->prepare;

    if (log->fenced || log->phase == LOG_CLOSING)
        return UINT64_MAX;
    if (p->wanted && p->step == PREPARE_IDLE)
        return p->not_before_ns;
    return p->disk_checked_ns + PREPARE_CHECK_NS;
}

bool prepare_disk_low(const struct log *log)
{
    const struct prepare *p = &log->prepare;

    if (!p->no_space && p->disk_free_bytes >= log->options.disk_low_bytes)
        return false;
    return p->step == PREPARE_IDLE && segment_count(&log->table, SEGMENT_READY) == 0;
}

/* One wait for events. 0 or -errno of a broken engine. */
static int events_wait(struct log *log)
{
    struct env_event events[16];
    int n = env_wait(log->env, events, 16, UINT64_MAX);

    for (int i = 0; i < n; i++)
        if (env_token_owner(events[i].token) != ENV_OWNER_BELL)
            log_done(log, &events[i]);
    return n < 0 ? n : 0;
}

int prepare_wait(struct log *log, uint32_t count)
{
    struct prepare *p = &log->prepare;
    int status = 0;

    XD_ASSERT(log->phase == LOG_OPENED && log->outstanding == 0 && count > 0);
    p->ready_target = count;
    p->wanted = true;
    while (status == 0 && !log->fenced) {
        prepare_kick(log, env_now_mono_ns(log->env));
        if (p->step != PREPARE_IDLE)
            status = events_wait(log);
        else if (!p->wanted || p->no_space)
            break;
    }
    while (status == 0 && log->outstanding > 0) /* a fence leaves the other write behind */
        status = events_wait(log);
    p->ready_target = log->options.segments_ready_min;
    XD_ASSERT(status < 0 || p->step == PREPARE_IDLE);
    if (status == 0)
        status = log->fenced;
    return status < 0 ? status : (int)segment_count(&log->table, SEGMENT_READY);
}
