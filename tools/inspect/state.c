/* SPDX-License-Identifier: Apache-2.0
 *
 * Checkpoints of a data folder; see state.h.
 */
#include "tools/inspect/state.h"

#include "broker/log/local.h"
#include "broker/log/page.h"
#include "wire/status.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* A body is read as a whole; larger ones cannot come from a broker of this release. */
#define BODY_BYTES_MAX (8ull * 1024u * 1024u * 1024u)

static int check_body(const struct data_folder *folder, struct checkpoint_state *state)
{
    const struct checkpoint_header *header = state->header;
    if (header->state_bytes > BODY_BYTES_MAX || header->local_bytes > BODY_BYTES_MAX) {
        state->why = "the sizes in the header cannot be";
        return XD_CHECKPOINT_CORRUPT;
    }
    uint64_t bytes = checkpoint_body_bytes(header->state_bytes, header->local_bytes);
    uint8_t *body = aligned_alloc(PAGE_BYTES, bytes > 0 ? bytes : PAGE_BYTES);
    if (body == NULL)
        return -ENOMEM;
    int status = data_folder_read(folder, state->name, body, bytes, CHECKPOINT_HEADER_BYTES);
    if (status < 0)
        state->why = "the body cannot be read";
    else
        status = checkpoint_check_body(header, body, &state->why);
    if (status == 0)
        state->first_no =
            local_first_no(body + checkpoint_local_at(header->state_bytes), header->local_bytes);
    free(body);
    return status;
}

/* What a start asks of a whole header before it believes it. */
static int check_place(const struct meta *meta, uint64_t number, struct checkpoint_state *state)
{
    const struct checkpoint_header *header = state->header;
    if (header->generation % CHECKPOINT_FILES != number)
        state->why = "the generation belongs into the other file";
    else if (header->segment_bytes != meta->segment_bytes)
        state->why = "segment_bytes differ from meta's";
    else if (header->epoch > meta->epoch)
        state->why = "it is newer than meta";
    else
        return 0;
    return XD_CHECKPOINT_CORRUPT;
}

static int read_one(const struct data_folder *folder, bool bodies, uint64_t number,
                    struct checkpoint_state *state)
{
    const struct meta *meta = data_folder_meta(folder);
    *state = (struct checkpoint_state){.why = ""};
    checkpoint_name(number, state->name);
    state->named =
        meta->checkpoint_generation > 0 && meta->checkpoint_generation % CHECKPOINT_FILES == number;
    state->header = calloc(1, sizeof *state->header);
    if (state->header == NULL)
        return -ENOMEM;
    state->status = data_folder_read(folder, state->name, state->header, sizeof *state->header, 0);
    state->there = state->status != -ENOENT;
    if (state->status < 0) {
        state->why = state->there ? "the header cannot be read" : "the file is not there";
        return 0;
    }
    state->status =
        checkpoint_check_header(state->header, meta->log_uuid, meta->shard, &state->why);
    if (state->status == 0)
        state->status = check_place(meta, number, state);
    if (state->status == 0 && state->named &&
        (state->header->xxh3 != meta->checkpoint_xxh3 ||
         state->header->generation != meta->checkpoint_generation)) {
        state->status = XD_CHECKPOINT_CORRUPT;
        state->why = "it is not the one that meta names";
    }
    if (state->status == 0 && bodies)
        state->status = check_body(folder, state);
    return state->status == -ENOMEM ? -ENOMEM : 0;
}

int state_read(const struct data_folder *folder, bool bodies,
               struct checkpoint_state ret_states[CHECKPOINT_FILES])
{
    memset(ret_states, 0, CHECKPOINT_FILES * sizeof *ret_states);
    for (uint64_t i = 0; i < CHECKPOINT_FILES; i++) {
        int status = read_one(folder, bodies, i, &ret_states[i]);
        if (status < 0)
            return status;
    }
    return 0;
}

void state_free(struct checkpoint_state states[CHECKPOINT_FILES])
{
    for (unsigned i = 0; i < CHECKPOINT_FILES; i++) {
        free(states[i].header);
        states[i].header = NULL;
    }
}

struct state_range state_range_of(const struct data_folder *folder,
                                  const struct checkpoint_state states[CHECKPOINT_FILES])
{
    const struct meta *meta = data_folder_meta(folder);
    const struct checkpoint_state *usable = NULL;
    for (unsigned i = 0; i < CHECKPOINT_FILES; i++)
        if (states[i].status == 0 && (usable == NULL || states[i].named))
            usable = &states[i];
    if (meta->checkpoint_generation > 0 && usable == NULL)
        return (struct state_range){.scan_no = 0};
    if (meta->checkpoint_generation > 0)
        return (struct state_range){.scan_no = usable->header->position / meta->segment_bytes,
                                    .first_no = usable->first_no};
    /* Without a checkpoint at the first one, unless the log was never made. */
    bool made = meta->durable_index > 0;
    for (uint32_t i = 0; i < folder->file_count; i++)
        made = made || folder->files[i].status == 0;
    return (struct state_range){.scan_no = made ? 1 : 0};
}
