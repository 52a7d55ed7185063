/* SPDX-License-Identifier: Apache-2.0
 *
 * Seal and check of meta slots, and the choice between the two. A torn write costs at most the
 * slot being written; the other one then is the truth, because nothing has relied on the torn one
 * yet (epoch, term and vote go to both slots before they are used).
 */
#include "broker/log/meta.h"

#include "broker/log/page.h"
#include "broker/log/segment.h"
#include "wire/bytes.h"
#include "wire/status.h"
#include "wire/xassert.h"

#include <string.h>

void meta_seal(struct meta *meta)
{
    XD_ASSERT(meta->generation > 0);
    XD_ASSERT(meta->shard < meta->shard_count);
    XD_ASSERT(meta->epoch > 0);
    XD_ASSERT(meta->epoch_first_index > 0);
    meta->reserved0 = 0;
    memset(meta->reserved1, 0, sizeof(meta->reserved1));
    page_seal(meta, META_MAGIC, META_VERSION);
}

/* What no writer of this release leaves, under a valid hash. NULL = nothing wrong. */
static const char *check_fields(const struct meta *meta)
{
    if (meta->generation == 0)
        return "generation 0";
    if (meta->shard >= meta->shard_count)
        return "shard beyond the shard count";
    if (meta->segment_bytes < SEGMENT_BYTES_MIN || meta->segment_bytes > SEGMENT_BYTES_MAX ||
        meta->segment_bytes % PAGE_BYTES != 0)
        return "segment_bytes outside its range";
    if (meta->epoch == 0 || meta->epoch_first_index == 0 || meta->epoch_sequence == 0)
        return "the epoch starts nowhere";
    if (meta->epoch_position / meta->segment_bytes == 0 || meta->epoch_position % PAGE_BYTES != 0)
        return "the epoch's position is not a log position";
    if (meta->reserved0 != 0 || !xd_bytes_zero(meta->reserved1, sizeof(meta->reserved1)))
        return "reserved bytes are not zero";
    return NULL;
}

int meta_check(const struct meta *meta, const char **ret_why)
{
    XD_ASSERT(meta != NULL);
    XD_ASSERT(ret_why != NULL);
    int status = page_check(meta, META_MAGIC, META_VERSION, XD_LOG_CORRUPT, ret_why);
    if (status < 0)
        return status;
    const char *wrong = check_fields(meta);
    if (wrong != NULL) {
        *ret_why = wrong;
        return XD_LOG_CORRUPT;
    }
    return 0;
}

/* Status of one slot; a whole page in the wrong slot is a misdirected write. */
static int check_slot(const struct meta *meta, uint32_t slot, const char **ret_why)
{
    int status = meta_check(meta, ret_why);
    if (status == 0 && meta->generation % META_SLOTS != slot) {
        *ret_why = "the page belongs into the other slot";
        return XD_LOG_CORRUPT;
    }
    return status;
}

int meta_choose(const struct meta slots[META_SLOTS], const char **ret_why)
{
    XD_ASSERT(slots != NULL);
    XD_ASSERT(ret_why != NULL);
    int newest = -1;
    int newest_status = XD_LOG_CORRUPT;
    const char *newest_why = "";
    const char *why[META_SLOTS] = {"", ""};
    for (uint32_t i = 0; i < META_SLOTS; i++) {
        int status = check_slot(&slots[i], i, &why[i]);
        if (status == XD_LOG_CORRUPT)
            continue;
        if (newest >= 0 && slots[i].generation < slots[newest].generation)
            continue;
        newest = (int)i;
        newest_status = status;
        newest_why = why[i];
    }
    if (newest < 0) {
        *ret_why = why[0];
        return XD_LOG_CORRUPT;
    }
    if (newest_status < 0) {
        *ret_why = newest_why;
        return newest_status;
    }
    const struct meta *other = &slots[1 - newest];
    const char *unused;
    if (check_slot(other, (uint32_t)(1 - newest), &unused) == 0 &&
        memcmp(other->log_uuid, slots[newest].log_uuid, sizeof(other->log_uuid)) != 0) {
        *ret_why = "the two slots belong to different logs";
        return XD_LOG_CORRUPT;
    }
    return newest;
}

const char *meta_damaged(const struct meta slots[META_SLOTS], int chosen)
{
    XD_ASSERT(chosen >= 0 && chosen < (int)META_SLOTS);
    XD_ASSERT(slots[chosen].generation > 0);
    const uint32_t other = 1u - (uint32_t)chosen;
    const char *wrong;
    if (slots[chosen].generation == 1 || check_slot(&slots[other], other, &wrong) != XD_LOG_CORRUPT)
        return NULL;
    return wrong;
}
