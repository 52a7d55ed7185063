/* SPDX-License-Identifier: Apache-2.0
 *
 * Records printed; see record_out.h. A line is written member by member, nothing is kept.
 */
#include "tools/crossdock/record_out.h"

#include "tools/common/json_out.h"
#include "tools/crossdock/words.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define SCRATCH_BYTES 32u
#define QUANTITY_BYTES 32u

/* ---- JSON ------------------------------------------------------------------------------------ */

static void put_text(struct json_out *json, const char *name, xdock_bytes_t text)
{
    if (text.bytes > 0)
        json_bytes(json, name, text.data, text.bytes);
}

static void put_number(struct json_out *json, const char *name, uint64_t number)
{
    if (number != 0)
        json_number(json, name, number);
}

static void put_word(struct json_out *json, const char *name, const char *word)
{
    if (word[0] != '\0')
        json_text(json, name, word);
}

static void put_stock(struct json_out *json, const xdock_view_t *view)
{
    char scratch[SCRATCH_BYTES], word[WORDS_BYTES];
    put_text(json, "sku", xdock_view_sku(view, scratch));
    put_text(json, "lot", xdock_view_lot(view, scratch));
    put_text(json, "location", xdock_view_location(view, scratch));
    put_text(json, "location_to", xdock_view_location_to(view, scratch));
    put_number(json, "owner", view->owner);
    word_status_text(view->status_from, word);
    put_word(json, "status", word);
    word_status_text(view->status_to, word);
    put_word(json, "status_to", word);
    put_number(json, "reason", view->reason);
    put_text(json, "handling_unit", xdock_view_handling_unit(view, scratch));
    put_text(json, "handling_unit_to", xdock_view_handling_unit_to(view, scratch));
    if (view->quantity.present) {
        char quantity[QUANTITY_BYTES];
        xdock_quantity_format(view->quantity, quantity, sizeof quantity);
        json_text(json, "quantity", quantity);
        put_word(json, "uom", view->quantity.uom);
    }
}

/* A sales order has members of its own; any other document is named with its type. */
static void put_document(struct json_out *json, const xdock_view_t *view)
{
    char scratch[SCRATCH_BYTES], word[WORDS_BYTES];
    bool order = view->document_type == XDOCK_DOC_SALES_ORDER;
    put_text(json, order ? "order" : "document", xdock_view_document(view, scratch));
    put_number(json, order ? "order_line" : "document_line", view->document_line);
    word_document_type_text(view->document_type, word);
    if (!order)
        put_word(json, "document_type", word);
    put_number(json, "document_step", view->document_step);
    put_number(json, "document_revision", view->document_revision);
    put_text(json, "reference", xdock_view_reference(view, scratch));
    put_number(json, "priority", view->priority);
    if (view->posting_date != 0) {
        snprintf(word, sizeof word, "%04u-%02u-%02u", view->posting_date / 10000,
                 view->posting_date / 100 % 100, view->posting_date % 100);
        json_text(json, "posting_date", word);
    }
}

static void put_lineage(struct json_out *json, const xdock_view_t *view)
{
    static const uint8_t none[16];
    uint8_t correlation[16], causation[16];
    json_uuid(json, "event_id", view->event_id);
    xdock_view_lineage(view, correlation, causation);
    if (memcmp(correlation, none, sizeof none) != 0)
        json_uuid(json, "correlation_id", correlation);
    if (memcmp(causation, none, sizeof none) != 0)
        json_uuid(json, "causation_id", causation);
}

static void print_json(struct record_out *out, const xdock_view_t *view)
{
    struct json_out json;
    char word[WORDS_BYTES];
    json_begin(&json, stdout);
    json_text(&json, "topic", out->topic);
    json_number(&json, "partition", view->partition);
    json_number(&json, "offset", view->offset);
    json_time(&json, "append_time", view->append_time_us);
    word_event_text(view->type, word);
    json_text(&json, "type", word);
    put_word(&json, "facility", xdock_reader_facility_name(out->reader, view->facility));
    put_stock(&json, view);
    put_document(&json, view);
    json_time(&json, "event_time", view->event_time_us);
    put_text(&json, "business_key", xdock_view_business_key(view));
    put_word(&json, "source", channels_source(&out->names, view->channel));
    put_word(&json, "channel", channels_name(&out->names, view->channel));
    json_number(&json, "channel_epoch", view->channel_epoch);
    json_number(&json, "sequence", view->sequence);
    put_lineage(&json, view);
    word_flags_text(view->flags, word);
    put_word(&json, "flags", word);
    if (view->payload.bytes > 0 && text_is_utf8(view->payload.data, view->payload.bytes) &&
        memchr(view->payload.data, '\0', view->payload.bytes) == NULL)
        json_bytes(&json, "payload", view->payload.data, view->payload.bytes);
    else if (view->payload.bytes > 0)
        json_base64(&json, "payload_base64", view->payload.data, view->payload.bytes);
    json_end(&json);
}

/* ---- tables ---------------------------------------------------------------------------------- */

/* A cell of a table or of TSV: control characters and, in TSV, backslashes are made harmless. */
static void put_cell(const struct record_out *out, xdock_bytes_t text, int width, bool last)
{
    const char *at = text.data;
    int used = 0;
    for (size_t i = 0; i < text.bytes; i++) {
        unsigned char c = (unsigned char)at[i];
        if (c == '\\' && out->tool->output == OUTPUT_TSV)
            fputs("\\\\", stdout);
        else
            putchar(c < 0x20 || c == 0x7f ? '?' : c);
        used += (c & 0xc0) != 0x80;
    }
    if (last)
        return;
    if (out->tool->output == OUTPUT_TSV) {
        putchar('\t');
        return;
    }
    for (; used < width; used++)
        putchar(' ');
    fputs("  ", stdout);
}

static xdock_bytes_t text_bytes(const char *text)
{
    return xdock_bytes(text, strlen(text));
}

static void print_heading(const struct record_out *out)
{
    if (out->tool->output == OUTPUT_TSV)
        printf("partition\toffset\tappend_time\ttype\tfacility\tsku\tlocation\tlocation_to\t"
               "document\tquantity\tuom\tsequence\tevent_time\n");
    else
        printf("%-9s  %-10s  %-27s  %-20s  %-10s  %-16s  %-12s  %-12s  %s\n", "PARTITION", "OFFSET",
               "APPEND_TIME", "TYPE", "FACILITY", "SKU", "LOCATION", "DOCUMENT", "QUANTITY");
}

static void print_row(struct record_out *out, const xdock_view_t *view)
{
    bool tsv = out->tool->output == OUTPUT_TSV;
    char text[64], word[WORDS_BYTES], scratch[SCRATCH_BYTES], quantity[QUANTITY_BYTES] = "";
    if (out->printed == 0)
        print_heading(out);
    snprintf(text, sizeof text, "%" PRIu32, view->partition);
    put_cell(out, text_bytes(text), 9, false);
    snprintf(text, sizeof text, "%" PRIu64, view->offset);
    put_cell(out, text_bytes(text), 10, false);
    time_format(view->append_time_us, text);
    put_cell(out, text_bytes(text), 27, false);
    word_event_text(view->type, word);
    put_cell(out, text_bytes(word), 20, false);
    put_cell(out, text_bytes(xdock_reader_facility_name(out->reader, view->facility)), 10, false);
    put_cell(out, xdock_view_sku(view, scratch), 16, false);
    put_cell(out, xdock_view_location(view, scratch), 12, false);
    if (tsv)
        put_cell(out, xdock_view_location_to(view, scratch), 0, false);
    put_cell(out, xdock_view_document(view, scratch), 12, false);
    if (view->quantity.present)
        xdock_quantity_format(view->quantity, quantity, sizeof quantity);
    put_cell(out, text_bytes(quantity), 0, !tsv);
    if (tsv) {
        put_cell(out, text_bytes(view->quantity.present ? view->quantity.uom : ""), 0, false);
        snprintf(text, sizeof text, "%" PRIu64, view->sequence);
        put_cell(out, text_bytes(text), 0, false);
        time_format(view->event_time_us, text);
        put_cell(out, text_bytes(text), 0, true);
    } else if (view->quantity.present && view->quantity.uom[0] != '\0') {
        printf(" %.3s", view->quantity.uom);
    }
    putchar('\n');
}

/* ---- both ------------------------------------------------------------------------------------ */

void record_print(struct record_out *out, const xdock_view_t *view)
{
    if (out->tool->output == OUTPUT_JSON || out->tool->output == OUTPUT_JSONL) {
        print_json(out, view);
    } else if (out->tool->output == OUTPUT_NAME) {
        char text[JSON_UUID_BYTES];
        uuid_format(view->event_id, text);
        puts(text);
    } else {
        print_row(out, view);
    }
    out->printed++;
}

void record_out_deinit(struct record_out *out)
{
    channels_deinit(&out->names);
}
