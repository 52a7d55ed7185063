/* SPDX-License-Identifier: Apache-2.0
 *
 * Listing, opening and judging wal files. A slot's number is believed from its header; the header
 * was durable before the segment held a block, so a damaged one beside valid blocks is damage, and
 * a damaged one without is a preparation that a crash ended.
 */
#include "broker/log/folder.h"

#include "broker/log/blocking.h"
#include "broker/log/page.h"
#include "broker/log/point.h"
#include "wire/limits.h"
#include "wire/status.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Entries looked at; a folder with more is not one of ours. */
#define ENTRIES_MAX 65536u

static void set_bit(uint8_t *bits, uint32_t slot)
{
    bits[slot / 8u] = (uint8_t)(bits[slot / 8u] | 1u << (slot % 8u));
}

/* Slot of a wal file's name; -1 for every other name, also for a number written in another way. */
static int64_t slot_of_name(const char *name)
{
    if (strncmp(name, "wal.", 4) != 0)
        return -1;
    char *end;
    unsigned long slot = strtoul(name + 4, &end, 10);
    if (*end != '\0' || slot >= SEGMENT_SLOTS_MAX)
        return -1;
    char canonical[ENV_NAME_BYTES_MAX];
    segment_name((uint32_t)slot, canonical);
    return strcmp(name, canonical) == 0 ? (int64_t)slot : -1;
}

int folder_list(struct env *env, struct folder *ret_folder, char *why)
{
    struct folder found;
    memset(&found, 0, sizeof(found));
    char name[ENV_NAME_BYTES_MAX];
    for (uint32_t i = 0; i < ENTRIES_MAX; i++) {
        int status = env_dir_entry(env, "", i, name);
        if (status == -ENOENT) {
            *ret_folder = found;
            return 0;
        }
        if (status < 0) {
            (void)snprintf(why, XD_DETAIL_BYTES_MAX, "the data folder cannot be listed (%s)",
                           xd_status_name(status));
            return status;
        }
        int64_t slot = slot_of_name(name);
        if (slot >= 0) {
            set_bit(found.present, (uint32_t)slot);
            if ((uint32_t)slot >= found.slot_count)
                found.slot_count = (uint32_t)slot + 1;
        }
        found.meta |= strcmp(name, FOLDER_META) == 0;
        found.checkpoints |= strncmp(name, "checkpoint.", 11) == 0;
    }
    (void)snprintf(why, XD_DETAIL_BYTES_MAX,
                   "the data folder holds more than %u entries: not a folder of this program",
                   ENTRIES_MAX);
    return XD_LOG_FOREIGN;
}

/* Says which file is wrong and how, and passes the status on. */
static int refuse(int status, uint32_t slot, const char *what, const char *next, char *why)
{
    char name[ENV_NAME_BYTES_MAX];
    segment_name(slot, name);
    (void)snprintf(why, XD_DETAIL_BYTES_MAX, "%s: %s; %s", name, what, next);
    return status;
}

/* Puts the header of one wal file into its row. */
static int take_header(const struct segment_header *header, const struct meta *meta, uint32_t slot,
                       struct segment *segment, char *why)
{
    const char *what;
    int status = segment_header_check(header, meta->log_uuid, meta->shard, &what);
    if (status == XD_LOG_CORRUPT)
        return 0; /* stays FREE unless a block says otherwise */
    if (status == XD_FORMAT_UNKNOWN)
        return refuse(status, slot, what, "start the release that wrote it", why);
    if (status < 0)
        return refuse(status, slot, what, "move the file out of this data folder", why);
    if (header->segment_bytes != meta->segment_bytes)
        return refuse(XD_LOG_CORRUPT, slot, "its segment_bytes differ from meta's",
                      "restore meta or this file from a copy of the folder", why);
    segment->segment_no = header->segment_no;
    segment->epoch = (uint32_t)header->epoch;
    segment->state = SEGMENT_FULL;
    return 0;
}

static int open_slot(struct env *env, const struct meta *meta, uint32_t slot,
                     struct segment *segment, uint8_t *scratch, char *why)
{
    char name[ENV_NAME_BYTES_MAX];
    segment_name(slot, name);
    env_file file;
    int status = env_file_open(env, name, 0, &file);
    if (status < 0)
        return refuse(status, slot, xd_status_text(status), "check the file's permissions", why);
    segment->file = file;
    uint64_t bytes;
    status = env_file_bytes(env, file, &bytes);
    if (status < 0)
        return refuse(status, slot, xd_status_text(status), "check the file system", why);
    segment->zeroed = bytes >= meta->segment_bytes;
    /* Twice before it is called free, because a free slot is overwritten. */
    for (uint32_t i = 0; i < 2 && status == 0 && segment->segment_no == 0; i++) {
        uint32_t bad;
        int error;
        status = blocking_read_pages(env, file, scratch, FOLDER_PROBE_BYTES, 0, &bad, &error);
        if (status < 0)
            return refuse(status, slot, "reading failed", "check the device", why);
        status = take_header((const struct segment_header *)(const void *)scratch, meta, slot,
                             segment, why);
    }
    return status;
}

/* Two files with one number: the later epoch's is the segment, the other one a leftover. */
static int settle_twins(struct segment_table *table, uint32_t slot, char *why)
{
    struct segment *segment = &table->slots[slot];
    for (uint32_t i = 0; i < slot && segment->segment_no != 0; i++) {
        struct segment *other = &table->slots[i];
        if (other->segment_no != segment->segment_no)
            continue;
        if (other->epoch == segment->epoch)
            return refuse(XD_LOG_CORRUPT, slot, "another wal file holds the same segment",
                          "remove the one that was copied into the folder", why);
        struct segment *loser = other->epoch < segment->epoch ? other : segment;
        loser->segment_no = 0;
        loser->state = SEGMENT_FREE;
    }
    return 0;
}

/* A valid block header at the first block's place, of whatever segment it says. NULL = none. */
static const struct block_header *probe(const uint8_t *scratch, const struct meta *meta)
{
    const struct block_header *block =
        (const struct block_header *)(const void *)(scratch + RECOVER_FIRST_AT);
    uint64_t segment_no = block->position / meta->segment_bytes;
    if (block->magic != BLOCK_MAGIC || segment_no == 0 || block->epoch > meta->epoch ||
        block->position != segment_no * meta->segment_bytes + RECOVER_FIRST_AT)
        return NULL;
    struct block_identity identity = point_identity(meta, segment_no, block->epoch);
    const char *unused;
    return block_check_header(block, &identity, block->position, &unused) == 0 ? block : NULL;
}

/* Slots with a damaged header that hold a block of a missing number are that segment. */
static int adopt_slots(struct env *env, struct folder *folder, const struct meta *meta,
                       struct segment_table *table, uint8_t *scratch)
{
    for (uint32_t slot = 0; slot < table->slot_count; slot++) {
        struct segment *segment = &table->slots[slot];
        if (segment->file < 0 || segment->segment_no != 0 || !segment->zeroed)
            continue;
        uint32_t bad;
        int error;
        int status =
            blocking_read_pages(env, segment->file, scratch, FOLDER_PROBE_BYTES, 0, &bad, &error);
        if (status < 0)
            return status;
        const struct block_header *block = probe(scratch, meta);
        if (block == NULL || segment_find(table, block->position / meta->segment_bytes) != NULL)
            continue;
        segment->segment_no = block->position / meta->segment_bytes;
        segment->epoch = (uint32_t)block->epoch;
        segment->state = SEGMENT_FULL;
        set_bit(folder->adopted, slot);
    }
    return 0;
}

int folder_open(struct env *env, struct folder *folder, const struct meta *meta,
                struct segment_table *table, uint8_t *scratch, char *why)
{
    XD_ASSERT(((uintptr_t)scratch & (PAGE_BYTES - 1u)) == 0);
    XD_ASSERT(table->slot_max <= SEGMENT_SLOTS_MAX);
    table->slot_count = 0;
    table->segment_bytes = meta->segment_bytes;
    if (folder->slot_count > table->slot_max)
        return refuse(XD_OPTION_INVALID, folder->slot_count - 1,
                      "more wal files than the retention options allow",
                      "raise retention_bytes to what it was", why);
    for (uint32_t slot = 0; slot < folder->slot_count; slot++) {
        table->slots[slot] =
            (struct segment){.file = -1, .slot = (uint16_t)slot, .state = SEGMENT_FREE};
        table->slot_count = slot + 1;
    }
    for (uint32_t slot = 0; slot < folder->slot_count; slot++) {
        if (!folder_bit(folder->present, slot))
            continue;
        struct segment *segment = &table->slots[slot];
        int status = open_slot(env, meta, slot, segment, scratch, why);
        if (status == 0)
            status = settle_twins(table, slot, why);
        if (status < 0)
            return status;
    }
    int status = adopt_slots(env, folder, meta, table, scratch);
    if (status < 0)
        (void)snprintf(why, XD_DETAIL_BYTES_MAX, "reading wal files failed; check the device");
    return status;
}

void folder_close(struct env *env, struct segment_table *table)
{
    for (uint32_t slot = 0; slot < table->slot_count; slot++) {
        if (table->slots[slot].file >= 0)
            env_file_close(env, table->slots[slot].file);
        table->slots[slot].file = -1;
    }
}

uint64_t folder_gap(struct segment_table *table, uint64_t first_no, uint64_t scan_no)
{
    uint64_t no = scan_no;
    for (uint32_t slot = 0; slot < table->slot_count; slot++)
        if (table->slots[slot].segment_no >= first_no && table->slots[slot].segment_no < no)
            no = table->slots[slot].segment_no;
    XD_ASSERT(first_no > 0);
    while (no < scan_no && segment_find(table, no) != NULL)
        no++;
    return no < scan_no ? no : 0;
}

void folder_keep_run(struct segment_table *table, uint64_t scan_no)
{
    uint64_t oldest = scan_no;
    while (oldest > 1 && segment_find(table, oldest - 1) != NULL)
        oldest--;
    for (uint32_t slot = 0; slot < table->slot_count; slot++)
        if (table->slots[slot].segment_no < oldest)
            segment_free(&table->slots[slot]);
}

uint32_t folder_settle(struct segment_table *table, uint64_t point_no)
{
    XD_ASSERT(point_no > 0);
    uint64_t end = point_no; /* first number without a usable file */
    for (const struct segment *segment; (segment = segment_find(table, end)) != NULL; end++)
        if (!segment->zeroed)
            break;
    uint32_t active = UINT32_MAX;
    for (uint32_t slot = 0; slot < table->slot_count; slot++) {
        struct segment *segment = &table->slots[slot];
        if (segment->segment_no == 0)
            continue;
        if (segment->segment_no < point_no) {
            segment->state = SEGMENT_FULL;
        } else if (segment->segment_no >= end) {
            segment_free(segment);
        } else if (segment->segment_no > point_no) {
            segment->state = SEGMENT_READY;
        } else {
            segment->state = SEGMENT_ACTIVE;
            active = slot;
        }
    }
    table->active = active;
    table->next_no = end;
    return active;
}

int folder_first_block(struct env *env, const struct segment *segment, const struct meta *meta,
                       uint8_t *scratch, uint64_t *ret_epoch)
{
    XD_ASSERT(segment->segment_no > 0 && segment->file >= 0);
    uint32_t bad;
    int error;
    int status =
        blocking_read_pages(env, segment->file, scratch, FOLDER_PROBE_BYTES, 0, &bad, &error);
    if (status < 0)
        return status;
    const struct block_header *block = probe(scratch, meta);
    if (block == NULL || block->position / meta->segment_bytes != segment->segment_no)
        return 0;
    *ret_epoch = block->epoch;
    return 1;
}
