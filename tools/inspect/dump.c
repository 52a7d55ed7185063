/* SPDX-License-Identifier: Apache-2.0
 *
 * `crossdock log dump`: what a data folder holds, one line for each meta slot, checkpoint, segment,
 * block, batch and, when asked for, record. Damage stands in between, as `finding` lines.
 */
#include "tools/inspect/commands.h"

#include "tools/inspect/lines.h"
#include "tools/inspect/state.h"
#include "tools/inspect/walk.h"
#include "wire/event.h"
#include "wire/key64.h"
#include "wire/record.h"
#include "wire/status.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* One folder on its way out. */
struct dump {
    const struct command *command; /* */
    const char *name;              /* of the shard's folder, which rows tell; "" = of none */
};

static void begin(struct line *line, const struct dump *dump, const char *kind, unsigned indent)
{
    line_begin(line, dump->command->json, kind, indent);
    if (dump->name[0] != '\0')
        line_text(line, "folder", dump->name);
}

static void dump_meta(const struct dump *dump, const struct data_folder *folder)
{
    struct line line;
    for (unsigned i = 0; i < META_SLOTS; i++) {
        const struct meta *meta = &folder->slots[i];
        begin(&line, dump, "meta", 0);
        line_number(&line, "slot", i);
        line_text(&line, "state",
                  folder->slot_status[i] < 0  ? folder->slot_why[i]
                  : (int)i == folder->current ? "current"
                                              : "older");
        if (folder->slot_status[i] == 0) {
            line_number(&line, "generation", meta->generation);
            line_uuid(&line, "log_uuid", meta->log_uuid);
            line_number(&line, "shard", meta->shard);
            line_number(&line, "shard_count", meta->shard_count);
            line_number(&line, "segment_bytes", meta->segment_bytes);
            line_number(&line, "epoch", meta->epoch);
            line_number(&line, "epoch_position", meta->epoch_position);
            line_number(&line, "epoch_sequence", meta->epoch_sequence);
            line_number(&line, "durable_index", meta->durable_index);
            line_number(&line, "checkpoint_generation", meta->checkpoint_generation);
        }
        line_end(&line);
    }
}

static void dump_checkpoints(const struct dump *dump,
                             const struct checkpoint_state states[CHECKPOINT_FILES])
{
    struct line line;
    for (unsigned i = 0; i < CHECKPOINT_FILES; i++) {
        const struct checkpoint_state *state = &states[i];
        if (!state->there)
            continue;
        begin(&line, dump, "checkpoint", 0);
        line_text(&line, "file", state->name);
        line_text(&line, "state",
                  state->status < 0 ? state->why
                  : state->named    ? "current"
                                    : "older");
        if (state->status == 0) {
            line_number(&line, "generation", state->header->generation);
            line_number(&line, "epoch", state->header->epoch);
            line_number(&line, "position", state->header->position);
            line_number(&line, "index", state->header->index);
            line_number(&line, "state_bytes", state->header->state_bytes);
            line_number(&line, "local_bytes", state->header->local_bytes);
            line_time(&line, "created_time", state->header->created_time_us);
        }
        line_end(&line);
    }
}

static void dump_segment(const struct dump *dump, const struct wal_file *file)
{
    struct line line;
    begin(&line, dump, "segment", 0);
    line_text(&line, "file", file->name);
    line_number(&line, "segment", file->header->segment_no);
    line_number(&line, "bytes", file->bytes);
    line_number(&line, "epoch", file->header->epoch);
    line_time(&line, "created_time", file->header->created_time_us);
    line_end(&line);
}

static const char *block_type(uint16_t type)
{
    return type == BLOCK_DATA ? "data" : type == BLOCK_SEAL ? "seal" : "mark";
}

static void dump_block(const struct dump *dump, const struct walk_item *item)
{
    struct line line;
    const struct block_header *block = item->block;
    begin(&line, dump, "block", 2);
    line_number(&line, "segment", item->file->header->segment_no);
    line_number(&line, "at", item->at);
    line_number(&line, "bytes", block->block_bytes);
    line_text(&line, "type", block_type(block->type));
    line_number(&line, "index", block->index);
    line_number(&line, "sequence", block->block_sequence);
    line_number(&line, "epoch", block->epoch);
    line_number(&line, "durable_index", block->durable_index);
    line_number(&line, "batches", block->batch_count);
    line_number(&line, "records", block->record_count);
    line_time(&line, "write_time", block->write_time_us);
    line_end(&line);
}

static void dump_batch(const struct dump *dump, const struct xd_batch_header *batch)
{
    struct line line;
    bool control = (batch->flags & XD_BATCH_CONTROL) != 0;
    begin(&line, dump, control ? "control" : "batch", 4);
    if (control)
        line_number(&line, "control_kind", batch->control_kind);
    else
        line_number(&line, "partition", batch->partition);
    line_number(&line, "bytes", batch->batch_bytes);
    if (!control) {
        line_number(&line, "base_offset", batch->base_offset);
        line_number(&line, "records", batch->record_count);
        line_number(&line, "suppressed", batch->suppressed_count);
        line_text(&line, "codec", batch->codec == XD_CODEC_LZ4 ? "lz4" : "none");
        line_number(&line, "channel", batch->producer_id);
        line_number(&line, "producer_epoch", batch->producer_epoch);
        line_number(&line, "channel_epoch", batch->channel_epoch);
        line_number(&line, "first_sequence", batch->first_sequence);
        line_number(&line, "last_sequence", batch->last_sequence);
        line_number(&line, "previous_sequence", batch->previous_sequence);
    }
    line_time(&line, "append_time", batch->append_time_us);
    line_end(&line);
}

static void put_key(struct line *line, const char *name, const struct xd_record *record,
                    uint64_t key, uint8_t tag)
{
    char scratch[XD_KEY_TEXT_BYTES_MAX];
    struct xd_text text = {NULL, 0};
    if (xd_record_key_text(record, key, tag, scratch, &text) == 0 && text.bytes > 0)
        line_bytes(line, name, text.data, text.bytes);
}

static void dump_record(const struct dump *dump, const struct xd_record *record, uint64_t offset)
{
    struct line line;
    const struct xd_event_row *row = xd_event_find(record->core->type);
    begin(&line, dump, "record", 6);
    line_number(&line, "offset", offset);
    if (row != NULL)
        line_text(&line, "type", row->name);
    else
        line_number(&line, "type", record->core->type);
    line_number(&line, "sequence", record->core->source_sequence);
    line_number(&line, "facility", record->core->facility);
    if (record->stock != NULL) {
        put_key(&line, "sku", record, record->stock->sku, XD_TAG_SKU);
        put_key(&line, "lot", record, record->stock->lot, XD_TAG_LOT);
        put_key(&line, "location", record, record->stock->location_from, XD_TAG_LOCATION_FROM);
        put_key(&line, "location_to", record, record->stock->location_to, XD_TAG_LOCATION_TO);
    }
    if (record->document != NULL) {
        put_key(&line, "document", record, record->document->document, XD_TAG_DOCUMENT);
        line_number(&line, "line", record->document->line);
    }
    if (record->hu != NULL)
        put_key(&line, "handling_unit", record, record->hu->hu_from, XD_TAG_HU_FROM);
    line_uuid(&line, "event_id", record->core->event_id);
    line_time(&line, "event_time", record->core->event_time_us);
    line_number(&line, "payload_bytes", record->payload_bytes);
    line_end(&line);
}

/* Returns false when a record does not decode. */
static bool dump_records(const struct dump *dump, const struct xd_batch_header *batch,
                         uint8_t *scratch)
{
    const uint8_t *body;
    const char *field = "";
    uint32_t at = 0;
    uint64_t offset = batch->base_offset;
    if (xd_batch_body(batch, scratch, XD_BATCH_RAW_BYTES_MAX, &body) < 0)
        return false;
    while (at < batch->raw_bytes) {
        struct xd_record record;
        int stride = xd_record_decode(body + at, batch->raw_bytes - at, &record, &field);
        if (stride < 0)
            return false;
        dump_record(dump, &record, offset++);
        at += (uint32_t)stride;
    }
    return true;
}

static int dump_batches(const struct dump *dump, const struct walk_item *item, uint8_t *scratch)
{
    const struct xd_batch_header *batch;
    uint32_t cursor = 0;
    int exit_status = 0;
    while ((batch = block_next_batch(item->block, &cursor)) != NULL) {
        if (dump->command->partition != COMMAND_ANY && batch->partition != dump->command->partition)
            continue;
        dump_batch(dump, batch);
        bool control = (batch->flags & XD_BATCH_CONTROL) != 0;
        if (dump->command->records && !control && !dump_records(dump, batch, scratch)) {
            struct line line;
            begin(&line, dump, "finding", 0);
            line_text(&line, "text", "a record of this batch cannot be decoded");
            line_end(&line);
            exit_status = 1;
        }
    }
    return exit_status;
}

static int dump_item(const struct dump *dump, const struct walk_item *item, uint8_t *scratch)
{
    struct line line;
    if (dump->command->segment != COMMAND_ANY && item->file != NULL && item->file->status == 0 &&
        item->file->header->segment_no != dump->command->segment)
        return 0;
    if (item->kind == WALK_SEGMENT) {
        dump_segment(dump, item->file);
        return 0;
    }
    if (item->kind == WALK_BLOCK) {
        if (dump->command->partition == COMMAND_ANY)
            dump_block(dump, item);
        return dump_batches(dump, item, scratch);
    }
    begin(&line, dump, item->kind == WALK_NOTE ? "note" : "finding", 0);
    if (item->file != NULL)
        line_text(&line, "file", item->file->name);
    line_number(&line, "at", item->at);
    line_text(&line, "text", item->text);
    line_end(&line);
    return item->kind == WALK_FINDING;
}

static int dump_folder(const struct dump *dump, const struct data_folder *folder)
{
    struct checkpoint_state states[CHECKPOINT_FILES];
    struct walk walk;
    struct walk_item item;
    int exit_status = 0;
    uint8_t *scratch = malloc(XD_BATCH_RAW_BYTES_MAX);
    int status = state_read(folder, false, states);
    if (status < 0 || scratch == NULL ||
        walk_init(&walk, folder, state_range_of(folder, states)) < 0) {
        fprintf(stderr, "crossdock: log dump: %s\n", xd_status_text(-ENOMEM));
        free(scratch);
        return 1;
    }
    dump_meta(dump, folder);
    dump_checkpoints(dump, states);
    while (walk_next(&walk, &item) != WALK_END)
        exit_status |= dump_item(dump, &item, scratch);
    walk_deinit(&walk);
    state_free(states);
    free(scratch);
    return exit_status;
}

int command_dump(const struct command *command, const struct folder_set *set)
{
    struct line line;
    int exit_status = 0;
    for (uint32_t i = 0; i < set->count; i++) {
        const struct folder_set_row *row = &set->rows[i];
        struct dump dump = {command, row->name};
        if (row->status == 0) {
            exit_status |= dump_folder(&dump, &row->folder);
            continue;
        }
        begin(&line, &dump, "finding", 0);
        line_text(&line, "text", row->folder.why);
        line_end(&line);
        exit_status = 1;
    }
    return exit_status;
}
