/* SPDX-License-Identifier: Apache-2.0
 *
 * Files of a simulated process: calls on metadata act at once, writes, reads and syncs become
 * tasks that act when their event is handed out.
 *
 * What a caller's bug would break is checked harder than by a kernel: the bytes of a write must not
 * change before its event, and a read buffer holds rubbish at both ends until then.
 */
#include "tests/support/sim_world.h"
#include "wire/checksum.h"
#include "wire/xassert.h"

#include <errno.h>
#include <string.h>

#define POISON_BYTES 64u /* rubbish at either end of a read buffer */

static bool happens(struct sim *sim, uint32_t rate)
{
    return rate > 0 && prng_chance(&sim->disk_prng, rate);
}

/* ---- handles and metadata -------------------------------------------------------------------- */

static struct sim_handle *handle_find(struct sim *sim, env_file file)
{
    if (file < 0 || (uint32_t)file >= sim->process.handles_end ||
        sim->process.handles[file].inode == NULL)
        return NULL;
    return &sim->process.handles[file];
}

/* Starts a call on metadata: dead process, injection, or go on (0). */
static int call_begin(struct sim *sim, enum sim_op op, const char *name)
{
    int32_t result = 0;

    if (!sim_op_begin(sim, op))
        return -ESHUTDOWN;
    if (faults_inject(&sim->faults, op, name, &result))
        XD_ASSERT(result < 0);
    return result;
}

static int call_end(struct sim *sim, enum sim_op op, const char *name, int status)
{
    sim_trace(sim, SIM_TRACE_CALL, op, xd_xxh3(name, strlen(name)) & 0xffff, (uint64_t)status, 0);
    return status;
}

int env_sim_file_open(struct env *env, const char *name, uint32_t flags, env_file *ret_file)
{
    struct sim *sim = sim_of(env);
    struct sim_process *process = &sim->process;
    struct sim_inode *inode = NULL;
    uint32_t i = 0;
    int status = call_begin(sim, SIM_OP_FILE_OPEN, name);

    while (i < process->handles_end && process->handles[i].inode != NULL)
        i++;
    if (status == 0 && i == SIM_HANDLES_MAX)
        status = -EMFILE;
    if (status == 0)
        status = disk_open(&sim->disk, name, flags, &inode);
    if (status < 0)
        return call_end(sim, SIM_OP_FILE_OPEN, name, status);
    process->handles[i].inode = inode;
    process->handles[i].flags = flags;
    text_copy(process->handles[i].name, SIM_NAME_ROOM, name);
    if (i == process->handles_end)
        process->handles_end++;
    *ret_file = (env_file)i;
    return call_end(sim, SIM_OP_FILE_OPEN, name, 0);
}

void env_sim_file_close(struct env *env, env_file file)
{
    struct sim *sim = sim_of(env);
    struct sim_handle *handle = handle_find(sim, file);

    if (sim->process.dead)
        return;
    XD_ASSERT(handle != NULL);
    inode_drop(&sim->disk, handle->inode);
    handle->inode = NULL;
}

void sim_handles_close(struct sim *sim)
{
    for (uint32_t i = 0; i < sim->process.handles_end; i++) {
        if (sim->process.handles[i].inode != NULL)
            inode_drop(&sim->disk, sim->process.handles[i].inode);
        sim->process.handles[i].inode = NULL;
    }
    sim->process.handles_end = 0;
}

int env_sim_file_bytes(struct env *env, env_file file, uint64_t *ret_bytes)
{
    struct sim *sim = sim_of(env);
    const struct sim_handle *handle = handle_find(sim, file);

    if (sim->process.dead)
        return -ESHUTDOWN;
    if (handle == NULL)
        return -EBADF;
    *ret_bytes = handle->inode->newest_bytes;
    return 0;
}

int env_sim_file_reserve(struct env *env, env_file file, uint64_t bytes)
{
    struct sim *sim = sim_of(env);
    const struct sim_handle *handle = handle_find(sim, file);
    const char *name = handle == NULL ? "" : handle->name;
    int status = call_begin(sim, SIM_OP_FILE_RESERVE, name);

    if (status == 0 && (handle == NULL || (handle->flags & ENV_OPEN_READ_ONLY) != 0))
        status = -EBADF;
    if (status == 0)
        status = disk_reserve(&sim->disk, handle->inode, bytes);
    return call_end(sim, SIM_OP_FILE_RESERVE, name, status);
}

int env_sim_file_rename(struct env *env, const char *from, const char *to)
{
    struct sim *sim = sim_of(env);
    int status = call_begin(sim, SIM_OP_FILE_RENAME, from);

    if (status == 0)
        status = disk_rename(&sim->disk, from, to);
    return call_end(sim, SIM_OP_FILE_RENAME, to, status);
}

int env_sim_file_unlink(struct env *env, const char *name)
{
    struct sim *sim = sim_of(env);
    int status = call_begin(sim, SIM_OP_FILE_UNLINK, name);

    if (status == 0)
        status = disk_unlink(&sim->disk, name);
    return call_end(sim, SIM_OP_FILE_UNLINK, name, status);
}

int env_sim_dir_make(struct env *env, const char *name)
{
    struct sim *sim = sim_of(env);
    int status = call_begin(sim, SIM_OP_DIR_MAKE, name);

    if (status == 0)
        status = disk_dir_make(&sim->disk, name);
    return call_end(sim, SIM_OP_DIR_MAKE, name, status);
}

int env_sim_dir_entry(struct env *env, const char *name, uint32_t index, char *ret_name)
{
    struct sim *sim = sim_of(env);

    return sim->process.dead ? -ESHUTDOWN : disk_dir_entry(&sim->disk, name, index, ret_name);
}

int env_sim_dir_sync(struct env *env, const char *name)
{
    struct sim *sim = sim_of(env);
    int status = call_begin(sim, SIM_OP_DIR_SYNC, name);

    if (status == 0)
        status = disk_dir_sync(&sim->disk, name);
    return call_end(sim, SIM_OP_DIR_SYNC, name, status);
}

int env_sim_disk_free(struct env *env, uint64_t *ret_free, uint64_t *ret_total)
{
    struct sim *sim = sim_of(env);
    uint64_t spare;
    int32_t injected;

    if (!sim_op_begin(sim, SIM_OP_DISK_FREE))
        return -ESHUTDOWN;
    if (faults_inject(&sim->faults, SIM_OP_DISK_FREE, NULL, &injected))
        return injected;
    spare = sim->disk.capacity_bytes > sim->disk.used_bytes
                ? sim->disk.capacity_bytes - sim->disk.used_bytes
                : 0;
    *ret_free = spare < sim->disk.limit_bytes ? spare : sim->disk.limit_bytes;
    *ret_total = sim->disk.capacity_bytes;
    return 0;
}

/* ---- operations ------------------------------------------------------------------------------ */

/* Starts the task of an operation, `late` being a latency of its kind. */
static void task_start(struct sim *sim, struct sim_task *task, uint64_t latency_ns)
{
    if (happens(sim, sim->faults.rates.spike))
        latency_ns += sim->options.spike_ns;
    sim_trace(sim, SIM_TRACE_START, task->file.op,
              task->file.inode == NULL ? 0 : task->file.inode->id, task->file.position,
              task->file.data_hash);
    clock_start(&sim->clock, task, latency_ns);
}

/* A task for an operation on `file`; *ret_handle is NULL, and the result set, for a bad one. */
static struct sim_task *task_new(struct sim *sim, env_file file, enum env_op op, uint64_t token,
                                 struct sim_handle **ret_handle)
{
    struct sim_task *task = clock_task(&sim->clock, SIM_TASK_FILE, true);
    struct sim_handle *handle = handle_find(sim, file);

    task->token = token;
    task->file.op = (uint8_t)op;
    if (handle == NULL)
        task->file.result = -EBADF;
    else
        task->file.inode = inode_hold(handle->inode);
    *ret_handle = handle;
    return task;
}

/* O_DIRECT wants everything in whole pages. */
static bool misaligned(const struct sim_handle *handle, const void *data, uint32_t bytes,
                       uint64_t position)
{
    return (handle->flags & ENV_OPEN_BUFFERED) == 0 &&
           ((uintptr_t)data | bytes | position) % SIM_PAGE_BYTES != 0;
}

/* Fewer bytes than `bytes`, whole sectors, perhaps none. */
static uint32_t fewer_bytes(struct sim *sim, uint32_t bytes)
{
    uint64_t sectors = (bytes + SIM_SECTOR_BYTES - 1) / SIM_SECTOR_BYTES;

    return (uint32_t)(prng_below(&sim->disk_prng, sectors) * SIM_SECTOR_BYTES);
}

/* Decides what a good write will do and answer. */
static void write_decide(struct sim *sim, struct sim_file_task *file, const char *name)
{
    const struct sim_rates *rates = &sim->faults.rates;
    int32_t injected;
    uint32_t room = disk_room(&sim->disk, file->inode, file->position, file->bytes);

    file->bytes_stored = room;
    file->result = room == 0 ? -ENOSPC : (int32_t)room;
    if (room == 0)
        return;
    if (faults_inject(&sim->faults, SIM_OP_WRITE, name, &injected)) {
        XD_ASSERT(injected < (int32_t)file->bytes);
        file->result = injected;
        file->bytes_stored = injected < 0 ? fewer_bytes(sim, room) : (uint32_t)injected;
    } else if (happens(sim, rates->write_error)) {
        file->result = -EIO;
        file->bytes_stored = fewer_bytes(sim, room);
    } else if (happens(sim, rates->write_short)) {
        file->bytes_stored = fewer_bytes(sim, room);
        file->result = (int32_t)file->bytes_stored;
    }
}

void env_sim_file_write(struct env *env, env_file file, const void *data, uint32_t bytes,
                        uint64_t position, uint32_t flags, uint64_t token)
{
    struct sim *sim = sim_of(env);
    struct sim_handle *handle;
    struct sim_task *task;
    uint64_t latency_ns = sim_draw(&sim->disk_prng, &sim->options.write);

    if (!sim_op_begin(sim, SIM_OP_WRITE))
        return;
    task = task_new(sim, file, ENV_OP_WRITE, token, &handle);
    task->file.bytes = bytes;
    task->file.position = position;
    task->file.dsync = (flags & ENV_WRITE_DSYNC) != 0;
    if (task->file.dsync)
        latency_ns += sim_draw(&sim->disk_prng, &sim->options.sync);
    if (handle == NULL || (handle->flags & ENV_OPEN_READ_ONLY) != 0) {
        task->file.result = -EBADF;
    } else if (bytes > INT32_MAX || misaligned(handle, data, bytes, position)) {
        task->file.result = -EINVAL;
    } else if (bytes > 0) {
        write_decide(sim, &task->file, handle->name);
        task->file.write_data = data;
        if (task->file.bytes_stored > 0) {
            task->file.write =
                disk_write_start(&sim->disk, task->file.inode, data, bytes, position);
            /* New segments are written full of zeros, twice as much as everything else. */
            task->file.zeros = disk_write_zeros(task->file.write);
        }
        task->file.data_hash = task->file.zeros ? bytes : xd_xxh3(data, bytes);
        if (task->file.write != NULL)
            silent_write(sim, &task->file);
    }
    task_start(sim, task, latency_ns);
}

void env_sim_file_read(struct env *env, env_file file, void *data, uint32_t bytes,
                       uint64_t position, uint64_t token)
{
    struct sim *sim = sim_of(env);
    struct sim_handle *handle;
    struct sim_task *task;
    uint64_t latency_ns = sim_draw(&sim->disk_prng, &sim->options.read);
    uint32_t poison = bytes < POISON_BYTES ? bytes : POISON_BYTES;
    int32_t injected;

    if (!sim_op_begin(sim, SIM_OP_READ))
        return;
    task = task_new(sim, file, ENV_OP_READ, token, &handle);
    task->file.bytes = bytes;
    task->file.position = position;
    task->file.read_data = data;
    if (handle != NULL && (bytes > INT32_MAX || misaligned(handle, data, bytes, position))) {
        task->file.result = -EINVAL;
    } else if (handle != NULL && bytes > 0) {
        memset(data, 0xa5, poison);
        memset((uint8_t *)data + bytes - poison, 0xa5, poison);
        task->file.result = (int32_t)bytes;
        silent_read(sim, &task->file);
        if (faults_inject(&sim->faults, SIM_OP_READ, handle->name, &injected)) {
            XD_ASSERT(injected < (int32_t)bytes);
            task->file.result = injected;
        } else if (happens(sim, sim->faults.rates.read_error)) {
            task->file.result = -EIO;
        } else if (happens(sim, sim->faults.rates.read_short)) {
            /* A read of nothing would say "end of file". */
            uint32_t fewer = fewer_bytes(sim, bytes);

            task->file.result = (int32_t)(fewer == 0 ? bytes : fewer);
        }
    }
    task_start(sim, task, latency_ns);
}

void env_sim_file_sync(struct env *env, env_file file, uint64_t token)
{
    struct sim *sim = sim_of(env);
    struct sim_handle *handle;
    struct sim_task *task;

    if (!sim_op_begin(sim, SIM_OP_SYNC))
        return;
    task = task_new(sim, file, ENV_OP_SYNC, token, &handle);
    if (handle != NULL) {
        task->file.sync_sequence = sim->disk.sequence;
        task->file.sync_bytes = handle->inode->newest_bytes;
        task->file.shows =
            sim->options.failed_sync_shows || (handle->flags & ENV_OPEN_BUFFERED) != 0;
        if (!faults_inject(&sim->faults, SIM_OP_SYNC, handle->name, &task->file.result)) {
            if (happens(sim, sim->faults.rates.sync_error))
                task->file.result = -EIO;
            else if (happens(sim, sim->faults.rates.sync_lie))
                task->file.lie = true;
        }
    }
    task_start(sim, task, sim_draw(&sim->disk_prng, &sim->options.sync));
}

/* ---- effects --------------------------------------------------------------------------------- */

static void write_done(struct sim *sim, struct sim_file_task *file)
{
    if (file->write_data != NULL) {
        /* The bytes of a write belong to the env until its event. */
        if (file->zeros)
            XD_ASSERT(bytes_zero(file->write_data, file->bytes));
        else
            XD_ASSERT(xd_xxh3(file->write_data, file->bytes) == file->data_hash);
    }
    if (file->write != NULL)
        disk_write_finish(&sim->disk, file->write, file->bytes_stored,
                          file->dsync && file->result >= 0);
}

static void read_done(struct sim *sim, struct sim_file_task *file)
{
    uint8_t *data = file->read_data;

    if (file->result <= 0)
        return;
    file->result = (int32_t)disk_read(file->inode, data, (uint32_t)file->result, file->position);
    if (file->flip && file->result > 0) {
        uint64_t bit = prng_below(&sim->disk_prng, (uint64_t)file->result * 8);

        data[bit / 8] = (uint8_t)(data[bit / 8] ^ (1u << bit % 8));
    }
    silent_flip(sim, file);
}

static void sync_done(struct sim *sim, struct sim_file_task *file)
{
    if (file->inode == NULL || file->lie)
        return;
    if (file->result < 0)
        disk_sync_fail(&sim->disk, file->inode, file->sync_sequence, file->shows, &sim->disk_prng);
    else
        disk_sync(&sim->disk, file->inode, file->sync_sequence, file->sync_bytes);
}

void sim_file_done(struct sim *sim, struct sim_task *task)
{
    struct sim_file_task *file = &task->file;
    struct env_event event = {.token = task->token, .buffer = ENV_BUFFER_NONE, .op = file->op};

    if (file->op == ENV_OP_WRITE)
        write_done(sim, file);
    else if (file->op == ENV_OP_READ)
        read_done(sim, file);
    else
        sync_done(sim, file);
    event.result = file->result;
    sim_trace(sim, SIM_TRACE_EVENT, file->op, task->token, (uint64_t)event.result, file->data_hash);
    sim_event(sim, &event);
    if (file->inode != NULL)
        inode_drop(&sim->disk, file->inode);
}

void sim_file_forget(struct sim *sim, struct sim_task *task)
{
    if (task->file.inode != NULL)
        inode_drop(&sim->disk, task->file.inode);
}
