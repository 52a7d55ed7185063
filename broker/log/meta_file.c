/* SPDX-License-Identifier: Apache-2.0
 *
 * One meta write at a time, always the newest content. See meta_file.h.
 */
#include "broker/log/meta_file.h"

#include "broker/log/blocking.h"
#include "broker/log/log_state.h"

#include <errno.h>

static uint64_t slot_at(const struct meta *meta)
{
    return meta->generation % META_SLOTS * META_SLOT_BYTES;
}

static void page_write(struct log *log)
{
    struct meta_file *file = &log->meta_file;

    log_write(log, file->file, file->page, META_SLOT_BYTES, slot_at(file->page), ENV_WRITE_DSYNC,
              log_token(LOG_TOKEN_META, 0));
}

void meta_file_write(struct log *log)
{
    struct meta_file *file = &log->meta_file;

    XD_ASSERT(file->file >= 0 && log->phase != LOG_OPENED);
    file->wanted = true;
    if (file->busy || log->fenced)
        return;
    file->wanted = false;
    file->busy = true;
    file->stalls = 0;
    log->meta.generation++;
    log->meta.durable_index = log->append.durable_index;
    log->meta.commit_index = log->append.durable_index;
    meta_seal(&log->meta);
    *file->page = log->meta;
    XD_ASSERT(log->meta.durable_index <= log->append.index - 1);
    page_write(log);
}

int meta_file_write_now(struct log *log)
{
    struct meta_file *file = &log->meta_file;

    XD_ASSERT(file->file >= 0 && log->phase == LOG_OPENED);
    XD_ASSERT(!file->busy && log->outstanding == 0);
    log->meta.generation++;
    meta_seal(&log->meta);
    *file->page = log->meta;
    return blocking_write(log->env, file->file, file->page, META_SLOT_BYTES, slot_at(file->page));
}

void meta_file_done(struct log *log, const struct env_event *event)
{
    struct meta_file *file = &log->meta_file;
    int status = log_page_written(event->result, &file->stalls);

    XD_ASSERT(file->busy);
    if (status > 0 && !log->fenced) {
        page_write(log);
        return;
    }
    file->busy = false;
    if (status < 0)
        log_fence(log, status, ENV_OP_WRITE, 0);
    if (log->fenced)
        return;
    file->durable_checkpoint = file->page->checkpoint_generation;
    checkpoint_meta_done(log);
    if (file->wanted)
        meta_file_write(log);
}
