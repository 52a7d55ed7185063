/* SPDX-License-Identifier: Apache-2.0
 *
 * The table of failures; see nth_fault.h.
 */
#include "tests/crash/nth_fault.h"

#include "wire/xassert.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SECTOR_BYTES 512 /* a short write or read ends at a sector */

#define ROW(op_name, op, error)                                                                    \
    {                                                                                              \
        op_name, #error, op, -(error)                                                              \
    }

static const struct nth_row rows[] = {
    ROW("write", SIM_OP_WRITE, EIO),
    ROW("write", SIM_OP_WRITE, ENOSPC),
    ROW("write", SIM_OP_WRITE, EAGAIN),
    ROW("write", SIM_OP_WRITE, ECANCELED),
    {"write", "0", SIM_OP_WRITE, 0, NULL},
    {"write_wal", "512", SIM_OP_WRITE, SECTOR_BYTES, "wal."},
    {"write_meta", "512", SIM_OP_WRITE, SECTOR_BYTES, "meta"},
    {"write_checkpoint", "512", SIM_OP_WRITE, SECTOR_BYTES, "checkpoint."},
    ROW("sync", SIM_OP_SYNC, EIO),
    ROW("sync", SIM_OP_SYNC, ENOSPC),
    ROW("sync", SIM_OP_SYNC, EAGAIN),
    ROW("sync", SIM_OP_SYNC, ECANCELED),
    ROW("read", SIM_OP_READ, EIO),
    ROW("read", SIM_OP_READ, EAGAIN),
    ROW("read", SIM_OP_READ, ECANCELED),
    {"read", "0", SIM_OP_READ, 0, NULL}, /* the file ends earlier than was expected */
    {"read", "512", SIM_OP_READ, SECTOR_BYTES, NULL},
    ROW("accept", SIM_OP_ACCEPT, EMFILE),
    ROW("accept", SIM_OP_ACCEPT, ECONNABORTED),
    ROW("accept", SIM_OP_ACCEPT, EAGAIN),
    ROW("accept", SIM_OP_ACCEPT, ECANCELED),
    ROW("recv", SIM_OP_RECV, ECONNRESET),
    ROW("recv", SIM_OP_RECV, EIO),
    ROW("recv", SIM_OP_RECV, ENOBUFS),
    ROW("recv", SIM_OP_RECV, ECANCELED),
    ROW("send", SIM_OP_SEND, ECONNRESET),
    ROW("send", SIM_OP_SEND, EPIPE),
    ROW("send", SIM_OP_SEND, EIO),
    ROW("send", SIM_OP_SEND, ECANCELED),
    ROW("close", SIM_OP_CLOSE, EIO),
    ROW("close", SIM_OP_CLOSE, ECONNRESET),
    ROW("close", SIM_OP_CLOSE, ECANCELED),
    ROW("listen", SIM_OP_LISTEN, EADDRINUSE),
    ROW("listen", SIM_OP_LISTEN, EACCES),
    ROW("file_open", SIM_OP_FILE_OPEN, EMFILE),
    ROW("file_open", SIM_OP_FILE_OPEN, EIO),
    ROW("file_open", SIM_OP_FILE_OPEN, ENOSPC),
    ROW("file_reserve", SIM_OP_FILE_RESERVE, ENOSPC),
    ROW("file_reserve", SIM_OP_FILE_RESERVE, EIO),
    ROW("file_unlink", SIM_OP_FILE_UNLINK, EIO),
    ROW("dir_make", SIM_OP_DIR_MAKE, EACCES),
    ROW("dir_make", SIM_OP_DIR_MAKE, ENOSPC),
    ROW("dir_sync", SIM_OP_DIR_SYNC, EIO),
    ROW("dir_sync", SIM_OP_DIR_SYNC, ENOSPC),
    ROW("disk_free", SIM_OP_DISK_FREE, EIO),
    ROW("mem_alloc", SIM_OP_MEM_ALLOC, ENOMEM),
    {"any", "death", SIM_OP_COUNT, 0, NULL},
};

uint32_t nth_row_count(void)
{
    return (uint32_t)(sizeof rows / sizeof rows[0]);
}

const struct nth_row *nth_row(uint32_t row)
{
    XD_ASSERT(row < nth_row_count());
    return &rows[row];
}

bool nth_is_net(enum sim_op op)
{
    return op == SIM_OP_ACCEPT || op == SIM_OP_RECV || op == SIM_OP_SEND || op == SIM_OP_CLOSE;
}

bool nth_site_parse(const char *text, struct nth_site *ret_site)
{
    char *end;
    for (uint32_t row = 0; row < nth_row_count(); row++) {
        char prefix[64];
        int bytes =
            snprintf(prefix, sizeof prefix, "%s:%s:", rows[row].op_name, rows[row].result_name);
        if (strncmp(text, prefix, (size_t)bytes) != 0)
            continue;
        const char *digits = text + bytes;
        uint64_t n = strtoull(digits, &end, 10);
        if (*digits < '1' || *digits > '9' || *end != '\0')
            return false;
        *ret_site = (struct nth_site){.row = row, .n = n};
        return true;
    }
    return false;
}

void nth_fault_inject(const struct nth_fault *fault, struct sim *sim)
{
    static_assert(NTH_LASTING <= SIM_INJECTIONS_MAX, "all of them wait at a time");
    XD_ASSERT(!fault->lasts || fault->site_count == 1);
    for (uint32_t i = 0; i < fault->site_count; i++) {
        const struct nth_row *row = nth_row(fault->sites[i].row);
        if (row->op == SIM_OP_COUNT) {
            sim_plan_crash_op(sim, fault->sites[i].n);
            continue;
        }
        for (uint32_t k = 0; k < (fault->lasts ? NTH_LASTING : 1u); k++)
            sim_inject(sim, row->op, row->files, fault->sites[i].n + k, row->result);
    }
}

void nth_fault_text(const struct nth_fault *fault, char ret_text[NTH_TEXT_BYTES])
{
    int used = snprintf(ret_text, NTH_TEXT_BYTES, "--seed %" PRIu64 "%s%s", fault->seed,
                        fault->dsync ? " --dsync" : "", fault->lasts ? " --lasts" : "");
    for (uint32_t i = 0; i < fault->site_count; i++) {
        const struct nth_row *row = nth_row(fault->sites[i].row);
        XD_ASSERT(used > 0 && used < (int)NTH_TEXT_BYTES);
        used += snprintf(ret_text + used, NTH_TEXT_BYTES - (size_t)used, " --fault %s:%s:%" PRIu64,
                         row->op_name, row->result_name, fault->sites[i].n);
    }
    XD_ASSERT(used < (int)NTH_TEXT_BYTES);
}
