/* SPDX-License-Identifier: Apache-2.0
 *
 * `crossdock log verify`: every meta slot, checkpoint, segment, block, chain and batch of a data
 * folder, one line for each finding: what, where, and what to do next.
 *
 * A finding is damage to what was durable. What recovery handles without loss is a note: it does
 * not change the exit status.
 */
#include "tools/inspect/commands.h"

#include "tools/common/json_out.h"
#include "tools/common/progress.h"
#include "tools/inspect/state.h"
#include "tools/inspect/walk.h"
#include "wire/status.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static const char next_damage[] =
    "keep a copy of the folder; `crossdock log dump FOLDER --segment N` shows what is around it";
static const char next_checkpoint[] =
    "the other checkpoint is used at the next start, which then reads more of the log";
static const char next_restore[] =
    "restore one of the checkpoint files from a copy of the folder: the next start is refused";
static const char next_release[] = "read the folder with the release that wrote it";
static const char next_none[] = "nothing: the next start handles it";

struct verify {
    const struct command *command; /* */
    const struct meta *meta;       /* */
    uint64_t findings;             /* */
    uint64_t notes;                /* */
    struct json_out json;          /* -o json: the envelope being written */
};

/* Where and what; `file` NULL, index 0 and WALK_NO_PARTITION are unknown. */
struct finding {
    bool note;          /* */
    const char *file;   /* */
    uint64_t segment;   /* 0 = none */
    uint64_t at;        /* place in the file */
    uint64_t index;     /* log index */
    uint32_t partition; /* */
    const char *text;   /* */
    const char *next;   /* step */
};

static void print_finding_json(struct json_out *out, const struct verify *verify,
                               const struct finding *finding)
{
    json_text(out, "severity", finding->note ? "note" : "finding");
    if (finding->file != NULL) {
        json_text(out, "file", finding->file);
        json_number(out, "at", finding->at);
    }
    if (finding->segment != 0) {
        json_number(out, "segment", finding->segment);
        json_number(out, "position", finding->segment * verify->meta->segment_bytes + finding->at);
    }
    if (finding->index != 0)
        json_number(out, "index", finding->index);
    if (finding->partition != WALK_NO_PARTITION)
        json_number(out, "partition", finding->partition);
    json_text(out, "text", finding->text);
    json_text(out, "next", finding->next);
}

static void print_finding_text(const struct verify *verify, const struct finding *finding)
{
    printf("%s", finding->note ? "note" : "finding");
    if (finding->file != NULL)
        printf(" %s at %" PRIu64, finding->file, finding->at);
    if (finding->segment != 0)
        printf(" position %" PRIu64, finding->segment * verify->meta->segment_bytes + finding->at);
    if (finding->index != 0)
        printf(" index %" PRIu64, finding->index);
    if (finding->partition != WALK_NO_PARTITION)
        printf(" partition %" PRIu32, finding->partition);
    printf(": %s; next: %s\n", finding->text, finding->next);
}

static void tell(struct verify *verify, const struct finding *finding)
{
    if (finding->note)
        verify->notes++;
    else
        verify->findings++;
    if (verify->command->lines) {
        struct json_out out;
        json_begin(&out, stdout);
        print_finding_json(&out, verify, finding);
        json_end(&out);
    } else if (verify->command->json) {
        json_open(&verify->json, NULL, '{');
        print_finding_json(&verify->json, verify, finding);
        json_close(&verify->json, '}');
    } else {
        print_finding_text(verify, finding);
    }
}

static void verify_meta(struct verify *verify, const struct data_folder *folder)
{
    for (unsigned i = 0; i < META_SLOTS; i++) {
        if (folder->slot_status[i] == 0)
            continue;
        tell(verify, &(struct finding){.note = folder->slot_status[i] != XD_FORMAT_UNKNOWN,
                                       .file = "meta",
                                       .at = (uint64_t)i * META_SLOT_BYTES,
                                       .partition = WALK_NO_PARTITION,
                                       .text = folder->slot_why[i],
                                       .next = folder->slot_status[i] == XD_FORMAT_UNKNOWN
                                                   ? next_release
                                                   : "nothing: the other slot is used, and the "
                                                     "next start writes both"});
    }
}

static void verify_checkpoints(struct verify *verify,
                               const struct checkpoint_state states[CHECKPOINT_FILES])
{
    /* Without either of them a log that had one does not start. */
    bool none =
        states[0].status != 0 && states[1].status != 0 && verify->meta->checkpoint_generation > 0;
    for (unsigned i = 0; i < CHECKPOINT_FILES; i++) {
        const struct checkpoint_state *state = &states[i];
        if (state->status == 0 || (!state->there && !state->named))
            continue;
        /* The file that is not current may be half written: it is the next one. */
        tell(verify, &(struct finding){.note = !state->named && !none,
                                       .file = state->name,
                                       .partition = WALK_NO_PARTITION,
                                       .text = state->why,
                                       .next = state->status == XD_FORMAT_UNKNOWN ? next_release
                                               : none                             ? next_restore
                                               : state->named                     ? next_checkpoint
                                                                                  : next_none});
    }
}

static void verify_log(struct verify *verify, struct walk *walk)
{
    struct walk_item item;
    struct progress progress;
    uint64_t total = 0;
    for (uint32_t i = 0; i < walk->folder->file_count; i++)
        total += walk->folder->files[i].bytes;
    progress_begin(&progress, true, "log verify", total);
    while (walk_next(walk, &item) != WALK_END) {
        progress_show(&progress, walk->bytes);
        if (item.kind != WALK_NOTE && item.kind != WALK_FINDING)
            continue;
        progress_clear(&progress);
        bool numbered = item.file != NULL && item.file->status == 0;
        tell(verify, &(struct finding){.note = item.kind == WALK_NOTE,
                                       .file = item.file != NULL ? item.file->name : NULL,
                                       .segment = numbered ? item.file->header->segment_no : 0,
                                       .at = item.at,
                                       .index = item.index,
                                       .partition = item.partition,
                                       .text = item.text,
                                       .next = item.kind == WALK_NOTE ? next_none : next_damage});
    }
    progress_end(&progress);
}

static void begin(struct verify *verify)
{
    if (!verify->command->json || verify->command->lines)
        return;
    json_begin(&verify->json, stdout);
    json_text(&verify->json, "command", "log verify");
    json_open(&verify->json, "data", '{');
    json_open(&verify->json, "findings", '[');
}

static void end(struct verify *verify, const struct walk *walk)
{
    if (verify->command->lines)
        return;
    if (!verify->command->json) {
        printf("%s: %" PRIu32 " segments, %" PRIu64 " blocks, %" PRIu64 " batches, %" PRIu64
               " records, %" PRIu64 " bytes; %" PRIu64 " findings, %" PRIu64 " notes\n",
               verify->findings == 0 ? "clean" : "damaged", walk->segments, walk->blocks,
               walk->batches, walk->records, walk->bytes, verify->findings, verify->notes);
        return;
    }
    struct json_out *out = &verify->json;
    json_close(out, ']');
    json_number(out, "finding_count", verify->findings);
    json_number(out, "note_count", verify->notes);
    json_number(out, "segments", walk->segments);
    json_number(out, "blocks", walk->blocks);
    json_number(out, "batches", walk->batches);
    json_number(out, "records", walk->records);
    json_number(out, "bytes", walk->bytes);
    json_number(out, "last_index", walk->started ? walk->point.index - 1 : 0);
    json_close(out, '}');
    json_bool(out, "ok", verify->findings == 0);
    if (verify->findings > 0) {
        json_open(out, "error", '{');
        json_signed(out, "code", XD_LOG_CORRUPT);
        json_text(out, "name", xd_status_name(XD_LOG_CORRUPT));
        json_text(out, "class", xd_class_name(xd_status_class(XD_LOG_CORRUPT)));
        json_text(out, "text", "the data folder is damaged; data.findings has the places");
        json_text(out, "hint", next_damage);
        json_close(out, '}');
    }
    json_end(out);
}

int command_verify(const struct command *command, const struct data_folder *folder)
{
    struct checkpoint_state states[CHECKPOINT_FILES];
    struct walk walk;
    struct verify verify = {.command = command, .meta = data_folder_meta(folder)};
    int status = state_read(folder, true, states);
    if (status < 0 || walk_init(&walk, folder, state_range_of(folder, states)) < 0) {
        fprintf(stderr, "crossdock: log verify: %s\n", xd_status_text(-ENOMEM));
        return 1;
    }
    begin(&verify);
    verify_meta(&verify, folder);
    verify_checkpoints(&verify, states);
    verify_log(&verify, &walk);
    end(&verify, &walk);
    walk_deinit(&walk);
    state_free(states);
    return verify.findings > 0;
}
