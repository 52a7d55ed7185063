/* SPDX-License-Identifier: Apache-2.0
 *
 * The dispatcher: finds the verb, checks its arguments, runs it into the caller's buffer.
 */
#include "broker/admin/admin.h"

#include "broker/admin/verbs.h"
#include "wire/status.h"
#include "wire/xassert.h"

#include <stdio.h>
#include <string.h>

static int (*const handlers[])(struct call *call) = {
#define VERB(id, name, changes, text) verb_##id,
#define ARGUMENT(verb, name, kind, required, text)
#include "broker/admin/verbs.def"
#undef VERB
#undef ARGUMENT
};
static_assert(sizeof handlers / sizeof handlers[0] == VERB_COUNT, "one handler per verb");

const char *admin_state_name(enum admin_state state)
{
    static const char *const names[] = {"running", "throttling", "read_only", "fenced", "draining"};
    static_assert(sizeof names / sizeof names[0] == ADMIN_STATE_COUNT, "one name per state");
    XD_ASSERT(state < ADMIN_STATE_COUNT);
    return names[state];
}

/* Number of the verb, or XD_NOT_FOUND with the nearest one in the detail. */
static int find_verb(struct xd_text name, char *detail)
{
    struct suggest suggest;
    suggest_init(&suggest, name);
    for (unsigned i = 0; i < VERB_COUNT; i++) {
        struct xd_text known = suggest_text(admin_verb_at(i)->name);
        if (known.bytes == name.bytes && memcmp(known.data, name.data, name.bytes) == 0)
            return (int)i;
        suggest_offer(&suggest, known);
    }
    snprintf(detail, XD_DETAIL_BYTES_MAX, "verb '%s' is not known; 'verbs' lists them all",
             quote(name).text);
    suggest_append(&suggest, detail);
    return XD_NOT_FOUND;
}

/* The value of argument "shard", or `none` when the verb has none or it was not given. */
static uint64_t shard_of(const struct arguments *arguments, uint64_t none)
{
    for (uint32_t i = 0; i < arguments->count; i++)
        if (arguments->values[i].given && strcmp(arguments->values[i].name, "shard") == 0)
            return arguments->values[i].number;
    return none;
}

uint32_t admin_shard(const struct xd_admin_request *request, uint32_t here, uint32_t shard_count)
{
    struct arguments arguments;
    char detail[XD_DETAIL_BYTES_MAX];
    int verb = find_verb(request->verb, detail);
    if (verb < 0 || arguments_parse((unsigned)verb, request->json, &arguments, detail) < 0)
        return here;
    uint64_t shard = shard_of(&arguments, here);
    arguments_release(&arguments);
    if (admin_verb_at((unsigned)verb)->changes)
        return 0;
    return shard < shard_count ? (uint32_t)shard : here;
}

int admin_run(const struct admin_view *view, const struct xd_admin_request *request, char *out,
              uint32_t out_bytes, struct admin_result *ret_result, char *detail)
{
    struct arguments arguments;
    struct admin_result result = {0};
    struct writer writer;
    XD_ASSERT(out_bytes >= XD_ADMIN_REPLY_BYTES_MAX);
    detail[0] = '\0';
    int verb = find_verb(request->verb, detail);
    if (verb < 0)
        return verb;
    int status = arguments_parse((unsigned)verb, request->json, &arguments, detail);
    if (status < 0)
        return status;
    if (shard_of(&arguments, view->shard) != view->shard) {
        snprintf(detail, XD_DETAIL_BYTES_MAX, "shard: this broker has %u, from number 0",
                 view->shard_count);
        arguments_release(&arguments);
        return XD_FIELD_INVALID;
    }

    writer_init(&writer, out, XD_ADMIN_REPLY_BYTES_MAX);
    struct call call = {
        .view = view, .arguments = &arguments, .out = &writer, .result = &result, .detail = detail};
    status = handlers[verb](&call);
    arguments_release(&arguments);
    if (status < 0)
        return status;
    XD_ASSERT(!result.append || admin_verb_at((unsigned)verb)->changes);
    XD_ASSERT(result.append == (writer.used == 0));
    result.json_bytes = writer_finish(&writer);
    *ret_result = result;
    return 0;
}

uint32_t admin_render_entry(const struct admin_view *view, const struct control_config *entry,
                            char *out, uint32_t out_bytes)
{
    struct writer writer;
    writer_init(&writer, out, out_bytes);
    catalog_object(&writer, view->catalog, entry, false);
    return writer_finish(&writer);
}
