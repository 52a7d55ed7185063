/* SPDX-License-Identifier: Apache-2.0
 *
 * A record out of named texts, as JSON lines and CSV files have them; docs/RECORDS.md is the list
 * of names.
 *
 * Normal path: fields_begin, fields_set for each member or cell, fields_end; then `record` can be
 * sent. Failure path: the first thing that is wrong is kept as a field and a sentence.
 * Texts are borrowed until the next fields_begin. Must not read files.
 */
#ifndef CROSSDOCK_TOOLS_CROSSDOCK_FIELDS_H
#define CROSSDOCK_TOOLS_CROSSDOCK_FIELDS_H

#include <crossdock/record.h>
#include <stdbool.h>

#define FIELDS_WHY_BYTES 256u
/* Payload in one record; the broker's own limit is a little lower. */
#define FIELDS_PAYLOAD_BYTES_MAX (1024u * 1024u)

struct fields {
    xdock_record_t record;      /* ready after fields_end, but for its topic */
    const char *facility;       /* NULL = not named */
    const char *quantity;       /* until fields_end joins it with `uom` */
    const char *uom;            /* */
    bool order;                 /* a field of the order was given */
    bool document;              /* a field of another document was given */
    uint8_t *decoded;           /* FIELDS_PAYLOAD_BYTES_MAX, for payload_base64 */
    const char *wrong;          /* name of the field that is wrong */
    char wrong_name[64];        /* copy of it, where it is the line's own word */
    char why[FIELDS_WHY_BYTES]; /* what is wrong with it */
};

/* 0 or -ENOMEM. */
int fields_init(struct fields *fields);
void fields_deinit(struct fields *fields);

void fields_begin(struct fields *fields);
/* `text` is zero-terminated and has `bytes`; `number`: it was a number, not a string. 0 or
 * XDOCK_FIELD_INVALID. Empty texts count as not given. */
int fields_set(struct fields *fields, const char *name, const char *text, size_t bytes,
               bool number);
/* Rules between fields, and what the library has against the record. 0 or XDOCK_FIELD_INVALID. */
int fields_end(struct fields *fields);
/* Notes what is wrong; returns XDOCK_FIELD_INVALID. */
int fields_wrong(struct fields *fields, const char *name, const char *why);

/* 0, or XDOCK_FIELD_INVALID with the nearest name in `why`: for the header of a CSV file. */
int fields_name_check(struct fields *fields, const char *name);
/* False for a name that only `read` gives out, such as "offset". The name is a field. */
bool fields_can_set(const char *name);

#endif
