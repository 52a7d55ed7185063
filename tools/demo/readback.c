/* SPDX-License-Identifier: Apache-2.0
 *
 * Reads back and compares; see readback.h.
 */
#include "tools/demo/readback.h"

#include "tools/demo/process.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PARTITIONS_MAX 131072u /* as many as a broker may have */
#define QUIET_MS 500u /* without a record at the end: there are no more */

/* State of one reading. */
struct comparing {
    const struct sender *sender;
    struct readback *result;
    xdock_reader_t *reader;
    uint64_t started_ns;      /* monotonic */
    uint8_t *seen;            /* per pick: times read, at most 255 */
    uint64_t *sku_last;       /* per SKU: its newest sequence, 0 = none */
    uint32_t *sku_faults;     /* per SKU: records out of sequence or missing */
    uint64_t *partition_next; /* per partition: offset that must come next, 0 = nothing read */
};

static void differ(struct comparing *comparing, uint64_t sequence, const char *what)
{
    struct readback *result = comparing->result;
    if (result->first[0] == '\0')
        snprintf(result->first, sizeof result->first, "sequence %" PRIu64 ": %s", sequence, what);
}

static bool same(xdock_bytes_t bytes, const char *text)
{
    return bytes.bytes == strlen(text) &&
           (bytes.bytes == 0 || memcmp(bytes.data, text, bytes.bytes) == 0);
}

/* Every field of a pick against the record that was read. */
static void compare_fields(struct comparing *comparing, const xdock_view_t *view,
                           const struct pick *pick)
{
    char a[20], b[20], c[20], d[20];
    const struct {
        bool same;
        const char *name;
    } checks[] = {
        {view->type == XDOCK_PICK_CONFIRMED, "event type"},
        {(view->flags & XDOCK_SYNTHETIC) != 0, "flag of synthetic times"},
        {same(xdock_view_sku(view, a), pick->sku), "SKU"},
        {same(xdock_view_location(view, b), pick->location), "bin"},
        {same(xdock_view_document(view, c), pick->order), "order"},
        {same(xdock_view_handling_unit_to(view, d), pick->handling_unit), "handling unit"},
        {same(xdock_view_business_key(view), pick->business_key), "business key"},
        {same(view->payload, pick->line), "payload"},
        {view->document_type == XDOCK_DOC_SALES_ORDER, "document type"},
        {view->document_line == pick->order_line, "order line"},
        {view->posting_date == pick->posting_date, "posting date"},
        {view->event_time_us == pick->event_time_us, "event time"},
        {view->quantity.present != 0 && view->quantity.mantissa == pick->pieces &&
             view->quantity.scale == 0 && view->quantity.uom[0] == '\0',
         "quantity"},
        {strcmp(xdock_reader_facility_name(comparing->reader, view->facility),
                comparing->sender->facility) == 0,
         "facility"},
    };
    for (size_t i = 0; i < sizeof checks / sizeof checks[0]; i++) {
        if (checks[i].same)
            continue;
        comparing->result->different++;
        differ(comparing, view->sequence, checks[i].name);
    }
}

/* Offsets of a partition begin at 0 here and are dense. */
static void check_offset(struct comparing *comparing, const xdock_view_t *view)
{
    uint64_t *next = &comparing->partition_next[view->partition];
    if (*next == 0)
        comparing->result->partition_count++;
    if (view->offset != *next) {
        comparing->result->offset_gaps++;
        differ(comparing, view->sequence, "its offset does not follow the one before");
    }
    *next = view->offset + 1;
}

static void check_record(struct comparing *comparing, const xdock_view_t *view)
{
    struct readback *result = comparing->result;
    const struct picks *picks = comparing->sender->picks;
    result->read_count++;
    if (view->sequence == 0 || view->sequence > picks->count || view->partition >= PARTITIONS_MAX) {
        result->unknown++;
        differ(comparing, view->sequence, "nobody sent it");
        return;
    }
    uint64_t index = view->sequence - 1;
    const struct pick *pick = &picks->rows[index];
    const struct delivery *delivery = &comparing->sender->deliveries[index];
    check_offset(comparing, view);
    compare_fields(comparing, view, pick);
    if (comparing->seen[index] != 0) {
        result->doubled++;
        differ(comparing, view->sequence, "read twice");
    }
    if (comparing->seen[index] < UINT8_MAX)
        comparing->seen[index]++;
    if (view->sequence <= comparing->sku_last[pick->sku_index]) {
        result->sku_out_of_sequence++;
        comparing->sku_faults[pick->sku_index]++;
        differ(comparing, view->sequence, "behind a later pick of its SKU");
    }
    comparing->sku_last[pick->sku_index] = view->sequence;
    if ((delivery->fate == FATE_APPENDED || delivery->fate == FATE_DUPLICATE) &&
        (delivery->offset != view->offset || delivery->partition != view->partition)) {
        result->elsewhere++;
        differ(comparing, view->sequence, "not at the offset that was acknowledged");
    }
}

static void count_missing(struct comparing *comparing)
{
    const struct picks *picks = comparing->sender->picks;
    for (uint32_t i = 0; i < picks->count; i++) {
        if (comparing->seen[i] != 0)
            continue;
        comparing->result->missing++;
        comparing->sku_faults[picks->rows[i].sku_index]++;
        differ(comparing, (uint64_t)i + 1, "missing");
    }
    for (uint32_t i = 0; i < picks->sku_count; i++)
        comparing->result->skus_kept += comparing->sku_faults[i] == 0;
}

/* Reads until the end has been quiet for a while. */
static int read_all(struct comparing *comparing, uint64_t deadline_ns)
{
    int status;
    do {
        const xdock_view_t *view;
        status = xdock_reader_poll(comparing->reader, QUIET_MS);
        while (status > 0 && (view = xdock_reader_next(comparing->reader)) != NULL)
            check_record(comparing, view);
        /* The silence at the end is not reading. */
        if (status > 0)
            comparing->result->elapsed_ns = process_now_ns() - comparing->started_ns;
        if (process_now_ns() > deadline_ns)
            return XDOCK_DEADLINE_EXCEEDED;
    } while (status > 0 || (status == 0 && !xdock_reader_at_end(comparing->reader)));
    return status;
}

static int allocate(struct comparing *comparing)
{
    const struct picks *picks = comparing->sender->picks;
    comparing->seen = calloc(picks->count, sizeof *comparing->seen);
    comparing->sku_last = calloc(picks->sku_count, sizeof *comparing->sku_last);
    comparing->sku_faults = calloc(picks->sku_count, sizeof *comparing->sku_faults);
    comparing->partition_next = calloc(PARTITIONS_MAX, sizeof *comparing->partition_next);
    return comparing->seen == NULL || comparing->sku_last == NULL ||
                   comparing->sku_faults == NULL || comparing->partition_next == NULL
               ? -ENOMEM
               : 0;
}

static int open_reader(struct comparing *comparing, xdock_client_t **client, uint32_t timeout_ms)
{
    char *why = comparing->result->why;
    const xdock_selection_t selection = {.struct_bytes = sizeof selection,
                                         .from = XDOCK_FROM_BEGIN,
                                         .topic = SENDER_TOPIC,
                                         .facility = comparing->sender->facility,
                                         .partition = -1};
    xdock_options_t *options = NULL;
    int status = xdock_options_init(&options);
    if (status >= 0)
        status = xdock_options_set(options, "address", comparing->sender->address);
    if (status >= 0)
        status = xdock_client_open(options, timeout_ms, client, why, SENDER_WHY_BYTES);
    xdock_options_free(&options);
    if (status >= 0)
        status = xdock_reader_open(*client, &selection, timeout_ms, &comparing->reader);
    return status;
}

int readback_run(const struct sender *sender, uint32_t timeout_ms, struct readback *ret_readback)
{
    struct comparing comparing = {
        .sender = sender, .result = ret_readback, .started_ns = process_now_ns()};
    xdock_client_t *client = NULL;
    memset(ret_readback, 0, sizeof *ret_readback);
    int status = allocate(&comparing);
    if (status >= 0)
        status = open_reader(&comparing, &client, timeout_ms);
    if (status >= 0)
        status = read_all(&comparing, comparing.started_ns + (uint64_t)timeout_ms * 1000000u);
    if (status >= 0)
        count_missing(&comparing);
    else
        snprintf(ret_readback->why, sizeof ret_readback->why, "cannot read back: %s (%s) %.300s",
                 xdock_status_text(status), xdock_status_name(status),
                 client != NULL ? xdock_client_error(client) : "");
    (void)xdock_client_close(&client, 0); /* Nothing of it is unacknowledged. */
    free(comparing.seen);
    free(comparing.sku_last);
    free(comparing.sku_faults);
    free(comparing.partition_next);
    return status < 0 ? status : 0;
}

uint64_t readback_faults(const struct readback *readback)
{
    return readback->missing + readback->doubled + readback->unknown + readback->different +
           readback->elsewhere + readback->sku_out_of_sequence + readback->offset_gaps;
}
