/* SPDX-License-Identifier: Apache-2.0
 *
 * Imports; see import.h.
 */
#include "tools/crossdock/import.h"

#include "tools/crossdock/digest.h"
#include "tools/crossdock/gaps.h"
#include "tools/crossdock/names.h"
#include "tools/crossdock/session.h"
#include "tools/crossdock/shards.h"

#include <crossdock/status.h>
#include <errno.h>
#include <inttypes.h>
#include <string.h>

/* Outcomes are taken in rows of this many. */
#define ACKS_MAX 256u
/* One wait for room or outcomes; signals are looked at in between. */
#define STEP_MS 200u
/* Time for what is under way after an interruption. */
#define INTERRUPTED_MS 3000u

/* ---- wrong lines ----------------------------------------------------------------------------- */

static void note(struct import *import, uint64_t line, const char *field, int status,
                 const char *text)
{
    import->rejected++;
    progress_clear(&import->progress);
    fprintf(stderr, "crossdock: %s:%" PRIu64 ": %s%s%s\n", import->path, line, field,
            field[0] != '\0' ? ": " : "", text);
    if (json_array_size(import->errors) < IMPORT_ERRORS_MAX)
        json_array_append_new(import->errors,
                              json_pack("{s:I, s:s, s:s, s:s}", "line", (json_int_t)line, "field",
                                        field, "name", xdock_status_name(status), "text", text));
}

void import_reject(struct import *import, const struct input *input, int status)
{
    const struct fields *fields = &input->fields;
    note(import, input->line, fields->wrong != NULL ? fields->wrong : "", status, fields->why);
    if (import->rejects == NULL)
        return;
    if (input->format == INPUT_CSV && ftello(import->rejects) == 0)
        fprintf(import->rejects, "%s\n", input->header_raw);
    fwrite(input->raw, 1, input->raw_bytes, import->rejects);
    putc('\n', import->rejects);
}

/* ---- channels -------------------------------------------------------------------------------- */

/* "file-0123...-DC07". A facility's name that is too long for it stands as its own digest. */
static int name_channel(const struct import *import, struct import_channel *channel)
{
    char name[sizeof channel->name + IMPORT_NAME_BYTES], digest[DIGEST_TEXT_BYTES];
    bool global = channel->facility[0] == '\0';
    int status = 0;
    if (import->channel != NULL)
        snprintf(name, sizeof name, "%.64s", import->channel);
    else
        snprintf(name, sizeof name, "file-%s%s%s", import->content, global ? "" : "-",
                 channel->facility);
    if (strlen(name) >= sizeof channel->name) {
        status = digest_file(channel->facility, NULL, digest);
        snprintf(name, sizeof name, "file-%s-%.16s", import->content, digest);
    }
    memcpy(channel->name, name, strlen(name) + 1);
    return status;
}

static int open_channel(struct import *import, struct import_channel *channel)
{
    struct tool *tool = import->tool;
    int status = session_open(tool);
    if (status < 0)
        return status;
    status = xdock_producer_open(tool->client, import->source, channel->name,
                                 channel->facility[0] != '\0' ? channel->facility : NULL,
                                 tool->timeout_ms, &channel->producer);
    return status < 0 ? session_failed(tool, status) : 0;
}

/* A dry run opens nothing, so it asks. */
static int ask_facility(struct import *import, const struct import_channel *channel)
{
    json_t *reply;
    if (channel->facility[0] == '\0')
        return 0;
    int status = session_call(import->tool, "facility show",
                              json_pack("{s:s}", "name", channel->facility), &reply);
    if (status == 0)
        json_decref(reply);
    return status == XDOCK_NOT_FOUND ? XDOCK_FACILITY_UNKNOWN : status;
}

/* The sentence for every line of a facility that the broker does not have. */
static void explain_unknown(struct import *import, struct import_channel *channel)
{
    struct tool *tool = import->tool;
    channel->unknown = true;
    snprintf(tool->detail, sizeof tool->detail,
             "'%.64s' is not known; `crossdock facility add` adds it", channel->facility);
    names_suggest(tool, NAMES_FACILITY, channel->facility);
    snprintf(channel->why, sizeof channel->why, "%.200s", tool->detail);
    tool->detail[0] = '\0';
}

static int add_channel(struct import *import, struct fields *fields, const char *facility,
                       struct import_channel **ret_channel)
{
    if (strlen(facility) >= IMPORT_NAME_BYTES)
        return fields_wrong(fields, "facility", "is longer than 64 characters");
    for (uint32_t i = 0; import->channel != NULL && i < import->channel_count; i++) {
        if (import->channels[i].unknown)
            continue;
        snprintf(fields->why, sizeof fields->why,
                 "channel %.64s feeds facility '%.64s'; without --channel every facility gets its "
                 "own",
                 import->channel, import->channels[i].facility);
        return fields_wrong(fields, "facility", fields->why);
    }
    if (import->channel_count == IMPORT_CHANNELS_MAX)
        return fields_wrong(fields, "facility", "is one more than the 256 that a file may have");
    struct import_channel *channel = &import->channels[import->channel_count];
    *channel = (struct import_channel){0};
    memcpy(channel->facility, facility, strlen(facility) + 1);
    int status = name_channel(import, channel);
    if (status == 0)
        status = import->dry_run ? ask_facility(import, channel) : open_channel(import, channel);
    if (status == XDOCK_FACILITY_UNKNOWN) {
        explain_unknown(import, channel);
        import->channel_count++;
        return fields_wrong(fields, "facility", channel->why);
    }
    if (status < 0)
        return status;
    import->channel_count++;
    *ret_channel = channel;
    return 0;
}

int import_place(struct import *import, struct input *input, struct import_channel **ret_channel)
{
    struct fields *fields = &input->fields;
    xdock_record_t *record = &fields->record;
    const char *facility = fields->facility != NULL ? fields->facility : import->facility;
    record->topic = import->topic;
    if (!import->field_sequence)
        record->sequence = input->line;
    else if (record->sequence == 0)
        return fields_wrong(fields, "sequence", "is missing, and --sequence field needs it");
    if (record->sequence <= import->last_sequence)
        return fields_wrong(fields, "sequence", "must be higher than that of the line before");
    for (uint32_t i = 0; i < import->channel_count; i++)
        if (strcmp(import->channels[i].facility, facility) == 0) {
            if (import->channels[i].unknown)
                return fields_wrong(fields, "facility", import->channels[i].why);
            *ret_channel = &import->channels[i];
            return 0;
        }
    return add_channel(import, fields, facility, ret_channel);
}

/* ---- sending --------------------------------------------------------------------------------- */

static void take_acks(struct import *import, struct import_channel *channel,
                      const xdock_ack_t *acks, int count)
{
    for (int i = 0; i < count; i++) {
        if (acks[i].status >= 0 && acks[i].log_index > import->log_index)
            import->log_index = acks[i].log_index;
        if (acks[i].status == XDOCK_DUPLICATE)
            channel->already++;
        else if (acks[i].status >= 0)
            channel->appended++;
        else
            note(import, acks[i].user, "", acks[i].status, xdock_status_text(acks[i].status));
    }
}

/* Takes what outcomes there are. Returns their count, or a status. */
static int drain(struct import *import, struct import_channel *channel, uint32_t wait_ms)
{
    xdock_ack_t acks[ACKS_MAX];
    int count = xdock_acks(channel->producer, acks, ACKS_MAX, wait_ms);
    if (count > 0)
        take_acks(import, channel, acks, count);
    return count;
}

/* The numbers that the log holds of a named channel, read once. */
static int fetch_present(struct import *import, const struct import_channel *channel)
{
    const struct channel_name name = {import->source, import->channel, channel->facility};
    if (import->present_known)
        return 0;
    int status = ranges_init(&import->present);
    if (status == 0)
        status = gaps_collect(import->tool, &name, &import->present);
    import->present_known = status == 0;
    return status;
}

/* A record that the broker's chain has gone past. */
static int skip(struct import *import, struct input *input, struct import_channel *channel)
{
    if (import->channel != NULL) {
        int status = fetch_present(import, channel);
        if (status < 0)
            return status;
        if (!ranges_has(&import->present, input->fields.record.sequence)) {
            fields_wrong(&input->fields, "sequence",
                         "the channel has gone past this number without it; send the record in "
                         "another channel");
            import_reject(import, input, XDOCK_SEQUENCE_REGRESSED);
            return 0;
        }
    }
    channel->records++;
    channel->already++;
    return 0;
}

static void note_sequence(struct import *import, uint64_t sequence)
{
    if (import->first_sequence == 0)
        import->first_sequence = sequence;
    import->last_sequence = sequence;
}

/* Where the chains stand in each partition is not known without opening the channel, so a number
 * that the log lacks counts as one that will be appended. */
int import_count(struct import *import, struct input *input, struct import_channel *channel)
{
    uint64_t sequence = input->fields.record.sequence;
    channel->records++;
    note_sequence(import, sequence);
    if (import->channel == NULL)
        return 0; /* import_ask compares the counts */
    int status = fetch_present(import, channel);
    if (status == 0 && ranges_has(&import->present, sequence))
        channel->already++;
    return status;
}

int import_send(struct import *import, struct input *input, struct import_channel *channel)
{
    struct tool *tool = import->tool;
    const xdock_record_t *record = &input->fields.record;
    uint32_t waited_ms = 0;
    int64_t partition = xdock_producer_route(channel->producer, record);
    if (partition < 0)
        return session_failed(tool, (int)partition);
    note_sequence(import, record->sequence);
    if (record->sequence <= xdock_producer_resume_partition(channel->producer, (uint32_t)partition))
        return skip(import, input, channel);
    channel->records++;
    for (;;) {
        int status = xdock_post(channel->producer, record, input->line, STEP_MS);
        if (status == 0)
            break;
        bool full = status == XDOCK_BUFFER_FULL || status == XDOCK_DEADLINE_EXCEEDED;
        if (xdock_status_class(status) == XDOCK_CLASS_REJECTED) {
            channel->records--;
            fields_wrong(&input->fields, "", xdock_client_error(tool->client));
            import_reject(import, input, status);
            return 0;
        }
        if (tool_interrupted())
            return -EINTR;
        waited_ms += STEP_MS;
        int count = drain(import, channel, 0);
        if (count > 0)
            waited_ms = 0;
        else if (count < 0 || !full || waited_ms >= tool->timeout_ms)
            return session_failed(tool, count < 0 ? count : status);
    }
    int count = channel->records % ACKS_MAX == 0 ? drain(import, channel, 0) : 0;
    return count < 0 ? session_failed(tool, count) : 0;
}

/* Waits for the outcomes of one channel. */
static int settle(struct import *import, struct import_channel *channel)
{
    struct tool *tool = import->tool;
    uint32_t waited_ms = 0;
    uint32_t limit_ms = tool_interrupted() ? INTERRUPTED_MS : tool->timeout_ms;
    for (;;) {
        int status = xdock_flush(channel->producer, STEP_MS);
        int count;
        bool any = false;
        while ((count = drain(import, channel, 0)) > 0)
            any = true;
        if (status == 0 && count == 0 && xdock_producer_pending(channel->producer) == 0)
            return 0;
        if (count < 0)
            return session_failed(tool, count);
        if (status < 0 && status != XDOCK_DEADLINE_EXCEEDED)
            return session_failed(tool, status);
        waited_ms = any ? 0 : waited_ms + STEP_MS;
        if (waited_ms >= limit_ms) {
            snprintf(tool->detail, sizeof tool->detail,
                     "%" PRIu64 " records have no outcome yet; run the command again",
                     xdock_producer_pending(channel->producer));
            return XDOCK_DEADLINE_EXCEEDED;
        }
    }
}

int import_finish(struct import *import)
{
    int result = 0;
    for (uint32_t i = 0; i < import->channel_count; i++) {
        struct import_channel *channel = &import->channels[i];
        if (channel->producer == NULL)
            continue;
        int status = settle(import, channel);
        result = result < 0 ? result : status;
        xdock_producer_close(&channel->producer, STEP_MS); /* everything is settled or reported */
    }
    return result;
}

int import_ask(struct import *import)
{
    json_t *reply;
    int status =
        session_call(import->tool, "topic show", json_pack("{s:s}", "name", import->topic), &reply);
    if (status < 0)
        return status;
    json_decref(reply);
    for (uint32_t i = 0; i < import->channel_count && status == 0; i++) {
        struct import_channel *channel = &import->channels[i];
        channel->appended = channel->records - channel->already;
        if (channel->unknown || import->channel != NULL)
            continue;
        const struct channel_name name = {import->source, channel->name, channel->facility};
        status = shards_find_channel(import->tool, &name, &reply);
        if (status == XDOCK_NOT_FOUND) {
            status = 0;
            channel->appended = channel->records;
        } else if (status == 0) {
            json_int_t records = json_integer_value(json_object_get(reply, "records"));
            uint64_t had = records > 0 ? (uint64_t)records : 0;
            channel->already = had < channel->records ? had : channel->records;
            channel->appended = channel->records - channel->already;
            json_decref(reply);
        }
    }
    import->tool->detail[0] = '\0';
    return status;
}
