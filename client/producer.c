/* SPDX-License-Identifier: Apache-2.0
 *
 * Life of a producer: open, attach again after a lost connection, flush, close.
 *
 * Normal path: the catalog is there, PRODUCER_OPEN is answered with the channel's numbers and the
 * last sequence of each of its chains; records are posted; close flushes and says PRODUCER_CLOSE.
 * Lost connection: everything that is kept is unsent again; on the next connection the same epoch
 * is attached, then the chains go on from their first kept batch. What the broker had appended
 * before comes back as a duplicate with its offset.
 * Failure paths: FENCED (another program opened the channel) and statuses that cannot be mended
 * end the producer: its records get their outcome, later calls the status. Throttled opens are
 * repeated until the deadline.
 */
#include "client/producer.h"

#include "client/memory.h"
#include "wire/status.h"
#include "wire/xassert.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#define OPEN_BYTES_MAX (sizeof(struct xd_open) + 3u * (1u + XD_NAME_BYTES_MAX))
#define RETRY_NS 100000000ull /* where the broker names no delay */
#define NS_PER_MS 1000000ull
#define NS_PER_US 1000ull

int xd_producer_enter(struct xdock_producer *producer)
{
    XD_ASSERT(producer != NULL);
    int status = xd_client_enter(producer->client);
    return status < 0 ? status : producer->finished;
}

void xd_producer_finish(struct xdock_producer *producer, int status, const char *text)
{
    XD_ASSERT(status < 0);
    if (producer->state == XD_PRODUCER_FINISHED)
        return;
    XD_ASSERT(producer->finished == 0);
    producer->state = XD_PRODUCER_FINISHED;
    producer->finished = status;
    char what[XD_NAME_BYTES_MAX + 32];
    snprintf(what, sizeof(what), "producer %s", producer->source);
    (void)xd_client_fail(producer->client, status, what,
                         text); /* it is the status of later calls */
    bool fenced = xd_status_class(status) == XD_CLASS_FENCED;
    xd_outbox_abandon(&producer->outbox, fenced ? status : XD_HANDLE_FATAL);
}

/* ---- routes ---------------------------------------------------------------------------------- */

static bool route_known(const struct xdock_producer *producer, uint32_t topic, uint32_t base)
{
    for (uint32_t i = 0; i < producer->route_count; i++) {
        const struct xd_route *route = &producer->routes[i];
        if (route->topic == topic && route->partition_base == base)
            return true;
    }
    return false;
}

static void add_route(struct xdock_producer *producer, const struct xd_catalog_topic *topic,
                      const struct xd_catalog_placement *placement)
{
    if (producer->route_count == XD_TOPICS_MAX)
        return;
    int first = xd_chain_add(&producer->outbox, placement->partition_base, placement->width);
    if (first < 0)
        return; /* the topic stays unknown to this producer */
    struct xd_route *route = &producer->routes[producer->route_count++];
    XD_ASSERT(topic->name_bytes <= XD_NAME_BYTES_MAX);
    memcpy(route->name, topic->name, topic->name_bytes);
    route->name[topic->name_bytes] = '\0';
    route->topic = topic->topic;
    route->partition_base = placement->partition_base;
    route->width = placement->width;
    route->first_chain = (uint32_t)first;
    route->strategy = (enum xd_strategy)topic->strategy;
}

void xd_producer_sync_routes(struct xdock_producer *producer)
{
    const struct xd_catalog *catalog = &producer->client->catalog;
    if (producer->catalog_fetches == catalog->fetches)
        return;
    producer->catalog_fetches = catalog->fetches;
    for (uint32_t i = 0; i < catalog->view.fixed.topic_count; i++) {
        const struct xd_catalog_topic *topic = &catalog->view.topics[i];
        const struct xd_catalog_placement *placement =
            xd_catalog_placement(catalog, topic->topic, producer->identity.facility);
        if (placement != NULL && !route_known(producer, topic->topic, placement->partition_base))
            add_route(producer, topic, placement);
    }
}

/* ---- open and attach ------------------------------------------------------------------------- */

static struct xd_text text_of(const char *text)
{
    return (struct xd_text){text[0] != '\0' ? text : NULL, (uint32_t)strlen(text)};
}

void xd_producer_ask(struct xdock_producer *producer, uint64_t now_ns)
{
    bool due = producer->state == XD_PRODUCER_OPENING || producer->state == XD_PRODUCER_DETACHED;
    if (!due || producer->asked || now_ns < producer->retry_ns)
        return;
    struct xd_open_request request = {.fixed = producer->first_open,
                                      .source = text_of(producer->source),
                                      .channel = text_of(producer->channel),
                                      .facility = text_of(producer->facility)};
    if (producer->state == XD_PRODUCER_DETACHED)
        request.fixed = (struct xd_open){.acked_sequence = producer->acked_sequence,
                                         .assigned_sequence = producer->assigned_sequence,
                                         .channel_epoch = producer->identity.channel_epoch,
                                         .producer_epoch = producer->identity.producer_epoch};
    uint8_t body[OPEN_BYTES_MAX];
    int bytes = xd_open_encode(&request, body, sizeof(body));
    XD_ASSERT(bytes > 0 && (size_t)bytes <= sizeof(body));
    if (xd_connection_request(&producer->client->connection, XD_OP_PRODUCER_OPEN, body,
                              (uint32_t)bytes, producer, 0, NULL, 0) == 0)
        producer->asked = true;
}

static void refused(struct xdock_producer *producer, const struct xd_reply_head *head,
                    struct xd_text detail)
{
    char text[XD_DETAIL_BYTES_MAX + 1];
    snprintf(text, sizeof(text), "%.*s", (int)detail.bytes, detail.data != NULL ? detail.data : "");
    switch (xd_status_class(head->status)) {
    case XD_CLASS_OK:
    case XD_CLASS_RETRY:
    case XD_CLASS_BACKOFF:
    case XD_CLASS_UNKNOWN: {
        uint64_t pause = head->retry_after_ms > 0 ? head->retry_after_ms * NS_PER_MS : RETRY_NS;
        producer->retry_ns = xd_client_now_ns(producer->client) + pause;
        (void)xd_client_fail(producer->client, head->status, "PRODUCER_OPEN", text);
        break;
    }
    case XD_CLASS_FENCED:
    case XD_CLASS_REJECTED:
    case XD_CLASS_FATAL:
    case XD_CLASS_COUNT:
        xd_producer_finish(producer, head->status, text);
        break;
    }
}

/* Takes the numbers of the first answer over. False: some chains are of topics that the copy of the
 * catalog does not have. */
static bool take_numbers(struct xdock_producer *producer, const struct xd_open_view *view)
{
    uint32_t unknown = 0;
    const struct xd_open_reply *reply = &view->fixed;
    producer->identity = (struct xd_identity){.producer_id = reply->producer_id,
                                              .producer_epoch = reply->producer_epoch,
                                              .facility = reply->facility,
                                              .channel_epoch = reply->channel_epoch};
    producer->durable_sequence = reply->last_sequence;
    producer->acked_sequence = producer->first_open.acked_sequence;
    producer->assigned_sequence = producer->first_open.assigned_sequence;
    if (reply->last_sequence > producer->assigned_sequence)
        producer->assigned_sequence = reply->last_sequence;
    xd_producer_sync_routes(producer);
    for (uint32_t i = 0; i < reply->chain_count; i++) {
        struct xd_chain *chain = xd_chain_find(&producer->outbox, view->chains[i].partition);
        if (chain == NULL) {
            unknown++;
            continue;
        }
        chain->held = view->chains[i].last_sequence;
        chain->last_posted = chain->held;
    }
    return unknown == 0;
}

/* The answer named chains of topics that are newer than the copy of the catalog: the open is
 * repeated once behind a newer copy, so that no chain of the channel is left out. What is unknown
 * even then gets its last sequence from its first refusal. */
static bool open_again(struct xdock_producer *producer)
{
    const struct xd_catalog *catalog = &producer->client->catalog;
    if (producer->opened_again || catalog->epoch_heard <= catalog->view.fixed.epoch)
        return false;
    producer->opened_again = true;
    return true;
}

const char *xd_producer_opened(struct xdock_producer *producer, const struct xd_reply_head *head,
                               struct xd_text detail, const uint8_t *body, size_t body_bytes)
{
    producer->asked = false;
    if (producer->state == XD_PRODUCER_FINISHED)
        return NULL;
    if (head->status < 0) {
        refused(producer, head, detail);
        return NULL;
    }
    struct xd_open_view view;
    const char *field = "";
    if (xd_open_reply_decode(body, body_bytes, &view, &field) < 0)
        return field;
    if (producer->state == XD_PRODUCER_DETACHED) {
        if (view.fixed.producer_id != producer->identity.producer_id ||
            view.fixed.producer_epoch != producer->identity.producer_epoch)
            return "producer_epoch";
        producer->state = XD_PRODUCER_ATTACHED;
        return NULL;
    }
    if (producer->new_epoch) {
        producer->new_epoch = false;
        producer->first_open = (struct xd_open){
            .flags = XD_OPEN_NO_MEMORY, .channel_epoch = (uint16_t)(view.fixed.channel_epoch + 1u)};
        return NULL;
    }
    if (!take_numbers(producer, &view) && open_again(producer))
        return NULL;
    producer->state = XD_PRODUCER_ATTACHED;
    return NULL;
}

void xd_producer_lost(struct xdock_producer *producer)
{
    producer->asked = false;
    producer->close_asked = false;
    producer->retry_ns = 0;
    if (producer->state == XD_PRODUCER_ATTACHED)
        producer->state = XD_PRODUCER_DETACHED;
    xd_outbox_lost(&producer->outbox);
}

/* ---- public: open ---------------------------------------------------------------------------- */

static int copy_name(xdock_client_t *client, const char *what, const char *name, bool required,
                     char *ret_name)
{
    struct xd_text text = {name, name != NULL ? (uint32_t)strnlen(name, XD_NAME_BYTES_MAX + 1) : 0};
    if (text.bytes == 0 && !required) {
        ret_name[0] = '\0';
        return 0;
    }
    if (name == NULL || xd_name_check(text) < 0)
        return xd_client_fail(client, XD_NAME_INVALID, what,
                              "a name has 1 to 64 characters of [A-Za-z0-9._-] and starts with a "
                              "letter or digit");
    memcpy(ret_name, name, text.bytes);
    ret_name[text.bytes] = '\0';
    return 0;
}

static void release(struct xdock_producer *producer)
{
    xd_link_remove(&producer->link);
    xd_outbox_deinit(&producer->outbox);
    xd_memory_release(producer->routes);
    xd_memory_release(producer);
}

static int init(struct xdock_producer *producer)
{
    xdock_client_t *client = producer->client;
    const uint64_t *numbers = client->options.numbers;
    producer->linger_ns = numbers[XD_OPTION_PRODUCER_LINGER] * NS_PER_US;
    producer->inflight_max = (uint32_t)numbers[XD_OPTION_PRODUCER_INFLIGHT];
    producer->durability = (uint8_t)numbers[XD_OPTION_PRODUCER_DURABILITY];
    producer->random_state = client->transport->ops->random64(client->transport);
    producer->routes = xd_memory_acquire_array(XD_TOPICS_MAX, sizeof(struct xd_route));
    if (producer->routes == NULL)
        return -ENOMEM;
    int status =
        xd_outbox_init(&producer->outbox, (uint32_t)numbers[XD_OPTION_PRODUCER_BATCH_BYTES],
                       numbers[XD_OPTION_PRODUCER_BUFFER_BYTES],
                       numbers[XD_OPTION_PRODUCER_CODEC] != XD_CODEC_NONE);
    producer->outbox.keep_successes = numbers[XD_OPTION_PRODUCER_ACKS] == 0;
    return status;
}

/* Waits until the broker has answered the open. */
static int await_open(struct xdock_producer *producer, uint64_t end_ns)
{
    xdock_client_t *client = producer->client;
    if (client->catalog.fetches == 0 || client->catalog.status < 0) {
        int status = xd_client_catalog(client, end_ns);
        if (status < 0)
            return status;
    }
    xd_link_push_back(&client->producers, &producer->link);
    while (producer->state == XD_PRODUCER_OPENING) {
        int status = xd_client_round(client, end_ns);
        if (status < 0 && producer->state == XD_PRODUCER_OPENING)
            return status;
    }
    if (producer->finished < 0)
        return producer->finished;
    uint32_t batch_bytes = producer->outbox.batch_bytes_max;
    uint32_t frame_bytes = xd_connection_frame_bytes_max(&client->connection);
    if (batch_bytes + sizeof(struct xd_produce_head) > frame_bytes ||
        batch_bytes > client->connection.hello.batch_bytes_max)
        return xd_client_fail(client, XD_OPTION_INVALID, "producer.batch_bytes",
                              "larger than the broker's frames or batches may be");
    return 0;
}

static int open_producer(xdock_client_t *client, const char *source, const char *channel,
                         const char *facility, const struct xd_open *open, bool new_epoch,
                         uint32_t timeout_ms, xdock_producer_t **ret_producer)
{
    XD_ASSERT(client != NULL && ret_producer != NULL);
    int status = xd_client_enter(client);
    if (status < 0)
        return status;
    uint64_t end_ns = xd_client_end_ns(client, timeout_ms);
    struct xdock_producer *producer = xd_memory_acquire(sizeof(*producer));
    if (producer == NULL)
        return -ENOMEM;
    producer->client = client;
    producer->first_open = *open;
    producer->new_epoch = new_epoch;
    xd_link_init(&producer->link);
    status = copy_name(client, "source", source, true, producer->source);
    if (status == 0)
        status = copy_name(client, "channel", channel, false, producer->channel);
    if (status == 0)
        status = copy_name(client, "facility", facility, false, producer->facility);
    if (status == 0)
        status = init(producer);
    if (status == 0)
        status = await_open(producer, end_ns);
    if (status < 0) {
        xd_connection_forget(&client->connection, producer);
        release(producer);
        return status;
    }
    *ret_producer = producer;
    return 0;
}

int xdock_producer_open(xdock_client_t *client, const char *source, const char *channel,
                        const char *facility, uint32_t timeout_ms, xdock_producer_t **ret_producer)
{
    const struct xd_open open = {.flags = XD_OPEN_NO_MEMORY};
    return open_producer(client, source, channel, facility, &open, false, timeout_ms, ret_producer);
}

int xdock_producer_open_at(xdock_client_t *client, const char *source, const char *channel,
                           const char *facility, uint64_t acked, uint64_t assigned, int new_epoch,
                           uint32_t timeout_ms, xdock_producer_t **ret_producer)
{
    struct xd_open open = {.acked_sequence = acked, .assigned_sequence = assigned};
    if (new_epoch)
        open = (struct xd_open){.flags = XD_OPEN_NO_MEMORY};
    else if (acked > assigned)
        return xd_client_fail(client, XD_FIELD_INVALID, "acked",
                              "a sequence cannot be acknowledged before it is assigned");
    return open_producer(client, source, channel, facility, &open, new_epoch != 0, timeout_ms,
                         ret_producer);
}

/* ---- public: state --------------------------------------------------------------------------- */

uint64_t xdock_producer_resume(const xdock_producer_t *producer)
{
    XD_ASSERT(producer != NULL);
    return producer->durable_sequence;
}

uint64_t xdock_producer_resume_partition(const xdock_producer_t *producer, uint32_t partition)
{
    XD_ASSERT(producer != NULL);
    for (uint32_t i = 0; i < producer->outbox.chain_count; i++) {
        if (producer->outbox.chains[i].partition == partition)
            return producer->outbox.chains[i].held;
    }
    return 0;
}

uint64_t xdock_producer_pending(const xdock_producer_t *producer)
{
    XD_ASSERT(producer != NULL);
    return producer->outbox.pending_records;
}

void xd_producer_close_batches(struct xdock_producer *producer)
{
    struct xd_outbox *outbox = &producer->outbox;
    struct xd_link *link;
    while ((link = xd_link_first(&outbox->open)) != NULL)
        xd_chain_close(outbox, XD_LINK_ELEMENT(link, struct xd_slot, link)->chain);
}

int xdock_flush(xdock_producer_t *producer, uint32_t timeout_ms)
{
    int status = xd_producer_enter(producer);
    if (status < 0)
        return status;
    uint64_t end_ns = xd_client_end_ns(producer->client, timeout_ms);
    xd_producer_close_batches(producer);
    while (producer->outbox.pending_records > 0) {
        status = xd_client_round(producer->client, end_ns);
        if (status < 0 && producer->outbox.pending_records > 0)
            return status;
    }
    return producer->finished;
}

/* ---- public: close --------------------------------------------------------------------------- */

void xd_producer_closed(struct xdock_producer *producer)
{
    producer->close_answered = true;
}

/* Everything kept gets its final answer, then the channel is closed; as far as time allows. */
static void finish_politely(struct xdock_producer *producer, uint64_t end_ns)
{
    xdock_client_t *client = producer->client;
    int status = 0;
    xd_producer_close_batches(producer);
    while (producer->outbox.kept_count > 0 && status == 0)
        status = xd_client_round(client, end_ns);
    if (producer->outbox.kept_count > 0 || producer->state != XD_PRODUCER_ATTACHED)
        return;
    const struct xd_close body = {.producer_id = producer->identity.producer_id,
                                  .producer_epoch = producer->identity.producer_epoch};
    if (xd_connection_request(&client->connection, XD_OP_PRODUCER_CLOSE, &body, sizeof(body),
                              producer, 0, NULL, 0) < 0)
        return;
    producer->close_asked = true;
    status = 0;
    while (producer->close_asked && !producer->close_answered && status == 0)
        status = xd_client_round(client, end_ns);
}

/* A frame that is half out points into memory that goes away: it cannot be completed. */
static void drop_shipment(struct xdock_producer *producer)
{
    xdock_client_t *client = producer->client;
    const struct xd_shipment *shipment = &client->connection.shipment;
    if (shipment->slot_count > 0 && shipment->owner == producer)
        xd_client_break(client, XD_CONNECTION_LOST,
                        "a producer was closed while its batch was being sent");
}

int xdock_producer_close(xdock_producer_t **producer_at, uint32_t timeout_ms)
{
    if (producer_at == NULL || *producer_at == NULL)
        return 0;
    struct xdock_producer *producer = *producer_at;
    xdock_client_t *client = producer->client;
    int status = client->transport->ops->check(client->transport);
    if (status == XD_WRONG_THREAD)
        return status;
    if (status == 0 && producer->finished == 0 && client->fatal == 0)
        finish_politely(producer, xd_client_end_ns(client, timeout_ms));
    uint64_t unknown = producer->outbox.pending_records;
    if (status == 0)
        drop_shipment(producer);
    xd_connection_forget(&client->connection, producer);
    release(producer);
    *producer_at = NULL;
    return unknown < INT_MAX ? (int)unknown : INT_MAX;
}
