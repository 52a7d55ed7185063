/* SPDX-License-Identifier: Apache-2.0
 *
 * Filters of `read`; see filter.h. What stands in the record is compared first, names of channels
 * last, because those may have to be asked for.
 */
#include "tools/crossdock/filter.h"

#include "tools/crossdock/values.h"

#include <crossdock/status.h>
#include <stdio.h>
#include <string.h>

#define SCRATCH_BYTES 32u

static int take_time(struct tool *tool, const char *option, int64_t *ret_us)
{
    const char *text = tool_option(tool, option);
    if (text == NULL || value_time_us(text, ret_us) == 0)
        return 0;
    snprintf(tool->detail, sizeof tool->detail,
             "--%s: '%s' is not a time, such as 2026-11-24T06:00Z", option, text);
    return XDOCK_OPTION_INVALID;
}

int filter_init(struct filter *filter, struct tool *tool)
{
    *filter = (struct filter){.order = tool_option(tool, "order"),
                              .document = tool_option(tool, "document"),
                              .handling_unit = tool_option(tool, "handling-unit"),
                              .lot = tool_option(tool, "lot"),
                              .business_key = tool_option(tool, "business-key"),
                              .source = tool_option(tool, "source"),
                              .channel = tool_option(tool, "channel"),
                              .event_from_us = INT64_MIN,
                              .event_to_us = INT64_MAX};
    int status = take_time(tool, "event-from", &filter->event_from_us);
    return status < 0 ? status : take_time(tool, "event-to", &filter->event_to_us);
}

static bool equals(const char *wanted, xdock_bytes_t text)
{
    return strlen(wanted) == text.bytes && memcmp(wanted, text.data, text.bytes) == 0;
}

static bool document_passes(const struct filter *filter, const xdock_view_t *view)
{
    char scratch[SCRATCH_BYTES];
    if (filter->order == NULL && filter->document == NULL)
        return true;
    xdock_bytes_t document = xdock_view_document(view, scratch);
    if (filter->order != NULL &&
        (view->document_type != XDOCK_DOC_SALES_ORDER || !equals(filter->order, document)))
        return false;
    return filter->document == NULL || equals(filter->document, document);
}

bool filter_passes(const struct filter *filter, struct channels *channels, const xdock_view_t *view)
{
    char scratch[SCRATCH_BYTES];
    if (view->event_time_us < filter->event_from_us || view->event_time_us >= filter->event_to_us)
        return false;
    if (!document_passes(filter, view))
        return false;
    if (filter->lot != NULL && !equals(filter->lot, xdock_view_lot(view, scratch)))
        return false;
    if (filter->handling_unit != NULL &&
        !equals(filter->handling_unit, xdock_view_handling_unit(view, scratch)) &&
        !equals(filter->handling_unit, xdock_view_handling_unit_to(view, scratch)))
        return false;
    if (filter->business_key != NULL &&
        !equals(filter->business_key, xdock_view_business_key(view)))
        return false;
    if (filter->source != NULL &&
        strcmp(filter->source, channels_source(channels, view->channel)) != 0)
        return false;
    return filter->channel == NULL ||
           strcmp(filter->channel, channels_name(channels, view->channel)) == 0;
}
