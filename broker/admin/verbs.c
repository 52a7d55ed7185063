/* SPDX-License-Identifier: Apache-2.0
 *
 * The verb table as data, and what handlers of all nouns share.
 */
#include "broker/admin/verbs.h"

#include "wire/status.h"
#include "wire/xassert.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static const struct admin_verb_row verb_rows[] = {
#define VERB(id, name, changes, text) {name, text, changes},
#define ARGUMENT(verb, name, kind, required, text)
#include "broker/admin/verbs.def"
#undef VERB
#undef ARGUMENT
};
static_assert(sizeof verb_rows / sizeof verb_rows[0] == VERB_COUNT, "one row per verb");

/* Arguments of all verbs; those of one verb stand together, in the sequence of the table. */
static const struct {
    enum verb verb;
    struct admin_argument_row row;
} argument_rows[] = {
#define VERB(id, name, changes, text)
#define ARGUMENT(verb, name, kind, required, text)                                                 \
    {VERB_##verb, {name, text, ADMIN_ARGUMENT_##kind, required}},
#include "broker/admin/verbs.def"
#undef VERB
#undef ARGUMENT
};

const struct admin_verb_row *admin_verb_at(unsigned row)
{
    return row < VERB_COUNT ? &verb_rows[row] : NULL;
}

const struct admin_argument_row *admin_argument_at(unsigned row, unsigned argument)
{
    unsigned number = 0;
    for (unsigned i = 0; i < sizeof argument_rows / sizeof argument_rows[0]; i++)
        if (argument_rows[i].verb == row && number++ == argument)
            return &argument_rows[i].row;
    return NULL;
}

int call_page(struct call *call, uint64_t from_default, struct page *ret_page)
{
    struct page page = {.from = arguments_number(call->arguments, "from", from_default),
                        .limit = arguments_number(call->arguments, "limit", VERBS_ROWS_MAX)};
    if (page.limit < 1 || page.limit > VERBS_ROWS_MAX) {
        snprintf(call->detail, XD_DETAIL_BYTES_MAX, "limit: %" PRIu64 " is not in 1..%u",
                 page.limit, VERBS_ROWS_MAX);
        return XD_FIELD_INVALID;
    }
    *ret_page = page;
    return 0;
}

void call_next(struct call *call, bool more, uint64_t next)
{
    if (more)
        writer_number(call->out, "next", next);
    else
        writer_null(call->out, "next");
}

struct quoted quote(struct xd_text text)
{
    struct quoted quoted = {.text = ""};
    uint32_t bytes = text.bytes < XD_NAME_BYTES_MAX ? text.bytes : XD_NAME_BYTES_MAX;
    for (uint32_t i = 0; i < bytes; i++)
        quoted.text[i] = text.data[i] >= 0x20 && text.data[i] < 0x7f ? text.data[i] : '?';
    return quoted;
}

struct xd_text text_span(const char *data, uint32_t bytes)
{
    XD_ASSERT(bytes <= XD_NAME_BYTES_MAX);
    return (struct xd_text){data, bytes};
}

struct xd_text facility_name(const struct catalog *catalog, uint32_t number)
{
    if (number == 0)
        return text_span("", 0);
    const struct facility *facility = catalog_facility(catalog, number);
    XD_ASSERT(facility != NULL);
    return text_span(facility->name, facility->name_bytes);
}

int64_t call_facility(struct call *call, struct xd_text name)
{
    const struct catalog *catalog = call->view->catalog;
    int64_t number = catalog_facility_find(catalog, name);
    if (number >= 0)
        return number;
    struct suggest suggest;
    suggest_init(&suggest, name);
    for (uint32_t i = 1; i <= catalog->facility_count; i++)
        suggest_offer(&suggest, facility_name(catalog, i));
    snprintf(call->detail, XD_DETAIL_BYTES_MAX, "facility '%s' is not known", quote(name).text);
    suggest_append(&suggest, call->detail);
    return XD_NOT_FOUND;
}

const struct topic *call_topic(struct call *call, struct xd_text name)
{
    const struct catalog *catalog = call->view->catalog;
    const struct topic *topic = catalog_topic_find(catalog, name);
    if (topic != NULL)
        return topic;
    struct suggest suggest;
    suggest_init(&suggest, name);
    for (uint32_t i = 0; i < catalog->topic_count; i++)
        suggest_offer(&suggest, text_span(catalog->topics[i].name, catalog->topics[i].name_bytes));
    snprintf(call->detail, XD_DETAIL_BYTES_MAX, "topic '%s' is not known", quote(name).text);
    suggest_append(&suggest, call->detail);
    return NULL;
}
