/* SPDX-License-Identifier: Apache-2.0
 *
 * Fuzzes the start of a log: arbitrary bytes as meta, checkpoint and wal files on a simulated disk.
 *
 * The input is a sequence of pieces (struct piece and its bytes) that are put into empty files.
 * Then the pieces that ask for it are sealed, so that what lies behind the hashes is reached too:
 * header pages get their hash, blocks their identity, batch hashes and chain.
 *
 * Promises: opening ends in a state or in one of the statuses of log.h, with words; what recovery
 * gives lies in rising index and position; no wal file is written to; and a log that was recovered
 * is recovered again to the same batches. Segments are not prepared: that is a matter of writing,
 * and most of a start.
 */
#include "tests/fuzz/target.h"

#include "broker/base/arena.h"
#include "broker/log/checkpoint_format.h"
#include "broker/log/log_state.h"
#include "broker/log/meta.h"
#include "broker/log/page.h"
#include "broker/log/segment.h"
#include "tests/fuzz/block_repair.h"
#include "tests/support/env_sim.h"
#include "wire/checksum.h"
#include "wire/status.h"
#include "wire/xassert.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WAL_FILES 4u
#define FIRST_WAL 3u
#define FILES (FIRST_WAL + WAL_FILES)
#define WINDOW_BYTES (64u * 1024u)     /* what pieces can reach of a file */
#define WINDOW_END_BYTES (16u * 1024u) /* of a wal file at its end, the rest in front */
#define CHECKPOINT_BYTES (WINDOW_BYTES - WINDOW_END_BYTES)
#define PIECES_MAX 64u
#define SEGMENT_NO_MAX (UINT32_MAX * 16ull) /* blocks of higher ones are not sealed */
#define ENTRIES_MAX 4096u                   /* more cannot lie in the windows */

enum piece_seal {
    SEAL_NOT,   /* the bytes as they are */
    SEAL_PAGE,  /* hash of the header page that they begin in */
    SEAL_BLOCK, /* identity, batch hashes, chain, header hash of the block that begins there */
    SEAL_CHAIN, /* the same, behind the block that was sealed last */
    SEAL_COUNT
};

struct piece {
    uint8_t file;   /* number of the file */
    uint8_t seal;   /* enum piece_seal */
    uint16_t bytes; /* that follow; fewer where the input ends */
    uint32_t place; /* in the window of the file */
};
static_assert(sizeof(struct piece) == 8, "piece layout");

/* One file as far as pieces can reach it. */
struct window {
    uint8_t *data;      /* WINDOW_BYTES, 4 KiB aligned */
    uint64_t file_size; /* on the disk */
    uint32_t bytes;     /* of the window */
    bool used;          /* some piece is in it: the file is there */
};

/* Everything that outlives a run is memory. */
static struct bench {
    struct sim *sim;
    struct log_options options;
    uint8_t *memory;                 /* of the arena */
    uint64_t memory_bytes;           /* */
    struct window windows[FILES];    /* meta, checkpoint.0, checkpoint.1, wal.00.. */
    struct piece pieces[PIECES_MAX]; /* of the input */
    uint32_t piece_count;            /* */
    uint64_t chain;                  /* of the block that was sealed last */
    char why[XD_DETAIL_BYTES_MAX];
} bench;

static void file_name(uint32_t file, char *ret_name)
{
    if (file == 0)
        snprintf(ret_name, ENV_NAME_BYTES_MAX, "meta");
    else if (file < FIRST_WAL)
        checkpoint_name(file - 1, ret_name);
    else
        segment_name(file - FIRST_WAL, ret_name);
}

static void begin(void)
{
    struct sim_options world;
    if (bench.memory != NULL)
        return;
    sim_options_init(&world, 1);
    bench.sim = sim_open(&world);
    log_options_init(&bench.options);
    bench.options.segment_bytes = SEGMENT_BYTES_MIN;
    bench.options.tail_bytes = 16u << 20;
    bench.options.index_bytes = 64u << 10;
    bench.options.checkpoint_bytes_max = CHECKPOINT_BYTES;
    bench.options.partitions_max = 64;
    bench.options.read_cache_extents = 2;
    bench.options.shard = 1;
    bench.options.shard_count = 2;
    bench.memory_bytes = log_bytes_needed(&bench.options);
    bench.memory = malloc(bench.memory_bytes);
    XD_ASSERT(bench.memory != NULL);
    for (uint32_t i = 0; i < FILES; i++) {
        struct window *window = &bench.windows[i];
        window->data = aligned_alloc(PAGE_BYTES, WINDOW_BYTES);
        XD_ASSERT(window->data != NULL);
        memset(window->data, 0, WINDOW_BYTES);
        window->bytes = i == 0          ? META_SLOTS * META_SLOT_BYTES
                        : i < FIRST_WAL ? CHECKPOINT_BYTES
                                        : WINDOW_BYTES;
        window->file_size = i < FIRST_WAL ? window->bytes : SEGMENT_BYTES_MIN;
    }
}

/* ---- the folder ------------------------------------------------------------------------------ */

/* Place in the file of a place in the window. */
static uint64_t file_place(uint32_t file, uint32_t place)
{
    if (file < FIRST_WAL || place < WINDOW_BYTES - WINDOW_END_BYTES)
        return place;
    return SEGMENT_BYTES_MIN - WINDOW_BYTES + place;
}

/* Bytes from a place in the window to where the window or the file's coherence ends. */
static uint32_t room_at(uint32_t file, uint32_t place)
{
    uint32_t front = WINDOW_BYTES - WINDOW_END_BYTES;
    uint32_t end = bench.windows[file].bytes;
    return file >= FIRST_WAL && place < front ? front - place : end - place;
}

static void take_pieces(const uint8_t *data, size_t bytes)
{
    bench.piece_count = 0;
    for (uint32_t i = 0; i < FILES; i++) {
        if (bench.windows[i].used)
            memset(bench.windows[i].data, 0, bench.windows[i].bytes);
        bench.windows[i].used = false;
    }
    while (bytes >= sizeof(struct piece) && bench.piece_count < PIECES_MAX) {
        struct piece piece;
        memcpy(&piece, data, sizeof(piece));
        data += sizeof(piece);
        bytes -= sizeof(piece);
        piece.file = (uint8_t)(piece.file % FILES);
        piece.seal = (uint8_t)(piece.seal % SEAL_COUNT);
        piece.place %= bench.windows[piece.file].bytes;
        uint32_t room = room_at(piece.file, piece.place);
        uint32_t count = piece.bytes < bytes ? piece.bytes : (uint32_t)bytes;
        memcpy(bench.windows[piece.file].data + piece.place, data, count < room ? count : room);
        bench.windows[piece.file].used = true;
        bench.pieces[bench.piece_count++] = piece;
        data += count;
        bytes -= count;
    }
}

/* The hashes of the body, where it lies in the window, and of the header. */
static void seal_checkpoint(uint8_t *file)
{
    struct checkpoint_header *header = (struct checkpoint_header *)(void *)file;
    const uint8_t *body = file + CHECKPOINT_HEADER_BYTES;
    const uint64_t room = CHECKPOINT_BYTES - CHECKPOINT_HEADER_BYTES;
    if (header->state_bytes <= room && header->local_bytes <= room &&
        checkpoint_body_bytes(header->state_bytes, header->local_bytes) <= room) {
        header->state_xxh3 = xd_xxh3(body, header->state_bytes);
        header->local_xxh3 =
            xd_xxh3(body + checkpoint_local_at(header->state_bytes), header->local_bytes);
    }
    page_seal(file, CHECKPOINT_MAGIC, CHECKPOINT_VERSION);
}

static void seal_meta(struct meta *meta)
{
    const struct window *window =
        &bench.windows[1 + meta->checkpoint_generation % CHECKPOINT_FILES];
    if (meta->checkpoint_generation > 0)
        memcpy(&meta->checkpoint_xxh3, window->data, sizeof(meta->checkpoint_xxh3));
    page_seal(meta, META_MAGIC, META_VERSION);
}

static void seal_page(const struct piece *piece)
{
    uint8_t *data = bench.windows[piece->file].data;
    if (piece->file == 0)
        seal_meta((struct meta *)(void *)(data + piece->place / META_SLOT_BYTES * META_SLOT_BYTES));
    else if (piece->file < FIRST_WAL)
        seal_checkpoint(data);
    else
        page_seal(data, SEGMENT_MAGIC, SEGMENT_VERSION);
}

/* The identity comes from the first meta slot and the file's own header. */
static void seal_block(const struct piece *piece)
{
    uint8_t *data = bench.windows[piece->file].data;
    uint32_t place = piece->place / XD_BLOCK_ALIGN * XD_BLOCK_ALIGN;
    uint32_t room = room_at(piece->file, place);
    if (piece->file < FIRST_WAL || room < BLOCK_HEADER_BYTES)
        return;
    static_assert(SEGMENT_NO_MAX < UINT64_MAX / SEGMENT_BYTES_MIN, "positions do not wrap");
    const struct meta *meta = (const struct meta *)(const void *)bench.windows[0].data;
    const struct segment_header *header = (const struct segment_header *)(const void *)data;
    struct block_header *block = (struct block_header *)(void *)(data + place);
    if (header->segment_no > SEGMENT_NO_MAX)
        return;
    struct block_identity identity = {.segment_no = header->segment_no,
                                      .segment_bytes = SEGMENT_BYTES_MIN,
                                      .epoch = block->epoch,
                                      .shard = meta->shard};
    memcpy(identity.log_uuid, meta->log_uuid, sizeof(identity.log_uuid));
    if (piece->seal == SEAL_CHAIN) {
        block->prev_chain = bench.chain;
        if (block->type != BLOCK_DATA)
            block->chain = bench.chain;
    }
    (void)block_repair(block, &identity,
                       header->segment_no * SEGMENT_BYTES_MIN + file_place(piece->file, place),
                       room);
    bench.chain = block->chain;
}

/* Meta last: it repeats hashes of the checkpoints. */
static void seal_pieces(void)
{
    bench.chain = 0;
    for (uint32_t i = 0; i < bench.piece_count; i++) {
        const struct piece *piece = &bench.pieces[i];
        if (piece->seal >= SEAL_BLOCK)
            seal_block(piece);
        else if (piece->seal == SEAL_PAGE && piece->file != 0)
            seal_page(piece);
    }
    for (uint32_t i = 0; i < bench.piece_count; i++)
        if (bench.pieces[i].seal == SEAL_PAGE && bench.pieces[i].file == 0)
            seal_page(&bench.pieces[i]);
}

/* A process that has no use for a network: buffers that nobody receives into would be most of what
 * its end has to clear. */
static struct env *process(void)
{
    struct env_sim_options options;
    env_sim_options_init(&options);
    options.buffer_count = 1;
    options.buffer_bytes = PAGE_BYTES;
    options.conns_max = 1;
    return env_sim_process(bench.sim, &options);
}

/* Empty files of full size, durable. */
static void make_files(void)
{
    struct env *env = process();
    char name[ENV_NAME_BYTES_MAX];
    for (uint32_t i = 0; i < FILES; i++) {
        env_file file;
        if (!bench.windows[i].used)
            continue;
        file_name(i, name);
        int status = env_file_open(env, name, ENV_OPEN_CREATE, &file);
        XD_ASSERT(status == 0);
        status = env_file_reserve(env, file, bench.windows[i].file_size);
        XD_ASSERT(status == 0);
        env_file_close(env, file);
    }
    (void)sim_crash(bench.sim, SIM_CRASH_KEEP_ALL);
}

static void fill_files(void)
{
    char name[ENV_NAME_BYTES_MAX];
    for (uint32_t i = 0; i < FILES; i++) {
        const struct window *window = &bench.windows[i];
        if (!window->used)
            continue;
        file_name(i, name);
        for (uint32_t at = 0; at < window->bytes; at += PAGE_BYTES) {
            static const uint8_t zeros[PAGE_BYTES];
            if (memcmp(window->data + at, zeros, PAGE_BYTES) == 0)
                continue;
            int status =
                sim_disk_patch(bench.sim, name, file_place(i, at), window->data + at, PAGE_BYTES);
            XD_ASSERT(status == 0);
        }
    }
}

/* The wal files are as they were made. */
static void check_wal_files(void)
{
    char name[ENV_NAME_BYTES_MAX];
    uint8_t page[PAGE_BYTES];
    for (uint32_t i = FIRST_WAL; i < FILES; i++) {
        const struct window *window = &bench.windows[i];
        if (!window->used)
            continue;
        file_name(i, name);
        XD_ASSERT(sim_disk_durable_bytes(bench.sim, name) == SEGMENT_BYTES_MIN);
        for (uint32_t at = 0; at < window->bytes; at += PAGE_BYTES) {
            int64_t bytes = sim_disk_peek(bench.sim, name, file_place(i, at), page, sizeof(page));
            XD_ASSERT(bytes == sizeof(page));
            XD_ASSERT(memcmp(page, window->data + at, sizeof(page)) == 0);
        }
    }
}

/* ---- the start ------------------------------------------------------------------------------- */

/* What one start gave. */
struct outcome {
    int status;       /* of the first step that failed, or 0 */
    uint64_t entries; /* batches given */
    uint64_t hash;    /* over them and the state */
};

static void check_status(int status)
{
    static const int allowed[] = {XD_LOG_CORRUPT, XD_LOG_FOREIGN, XD_FORMAT_UNKNOWN,
                                  XD_CHECKPOINT_CORRUPT, XD_OPTION_INVALID};
    bool known = false;
    for (size_t i = 0; i < sizeof(allowed) / sizeof(allowed[0]); i++)
        known = known || status == allowed[i];
    XD_ASSERT(known);
    size_t bytes = strnlen(bench.why, sizeof(bench.why));
    XD_ASSERT(bytes > 0 && bytes < sizeof(bench.why));
}

static void take_entry(struct outcome *outcome, const struct log_entry *entry,
                       const struct log_entry *before)
{
    XD_ASSERT(entry->log_index >= before->log_index && entry->position >= before->position);
    const uint64_t parts[4] = {outcome->hash, entry->log_index, entry->position,
                               entry->batch->batch_xxh3};
    XD_ASSERT(xd_batch_check_hash(entry->batch) == 0);
    outcome->hash = xd_xxh3(parts, sizeof(parts));
    outcome->entries++;
    XD_ASSERT(outcome->entries <= ENTRIES_MAX);
}

static struct outcome start(void)
{
    struct outcome outcome = {0};
    struct arena arena;
    struct counters counters = {0};
    struct log *log = NULL;
    const uint8_t *state = NULL;
    uint64_t state_bytes = 0;
    struct log_entry entry;
    struct log_entry before = {0};
    struct env *env = process();
    arena_init(&arena, bench.memory, bench.memory_bytes);
    bench.why[0] = '\0';
    outcome.status =
        log_open(env, &arena, &counters, &bench.options, &log, &state, &state_bytes, bench.why);
    if (outcome.status == 0) {
        outcome.hash = state != NULL ? xd_xxh3(state, state_bytes) : 0;
        while ((outcome.status = log_recover_next(log, &entry, bench.why)) > 0) {
            take_entry(&outcome, &entry, &before);
            before = entry;
        }
        if (outcome.status == 0)
            outcome.status = recover_end(&log->recover, bench.why);
        if (outcome.status < 0)
            recover_close(&log->recover);
    }
    if (outcome.status < 0)
        check_status(outcome.status);
    (void)sim_crash(bench.sim, SIM_CRASH_KEEP_ALL);
    return outcome;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    struct sim_options world;
    begin();
    sim_options_init(&world, 1);
    sim_reset(bench.sim, &world);
    take_pieces(data, bytes);
    seal_pieces();
    make_files();
    fill_files();
    struct outcome first = start();
    if (first.status == 0) {
        struct outcome again = start();
        XD_ASSERT(again.status == 0);
        XD_ASSERT(again.entries == first.entries && again.hash == first.hash);
    }
    check_wal_files();
    return 0;
}
