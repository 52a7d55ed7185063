/* SPDX-License-Identifier: Apache-2.0
 *
 * Sends picks; see sender.h.
 */
#include "tools/demo/sender.h"

#include "tools/demo/process.h"

#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define ACKS_PER_CALL 256u
#define POST_MS 10000u
/* Longer than a group commit takes on any disk that a demonstration should run on. */
#define BURST_WAIT_US 150000u
#define BURST_STEPS_MAX 64u

static int fail(struct sender *sender, int status, const char *what)
{
    const char *detail = sender->client != NULL ? xdock_client_error(sender->client) : "";
    snprintf(sender->why, sizeof sender->why, "%s: %s (%s) %.300s", what, xdock_status_text(status),
             xdock_status_name(status), detail);
    return status;
}

int sender_init(struct sender *sender, const struct picks *picks, const char *address,
                const char *facility)
{
    memset(sender, 0, sizeof *sender);
    sender->picks = picks;
    sender->address = address;
    sender->facility = facility;
    sender->deliveries = calloc(picks->count, sizeof *sender->deliveries);
    if (sender->deliveries == NULL)
        return fail(sender, -ENOMEM, "cannot remember outcomes");
    return 0;
}

void sender_record(const struct pick *pick, uint64_t sequence, xdock_record_t *ret_record)
{
    xdock_record_t record = XDOCK_RECORD_INIT;
    record.type = XDOCK_PICK_CONFIRMED;
    record.flags = XDOCK_SYNTHETIC;
    record.topic = SENDER_TOPIC;
    record.sku = pick->sku;
    record.location = pick->location;
    record.document = pick->order;
    record.document_type = XDOCK_DOC_SALES_ORDER;
    record.document_line = pick->order_line;
    record.handling_unit_to = pick->handling_unit;
    record.business_key = pick->business_key;
    record.quantity = xdock_quantity(pick->pieces, 0, XDOCK_UOM_PIECE);
    record.posting_date = pick->posting_date;
    record.event_time_us = pick->event_time_us;
    record.payload = xdock_bytes(pick->line, strlen(pick->line));
    record.sequence = sequence;
    *ret_record = record;
}

static int connect_client(struct sender *sender, uint32_t timeout_ms)
{
    char error[256] = "";
    xdock_options_t *options = NULL;
    int status = xdock_options_init(&options);
    if (status >= 0)
        status = xdock_options_set(options, "address", sender->address);
    if (status >= 0)
        status = xdock_options_set(options, "client.name", "crossdock-demo");
    if (status >= 0)
        status = xdock_client_open(options, timeout_ms, &sender->client, error, sizeof error);
    xdock_options_free(&options);
    if (status < 0)
        snprintf(sender->why, sizeof sender->why, "cannot reach the broker at %s: %s (%s) %.200s",
                 sender->address, xdock_status_text(status), xdock_status_name(status), error);
    return status;
}

static void note(struct sender *sender, uint64_t index, uint8_t fate)
{
    if (sender->deliveries[index].fate != FATE_OPEN) {
        sender->twice++;
        return;
    }
    sender->deliveries[index].fate = fate;
    sender->fates[fate]++;
}

static int post_one(struct sender *sender, uint32_t index)
{
    xdock_record_t record;
    sender_record(&sender->picks->rows[index], (uint64_t)index + 1, &record);
    int status = xdock_post(sender->producer, &record, index, POST_MS);
    return status < 0 ? fail(sender, status, "a pick was not taken") : 0;
}

/* After a restart of the program: every pick without an outcome is either in the log, which the
 * chain of its partition tells, or is posted again. */
static int resume(struct sender *sender)
{
    for (uint32_t i = 0; i < sender->posted; i++) {
        xdock_record_t record;
        if (sender->deliveries[i].fate != FATE_OPEN)
            continue;
        sender_record(&sender->picks->rows[i], (uint64_t)i + 1, &record);
        int64_t partition = xdock_producer_route(sender->producer, &record);
        if (partition < 0)
            return fail(sender, (int)partition, "a pick has no partition");
        if (record.sequence <=
            xdock_producer_resume_partition(sender->producer, (uint32_t)partition)) {
            note(sender, i, FATE_RESUMED);
            continue;
        }
        int status = post_one(sender, i);
        if (status < 0)
            return status;
        sender->posted_again++;
    }
    return 0;
}

int sender_open(struct sender *sender, uint32_t timeout_ms)
{
    int status = 0;
    if (sender->client == NULL)
        status = connect_client(sender, timeout_ms);
    if (status < 0)
        return status;
    if (sender->posted == 0)
        status = xdock_producer_open(sender->client, SENDER_SOURCE, NULL, sender->facility,
                                     timeout_ms, &sender->producer);
    else
        status =
            xdock_producer_open_at(sender->client, SENDER_SOURCE, NULL, sender->facility,
                                   sender->acked, sender->posted, 0, timeout_ms, &sender->producer);
    if (status < 0)
        return fail(sender, status, "cannot open the channel");
    return resume(sender);
}

int sender_add_facility(struct sender *sender, uint32_t timeout_ms)
{
    char arguments[128];
    const char *reply;
    int status = sender->client == NULL ? connect_client(sender, timeout_ms) : 0;
    if (status < 0)
        return status;
    snprintf(arguments, sizeof arguments, "{\"name\": \"%.64s\"}", sender->facility);
    status = xdock_admin_call(sender->client, "facility add", arguments, timeout_ms, &reply);
    return status < 0 ? fail(sender, status, "cannot add the facility") : 0;
}

int sender_post(struct sender *sender, uint32_t count)
{
    while (count-- > 0 && sender->posted < sender->picks->count) {
        int status = post_one(sender, sender->posted);
        if (status < 0)
            return status;
        sender->posted++;
    }
    return 0;
}

static int take_ack(struct sender *sender, const xdock_ack_t *ack)
{
    if (ack->status < 0)
        return fail(sender, ack->status, "a pick was refused");
    if (ack->user >= sender->posted || ack->sequence != ack->user + 1)
        return fail(sender, XDOCK_FIELD_INVALID, "an acknowledgement for something never sent");
    struct delivery *delivery = &sender->deliveries[ack->user];
    delivery->offset = ack->offset;
    delivery->partition = ack->partition;
    delivery->durability = ack->durability;
    sender->weaker += ack->durability != XDOCK_FSYNC;
    if (ack->sequence > sender->acked)
        sender->acked = ack->sequence;
    note(sender, ack->user, ack->status == XDOCK_DUPLICATE ? FATE_DUPLICATE : FATE_APPENDED);
    return 0;
}

int sender_drain(struct sender *sender, uint32_t timeout_ms)
{
    xdock_ack_t acks[ACKS_PER_CALL];
    int count;
    do {
        count = xdock_acks(sender->producer, acks, ACKS_PER_CALL, timeout_ms);
        if (count < 0)
            return fail(sender, count, "cannot take acknowledgements");
        for (int i = 0; i < count; i++) {
            int status = take_ack(sender, &acks[i]);
            if (status < 0)
                return status;
        }
        timeout_ms = 0;
    } while (count == (int)ACKS_PER_CALL);
    return 0;
}

int sender_burst(struct sender *sender, uint32_t count)
{
    xdock_client_stats_t before, after;
    xdock_client_stats(sender->client, &before);
    int status = sender_post(sender, count);
    for (unsigned i = 0; status >= 0 && i < BURST_STEPS_MAX; i++) {
        status = xdock_client_step(sender->client, 0);
        xdock_client_stats(sender->client, &after);
        /* POLLOUT is wanted only while something waits for room in the socket. */
        if (after.batches_sent > before.batches_sent &&
            (xdock_client_events(sender->client) & POLLOUT) == 0)
            break;
    }
    if (status < 0)
        return fail(sender, status, "cannot send");
    process_sleep_us(BURST_WAIT_US);
    return (int)xdock_producer_pending(sender->producer);
}

void sender_lose_answers(struct sender *sender)
{
    char bytes[4096];
    int fd = xdock_client_fd(sender->client);
    ssize_t received;
    if (fd < 0)
        return;
    while ((received = recv(fd, bytes, sizeof bytes, MSG_DONTWAIT)) > 0)
        sender->answer_bytes_lost += (uint64_t)received;
}

static void add_stats(struct sender *sender)
{
    xdock_client_stats_t stats;
    xdock_client_stats(sender->client, &stats);
    sender->batches_sent += stats.batches_sent;
    sender->batches_resent += stats.batches_resent;
    sender->connects += stats.connects;
    if (stats.ack_ns_max > sender->ack_ns_max)
        sender->ack_ns_max = stats.ack_ns_max;
}

int sender_flush(struct sender *sender, uint32_t timeout_ms)
{
    int status = xdock_flush(sender->producer, timeout_ms);
    if (status < 0)
        return fail(sender, status, "not every pick has an outcome");
    return sender_drain(sender, 0);
}

void sender_abandon(struct sender *sender)
{
    if (sender->client == NULL)
        return;
    add_stats(sender);
    /* What it says of unknown outcomes is what the resume will find out. */
    (void)xdock_client_close(&sender->client, 0);
    sender->producer = NULL;
}

void sender_deinit(struct sender *sender)
{
    sender_abandon(sender);
    free(sender->deliveries);
    sender->deliveries = NULL;
}
