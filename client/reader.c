/* SPDX-License-Identifier: Apache-2.0
 *
 * The reader's public calls: open, poll, next, seek, position, close. Fetching is in reader_ask.c
 * and reader_fetch.c.
 *
 * Normal path: the selection becomes a list of partitions; poll makes one batch available, next
 * walks its records. Where only what comes from now on is wanted, the ends are asked for at open,
 * so that nothing is missed between open and the first poll.
 * Failure paths: names that the catalog does not have make it be fetched once more. What goes
 * wrong while reading comes out of poll.
 */
#include "client/reader.h"

#include "client/memory.h"
#include "wire/key64.h"
#include "wire/status.h"
#include "wire/xassert.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

static_assert((int)XDOCK_FROM_OFFSET == (int)XD_SEEK_OFFSET, "the words of a seek are the wire's");
static_assert((int)XDOCK_FROM_BEGIN == (int)XD_SEEK_BEGIN, "the words of a seek are the wire's");
static_assert((int)XDOCK_FROM_END == (int)XD_SEEK_END, "the words of a seek are the wire's");
static_assert((int)XDOCK_FROM_TIME == (int)XD_SEEK_TIME, "the words of a seek are the wire's");

#define US_PER_MS 1000u

/* ---- open ------------------------------------------------------------------------------------ */

static int check_seek(xdock_client_t *client, uint32_t from, int64_t position)
{
    if (from >= XD_SEEK_COUNT)
        return xd_client_fail(client, XD_FIELD_INVALID, "from", "not a word of enum xdock_from");
    if (position < 0 && (from == XDOCK_FROM_OFFSET || from == XDOCK_FROM_TIME))
        return xd_client_fail(client, XD_FIELD_INVALID, "position", "below 0");
    return 0;
}

static int take_text(xdock_client_t *client, const char *what, const char *text, char *ret_copy,
                     struct xd_text *ret_text)
{
    size_t bytes = text != NULL ? strnlen(text, XD_TEXT_BYTES_MAX + 1) : 0;
    if (bytes > XD_TEXT_BYTES_MAX)
        return xd_client_fail(client, XD_FIELD_INVALID, what, "longer than 255 bytes");
    memcpy(ret_copy, text != NULL ? text : "", bytes);
    ret_copy[bytes] = '\0';
    XD_ASSERT(strlen(ret_copy) == bytes);
    *ret_text = (struct xd_text){bytes > 0 ? ret_copy : NULL, (uint32_t)bytes};
    return 0;
}

static int take_filter(struct xdock_reader *reader, const xdock_selection_t *selection)
{
    struct xd_reader_filter *filter = &reader->filter;
    int status = take_text(reader->client, "sku", selection->sku, filter->sku, &filter->sku_text);
    if (status == 0)
        status = take_text(reader->client, "location", selection->location, filter->location,
                           &filter->location_text);
    if (status < 0)
        return status;
    filter->sku_key = xd_key64(filter->sku_text.data, filter->sku_text.bytes);
    filter->location_key = xd_key64(filter->location_text.data, filter->location_text.bytes);
    filter->type = selection->type;
    filter->active =
        filter->sku_text.bytes > 0 || filter->location_text.bytes > 0 || filter->type != 0;
    return 0;
}

/* What the names of a selection stand for. */
struct target {
    uint32_t topic;    /* number */
    int64_t facility;  /* number, -1 = all */
    int32_t partition; /* number, -1 = all */
};

static bool is_target(const struct target *target, const struct xd_catalog_placement *placement)
{
    return placement->topic == target->topic &&
           (target->facility < 0 || placement->facility == target->facility);
}

/* Finds the names; a name that is not there makes the catalog be fetched once. */
static int find_target(xdock_client_t *client, const xdock_selection_t *selection, uint64_t end_ns,
                       struct target *ret_target)
{
    const struct xd_catalog *catalog = &client->catalog;
    if (selection->topic == NULL || *selection->topic == '\0')
        return xd_client_fail(client, XD_FIELD_INVALID, "topic", "a reader needs one");
    for (int attempt = 0; attempt < 2; attempt++) {
        if (attempt > 0 || catalog->fetches == 0) {
            int status = xd_client_catalog(client, end_ns);
            if (status < 0)
                return status;
        }
        const struct xd_catalog_topic *topic = xd_catalog_topic(catalog, selection->topic);
        int64_t facility =
            selection->facility != NULL ? xd_catalog_facility(catalog, selection->facility) : -1;
        if (topic != NULL && (selection->facility == NULL || facility >= 0)) {
            *ret_target = (struct target){
                .topic = topic->topic, .facility = facility, .partition = selection->partition};
            return 0;
        }
    }
    if (xd_catalog_topic(catalog, selection->topic) == NULL)
        return xd_client_fail(client, XD_TOPIC_UNKNOWN, selection->topic,
                              "no such topic; `crossdock topic list` names them");
    return xd_client_fail(client, XD_FACILITY_UNKNOWN, selection->facility,
                          "no such facility; `crossdock facility list` names them");
}

static void add_partitions(struct xdock_reader *reader, const struct target *target,
                           const struct xd_catalog_placement *placement)
{
    for (uint32_t i = 0; i < placement->width; i++) {
        uint32_t number = placement->partition_base + i;
        if (target->partition >= 0 && (uint32_t)target->partition != number)
            continue;
        if (reader->partitions != NULL)
            reader->partitions[reader->partition_count].partition = number;
        reader->partition_count++;
    }
}

/* Counts the partitions when there is no memory for them yet, else writes them. */
static void list_partitions(struct xdock_reader *reader, const struct target *target)
{
    const struct xd_catalog_view *view = &reader->client->catalog.view;
    reader->partition_count = 0;
    for (uint32_t i = 0; i < view->fixed.placement_count; i++) {
        if (is_target(target, &view->placements[i]))
            add_partitions(reader, target, &view->placements[i]);
    }
}

static int get_partitions(struct xdock_reader *reader, const struct target *target)
{
    list_partitions(reader, target);
    if (reader->partition_count == 0) {
        char text[64];
        snprintf(text, sizeof(text), "partition %d", target->partition);
        return xd_client_fail(reader->client, XD_PARTITION_UNKNOWN, text,
                              "the topic has no such partition in that facility");
    }
    reader->partitions =
        xd_memory_acquire_array(reader->partition_count, sizeof(*reader->partitions));
    if (reader->partitions == NULL)
        return -ENOMEM;
    for (uint32_t i = 0; i < reader->partition_count; i++)
        xd_link_init(&reader->partitions[i].link);
    uint32_t counted = reader->partition_count;
    list_partitions(reader, target);
    XD_ASSERT(reader->partition_count == counted);
    return 0;
}

static int get_buffers(struct xdock_reader *reader)
{
    const uint64_t *numbers = reader->client->options.numbers;
    /* One more than partitions: the program goes through one while all are asked. */
    uint32_t wanted = reader->partition_count + 1;
    uint32_t max = (uint32_t)numbers[XD_OPTION_READER_REQUESTS];
    reader->buffer_count = wanted < max ? wanted : max;
    reader->wait_ms = (uint32_t)(numbers[XD_OPTION_READER_WAIT] / US_PER_MS);
    reader->buffers = xd_memory_acquire_array(reader->buffer_count, sizeof(*reader->buffers));
    reader->memory = xd_memory_acquire_array(reader->buffer_count, XD_FRAME_BYTES_DEFAULT_MAX);
    reader->scratch = xd_memory_acquire(XD_BATCH_RAW_BYTES_MAX);
    reader->views = xd_memory_acquire_array(XD_VIEWS_MAX, sizeof(*reader->views));
    if (reader->buffers == NULL || reader->memory == NULL || reader->scratch == NULL ||
        reader->views == NULL)
        return -ENOMEM;
    for (uint32_t i = 0; i < reader->buffer_count; i++) {
        struct xd_reader_buffer *buffer = &reader->buffers[i];
        xd_link_init(&buffer->link);
        buffer->data = reader->memory + (size_t)i * XD_FRAME_BYTES_DEFAULT_MAX;
        xd_link_push_back(&reader->free, &buffer->link);
    }
    reader->free_count = reader->buffer_count;
    XD_ASSERT(reader->free_count > 0);
    return 0;
}

static void seek_partition(struct xdock_reader *reader, uint32_t index, uint32_t from,
                           int64_t position)
{
    XD_ASSERT(index < reader->partition_count && from < XD_SEEK_COUNT);
    struct xd_reader_partition *partition = &reader->partitions[index];
    XD_ASSERT(!partition->asked && partition->ready_count == 0);
    partition->seek = (uint8_t)from;
    partition->position = position > 0 ? (uint64_t)position : 0;
    partition->offset = from == XDOCK_FROM_OFFSET ? partition->position : 0;
    partition->resolved = from == XDOCK_FROM_OFFSET;
    partition->at_end = false;
    partition->stopped = false;
    partition->report = 0;
    partition->retry_ns = 0;
    xd_reader_queue(reader, partition);
}

/* Waits until every partition knows where its end was. */
static int await_ends(struct xdock_reader *reader, uint64_t end_ns)
{
    for (uint32_t i = 0; i < reader->partition_count; i++) {
        const struct xd_reader_partition *partition = &reader->partitions[i];
        while (!partition->resolved && partition->report == 0) {
            int status = xd_client_round(reader->client, end_ns);
            if (status < 0 && !partition->resolved && partition->report == 0)
                return status;
        }
    }
    return 0;
}

static void release(struct xdock_reader *reader)
{
    xd_link_remove(&reader->link);
    xd_memory_release(reader->partitions);
    xd_memory_release(reader->buffers);
    xd_memory_release(reader->memory);
    xd_memory_release(reader->scratch);
    xd_memory_release(reader->views);
    xd_memory_release(reader);
}

static int fill(struct xdock_reader *reader, const xdock_selection_t *selection, uint64_t end_ns)
{
    struct target target;
    int status = check_seek(reader->client, selection->from, selection->position);
    if (status == 0)
        status = take_filter(reader, selection);
    if (status == 0)
        status = find_target(reader->client, selection, end_ns, &target);
    if (status == 0)
        status = get_partitions(reader, &target);
    if (status == 0)
        status = get_buffers(reader);
    if (status < 0)
        return status;
    for (uint32_t i = 0; i < reader->partition_count; i++)
        seek_partition(reader, i, selection->from, selection->position);
    xd_link_push_back(&reader->client->readers, &reader->link);
    return selection->from == XDOCK_FROM_END ? await_ends(reader, end_ns) : 0;
}

int xdock_reader_open(xdock_client_t *client, const xdock_selection_t *selection,
                      uint32_t timeout_ms, xdock_reader_t **ret_reader)
{
    XD_ASSERT(selection != NULL && ret_reader != NULL);
    int status = xd_client_enter(client);
    if (status < 0)
        return status;
    if (selection->struct_bytes != sizeof(*selection) || selection->reserved != 0)
        return xd_client_fail(client, XD_FIELD_INVALID, "struct_bytes",
                              "zero the selection and set it to sizeof(xdock_selection_t)");
    struct xdock_reader *reader = xd_memory_acquire(sizeof(*reader));
    if (reader == NULL)
        return -ENOMEM;
    reader->client = client;
    xd_link_init(&reader->link);
    xd_link_init(&reader->free);
    xd_link_init(&reader->ready);
    for (uint32_t i = 0; i < XD_QUEUE_COUNT; i++)
        xd_link_init(&reader->queues[i]);
    status = fill(reader, selection, xd_client_end_ns(client, timeout_ms));
    if (status < 0) {
        xd_connection_forget(&client->connection, reader);
        release(reader);
        return status;
    }
    *ret_reader = reader;
    return 0;
}

void xdock_reader_close(xdock_reader_t **reader_at)
{
    if (reader_at == NULL || *reader_at == NULL)
        return;
    struct xdock_reader *reader = *reader_at;
    struct xd_transport *transport = reader->client->transport;
    if (transport->ops->check(transport) == XD_WRONG_THREAD)
        return;
    xd_connection_forget(&reader->client->connection, reader);
    release(reader);
    *reader_at = NULL;
}

/* ---- reading --------------------------------------------------------------------------------- */

int xdock_reader_poll(xdock_reader_t *reader, uint32_t timeout_ms)
{
    XD_ASSERT(reader != NULL);
    xdock_client_t *client = reader->client;
    int status = xd_client_enter(client);
    if (status < 0)
        return status;
    xd_reader_release_batch(reader);
    int count = xd_reader_next_batch(reader);
    if (count == 0) {
        uint64_t end_ns = xd_client_end_ns(client, timeout_ms);
        while (count == 0 && status == 0) {
            status = xd_client_round(client, end_ns);
            count = xd_reader_next_batch(reader);
        }
    }
    /* A buffer that became free is asked for before the program goes through this batch. */
    if (count > 0 && reader->wants_turn)
        (void)xd_client_turn(client, XD_TURN_ALL_BATCHES); /* trouble shows in the next poll */
    if (count != 0)
        return count;
    return status == XD_DEADLINE_EXCEEDED ? 0 : status;
}

const xdock_view_t *xdock_reader_next(xdock_reader_t *reader)
{
    XD_ASSERT(reader != NULL);
    if (reader->view_at >= reader->view_count || xd_client_enter(reader->client) < 0)
        return NULL;
    XD_ASSERT(reader->current != NULL && reader->view_count <= XD_VIEWS_MAX);
    const xdock_view_t *view = &reader->views[reader->view_at++].view;
    struct xd_reader_partition *partition = &reader->partitions[reader->current->partition];
    partition->offset =
        reader->view_at == reader->view_count ? reader->batch_end : view->offset + 1;
    return view;
}

/* ---- positions ------------------------------------------------------------------------------- */

static int find_index(const struct xdock_reader *reader, uint32_t number)
{
    for (uint32_t i = 0; i < reader->partition_count; i++) {
        if (reader->partitions[i].partition == number)
            return (int)i;
    }
    return -1;
}

static void seek_index(struct xdock_reader *reader, uint32_t index, uint32_t from, int64_t position)
{
    if (reader->current != NULL && reader->current->partition == index) {
        reader->view_count = reader->view_at = 0;
        reader->batch_end = 0;
        reader->current->at = reader->current->bytes; /* the rest of it is not wanted */
    }
    xd_reader_drop(reader, index);
    seek_partition(reader, index, from, position);
}

int xdock_reader_seek(xdock_reader_t *reader, int32_t partition, uint32_t from, int64_t position)
{
    XD_ASSERT(reader != NULL);
    int status = xd_client_enter(reader->client);
    if (status == 0)
        status = check_seek(reader->client, from, position);
    if (status < 0)
        return status;
    if (partition < 0) {
        for (uint32_t i = 0; i < reader->partition_count; i++)
            seek_index(reader, i, from, position);
        return 0;
    }
    int index = find_index(reader, (uint32_t)partition);
    if (index < 0)
        return xd_client_fail(reader->client, XD_PARTITION_UNKNOWN, "partition",
                              "not one of this reader");
    seek_index(reader, (uint32_t)index, from, position);
    return 0;
}

int xdock_reader_position(const xdock_reader_t *reader, uint32_t partition, uint64_t *ret_offset,
                          uint64_t *ret_end)
{
    XD_ASSERT(reader != NULL);
    int index = find_index(reader, partition);
    if (index < 0)
        return XD_PARTITION_UNKNOWN;
    if (ret_offset != NULL)
        *ret_offset = reader->partitions[index].offset;
    if (ret_end != NULL)
        *ret_end = reader->partitions[index].end;
    return 0;
}

int64_t xdock_reader_partition(const xdock_reader_t *reader, unsigned index)
{
    XD_ASSERT(reader != NULL);
    return index < reader->partition_count ? (int64_t)reader->partitions[index].partition : -ENOENT;
}

int xdock_reader_at_end(const xdock_reader_t *reader)
{
    XD_ASSERT(reader != NULL);
    const struct xd_reader_buffer *current = reader->current;
    XD_ASSERT(reader->view_at <= reader->view_count);
    if (reader->view_at < reader->view_count || (current != NULL && current->at < current->bytes))
        return 0;
    for (uint32_t i = 0; i < reader->partition_count; i++) {
        const struct xd_reader_partition *partition = &reader->partitions[i];
        /* One that stopped has ended when what came before is read and the reason is told. */
        if (partition->report != 0 || partition->ready_count > 0)
            return 0;
        if (!partition->stopped && (!partition->at_end || partition->offset < partition->end))
            return 0;
    }
    return 1;
}

const char *xdock_reader_facility_name(xdock_reader_t *reader, uint32_t facility)
{
    XD_ASSERT(reader != NULL);
    const struct xd_catalog_facility *row =
        xd_catalog_facility_at(&reader->client->catalog, facility);
    size_t bytes = row != NULL ? row->name_bytes : 0;
    memcpy(reader->name, row != NULL ? row->name : "", bytes);
    reader->name[bytes] = '\0';
    return reader->name;
}
