/* SPDX-License-Identifier: Apache-2.0
 *
 * Named texts into a record; see fields.h. One table says for each name where it goes and what it
 * must look like.
 */
#include "tools/crossdock/fields.h"

#include "tools/crossdock/suggest.h"
#include "tools/crossdock/values.h"
#include "tools/crossdock/words.h"

#include <crossdock/status.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TEXT_BYTES_MAX 255u

enum kind {
    TEXT,     /* const char * at the offset */
    NUMBER,   /* unsigned number of `size` bytes at the offset */
    EVENT,    /* */
    STATUS,   /* uint8_t at the offset */
    DOC_TYPE, /* */
    FLAGS,    /* */
    TIME,     /* */
    DATE,     /* */
    UUID,     /* 16 bytes at the offset */
    FACILITY, /* */
    QUANTITY, /* */
    UOM,      /* */
    PAYLOAD,  /* */
    BASE64,   /* */
    IGNORED   /* what `read` adds, so that its output is good as input */
};

struct row {
    const char *name; /* */
    uint8_t kind;     /* enum kind */
    uint8_t size;     /* NUMBER: bytes */
    uint16_t offset;  /* in xdock_record_t */
};

#define AT(member) (uint16_t) offsetof(xdock_record_t, member)
#define SIZE(member) (uint8_t)sizeof(((xdock_record_t *)NULL)->member)

static const struct row rows[] = {
    {"type", EVENT, 0, AT(type)},
    {"facility", FACILITY, 0, 0},
    {"sku", TEXT, 0, AT(sku)},
    {"lot", TEXT, 0, AT(lot)},
    {"location", TEXT, 0, AT(location)},
    {"location_to", TEXT, 0, AT(location_to)},
    {"owner", NUMBER, SIZE(owner), AT(owner)},
    {"status", STATUS, 0, AT(status_from)},
    {"status_to", STATUS, 0, AT(status_to)},
    {"handling_unit", TEXT, 0, AT(handling_unit)},
    {"handling_unit_to", TEXT, 0, AT(handling_unit_to)},
    {"order", TEXT, 0, AT(document)},
    {"order_line", NUMBER, SIZE(document_line), AT(document_line)},
    {"document", TEXT, 0, AT(document)},
    {"document_type", DOC_TYPE, 0, AT(document_type)},
    {"document_line", NUMBER, SIZE(document_line), AT(document_line)},
    {"document_step", NUMBER, SIZE(document_step), AT(document_step)},
    {"document_revision", NUMBER, SIZE(document_revision), AT(document_revision)},
    {"reference", TEXT, 0, AT(reference)},
    {"priority", NUMBER, SIZE(priority), AT(priority)},
    {"quantity", QUANTITY, 0, 0},
    {"uom", UOM, 0, 0},
    {"reason", NUMBER, SIZE(reason), AT(reason)},
    {"event_time", TIME, 0, AT(event_time_us)},
    {"posting_date", DATE, 0, AT(posting_date)},
    {"business_key", TEXT, 0, AT(business_key)},
    {"sequence", NUMBER, SIZE(sequence), AT(sequence)},
    {"event_id", UUID, 0, AT(event_id)},
    {"correlation_id", UUID, 0, AT(correlation_id)},
    {"causation_id", UUID, 0, AT(causation_id)},
    {"flags", FLAGS, 0, AT(flags)},
    {"payload", PAYLOAD, 0, 0},
    {"payload_base64", BASE64, 0, 0},
    {"topic", IGNORED, 0, 0},
    {"partition", IGNORED, 0, 0},
    {"offset", IGNORED, 0, 0},
    {"append_time", IGNORED, 0, 0},
    {"source", IGNORED, 0, 0},
    {"channel", IGNORED, 0, 0},
    {"channel_epoch", IGNORED, 0, 0},
    {"attempt", IGNORED, 0, 0},
    {"redelivered", IGNORED, 0, 0},
    {"replay", IGNORED, 0, 0},
};
#define ROW_COUNT (sizeof rows / sizeof rows[0])

int fields_init(struct fields *fields)
{
    *fields = (struct fields){.decoded = malloc(FIELDS_PAYLOAD_BYTES_MAX)};
    return fields->decoded != NULL ? 0 : -ENOMEM;
}

void fields_deinit(struct fields *fields)
{
    free(fields->decoded);
    fields->decoded = NULL;
}

void fields_begin(struct fields *fields)
{
    uint8_t *decoded = fields->decoded;
    memset(fields, 0, offsetof(struct fields, wrong_name));
    fields->decoded = decoded;
    fields->why[0] = '\0';
    xdock_record_init(&fields->record);
}

int fields_wrong(struct fields *fields, const char *name, const char *why)
{
    snprintf(fields->wrong_name, sizeof fields->wrong_name, "%s", name);
    fields->wrong = fields->wrong_name;
    if (why != fields->why)
        snprintf(fields->why, sizeof fields->why, "%s", why);
    return XDOCK_FIELD_INVALID;
}

static int wrong_value(struct fields *fields, const char *name, const char *text,
                       const char *expected)
{
    snprintf(fields->why, sizeof fields->why, "'%.60s' is not %s", text, expected);
    return fields_wrong(fields, name, fields->why);
}

static const struct row *row_of(const char *name)
{
    for (size_t i = 0; i < ROW_COUNT; i++)
        if (strcmp(rows[i].name, name) == 0)
            return &rows[i];
    return NULL;
}

int fields_name_check(struct fields *fields, const char *name)
{
    if (row_of(name) != NULL)
        return 0;
    struct suggest suggest;
    suggest_init(&suggest, name);
    for (size_t i = 0; i < ROW_COUNT; i++)
        suggest_offer(&suggest, rows[i].name, strlen(rows[i].name));
    snprintf(fields->why, sizeof fields->why, "is no field of a record");
    suggest_append(&suggest, fields->why, sizeof fields->why);
    return fields_wrong(fields, name, fields->why);
}

bool fields_can_set(const char *name)
{
    const struct row *row = row_of(name);
    return row != NULL && row->kind != IGNORED;
}

/* Unsigned numbers of different widths. */
static int set_number(void *at, uint8_t size, const char *text)
{
    uint64_t number;
    uint64_t most = size == 8 ? UINT64_MAX : (1ull << (size * 8)) - 1;
    if (value_number(text, most, &number) < 0)
        return XDOCK_FIELD_INVALID;
    memcpy(at, &number, size); /* little-endian hosts only, as the whole project */
    return 0;
}

static int set_text(struct fields *fields, const struct row *row, void *at, const char *text,
                    size_t bytes, bool number)
{
    if (number)
        return fields_wrong(fields, row->name, "must be a string: put it between quotes");
    if (bytes > TEXT_BYTES_MAX || strlen(text) != bytes)
        return fields_wrong(fields, row->name, "must be at most 255 bytes without a zero");
    memcpy(at, &text, sizeof text);
    if (strncmp(row->name, "order", 5) == 0)
        fields->order = true;
    if (strncmp(row->name, "document", 8) == 0)
        fields->document = true;
    return 0;
}

static int set_payload(struct fields *fields, const struct row *row, const char *text, size_t bytes,
                       bool number)
{
    size_t decoded = 0;
    if (number)
        return fields_wrong(fields, row->name, "must be a string: put it between quotes");
    if (fields->record.payload.data != NULL)
        return fields_wrong(fields, row->name, "payload and payload_base64 exclude each other");
    if (bytes > FIELDS_PAYLOAD_BYTES_MAX)
        return fields_wrong(fields, row->name, "must be at most 1 MiB");
    if (row->kind == PAYLOAD) {
        fields->record.payload = xdock_bytes(text, bytes);
        return 0;
    }
    if (value_base64(text, bytes, fields->decoded, &decoded) < 0)
        return fields_wrong(fields, row->name, "must be base64 with padding");
    fields->record.payload = xdock_bytes(fields->decoded, decoded);
    return 0;
}

/* Kinds that are read from a text into the record, and what they must look like. */
static int set_value(const struct row *row, void *at, const char *text, const char **ret_expected)
{
    switch ((enum kind)row->kind) {
    case NUMBER:
        *ret_expected = "a whole number in its range";
        return set_number(at, row->size, text);
    case EVENT:
        *ret_expected = "an event, such as PICK_CONFIRMED, or a private code from 0xf000";
        return word_event(text, at);
    case STATUS:
        *ret_expected = "a stock status, such as AVAILABLE, or 0 to 255";
        return word_status(text, at);
    case DOC_TYPE:
        *ret_expected = "a document type, such as DELIVERY, or 0 to 255";
        return word_document_type(text, at);
    case FLAGS:
        *ret_expected = "reversal, correction, backdated, synthetic, last_in_doc, opposite, with "
                        "commas between them";
        return word_flags(text, at);
    case TIME:
        *ret_expected = "a time, such as 2026-11-24T07:53:55.123456Z";
        return value_time_us(text, at);
    case DATE:
        *ret_expected = "a date, such as 2026-11-24";
        return value_date(text, at);
    case UUID:
        *ret_expected = "a UUID";
        return value_uuid(text, at);
    case TEXT:
    case FACILITY:
    case QUANTITY:
    case UOM:
    case PAYLOAD:
    case BASE64:
    case IGNORED:
        break;
    }
    return 0;
}

int fields_set(struct fields *fields, const char *name, const char *text, size_t bytes, bool number)
{
    const struct row *row = row_of(name);
    const char *expected = "";
    if (row == NULL)
        return fields_name_check(fields, name);
    if (row->kind == IGNORED || bytes == 0)
        return 0;
    void *at = (char *)&fields->record + row->offset;
    if (row->kind == PAYLOAD || row->kind == BASE64)
        return set_payload(fields, row, text, bytes, number);
    if (row->kind == TEXT)
        return set_text(fields, row, at, text, bytes, number);
    if (row->kind == FACILITY)
        return set_text(fields, row, &fields->facility, text, bytes, number);
    if (row->kind == QUANTITY) {
        fields->quantity = text;
        return 0;
    }
    if (row->kind == UOM)
        return set_text(fields, row, &fields->uom, text, bytes, number);
    if (strncmp(name, "order", 5) == 0)
        fields->order = true;
    if (row->kind == DOC_TYPE || strcmp(name, "document_line") == 0)
        fields->document = true;
    if (set_value(row, at, text, &expected) == 0)
        return 0;
    wrong_value(fields, name, text, expected);
    if (row->kind == EVENT)
        word_event_suggest(text, fields->why, sizeof fields->why);
    else if (row->kind == STATUS)
        word_status_suggest(text, fields->why, sizeof fields->why);
    else if (row->kind == DOC_TYPE)
        word_document_type_suggest(text, fields->why, sizeof fields->why);
    return XDOCK_FIELD_INVALID;
}

/* The library names a field, or a field and what is wrong with it: "sku: this event needs ...". */
static int refused(struct fields *fields, const char *field, int status)
{
    char name[sizeof fields->wrong_name];
    const char *colon = strstr(field, ": ");
    if (colon == NULL)
        return fields_wrong(fields, field, xdock_status_text(status));
    snprintf(name, sizeof name, "%.*s", (int)(colon - field), field);
    return fields_wrong(fields, name, colon + 2);
}

int fields_end(struct fields *fields)
{
    xdock_record_t *record = &fields->record;
    const char *field = "";
    if (record->type == 0)
        return fields_wrong(fields, "type", "is missing");
    if (fields->order && fields->document)
        return fields_wrong(fields, "document",
                            "a record has one document: give order, or document, and the other "
                            "number as reference");
    if (fields->order)
        record->document_type = XDOCK_DOC_SALES_ORDER;
    if (fields->uom != NULL && fields->quantity == NULL)
        return fields_wrong(fields, "uom", "stands without a quantity");
    if (fields->quantity != NULL &&
        xdock_quantity_parse(fields->quantity, fields->uom != NULL ? fields->uom : "",
                             &record->quantity) < 0)
        return wrong_value(fields, "quantity", fields->quantity,
                           "a decimal of at most 6 places within 2147483647 units of its last "
                           "place, in a unit of at most 3 characters of [0-9A-Z]");
    int status = xdock_record_check(record, &field);
    return status == 0 ? 0 : refused(fields, field, status);
}
