/* SPDX-License-Identifier: Apache-2.0
 *
 * Verbs on sources: what has arrived of every channel's numbering, and what is missing of it. Only
 * what is durable is told; a channel whose first entry is not durable yet is not there.
 */
#include "broker/admin/verbs.h"
#include "wire/status.h"
#include "wire/xassert.h"

#include <stdio.h>
#include <string.h>

static bool same(struct xd_text a, struct xd_text b)
{
    return a.bytes == b.bytes && memcmp(a.data, b.data, a.bytes) == 0;
}

static struct xd_text source_of(const struct channel *channel)
{
    return text_span(channel->source, channel->source_bytes);
}

static struct xd_text name_of(const struct channel *channel)
{
    return text_span(channel->name, channel->name_bytes);
}

static bool durable(const struct channel *channel)
{
    return channel->applied_channel_epoch != 0;
}

/* Sequences between the first and the last that no durable record carries. A source that gives one
 * sequence to records of two partitions hides as many gaps. */
static uint64_t missing_of(const struct channel *channel)
{
    if (channel->first_sequence == 0)
        return 0;
    XD_ASSERT(channel->last_sequence >= channel->first_sequence);
    uint64_t span = channel->last_sequence - channel->first_sequence + 1;
    return span > channel->record_count ? span - channel->record_count : 0;
}

/* The members of a channel; its object is opened and closed by the caller. */
static void channel_members(struct call *call, const struct channel *channel)
{
    struct writer *out = call->out;
    writer_text(out, "source", source_of(channel));
    writer_text(out, "channel", name_of(channel));
    writer_number(out, "number", channel->number);
    writer_text(out, "facility", facility_name(call->view->catalog, channel->facility));
    writer_number(out, "channel_epoch", channel->applied_channel_epoch);
    writer_number(out, "producer_epoch", channel->applied_producer_epoch);
    writer_number(out, "first_sequence", channel->first_sequence);
    writer_number(out, "last_sequence", channel->last_sequence);
    writer_number(out, "records", channel->record_count);
    writer_number(out, "missing", missing_of(channel));
    writer_number(out, "low_sequence", channel->low);
    writer_time(out, "last_append_time", channel->append_time_us);
}

int verb_source_list(struct call *call)
{
    const struct sessions *sessions = call->view->sessions;
    struct xd_text source = arguments_text(call->arguments, "source", "");
    struct page page;
    int status = call_page(call, 1, &page);
    if (status < 0)
        return status;
    uint64_t first = session_number(sessions, 0), rows = 0, next = 0;
    bool more = false;
    writer_object(call->out, NULL);
    writer_array(call->out, "channels");
    for (uint64_t n = page.from < first ? first : page.from;
         n - first < sessions->channel_count && !more; n++) {
        const struct channel *channel = &sessions->channels[n - first];
        if (!durable(channel) || (source.bytes > 0 && !same(source, source_of(channel))))
            continue;
        if (rows == page.limit) {
            more = true;
            next = n;
            continue;
        }
        writer_object(call->out, NULL);
        channel_members(call, channel);
        writer_object_end(call->out);
        rows++;
    }
    writer_array_end(call->out);
    call_next(call, more, next);
    writer_object_end(call->out);
    return 0;
}

/* ---- show ------------------------------------------------------------------------------------ */

/* The source feeds other facilities than the one that was named. */
static int not_fed(struct call *call, struct xd_text source, struct xd_text facility)
{
    const struct sessions *sessions = call->view->sessions;
    struct suggest suggest;
    suggest_init(&suggest, facility);
    for (uint32_t i = 0; i < sessions->channel_count; i++) {
        const struct channel *channel = &sessions->channels[i];
        if (durable(channel) && same(source, source_of(channel)))
            suggest_offer(&suggest, facility_name(call->view->catalog, channel->facility));
    }
    snprintf(call->detail, XD_DETAIL_BYTES_MAX,
             "facility: no such channel of source '%s' feeds '%s'", quote(source).text,
             quote(facility).text);
    suggest_append(&suggest, call->detail);
    return XD_NOT_FOUND;
}

static int not_found(struct call *call, struct xd_text source, struct xd_text name, bool known)
{
    const struct sessions *sessions = call->view->sessions;
    struct suggest suggest;
    suggest_init(&suggest, known ? name : source);
    for (uint32_t i = 0; i < sessions->channel_count; i++) {
        const struct channel *channel = &sessions->channels[i];
        if (!durable(channel))
            continue;
        if (!known)
            suggest_offer(&suggest, source_of(channel));
        else if (same(source, source_of(channel)))
            suggest_offer(&suggest, name_of(channel));
    }
    if (known)
        snprintf(call->detail, XD_DETAIL_BYTES_MAX, "source '%s' has no channel '%s'",
                 quote(source).text, quote(name).text);
    else
        snprintf(call->detail, XD_DETAIL_BYTES_MAX, "source '%s' is not known", quote(source).text);
    suggest_append(&suggest, call->detail);
    return XD_NOT_FOUND;
}

/* The channel that "source", "channel" and "facility" mean. 0, XD_NOT_FOUND, or XD_FIELD_INVALID
 * when several could be meant. */
static int find_channel(struct call *call, const struct channel **ret_channel)
{
    const struct sessions *sessions = call->view->sessions;
    struct xd_text source = arguments_text(call->arguments, "source", "");
    struct xd_text name = arguments_text(call->arguments, "channel", "");
    struct xd_text facility = arguments_text(call->arguments, "facility", "");
    bool any = !arguments_given(call->arguments, "channel");
    bool anywhere = !arguments_given(call->arguments, "facility");
    const struct channel *found = NULL;
    uint32_t of_source = 0, of_name = 0, count = 0;
    for (uint32_t i = 0; i < sessions->channel_count; i++) {
        const struct channel *channel = &sessions->channels[i];
        if (!durable(channel) || !same(source, source_of(channel)))
            continue;
        of_source++;
        if (!any && !same(name, name_of(channel)))
            continue;
        of_name++;
        if (anywhere || same(facility, facility_name(call->view->catalog, channel->facility))) {
            found = channel;
            count++;
        }
    }
    if (of_name == 0)
        return not_found(call, source, name, of_source > 0);
    if (count == 0)
        return not_fed(call, source, facility);
    if (count > 1) {
        snprintf(call->detail, XD_DETAIL_BYTES_MAX,
                 "%s: source '%s' has %u channels%s; name one, 'source list' shows them",
                 any ? "channel" : "facility", quote(source).text, count,
                 any ? "" : " of that name");
        return XD_FIELD_INVALID;
    }
    *ret_channel = found;
    return 0;
}

static void chain_row(struct call *call, const struct chain *chain)
{
    const struct catalog *catalog = call->view->catalog;
    XD_ASSERT(chain->partition < catalog->partition_count);
    const struct partition *partition = &catalog->partitions[chain->partition];
    const struct topic *topic = catalog_topic(catalog, partition->topic);
    writer_object(call->out, NULL);
    writer_number(call->out, "partition", chain->partition);
    writer_text(call->out, "topic", text_span(topic->name, topic->name_bytes));
    writer_number(call->out, "bucket", chain->partition - partition->base);
    writer_number(call->out, "last_sequence", chain->applied_last);
    writer_number(call->out, "last_offset", chain->applied_offset);
    writer_object_end(call->out);
}

/* The first chains of a page in rising partition number, and the one behind them. */
struct chain_page {
    const struct chain *chains[VERBS_ROWS_MAX + 1u];
    uint32_t count;
};

static void chain_page_add(struct chain_page *page, uint32_t count_max, const struct chain *chain)
{
    if (page->count == count_max) {
        if (page->chains[count_max - 1]->partition < chain->partition)
            return;
        page->count--;
    }
    uint32_t at = page->count++;
    while (at > 0 && page->chains[at - 1]->partition > chain->partition) {
        page->chains[at] = page->chains[at - 1];
        at--;
    }
    page->chains[at] = chain;
}

/* Chains are linked in the sequence of their first batch; those of an older numbering are left out.
 */
static void chain_page_fill(struct chain_page *page, const struct sessions *sessions,
                            const struct channel *channel, const struct page *wanted)
{
    page->count = 0;
    for (uint32_t at = channel->first_chain; at != 0; at = sessions->chains[at - 1].next_chain) {
        const struct chain *chain = &sessions->chains[at - 1];
        XD_ASSERT(chain->channel == channel->number);
        if (chain->applied_epoch == channel->applied_channel_epoch &&
            chain->partition >= wanted->from)
            chain_page_add(page, (uint32_t)wanted->limit + 1, chain);
    }
}

int verb_source_show(struct call *call)
{
    const struct channel *channel;
    struct chain_page chains;
    struct page page;
    int status = call_page(call, 0, &page);
    if (status == 0)
        status = find_channel(call, &channel);
    if (status < 0)
        return status;
    chain_page_fill(&chains, call->view->sessions, channel, &page);
    bool more = chains.count > page.limit;
    uint32_t rows = more ? (uint32_t)page.limit : chains.count;
    writer_object(call->out, NULL);
    channel_members(call, channel);
    writer_array(call->out, "chains");
    for (uint32_t i = 0; i < rows; i++)
        chain_row(call, chains.chains[i]);
    writer_array_end(call->out);
    call_next(call, more, more ? chains.chains[rows]->partition : 0);
    writer_object_end(call->out);
    return 0;
}
