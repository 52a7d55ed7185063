/* SPDX-License-Identifier: Apache-2.0
 *
 * Inside of broker/admin: the verb table as data, and what a handler is given. Not for others.
 */
#ifndef CROSSDOCK_ADMIN_VERBS_H
#define CROSSDOCK_ADMIN_VERBS_H

#include <assert.h>

#include "broker/admin/admin.h"
#include "broker/admin/arguments.h"
#include "broker/admin/suggest.h"
#include "broker/admin/writer.h"

enum verb {
#define VERB(id, name, changes, text) VERB_##id,
#define ARGUMENT(verb, name, kind, required, text)
#include "broker/admin/verbs.def"
#undef VERB
#undef ARGUMENT
    VERB_COUNT
};

/* Rows of one reply and the bytes that one may take at most: names of 64, a dozen numbers of 20. */
#define VERBS_ROWS_MAX 500u
#define VERBS_ROW_BYTES_MAX 1024u
static_assert((VERBS_ROWS_MAX + 8u) * VERBS_ROW_BYTES_MAX <= XD_ADMIN_REPLY_BYTES_MAX,
              "a page of rows fits a reply");
static_assert((XD_TOPICS_MAX + 8u) * VERBS_ROW_BYTES_MAX <= XD_ADMIN_REPLY_BYTES_MAX,
              "all topics fit a reply");

/* One call of a verb. */
struct call {
    const struct admin_view *view;
    const struct arguments *arguments; /* checked against the table */
    struct writer *out;                /* the reply */
    struct admin_result *result;       /* `append` and `entry` are the handler's, the rest is not */
    char *detail;                      /* XD_DETAIL_BYTES_MAX, for refusals */
};

/* Each writes one JSON object to call->out, or asks for an append and writes nothing. 0 or a
 * status, then with a detail. */
#define VERB(id, name, changes, text) int verb_##id(struct call *call);
#define ARGUMENT(verb, name, kind, required, text)
#include "broker/admin/verbs.def"
#undef VERB
#undef ARGUMENT

/* Which rows a list gives. */
struct page {
    uint64_t from;  /* number to begin with */
    uint64_t limit; /* rows at most, 1..VERBS_ROWS_MAX */
};
/* Reads "from" and "limit". 0 or XD_FIELD_INVALID with a detail. */
int call_page(struct call *call, uint64_t from_default, struct page *ret_page);
/* Ends a list: "next" is the number to go on from, null when that was all. */
void call_next(struct call *call, bool more, uint64_t next);

/* Text out of a request for a message to people: printable ASCII, cut. */
struct quoted {
    char text[XD_NAME_BYTES_MAX + 1];
};
struct quoted quote(struct xd_text text);

/* Name of a facility by number, empty for the global one. */
struct xd_text facility_name(const struct catalog *catalog, uint32_t number);
/* A facility by the name in an argument: its number, or XD_NOT_FOUND with a detail. */
int64_t call_facility(struct call *call, struct xd_text name);
/* A topic by name, or NULL with a detail. */
const struct topic *call_topic(struct call *call, struct xd_text name);
/* Bytes of the fixed arrays in the catalog and in sessions as text. */
struct xd_text text_span(const char *data, uint32_t bytes);
/* Writes the object that an entry stands for as an element without a key. */
void catalog_object(struct writer *out, const struct catalog *catalog,
                    const struct control_config *entry, bool dry_run);

#endif
