/* SPDX-License-Identifier: Apache-2.0
 *
 * Verb "partition list": offsets of every partition that this shard owns, in pages.
 */
#include "broker/admin/verbs.h"
#include "wire/status.h"
#include "wire/xassert.h"

/* What to leave out; UINT32_MAX = nothing. */
struct filter {
    uint32_t topic;    /* registry number */
    uint32_t facility; /* registry number */
};

static int read_filter(struct call *call, struct filter *ret_filter)
{
    struct filter filter = {UINT32_MAX, UINT32_MAX};
    if (arguments_given(call->arguments, "topic")) {
        const struct topic *topic = call_topic(call, arguments_text(call->arguments, "topic", ""));
        if (topic == NULL)
            return XD_NOT_FOUND;
        filter.topic = topic->number;
    }
    if (arguments_given(call->arguments, "facility")) {
        int64_t number = call_facility(call, arguments_text(call->arguments, "facility", ""));
        if (number < 0)
            return (int)number;
        filter.facility = (uint32_t)number;
    }
    *ret_filter = filter;
    return 0;
}

static bool passes(const struct admin_view *view, const struct filter *filter,
                   const struct partition *partition)
{
    return catalog_shard(view->catalog, partition->facility) == view->shard &&
           (filter->topic == UINT32_MAX || filter->topic == partition->topic) &&
           (filter->facility == UINT32_MAX || filter->facility == partition->facility);
}

static void row(struct call *call, uint32_t number)
{
    const struct catalog *catalog = call->view->catalog;
    const struct partition *partition = &catalog->partitions[number];
    const struct topic *topic = catalog_topic(catalog, partition->topic);
    uint64_t first, end;
    log_bounds(call->view->log, number, &first, &end);
    XD_ASSERT(first <= end);
    XD_ASSERT(partition->base <= number && number - partition->base < partition->width);
    writer_object(call->out, NULL);
    writer_number(call->out, "partition", number);
    writer_text(call->out, "topic", text_span(topic->name, topic->name_bytes));
    writer_text(call->out, "facility", facility_name(catalog, partition->facility));
    writer_number(call->out, "bucket", number - partition->base);
    writer_number(call->out, "first_offset", first);
    writer_number(call->out, "end_offset", partition->durable);
    writer_number(call->out, "records_bytes", partition->record_bytes);
    writer_time(call->out, "last_append_time", partition->durable_time_us);
    writer_object_end(call->out);
}

int verb_partition_list(struct call *call)
{
    const struct catalog *catalog = call->view->catalog;
    struct filter filter = {UINT32_MAX, UINT32_MAX};
    struct page page;
    int status = call_page(call, 0, &page);
    if (status == 0)
        status = read_filter(call, &filter);
    if (status < 0)
        return status;
    uint64_t number = page.from, rows = 0, next = 0;
    bool more = false;
    writer_object(call->out, NULL);
    writer_array(call->out, "partitions");
    for (; number < catalog->partition_count && !more; number++) {
        if (!passes(call->view, &filter, &catalog->partitions[number]))
            continue;
        if (rows == page.limit) {
            more = true;
            next = number;
        } else {
            row(call, (uint32_t)number);
            rows++;
        }
    }
    writer_array_end(call->out);
    call_next(call, more, next);
    writer_object_end(call->out);
    return 0;
}
