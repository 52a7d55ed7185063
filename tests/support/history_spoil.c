/* SPDX-License-Identifier: Apache-2.0
 *
 * The changes of history_spoil.h.
 */
#include "tests/support/history_spoil.h"

#include "wire/xassert.h"

#include <string.h>

#define TRIES 16u /* at finding a place for a change */

/* A place in the log at which something is to be changed. */
struct spot {
    uint32_t partition;          /* */
    uint64_t offset;             /* */
    struct history_entry *entry; /* what a reply shows there */
    struct history_op *op;       /* that sent it */
};

void spoil_look(struct spoil *spoil, struct history *history, uint64_t seed)
{
    memset(spoil, 0, sizeof *spoil);
    memset(spoil->log, 0xff, sizeof spoil->log);
    spoil->history = history;
    prng_seed(&spoil->prng, seed ^ 0x5eed);
    for (uint64_t i = 0; i < history->run_count; i++) {
        const struct history_run *run = &history->runs[i];
        uint32_t p = run->reply.partition;
        if (run->reply.first_offset > spoil->floor[p])
            spoil->floor[p] = run->reply.first_offset;
        for (uint32_t k = 0; k < run->entry_count; k++)
            spoil->log[p][run->base_offset + k] = run->first_entry + k;
        if (run->entry_count > 0 && run->base_offset + run->entry_count > spoil->end[p])
            spoil->end[p] = run->base_offset + run->entry_count;
    }
    for (uint64_t i = 0; i < history->quarantine_count; i++)
        spoil->damaged[history->quarantines[i].partition] = true;
    for (uint32_t i = 0; i < history->op_count; i++)
        for (uint32_t k = 0; k < history->ops[i].record_count; k++)
            spoil->ops[history->records[history->ops[i].first_record + k].id] = i;
}

static bool spot_at(struct spoil *spoil, uint32_t partition, uint64_t offset, struct spot *ret_spot)
{
    struct history *history = spoil->history;
    if (offset >= spoil->end[partition] || spoil->log[partition][offset] == UINT32_MAX)
        return false;
    struct history_entry *entry = &history->entries[spoil->log[partition][offset]];
    *ret_spot = (struct spot){.partition = partition,
                              .offset = offset,
                              .entry = entry,
                              .op = &history->ops[spoil->ops[entry->id]]};
    return true;
}

/* A record somewhere in the log that is still kept; `whole`: nothing of its partition is damaged or
 * removed. */
static bool find_spot(struct spoil *spoil, bool whole, struct spot *ret_spot)
{
    uint32_t p = (uint32_t)prng_below(&spoil->prng, MODEL_PARTITIONS);
    if (spoil->end[p] <= spoil->floor[p] || (whole && (spoil->damaged[p] || spoil->floor[p] > 0)))
        return false;
    uint64_t offset = spoil->floor[p] + prng_below(&spoil->prng, spoil->end[p] - spoil->floor[p]);
    return spot_at(spoil, p, offset, ret_spot);
}

static bool is_durable(const struct history_op *op)
{
    return op->outcome == HISTORY_OK && op->level == HISTORY_FSYNC;
}

/* What the run number `i` shows at that place, or NULL. */
static struct history_entry *shown(const struct spoil *spoil, uint64_t i, const struct spot *spot)
{
    const struct history_run *run = &spoil->history->runs[i];
    if (run->reply.partition != spot->partition || spot->offset < run->base_offset ||
        spot->offset >= run->base_offset + run->entry_count)
        return NULL;
    return &spoil->history->entries[run->first_entry + (spot->offset - run->base_offset)];
}

/* The offset shows this record in every reply; its append time stays. */
static void put(struct spoil *spoil, const struct spot *spot, const struct history_entry *entry)
{
    for (uint64_t i = 0; i < spoil->history->run_count; i++) {
        struct history_entry *target = shown(spoil, i, spot);
        if (target == NULL)
            continue;
        int64_t stamp = target->append_time_us;
        *target = *entry;
        target->append_time_us = stamp;
    }
}

/* ---- changes; false: this history does not lend itself to it --------------------------------- */

/* The log ends before a record, for all readers at all times. */
static bool cut_tail(struct spoil *spoil)
{
    struct spot spot;
    if (!find_spot(spoil, true, &spot) || !is_durable(spot.op))
        return false;
    for (uint64_t i = 0; i < spoil->history->run_count; i++) {
        struct history_run *run = &spoil->history->runs[i];
        if (run->reply.partition != spot.partition)
            continue;
        if (run->reply.end_offset > spot.offset)
            run->reply.end_offset = spot.offset;
        if (run->base_offset >= spot.offset)
            run->entry_count = 0;
        else if (run->base_offset + run->entry_count > spot.offset)
            run->entry_count = (uint32_t)(spot.offset - run->base_offset);
    }
    return true;
}

/* A record is gone and all behind it have moved down. */
static bool drop_record(struct spoil *spoil)
{
    struct spot spot;
    if (!find_spot(spoil, true, &spot) || !is_durable(spot.op))
        return false;
    for (uint64_t i = 0; i < spoil->history->run_count; i++) {
        struct history_run *run = &spoil->history->runs[i];
        if (run->reply.partition != spot.partition)
            continue;
        run->reply.end_offset -= run->reply.end_offset > spot.offset;
        run->reply.requested -= run->reply.requested > spot.offset;
        if (run->base_offset > spot.offset) {
            run->base_offset--;
        } else if (run->base_offset + run->entry_count > spot.offset) {
            uint64_t at = spot.offset - run->base_offset;
            struct history_entry *entries = &spoil->history->entries[run->first_entry];
            run->entry_count--;
            memmove(entries + at, entries + at + 1, (run->entry_count - at) * sizeof *entries);
        }
    }
    return true;
}

static bool swap_spots(struct spoil *spoil, const struct spot *one, const struct spot *two)
{
    const struct history_entry first = *one->entry, second = *two->entry;
    put(spoil, one, &second);
    put(spoil, two, &first);
    return true;
}

/* Two neighbours have changed places. */
static bool swap_neighbours(struct spoil *spoil)
{
    struct spot one, two;
    return find_spot(spoil, false, &one) && spot_at(spoil, one.partition, one.offset + 1, &two) &&
           is_durable(one.op) && swap_spots(spoil, &one, &two);
}

/* Two records of one channel have changed places. */
static bool swap_in_channel(struct spoil *spoil)
{
    struct spot one, two;
    return find_spot(spoil, false, &one) && find_spot(spoil, false, &two) &&
           one.partition == two.partition && one.offset != two.offset &&
           one.op->channel == two.op->channel && swap_spots(spoil, &one, &two);
}

/* A record has taken the place of another one too. */
static bool double_record(struct spoil *spoil)
{
    struct spot one, two;
    if (!find_spot(spoil, false, &one) || !find_spot(spoil, false, &two) ||
        one.entry->id == two.entry->id)
        return false;
    put(spoil, &two, one.entry);
    return true;
}

static bool invent_record(struct spoil *spoil)
{
    struct spot spot;
    if (!find_spot(spoil, false, &spot))
        return false;
    struct history_entry entry = *spot.entry;
    entry.id += UINT32_MAX;
    put(spoil, &spot, &entry);
    return true;
}

static bool move_acknowledgement(struct spoil *spoil)
{
    struct spot spot;
    if (!find_spot(spoil, false, &spot) || spot.op->outcome != HISTORY_OK)
        return false;
    bool up = spot.op->base_offset == 0 || prng_below(&spoil->prng, 2) == 0;
    spot.op->base_offset += up ? 1 : UINT64_MAX;
    return true;
}

static bool move_operation(struct spoil *spoil)
{
    struct spot spot;
    if (!find_spot(spoil, false, &spot) || spot.op->outcome != HISTORY_OK)
        return false;
    spot.op->partition = (spot.op->partition + 1) % MODEL_PARTITIONS;
    return true;
}

static bool refuse_what_is_there(struct spoil *spoil)
{
    struct spot spot;
    if (!find_spot(spoil, false, &spot))
        return false;
    spot.op->outcome = HISTORY_FAIL;
    return true;
}

/* One of several replies shows another id at an offset. */
static bool change_one_reply(struct spoil *spoil)
{
    struct spot spot;
    if (!find_spot(spoil, false, &spot))
        return false;
    for (uint64_t i = 0; i < spoil->history->run_count; i++) {
        struct history_entry *entry = shown(spoil, i, &spot);
        if (entry == NULL || entry == spot.entry)
            continue;
        entry->id ^= 1;
        return true;
    }
    return false;
}

static bool set_stamp_back(struct spoil *spoil)
{
    struct spot one, two;
    if (!find_spot(spoil, false, &one) || !spot_at(spoil, one.partition, one.offset + 1, &two))
        return false;
    int64_t stamp = one.entry->append_time_us - 1;
    for (uint64_t i = 0; i < spoil->history->run_count; i++) {
        struct history_entry *entry = shown(spoil, i, &two);
        if (entry != NULL)
            entry->append_time_us = stamp;
    }
    return true;
}

static bool set_log_index_back(struct spoil *spoil)
{
    struct spot one, two;
    if (!find_spot(spoil, false, &one) || !spot_at(spoil, one.partition, one.offset + 1, &two) ||
        one.op == two.op || one.op->outcome != HISTORY_OK || two.op->outcome != HISTORY_OK ||
        ((one.op->flags | two.op->flags) & HISTORY_OP_DUPLICATE) != 0)
        return false;
    if (one.op->log_index == 1)
        return false;
    two.op->log_index = one.op->log_index - 1;
    return true;
}

/* An operation began when something behind it had been acknowledged. */
static bool begin_too_late(struct spoil *spoil)
{
    struct spot one, two;
    if (!find_spot(spoil, false, &one) || !spot_at(spoil, one.partition, one.offset + 1, &two) ||
        one.op == two.op || two.op->outcome != HISTORY_OK)
        return false;
    one.op->start_ns = two.op->end_ns + 1;
    if (one.op->end_ns < one.op->start_ns)
        one.op->end_ns = one.op->start_ns;
    return true;
}

/* A record comes back with one bit changed. */
static bool alter_record(struct spoil *spoil)
{
    struct spot spot;
    if (!find_spot(spoil, false, &spot))
        return false;
    struct history_entry entry = *spot.entry;
    uint64_t bit = prng_below(&spoil->prng, 128);
    if (bit < 64)
        entry.sequence ^= 1ull << bit;
    else if (bit < 96)
        entry.key ^= 1u << (bit - 64);
    else
        entry.content ^= 1u << (bit - 96);
    put(spoil, &spot, &entry);
    return true;
}

static bool alter_chain(struct spoil *spoil)
{
    struct spot spot;
    if (!find_spot(spoil, true, &spot))
        return false;
    spot.op->previous++;
    return true;
}

/* A key turns up in another partition. */
static bool move_key(struct spoil *spoil)
{
    struct spot one, two;
    if (!find_spot(spoil, false, &one) || !find_spot(spoil, false, &two) ||
        one.partition == two.partition || one.op->channel != two.op->channel)
        return false;
    struct history_entry entry = *one.entry;
    entry.key = two.entry->key;
    for (uint32_t i = 0; i < one.op->record_count; i++) {
        struct history_record *record = &spoil->history->records[one.op->first_record + i];
        if (record->id == entry.id)
            record->key = entry.key;
    }
    put(spoil, &one, &entry);
    return true;
}

/* The last operation, which began when faults had healed, has no outcome 20 s later. */
static bool hang(struct spoil *spoil)
{
    struct history *history = spoil->history;
    if (history->op_count == 0)
        return false;
    history->ops[history->op_count - 1].outcome = HISTORY_PENDING;
    (void)history_mark(history, HISTORY_RESTART,
                       history->ops[history->op_count - 1].start_ns + 20000000000u);
    return true;
}

/* Weak records were lost, and no crash excuses it. */
static bool forget_crashes(struct spoil *spoil)
{
    struct history *history = spoil->history;
    bool lost = false;
    for (uint64_t i = 0; i < history->op_count; i++) {
        const struct history_op *op = &history->ops[i];
        if (op->outcome != HISTORY_OK || op->level == HISTORY_FSYNC ||
            spoil->damaged[op->partition])
            continue;
        bool found = false;
        for (uint64_t k = 0; k < history->entry_count && !found; k++)
            found = history->entries[k].id == history->records[op->first_record].id;
        lost |= !found && op->base_offset >= spoil->floor[op->partition];
    }
    for (uint64_t i = 0; lost && i < history->moment_count; i++)
        if (history->moments[i].mark == HISTORY_CRASH)
            history->moments[i].mark = HISTORY_RESTART;
    return lost;
}

static struct history_run *last_run(struct spoil *spoil, uint32_t partition)
{
    for (uint64_t i = spoil->history->run_count; i-- > 0;)
        if (spoil->history->runs[i].reply.partition == partition)
            return &spoil->history->runs[i];
    return NULL;
}

static bool lower_floor(struct spoil *spoil)
{
    uint32_t p = (uint32_t)prng_below(&spoil->prng, MODEL_PARTITIONS);
    struct history_run *run = last_run(spoil, p);
    if (run == NULL || spoil->floor[p] == 0)
        return false;
    run->reply.start_ns = run->reply.end_ns = run->reply.end_ns + 1000000000u;
    run->reply.first_offset--;
    return true;
}

static bool serve_damaged(struct spoil *spoil)
{
    struct spot spot;
    if (!find_spot(spoil, false, &spot))
        return false;
    (void)history_quarantine(spoil->history, spot.partition, spot.offset, spot.offset, 0);
    return true;
}

/* The last record of a partition was never read. */
static bool leave_unread(struct spoil *spoil)
{
    uint32_t p = (uint32_t)prng_below(&spoil->prng, MODEL_PARTITIONS);
    const struct spot last = {.partition = p, .offset = spoil->end[p] - 1};
    if (spoil->end[p] <= spoil->floor[p] || spoil->damaged[p])
        return false;
    for (uint64_t i = 0; i < spoil->history->run_count; i++)
        if (shown(spoil, i, &last) != NULL)
            spoil->history->runs[i].entry_count--;
    return true;
}

/* The last reader of a partition is shown an end before a durable record. */
static bool show_old_end(struct spoil *spoil)
{
    struct spot spot;
    uint32_t p = (uint32_t)prng_below(&spoil->prng, MODEL_PARTITIONS);
    struct history_run *run = last_run(spoil, p);
    if (run == NULL || run->reply.end_offset == 0 || run->entry_count == 0 ||
        !spot_at(spoil, p, run->reply.end_offset - 1, &spot) || !is_durable(spot.op))
        return false;
    run->reply.end_offset--;
    run->entry_count--;
    return true;
}

/* A reader had asked for one offset less than it got. */
static bool lead_past(struct spoil *spoil)
{
    struct spot spot;
    uint32_t p = (uint32_t)prng_below(&spoil->prng, MODEL_PARTITIONS);
    struct history_run *run = last_run(spoil, p);
    if (run == NULL || run->entry_count == 0 || run->base_offset <= spoil->floor[p] ||
        !spot_at(spoil, p, run->base_offset - 1, &spot) || spoil->damaged[p])
        return false;
    run->reply.requested = run->base_offset - 1;
    return true;
}

/* A reply leaves an offset out. */
static bool skip_offset(struct spoil *spoil)
{
    struct spot one, two;
    if (!find_spot(spoil, false, &one) || !spot_at(spoil, one.partition, one.offset + 2, &two) ||
        spoil->damaged[one.partition])
        return false;
    struct history_reply reply = {.partition = one.partition};
    const struct history_entry first = *one.entry, second = *two.entry;
    reply.requested = reply.first_offset = reply.end_offset = HISTORY_NONE;
    (void)history_read(spoil->history, &reply);
    (void)history_read_record(spoil->history, one.offset, &first);
    (void)history_read_record(spoil->history, two.offset, &second);
    return true;
}

static const struct {
    bool (*change)(struct spoil *spoil);
    enum history_property broken;
    const char *name;
} changes[] = {
    {cut_tail, HISTORY_DURABLE, "cut_tail"},
    {drop_record, HISTORY_P1, "drop_record"},
    {swap_neighbours, HISTORY_CLAIM, "swap_neighbours"},
    {swap_in_channel, HISTORY_P5, "swap_in_channel"},
    {double_record, HISTORY_P4, "double_record"},
    {invent_record, HISTORY_P2, "invent_record"},
    {move_acknowledgement, HISTORY_CLAIM, "move_acknowledgement"},
    {move_operation, HISTORY_CLAIM, "move_operation"},
    {refuse_what_is_there, HISTORY_P2, "refuse_what_is_there"},
    {change_one_reply, HISTORY_P4, "change_one_reply"},
    {set_stamp_back, HISTORY_APPEND_TIME, "set_stamp_back"},
    {set_log_index_back, HISTORY_LOG_ORDER, "set_log_index_back"},
    {begin_too_late, HISTORY_LOG_ORDER, "begin_too_late"},
    {alter_record, HISTORY_CONTENT, "alter_record"},
    {alter_chain, HISTORY_P5, "alter_chain"},
    {move_key, HISTORY_P5, "move_key"},
    {hang, HISTORY_P12, "hang"},
    {forget_crashes, HISTORY_WEAK, "forget_crashes"},
    {lower_floor, HISTORY_FLOOR, "lower_floor"},
    {serve_damaged, HISTORY_QUARANTINE, "serve_damaged"},
    {leave_unread, HISTORY_UNREAD, "leave_unread"},
    {show_old_end, HISTORY_DURABLE, "show_old_end"},
    {lead_past, HISTORY_P5, "lead_past"},
    {skip_offset, HISTORY_DENSE, "skip_offset"},
};

uint32_t spoil_count(void)
{
    return (uint32_t)(sizeof changes / sizeof changes[0]);
}

const char *spoil_name(uint32_t change)
{
    XD_ASSERT(change < spoil_count());
    return changes[change].name;
}

enum history_property spoil_breaks(uint32_t change)
{
    XD_ASSERT(change < spoil_count());
    return changes[change].broken;
}

bool spoil_change(struct spoil *spoil, uint32_t change)
{
    XD_ASSERT(change < spoil_count());
    for (uint32_t i = 0; i < TRIES; i++)
        if (changes[change].change(spoil))
            return true;
    return false;
}
