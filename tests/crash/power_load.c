/* SPDX-License-Identifier: Apache-2.0
 *
 * Producers of the power cuts; see power_load.h.
 */
#include "tests/crash/power_load.h"

#include "tests/crash/power_read.h"
#include "wire/checksum.h"
#include "wire/xassert.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#define CALL_MS 20000u
#define ACKS_PER_CALL 256u
#define PENDING_MAX 512u /* records of one channel without an outcome */
#define DRAIN_TURNS 64   /* a dead connection is noticed long before */

struct channel_row {
    const char *facility;
    const char *channel; /* */
    enum xdock_durability level;
};

static const struct channel_row rows[LOAD_CHANNELS] = {
    {"PC01", "a", XDOCK_FSYNC}, {"PC01", "b", XDOCK_FSYNC},   {"PC02", "c", XDOCK_FSYNC},
    {"PC02", "d", XDOCK_FSYNC}, {"PC03", "e", XDOCK_WRITTEN}, {"PC04", "f", XDOCK_MEMORY},
};

uint64_t load_now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static int fail(struct load *load, int status, const char *what, const char *detail)
{
    snprintf(load->why, sizeof load->why, "%s: %s %.300s", what, xdock_status_name(status), detail);
    return status;
}

static int fail_client(struct load *load, int status, const char *what, unsigned level)
{
    return fail(load, status, what, xdock_client_error(load->clients[level]));
}

/* ---- opening --------------------------------------------------------------------------------- */

static int open_client(struct load *load, const char *address, unsigned level)
{
    static const char *const levels[LOAD_LEVELS] = {"fsync", "written", "memory"};
    const char *const settings[][2] = {
        {"address", address},
        {"client.name", "crossdock-cuttest"},
        {"producer.durability", levels[level]},
        {"producer.batch_bytes", "8KiB"}, /* many of them in flight */
        {"producer.buffer_bytes", "4MiB"},
        {"reconnect.min", "1ms"},
        {"reconnect.max", "5ms"},
    };
    char error[256] = "";
    xdock_options_t *options = NULL;
    int status = xdock_options_init(&options);
    for (unsigned i = 0; i < sizeof settings / sizeof settings[0] && status >= 0; i++)
        status = xdock_options_set(options, settings[i][0], settings[i][1]);
    if (status >= 0)
        status = xdock_client_open(options, CALL_MS, &load->clients[level], error, sizeof error);
    xdock_options_free(&options);
    return status < 0 ? fail(load, status, "cannot connect", error) : 0;
}

static int open_channel(struct load *load, unsigned index)
{
    const struct channel_row *row = &rows[index];
    char arguments[64];
    const char *reply;
    xdock_client_t *client = load->clients[row->level];
    snprintf(arguments, sizeof arguments, "{\"name\": \"%s\"}", row->facility);
    int status = xdock_admin_call(client, "facility add", arguments, CALL_MS, &reply);
    if (status >= 0)
        status = xdock_producer_open(client, "cuttest", row->channel, row->facility, CALL_MS,
                                     &load->channels[index].producer);
    return status < 0 ? fail_client(load, status, "cannot open a channel", row->level) : 0;
}

int load_open(struct load *load, const char *address, uint64_t seed, struct history *history)
{
    *load = (struct load){.history = history, .seed = seed};
    load->prng = prng_seeded(seed ^ 0x10ad);
    int status = 0;
    for (unsigned level = 0; level < LOAD_LEVELS && status == 0; level++)
        status = open_client(load, address, level);
    for (unsigned i = 0; i < LOAD_CHANNELS && status == 0; i++)
        status = open_channel(load, i);
    return status;
}

void load_close(struct load *load)
{
    for (unsigned level = 0; level < LOAD_LEVELS; level++)
        (void)xdock_client_close(&load->clients[level], 0); /* Outcomes were counted before. */
}

/* ---- records --------------------------------------------------------------------------------- */

static void make_content(struct load *load, uint32_t channel, uint64_t sequence,
                         struct load_content *ret_content)
{
    struct load_content *content = ret_content;
    struct prng prng = prng_seeded(load->seed ^ (uint64_t)(channel + 1) << 48 ^ sequence);
    snprintf(content->sku, sizeof content->sku, "SKU-%03u", prng_below32(&prng, LOAD_SKUS));
    snprintf(content->location, sizeof content->location, "A%02u-%03u", prng_below32(&prng, 16),
             prng_below32(&prng, 256));
    snprintf(content->document, sizeof content->document, "W%" PRIu64, sequence / 4);
    content->payload_bytes =
        LOAD_PAYLOAD_MIN + prng_below32(&prng, LOAD_PAYLOAD_MAX - LOAD_PAYLOAD_MIN);
    const struct read_stamp stamp = {.id = read_id(channel, sequence), .channel = channel};
    memcpy(content->payload, &stamp, sizeof stamp);
    uint64_t word = prng_next(&prng);
    for (uint32_t at = sizeof stamp; at < content->payload_bytes; at++)
        content->payload[at] = (uint8_t)(word >> at % 8 * 8 ^ at >> 3);
}

static void fill_record(const struct load_channel *channel, xdock_record_t *record)
{
    record->type = XDOCK_STOCK_MOVED;
    record->flags = XDOCK_SYNTHETIC;
    record->topic = "stock";
    record->sku = channel->content.sku;
    record->location = channel->content.location;
    record->document = channel->content.document;
    record->document_type = XDOCK_DOC_WORK;
    record->quantity = xdock_quantity((int32_t)(channel->sequence % 1000) + 1, 0, XDOCK_UOM_PIECE);
    record->payload = xdock_bytes(channel->content.payload, channel->content.payload_bytes);
    record->sequence = channel->sequence;
}

/* The next record of a channel begins as an operation. */
static int begin_record(struct load *load, uint32_t index)
{
    struct load_channel *channel = &load->channels[index];
    const struct load_content *content = &channel->content;
    xdock_record_t record = XDOCK_RECORD_INIT;
    XD_ASSERT(!channel->is_waiting);
    channel->sequence++;
    make_content(load, index, channel->sequence, &channel->content);
    fill_record(channel, &record);
    int64_t partition = xdock_producer_route(channel->producer, &record);
    if (partition < 0)
        return fail_client(load, (int)partition, "no route", rows[index].level);
    XD_ASSERT(partition < LOAD_PARTITIONS_MAX);
    const struct history_record sent = {
        .id = read_id(index, channel->sequence),
        .sequence = channel->sequence,
        .key = read_key(xdock_bytes(content->sku, strlen(content->sku))),
        .content = read_content(xdock_bytes(content->location, strlen(content->location)),
                                xdock_bytes(content->document, strlen(content->document)),
                                record.payload)};
    const struct history_start start = {.time_ns = load_now_ns(),
                                        .previous = channel->last[partition],
                                        .client = rows[index].level,
                                        .channel = index,
                                        .partition = (uint32_t)partition,
                                        .kind = HISTORY_PRODUCE};
    int64_t op = history_start(load->history, &start, &sent, 1);
    if (op < 0)
        return fail(load, (int)op, "history", "");
    channel->op = (uint64_t)op;
    channel->last[partition] = channel->sequence;
    channel->is_waiting = true;
    return 0;
}

/* Posts the next record of a channel, or the one that found no room before. 1 when posted. */
static int post(struct load *load, uint32_t index)
{
    struct load_channel *channel = &load->channels[index];
    xdock_record_t record = XDOCK_RECORD_INIT;
    int status = 0;
    if (xdock_producer_pending(channel->producer) >= PENDING_MAX)
        return 0;
    if (!channel->is_waiting && (status = begin_record(load, index)) < 0)
        return status;
    fill_record(channel, &record);
    status = xdock_post(channel->producer, &record, channel->op, 0);
    if (status == XDOCK_BUFFER_FULL)
        return 0;
    if (status < 0)
        return fail_client(load, status, "a record was not taken", rows[index].level);
    channel->is_waiting = false;
    load->posted++;
    load->bytes += channel->content.payload_bytes;
    return 1;
}

/* ---- outcomes -------------------------------------------------------------------------------- */

static void take_ack(struct load *load, uint32_t index, const xdock_ack_t *ack)
{
    bool durable = ack->durability == XDOCK_FSYNC;
    struct history_end end = {.time_ns = load_now_ns(),
                              .base_offset = HISTORY_NONE,
                              .partition = ack->partition,
                              .outcome = ack->status < 0 ? HISTORY_FAIL : HISTORY_OK,
                              .level = ack->durability,
                              .duplicate = ack->status == XDOCK_DUPLICATE};
    if (ack->status >= 0 && durable) {
        end.base_offset = ack->offset;
        end.log_index = ack->log_index;
    }
    /* A weaker level than asked for would be the broker's fault: it counts as asked for. */
    if (end.level > rows[index].level)
        end.level = (uint8_t)rows[index].level;
    (void)history_end(load->history, ack->user, &end); /* The history keeps a failure. */
    load->acked++;
    load->duplicates += end.duplicate;
}

static int take_acks(struct load *load)
{
    xdock_ack_t acks[ACKS_PER_CALL];
    for (uint32_t index = 0; index < LOAD_CHANNELS; index++) {
        int count;
        do {
            count = xdock_acks(load->channels[index].producer, acks, ACKS_PER_CALL, 0);
            if (count < 0)
                return fail_client(load, count, "cannot take outcomes", rows[index].level);
            for (int i = 0; i < count; i++)
                take_ack(load, index, &acks[i]);
        } while (count == (int)ACKS_PER_CALL);
    }
    return 0;
}

static int step(struct load *load, uint32_t wait_ms)
{
    for (unsigned level = 0; level < LOAD_LEVELS; level++) {
        int status = xdock_client_step(load->clients[level], level == XDOCK_FSYNC ? wait_ms : 0);
        if (status < 0)
            return fail_client(load, status, "step", level);
    }
    return take_acks(load);
}

int load_turn(struct load *load, uint32_t records, uint32_t wait_ms)
{
    for (uint32_t i = 0; i < records; i++) {
        int status = post(load, prng_below32(&load->prng, LOAD_CHANNELS));
        if (status < 0)
            return status;
    }
    return step(load, wait_ms);
}

int load_drain(struct load *load, bool lose)
{
    char bytes[16384];
    int status = 0;
    for (unsigned level = 0; level < LOAD_LEVELS && lose; level++) {
        ssize_t received;
        int fd = xdock_client_fd(load->clients[level]);
        while (fd >= 0 && (received = recv(fd, bytes, sizeof bytes, MSG_DONTWAIT)) > 0)
            load->answers_lost += (uint64_t)received;
    }
    for (int turn = 0; turn < DRAIN_TURNS && status == 0; turn++) {
        bool connected = false;
        for (unsigned level = 0; level < LOAD_LEVELS; level++)
            connected = connected || xdock_client_fd(load->clients[level]) >= 0;
        if (!connected)
            break;
        status = step(load, 0);
    }
    return status;
}

uint64_t load_pending(const struct load *load)
{
    uint64_t pending = 0;
    for (uint32_t i = 0; i < LOAD_CHANNELS; i++)
        pending += xdock_producer_pending(load->channels[i].producer);
    return pending;
}

int load_settle(struct load *load, uint32_t timeout_ms)
{
    int status = 0;
    for (uint32_t i = 0; i < LOAD_CHANNELS && status >= 0; i++) {
        while (load->channels[i].is_waiting && status >= 0) {
            status = post(load, i);
            if (status == 0)
                status = step(load, 1);
        }
        if (status >= 0)
            status = xdock_flush(load->channels[i].producer, timeout_ms);
        if (status < 0)
            return fail_client(load, status, "not everything has an outcome", rows[i].level);
    }
    return status < 0 ? status : take_acks(load);
}

int load_read(struct load *load, uint32_t timeout_ms)
{
    int status = read_all(load->clients[XDOCK_FSYNC], load->history, timeout_ms, &load->read_count);
    return status < 0 ? fail_client(load, status, "cannot read everything back", XDOCK_FSYNC) : 0;
}
