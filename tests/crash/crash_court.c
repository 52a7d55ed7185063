/* SPDX-License-Identifier: Apache-2.0
 *
 * Starting, starting again, going on: see crash_court.h for the rules.
 */
#include "tests/crash/crash_court.h"

#include "broker/log/log_state.h"
#include "wire/status.h"
#include "wire/xassert.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* Where a log stands behind recovery. */
struct standing {
    struct crash_fold fold;
    uint64_t position;
    uint64_t index;
    uint64_t sequence;
    uint64_t chain;
};

/* ---- worlds ---------------------------------------------------------------------------------- */

static void world_options(struct sim_options *options)
{
    sim_options_init(options, 1);
    options->turn = (struct sim_range){1000, 1000};
    options->read = (struct sim_range){20000, 20000};
    options->write = (struct sim_range){20000, 60000};
    options->sync = (struct sim_range){100000, 100000};
}

static struct env *process_start(struct crash_court *court)
{
    struct env_sim_options options;

    env_sim_options_init(&options);
    options.mem_bytes_max = 1u << 20;
    options.buffer_count = 1;
    options.buffer_bytes = 4096;
    options.conns_max = 1;
    return env_sim_process(court->sim, &options);
}

static void process_end(struct crash_court *court)
{
    crash_log_forget(&court->log);
    (void)sim_crash(court->sim, SIM_CRASH_KEEP_NONE);
}

void crash_court_init(struct crash_court *court)
{
    struct sim_options options;

    memset(court, 0, sizeof(*court));
    world_options(&options);
    court->sim = sim_open(&options);
    crash_log_init(&court->log, &court->line);
    court->seen_room = 1u << 16;
    court->seen = calloc(court->seen_room, sizeof(struct crash_seen));
    XD_ASSERT(court->seen != NULL);
}

void crash_court_deinit(struct crash_court *court)
{
    crash_log_deinit(&court->log);
    crash_line_deinit(&court->line);
    free(court->seen);
    sim_close(court->sim);
}

void crash_court_begin(struct crash_court *court, const struct crash_line *line,
                       const struct log_options *options)
{
    crash_line_deinit(&court->line);
    crash_line_copy(&court->line, line);
    court->log.options = *options;
    memset(court->seen, 0, court->seen_room * sizeof(struct crash_seen));
    court->seen_count = 0;
}

/* ---- images seen ----------------------------------------------------------------------------- */

static struct crash_seen *seen_row(struct crash_court *court, uint64_t hash)
{
    uint32_t at = (uint32_t)hash & (court->seen_room - 1);

    while (court->seen[at].hash != 0 && court->seen[at].hash != hash)
        at = (at + 1) & (court->seen_room - 1);
    return &court->seen[at];
}

static void seen_grow(struct crash_court *court)
{
    struct crash_seen *old = court->seen;
    uint32_t room = court->seen_room;

    court->seen_room = 2 * room;
    court->seen = calloc(court->seen_room, sizeof(struct crash_seen));
    XD_ASSERT(court->seen != NULL);
    for (uint32_t i = 0; i < room; i++)
        if (old[i].hash != 0)
            *seen_row(court, old[i].hash) = old[i];
    free(old);
}

static void seen_add(struct crash_court *court, uint64_t hash, uint64_t batches)
{
    if (2 * court->seen_count >= court->seen_room)
        seen_grow(court);
    *seen_row(court, hash) = (struct crash_seen){.hash = hash, .batches = batches};
    court->seen_count++;
}

/* ---- verdicts -------------------------------------------------------------------------------- */

static bool broken(struct crash_court *court, const char *rule, const char *what, uint64_t a,
                   uint64_t b)
{
    court->rule = rule;
    (void)snprintf(court->failure, sizeof(court->failure), "%s (%" PRIu64 ", %" PRIu64 ")", what, a,
                   b);
    return false;
}

/* A start that did not succeed: refused, or with something wrong in what it gave. */
static bool start_failed(struct crash_court *court, const char *rule, int status)
{
    bool content = court->log.failure[0] != '\0';

    court->rule = content && strcmp(rule, "start") == 0 ? "content" : rule;
    (void)snprintf(court->failure, sizeof(court->failure), "%s: %.900s", xd_status_name(status),
                   content ? court->log.failure : court->log.why);
    return false;
}

static struct standing standing_of(const struct crash_log *log)
{
    const struct append *append = &log->log->append;

    return (struct standing){.fold = log->fold,
                             .position = append->position,
                             .index = append->index,
                             .sequence = append->sequence,
                             .chain = append->chain};
}

static void tell(struct crash_court *court, const char *what)
{
    const struct crash_log *log = &court->log;

    if (court->trace == NULL)
        return;
    fprintf(court->trace, "  %s: %" PRIu64 " batches, epoch %" PRIu64 ", point %" PRIu64 "\n", what,
            log->fold.batches, log->log->append.epoch, log->log->append.position);
    for (uint32_t i = 0; i < LOG_NEWS_COUNT; i++)
        if (log->news[i] > 0)
            fprintf(court->trace, "    %s x %" PRIu64 "\n", log_news_name((enum log_news_kind)i),
                    log->news[i]);
}

/* A start with the line as it is; the line is as long as before afterwards. */
static int start(struct crash_court *court, uint64_t floor)
{
    uint64_t count = court->line.count;
    int status;

    court->log.floor = floor;
    status = crash_log_open(&court->log, process_start(court));
    court->line.count = count;
    return status;
}

/* The second start: after a clean stop, or after a crash. */
static bool judge_again(struct crash_court *court, const struct standing *first, bool clean)
{
    struct standing second;
    int status;

    if (clean && !crash_log_stop(&court->log))
        return start_failed(court, "again", XD_STORAGE_FENCED);
    court->restarts_clean += clean;
    court->restarts_crashed += !clean;
    process_end(court);
    status = start(court, 0);
    if (status < 0)
        return start_failed(court, "again", status);
    tell(court, clean ? "start behind a clean stop" : "start behind a crash");
    second = standing_of(&court->log);
    if (memcmp(&first->fold, &second.fold, sizeof(first->fold)) != 0)
        return broken(court, "again", "the second start gives other batches", first->fold.batches,
                      second.fold.batches);
    if (court->log.news[LOG_NEWS_TAIL_CUT] > 0)
        return broken(court, "again", "the second start cuts again", first->position,
                      second.position);
    if (first->index != second.index || first->chain != second.chain)
        return broken(court, "again", "the second start goes on elsewhere", first->index,
                      second.index);
    if (!clean && (first->position != second.position || first->sequence != second.sequence))
        return broken(court, "again", "the second start goes on at another position",
                      first->position, second.position);
    return true;
}

/* A few batches more; they must be there after a crash. */
static bool judge_goes_on(struct crash_court *court, uint64_t hash)
{
    struct crash_line *line = &court->line;
    uint64_t line_count = line->count;
    uint64_t all_count = line->all_count;
    uint64_t tail[8] = {0}; /* the line behind what was found, to be put back */
    uint64_t found = court->log.fold.batches;
    struct prng prng;
    bool good = true;
    int status = 0;

    prng_seed(&prng, hash);
    for (uint64_t i = found; i < line_count && i - found < 8; i++)
        tail[i - found] = line->ids[i];
    line->count = found;
    for (uint32_t i = 0; i < 3 && good; i++)
        good = crash_log_feed(&court->log, &prng, 200 + (uint32_t)prng_below(&prng, 20000));
    good = good && crash_log_settle(&court->log) && court->log.fold.batches == found + 3 &&
           crash_log_read_back(&court->log);
    if (good) {
        process_end(court);
        status = start(court, found + 3);
        good = status == 0 && court->log.fold.batches == found + 3;
    }
    if (good) {
        tell(court, "start behind further batches");
        good = crash_log_read_back(&court->log);
    }
    if (!good)
        (void)start_failed(court, "goes_on", status);
    for (uint64_t i = found; i < line_count && i - found < 8; i++)
        line->ids[i] = (uint32_t)tail[i - found];
    line->count = line_count;
    line->all_count = all_count;
    court->went_on++;
    return good;
}

/* ---- more than a crash ----------------------------------------------------------------------- */

/* Name of the file that holds a segment. */
static bool segment_file(const struct crash_court *court, uint64_t segment_no, char *ret_name)
{
    struct segment_header header;

    for (uint32_t slot = 0; slot < SEGMENT_SLOTS_MAX; slot++) {
        segment_name(slot, ret_name);
        if (sim_disk_peek(court->sim, ret_name, 0, &header, sizeof(header)) < 0)
            return false;
        if (header.magic == SEGMENT_MAGIC && header.segment_no == segment_no)
            return true;
    }
    return false;
}

/* A block that others call durable is damaged: the start must not lose it in silence. */
static bool judge_block_damage(struct crash_court *court, const struct sim_snapshot *image,
                               const struct crash_block *block, struct prng *prng)
{
    const uint64_t segment_bytes = court->log.options.segment_bytes;
    char name[ENV_NAME_BYTES_MAX];
    uint64_t at = block->position % segment_bytes + prng_below(prng, block->bytes);
    int status;

    sim_snapshot_put(image, court->sim);
    if (!segment_file(court, block->position / segment_bytes, name))
        return true; /* two files claim one number after a crash: not the place for this question */
    if (sim_disk_flip(court->sim, name, at, (unsigned)prng_below(prng, 8)) < 0)
        return broken(court, "damage", "no file to damage", block->position, at);
    court->blocks_damaged++;
    status = start(court, 0);
    if (status == XD_LOG_CORRUPT && court->log.failure[0] == '\0')
        return true;
    return broken(court, "damage", "a durable block is damaged and the start goes on", block->index,
                  court->log.fold.batches);
}

/* One of two good meta slots is lost: nothing else may be. */
static bool judge_slot_damage(struct crash_court *court, const struct sim_snapshot *image,
                              const struct crash_fold *fold, struct prng *prng)
{
    struct meta slots[META_SLOTS];
    const char *unused;
    uint64_t slot = prng_below(prng, META_SLOTS);
    int status;

    sim_snapshot_put(image, court->sim);
    if (sim_disk_peek(court->sim, "meta", 0, slots, sizeof(slots)) != sizeof(slots) ||
        meta_check(&slots[0], &unused) < 0 || meta_check(&slots[1], &unused) < 0)
        return true; /* the crash itself has taken one */
    (void)sim_disk_flip(court->sim, "meta", slot * META_SLOT_BYTES + prng_below(prng, 512), 3);
    court->slots_damaged++;
    status = start(court, 0);
    if (status < 0)
        return start_failed(court, "damage", status);
    if (memcmp(fold, &court->log.fold, sizeof(*fold)) != 0)
        return broken(court, "damage", "without one meta slot the log is another", fold->batches,
                      court->log.fold.batches);
    return true;
}

/* What the first start has read. */
struct reading {
    struct crash_fold fold;
    struct crash_block victim; /* a block known to be durable; bytes 0 = none */
};

static struct reading reading_of(const struct crash_log *log, struct prng *prng)
{
    struct reading reading = {.fold = log->fold};
    uint64_t kept = log->block_count < CRASH_BLOCKS ? log->block_count : CRASH_BLOCKS;
    const struct crash_block *block;

    if (kept == 0)
        return reading;
    block = &log->blocks[(log->block_count - 1 - prng_below(prng, kept)) % CRASH_BLOCKS];
    if (block->index <= log->durable_seen)
        reading.victim = *block;
    return reading;
}

static bool judge_damage(struct crash_court *court, const struct sim_snapshot *image,
                         const struct reading *reading, struct prng *prng)
{
    bool good = true;

    process_end(court);
    if (reading->victim.bytes > 0) {
        good = judge_block_damage(court, image, &reading->victim, prng);
        process_end(court);
    }
    return good && judge_slot_damage(court, image, &reading->fold, prng);
}

static bool judge_new(struct crash_court *court, const struct sim_snapshot *image, uint64_t hash,
                      uint64_t acknowledged, uint64_t *ret_batches)
{
    struct standing first;
    struct reading reading;
    struct prng prng;
    int status = start(court, 0);

    if (status < 0)
        return start_failed(court, "start", status);
    tell(court, "first start");
    *ret_batches = court->log.fold.batches;
    court->cuts += court->log.news[LOG_NEWS_TAIL_CUT] > 0;
    court->shorter += court->log.fold.batches < court->line.count;
    if (court->log.fold.batches < acknowledged)
        return broken(court, "lost", "acknowledged batches are missing: there are, there were",
                      court->log.fold.batches, acknowledged);
    prng_seed(&prng, hash);
    first = standing_of(&court->log);
    reading = reading_of(&court->log, &prng);
    if (!judge_again(court, &first, hash % 4 == 0))
        return false;
    if (hash / 4 % CRASH_GOES_ON_EVERY == 0 && !judge_goes_on(court, hash))
        return false;
    return hash / 256 % CRASH_DAMAGE_EVERY != 0 || judge_damage(court, image, &reading, &prng);
}

bool crash_court_judge(struct crash_court *court, const struct sim_snapshot *image, uint64_t hash,
                       uint64_t acknowledged)
{
    struct crash_seen *seen;
    uint64_t batches = 0;
    bool good;

    hash += hash == 0; /* 0 marks a free row */
    seen = seen_row(court, hash);
    court->rule = NULL;
    if (seen->hash != 0) {
        court->repeats++;
        if (seen->batches >= acknowledged)
            return true;
        return broken(court, "lost", "acknowledged batches are missing: there are, there were",
                      seen->batches, acknowledged);
    }
    sim_snapshot_put(image, court->sim);
    good = judge_new(court, image, hash, acknowledged, &batches);
    process_end(court);
    court->images++;
    if (good)
        seen_add(court, hash, batches);
    return good;
}
