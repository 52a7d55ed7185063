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
static const char next_folder[] =
    "restore the folder from a copy: the start of the broker is refused without it";
static const char next_release[] = "read the folder with the release that wrote it";
static const char next_none[] = "nothing: the next start handles it";

/* What was found in one folder, or in all. */
struct counts {
    uint64_t findings;   /* */
    uint64_t notes;      /* */
    uint64_t segments;   /* these and below: what was whole */
    uint64_t blocks;     /* */
    uint64_t batches;    /* */
    uint64_t records;    /* */
    uint64_t bytes;      /* */
    uint64_t last_index; /* of the log, 0 = none */
};

struct verify {
    const struct command *command; /* */
    const struct meta *meta;       /* of the folder; NULL = it cannot be read */
    const char *name;              /* of the shard's folder, "" = there is only one */
    struct counts counts;          /* of the folder */
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
    if (verify->name[0] != '\0')
        json_text(out, "folder", verify->name);
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
    printf("%s%s%s", finding->note ? "note" : "finding", verify->name[0] != '\0' ? " " : "",
           verify->name);
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
        verify->counts.notes++;
    else
        verify->counts.findings++;
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

/* ---- the report ------------------------------------------------------------------------------ */

static void add(struct counts *sum, const struct counts *counts)
{
    sum->findings += counts->findings;
    sum->notes += counts->notes;
    sum->segments += counts->segments;
    sum->blocks += counts->blocks;
    sum->batches += counts->batches;
    sum->records += counts->records;
    sum->bytes += counts->bytes;
}

static void print_counts(const char *name, const struct counts *counts)
{
    printf("%s%s%s: %" PRIu64 " segments, %" PRIu64 " blocks, %" PRIu64 " batches, %" PRIu64
           " records, %" PRIu64 " bytes; %" PRIu64 " findings, %" PRIu64 " notes\n",
           name, name[0] != '\0' ? " " : "", counts->findings == 0 ? "clean" : "damaged",
           counts->segments, counts->blocks, counts->batches, counts->records, counts->bytes,
           counts->findings, counts->notes);
}

static void put_counts(struct json_out *out, const struct counts *counts)
{
    json_number(out, "finding_count", counts->findings);
    json_number(out, "note_count", counts->notes);
    json_number(out, "segments", counts->segments);
    json_number(out, "blocks", counts->blocks);
    json_number(out, "batches", counts->batches);
    json_number(out, "records", counts->records);
    json_number(out, "bytes", counts->bytes);
}

/* One row for each shard's folder. */
static void put_folders(struct json_out *out, const struct folder_set *set,
                        const struct counts *counts)
{
    json_open(out, "folders", '[');
    for (uint32_t i = 0; i < set->count; i++) {
        json_open(out, NULL, '{');
        json_text(out, "folder", set->rows[i].name);
        put_counts(out, &counts[i]);
        json_number(out, "last_index", counts[i].last_index);
        json_close(out, '}');
    }
    json_close(out, ']');
}

static void end(struct verify *verify, const struct folder_set *set, const struct counts *counts,
                const struct counts *sum)
{
    if (verify->command->lines)
        return;
    if (!verify->command->json) {
        print_counts("", sum);
        return;
    }
    struct json_out *out = &verify->json;
    json_close(out, ']');
    put_counts(out, sum);
    if (set->several)
        put_folders(out, set, counts);
    else
        json_number(out, "last_index", counts[0].last_index);
    json_close(out, '}');
    json_bool(out, "ok", sum->findings == 0);
    if (sum->findings > 0) {
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

/* 0 or -ENOMEM. */
static int verify_folder(struct verify *verify, const struct data_folder *folder)
{
    struct checkpoint_state states[CHECKPOINT_FILES];
    struct walk walk;
    int status = state_read(folder, true, states);
    if (status == 0)
        status = walk_init(&walk, folder, state_range_of(folder, states));
    if (status < 0)
        return status;
    verify->meta = data_folder_meta(folder);
    verify_meta(verify, folder);
    verify_checkpoints(verify, states);
    verify_log(verify, &walk);
    struct counts *counts = &verify->counts;
    counts->segments = walk.segments;
    counts->blocks = walk.blocks;
    counts->batches = walk.batches;
    counts->records = walk.records;
    counts->bytes = walk.bytes;
    counts->last_index = walk.started ? walk.point.index - 1 : 0;
    walk_deinit(&walk);
    state_free(states);
    return 0;
}

int command_verify(const struct command *command, const struct folder_set *set)
{
    struct counts counts[FOLDER_SET_MAX] = {0}, sum = {0};
    struct verify verify = {.command = command};
    begin(&verify);
    for (uint32_t i = 0; i < set->count; i++) {
        const struct folder_set_row *row = &set->rows[i];
        verify.name = row->name;
        verify.counts = (struct counts){0};
        if (row->status < 0) {
            tell(&verify,
                 &(struct finding){.partition = WALK_NO_PARTITION,
                                   .text = row->folder.why,
                                   .next = row->status == XD_FORMAT_UNKNOWN ? next_release
                                                                            : next_folder});
        } else if (verify_folder(&verify, &row->folder) < 0) {
            fprintf(stderr, "crossdock: log verify: %s\n", xd_status_text(-ENOMEM));
            return 1;
        }
        counts[i] = verify.counts;
        add(&sum, &counts[i]);
        if (set->several && !command->json)
            print_counts(row->name, &counts[i]);
    }
    end(&verify, set, counts, &sum);
    return sum.findings > 0;
}
