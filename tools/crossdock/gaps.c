/* SPDX-License-Identifier: Apache-2.0
 *
 * `crossdock source gaps`: which numbers of a channel have not come.
 *
 * Normal path: the broker's counts say that nothing is missing, and nothing is read. Otherwise
 * every partition that the channel has sent to is read once, and the numbers are kept as ranges.
 * Failure paths: numbers older than what retention keeps cannot be told from missing ones; the
 * report then says from where on it is true. More ranges than fit end the verb with a status.
 */
#include "tools/crossdock/gaps.h"

#include "tools/crossdock/names.h"
#include "tools/crossdock/report.h"
#include "tools/crossdock/run.h"
#include "tools/crossdock/session.h"
#include "tools/crossdock/shards.h"

#include <crossdock/crossdock.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define STEP_MS 250u
/* Gaps that the report holds; the others are counted. */
#define GAPS_MAX 10000u

/* The channel, as the broker tells it. */
struct wanted {
    const char *facility; /* borrowed from the reply */
    uint64_t number;      /* registry number */
    uint64_t epoch;       /* channel epoch whose numbers count */
    uint64_t first;       /* first sequence */
    uint64_t last;        /* last sequence */
    uint64_t missing;     /* by the broker's count */
    uint64_t removed;     /* partitions whose first records retention has removed */
};

static uint64_t number_of(const json_t *reply, const char *member)
{
    json_int_t number = json_integer_value(json_object_get(reply, member));
    return number > 0 ? (uint64_t)number : 0;
}

/* Reads one partition to its present end. 0 or a status. */
static int read_partition(struct tool *tool, xdock_reader_t *reader, struct wanted *wanted,
                          struct ranges *ranges)
{
    const xdock_view_t *view;
    uint32_t silent_ms = 0;
    bool first = true;
    while (xdock_reader_at_end(reader) != 1) {
        if (tool_interrupted())
            return -EINTR;
        int count = xdock_reader_poll(reader, STEP_MS);
        if (count < 0 && count != XDOCK_OFFSET_GONE)
            return session_failed(tool, count);
        while ((view = xdock_reader_next(reader)) != NULL) {
            if (first && view->offset > 0)
                wanted->removed++;
            first = false;
            if (view->channel == wanted->number && view->channel_epoch == wanted->epoch)
                ranges_add(ranges, view->sequence);
        }
        silent_ms = count != 0 ? 0 : silent_ms + STEP_MS;
        if (silent_ms >= tool->timeout_ms)
            return XDOCK_DEADLINE_EXCEEDED;
    }
    wanted->removed += first; /* the channel did send here */
    return 0;
}

static int read_chain(struct tool *tool, const json_t *chain, struct wanted *wanted,
                      struct ranges *ranges)
{
    xdock_reader_t *reader = NULL;
    xdock_selection_t selection = {.struct_bytes = sizeof selection,
                                   .from = XDOCK_FROM_BEGIN,
                                   .topic = json_string_value(json_object_get(chain, "topic")),
                                   .facility =
                                       wanted->facility[0] != '\0' ? wanted->facility : NULL,
                                   .partition = (int32_t)number_of(chain, "partition")};
    int status = xdock_reader_open(tool->client, &selection, tool->timeout_ms, &reader);
    if (status < 0)
        return session_failed(tool, status);
    status = read_partition(tool, reader, wanted, ranges);
    xdock_reader_close(&reader);
    return status;
}

static json_t *gaps_of(const struct ranges *ranges, const struct wanted *wanted,
                       uint64_t *ret_missing)
{
    json_t *gaps = json_array();
    struct range gap;
    *ret_missing = 0;
    for (uint32_t i = 0; ranges_gap(ranges, wanted->first, wanted->last, i, &gap) == 0; i++) {
        uint64_t count = gap.last - gap.first + 1;
        *ret_missing += count;
        if (i < GAPS_MAX)
            json_array_append_new(gaps, json_pack("{s:I, s:I, s:I}", "first", (json_int_t)gap.first,
                                                  "last", (json_int_t)gap.last, "count",
                                                  (json_int_t)count));
    }
    return gaps;
}

static struct wanted wanted_of(const json_t *reply)
{
    const char *facility = json_string_value(json_object_get(reply, "facility"));
    return (struct wanted){.facility = facility != NULL ? facility : "",
                           .number = number_of(reply, "number"),
                           .epoch = number_of(reply, "channel_epoch"),
                           .first = number_of(reply, "first_sequence"),
                           .last = number_of(reply, "last_sequence"),
                           .missing = number_of(reply, "missing")};
}

/* Reads every chain of a reply to "source show". */
static int read_chains(struct tool *tool, const json_t *reply, struct wanted *wanted,
                       struct ranges *ranges)
{
    size_t index;
    json_t *chain;
    int status = 0;
    json_array_foreach(json_object_get(reply, "chains"), index, chain)
    {
        if (status == 0)
            status = read_chain(tool, chain, wanted, ranges);
    }
    if (status == 0 && ranges->full) {
        snprintf(tool->detail, sizeof tool->detail, "the numbers lie in more than %u ranges",
                 RANGES_MAX);
        status = -E2BIG;
    }
    return status;
}

int gaps_collect(struct tool *tool, const struct channel_name *name, struct ranges *ranges)
{
    json_t *reply;
    int status = shards_find_channel(tool, name, &reply);
    if (status < 0)
        return status == XDOCK_NOT_FOUND ? 0 : status;
    struct wanted wanted = wanted_of(reply);
    status = read_chains(tool, reply, &wanted, ranges);
    json_decref(reply);
    return status;
}

static int collect(struct tool *tool, const json_t *reply, struct wanted *wanted, json_t **ret_gaps,
                   uint64_t *ret_missing)
{
    struct ranges ranges;
    int status = ranges_init(&ranges);
    if (status == 0)
        status = read_chains(tool, reply, wanted, &ranges);
    if (status == 0)
        *ret_gaps = gaps_of(&ranges, wanted, ret_missing);
    ranges_deinit(&ranges);
    return status;
}

int run_source_gaps(struct tool *tool)
{
    static const struct report_view view = {"gaps", "first,last,count", ""};
    const struct channel_name name = {tool_argument(tool, 0), tool_argument(tool, 1),
                                      tool_option(tool, "facility")};
    json_t *reply, *gaps = NULL;
    uint64_t missing = 0;
    int status = shards_find_channel(tool, &name, &reply);
    if (status == XDOCK_NOT_FOUND)
        names_suggest(tool, NAMES_SOURCE, tool_argument(tool, 0));
    if (status < 0)
        return report_failure(tool, status, NULL);
    struct wanted wanted = wanted_of(reply);
    if (wanted.missing > 0)
        status = collect(tool, reply, &wanted, &gaps, &missing);
    if (status == 0) {
        json_t *data = json_pack(
            "{s:O, s:O, s:O, s:I, s:I, s:O, s:I, s:b, s:o}", "source",
            json_object_get(reply, "source"), "channel", json_object_get(reply, "channel"),
            "facility", json_object_get(reply, "facility"), "first_sequence",
            (json_int_t)wanted.first, "last_sequence", (json_int_t)wanted.last, "records",
            json_object_get(reply, "records"), "missing", (json_int_t)missing, "complete",
            wanted.removed == 0, "gaps", gaps != NULL ? gaps : json_array());
        if (wanted.removed > 0)
            fprintf(stderr,
                    "crossdock: retention has removed records of %" PRIu64 " partitions; "
                    "their numbers are shown as missing, the broker counts %" PRIu64 "\n",
                    wanted.removed, wanted.missing);
        status = report_data(tool, &view, data);
    } else {
        status = report_failure(tool, status, NULL);
    }
    json_decref(reply);
    return status;
}
