/* SPDX-License-Identifier: Apache-2.0
 *
 * The connection; see session.h.
 */
#include "tools/crossdock/session.h"

#include "tools/crossdock/names.h"
#include "tools/crossdock/values.h"

#include <crossdock/crossdock.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Pages of one list; the broker's tables are far smaller. */
#define PAGES_MAX 1000u
#define CLOSE_MS 1000u

static int set_option(struct tool *tool, xdock_options_t *options, const char *name,
                      const char *value)
{
    int status = value != NULL ? xdock_options_set(options, name, value) : 0;
    if (status < 0)
        snprintf(tool->detail, sizeof tool->detail, "%s", xdock_options_error(options));
    return status;
}

/* What this program wants unless a file or the environment says otherwise: one producer for each
 * facility of a file must not take 32 MiB. */
static int set_defaults(struct tool *tool, xdock_options_t *options)
{
    int status = set_option(tool, options, "client.name", "crossdock");
    if (status == 0)
        status = set_option(tool, options, "producer.buffer_bytes", "4MiB");
    return status;
}

static int load_options(struct tool *tool, xdock_options_t *options)
{
    int status = set_defaults(tool, options);
    if (status < 0)
        return status;
    status = xdock_options_load(options, NULL, tool_option(tool, "profile"));
    if (status < 0) {
        snprintf(tool->detail, sizeof tool->detail, "%s", xdock_options_error(options));
        if (strstr(tool->detail, "there is no section") != NULL)
            names_suggest(tool, NAMES_PROFILE, tool_option(tool, "profile"));
        return status == -ENOENT ? XDOCK_OPTION_INVALID : status;
    }
    return set_option(tool, options, "address", tool_option(tool, "address"));
}

int session_open(struct tool *tool)
{
    xdock_options_t *options = NULL;
    if (tool->client != NULL)
        return 0;
    int status = xdock_options_init(&options);
    if (status == 0)
        status = load_options(tool, options);
    if (status == 0) {
        if (tool->verbose)
            fprintf(stderr, "crossdock: connecting to %s\n", xdock_options_get(options, "address"));
        status = xdock_client_open(options, tool->timeout_ms, &tool->client, tool->detail,
                                   sizeof tool->detail);
    }
    xdock_options_free(&options);
    if (tool_interrupted() && status < 0)
        status = -EINTR;
    return status;
}

void session_close(struct tool *tool)
{
    xdock_client_close(&tool->client, CLOSE_MS); /* producers have been closed before */
    tool->shards = 0;
}

int session_failed(struct tool *tool, int status)
{
    const char *text = xdock_client_error(tool->client), *name = xdock_status_name(status);
    size_t bytes = strlen(name);
    if (strncmp(text, name, bytes) == 0 && strncmp(text + bytes, ": ", 2) == 0)
        text += bytes + 2; /* the report names the status itself */
    snprintf(tool->detail, sizeof tool->detail, "%s", text);
    return status;
}

static int call(struct tool *tool, const char *verb, const json_t *arguments, json_t **ret_reply)
{
    json_error_t error;
    const char *reply = NULL;
    char *text = arguments != NULL ? json_dumps(arguments, JSON_COMPACT) : NULL;
    if (arguments != NULL && text == NULL)
        return -ENOMEM;
    if (tool->verbose)
        fprintf(stderr, "crossdock: %s %s\n", verb, text != NULL ? text : "");
    int status = xdock_admin_call(tool->client, verb, text, tool->timeout_ms, &reply);
    free(text);
    if (status < 0)
        return tool_interrupted() ? -EINTR : session_failed(tool, status);
    json_t *tree = json_loads(reply, JSON_REJECT_DUPLICATES, &error);
    if (tree == NULL) {
        snprintf(tool->detail, sizeof tool->detail, "the reply to '%s' is no JSON: %s", verb,
                 error.text);
        return XDOCK_FRAME_MALFORMED;
    }
    *ret_reply = tree;
    return 0;
}

int session_call(struct tool *tool, const char *verb, json_t *arguments, json_t **ret_reply)
{
    int status = session_open(tool);
    if (status == 0)
        status = call(tool, verb, arguments, ret_reply);
    json_decref(arguments);
    return status;
}

int session_call_all(struct tool *tool, const char *verb, const char *rows, json_t *arguments,
                     json_t **ret_reply)
{
    json_t *all = NULL, *page = NULL;
    json_t *wanted = arguments != NULL ? arguments : json_object();
    int status = session_open(tool);
    for (unsigned i = 0; status == 0 && i < PAGES_MAX; i++) {
        status = call(tool, verb, wanted, &page);
        if (status < 0)
            break;
        json_t *next = json_incref(json_object_get(page, "next"));
        json_object_del(page, "next");
        if (all == NULL)
            all = page;
        else {
            json_array_extend(json_object_get(all, rows), json_object_get(page, rows));
            json_decref(page);
        }
        if (!json_is_integer(next)) {
            json_decref(next);
            break;
        }
        json_object_set_new(wanted, "from", next);
    }
    json_decref(wanted);
    if (status < 0) {
        json_decref(all);
        return status;
    }
    *ret_reply = all;
    return 0;
}

void argument_text(json_t *arguments, const char *name, const char *value)
{
    if (value != NULL)
        json_object_set_new(arguments, name, json_string(value));
}

int argument_number(struct tool *tool, json_t *arguments, const char *name, const char *value)
{
    uint64_t number;
    if (value == NULL)
        return 0;
    if (value_number(value, INT64_MAX, &number) < 0) {
        snprintf(tool->detail, sizeof tool->detail, "--%s: '%s' is not a number", name, value);
        return XDOCK_OPTION_INVALID;
    }
    json_object_set_new(arguments, name, json_integer((json_int_t)number));
    return 0;
}
