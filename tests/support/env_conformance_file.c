/* SPDX-License-Identifier: Apache-2.0
 *
 * Conformance cases without network: clock, memory, waiting, files, folders, the bell.
 */
#include "tests/support/env_conformance_run.h"

#include <errno.h>
#include <string.h>

#include <criterion/criterion.h>

#define PAGE 4096u

/* now_mono_ns() never goes back, and moves while the env waits. */
void conformance_monotonic_clock_never_goes_back(const struct conformance_kit *kit)
{
    struct run run;
    run_open(&run, kit);
    uint64_t first = env_now_mono_ns(run.env);
    uint64_t last = first;
    for (int i = 0; i < 1000; i++) {
        uint64_t now = env_now_mono_ns(run.env);
        cr_assert_geq(now, last);
        last = now;
    }
    (void)run_turn(&run, 1000 * 1000); /* Nothing is started: no events. */
    cr_assert_geq(env_now_mono_ns(run.env), first + 1000 * 1000);
    cr_assert_gt(env_now_wall_us(run.env), 0);
    run_close(&run);
}

/* Random numbers do not repeat within any short time. */
void conformance_random_numbers_differ(const struct conformance_kit *kit)
{
    struct run run;
    run_open(&run, kit);
    uint64_t seen[256];
    for (size_t i = 0; i < 256; i++) {
        seen[i] = env_rand64(run.env);
        for (size_t k = 0; k < i; k++)
            cr_assert_neq(seen[i], seen[k]);
    }
    run_close(&run);
}

/* Allocated memory is zero, writable, apart from other allocations, and page aligned from 4 KiB. */
void conformance_memory_is_zeroed_and_aligned(const struct conformance_kit *kit)
{
    static const size_t sizes[] = {1, 24, 4096, 100, 5000, 300000, 3 << 20, 64, 1 << 20};
    uint8_t *pieces[sizeof(sizes) / sizeof(sizes[0])];
    struct run run;
    run_open(&run, kit);
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        pieces[i] = env_mem_alloc(run.env, sizes[i]);
        cr_assert_not_null(pieces[i]);
        cr_assert_eq((uintptr_t)pieces[i] % (sizes[i] >= PAGE ? PAGE : 8), 0);
        for (size_t k = 0; k < sizes[i]; k++)
            cr_assert_eq(pieces[i][k], 0);
        memset(pieces[i], (int)i + 1, sizes[i]);
    }
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        cr_assert_eq(pieces[i][0], i + 1);
        cr_assert_eq(pieces[i][sizes[i] - 1], i + 1);
    }
    env_mem_seal(run.env);
    run_close(&run);
}

/* A wait with nothing to do ends when the deadline is reached, not before. */
void conformance_wait_returns_at_the_deadline(const struct conformance_kit *kit)
{
    struct run run;
    run_open(&run, kit);
    struct env_event event;
    for (uint64_t ms = 1; ms <= 16; ms *= 4) {
        uint64_t deadline = env_now_mono_ns(run.env) + ms * 1000 * 1000;
        cr_assert_eq(env_wait(run.env, &event, 1, deadline), 0);
        cr_assert_geq(env_now_mono_ns(run.env), deadline);
    }
    run_close(&run);
}

/* Deadline 0, and one that has passed, return without waiting. */
void conformance_wait_without_deadline_does_not_wait(const struct conformance_kit *kit)
{
    struct run run;
    run_open(&run, kit);
    struct env_event event;
    uint64_t begin = env_now_mono_ns(run.env);
    for (int i = 0; i < 100; i++) {
        cr_assert_eq(env_wait(run.env, &event, 1, 0), 0);
        cr_assert_eq(env_wait(run.env, &event, 1, begin), 0);
    }
    cr_assert_lt(env_now_mono_ns(run.env) - begin, 1000ull * 1000 * 1000);
    run_close(&run);
}

static env_file file_make(struct run *run, const char *name)
{
    env_file file = -1;
    int status = env_file_open(run->env, name, ENV_OPEN_CREATE, &file);
    cr_assert_eq(status, 0, "open %s: %d", name, status);
    return file;
}

/* events_max is respected, and what did not fit comes with the next calls. */
void conformance_wait_gives_no_more_events_than_asked(const struct conformance_kit *kit)
{
    struct run run;
    run_open(&run, kit);
    env_file file = file_make(&run, "data");
    uint8_t *page = env_mem_alloc(run.env, PAGE);
    for (uint64_t i = 0; i < 9; i++)
        env_file_write(run.env, file, page, PAGE, i * PAGE, 0, run_token(1, i));
    uint32_t seen = 0;
    uint32_t bits = 0;
    while (seen < 9) {
        /* The third event is a guard that must stay as it is. */
        struct env_event events[3] = {[2] = {.token = 77}};
        int count = env_wait(run.env, events, 2, UINT64_MAX);
        cr_assert(count == 1 || count == 2, "%d events", count);
        cr_assert_eq(events[2].token, 77);
        for (int k = 0; k < count; k++) {
            bits |= 1u << env_token_value(events[k].token);
            cr_assert_eq(events[k].result, PAGE);
        }
        seen += (uint32_t)count;
    }
    cr_assert_eq(bits, 0x1ff, "each write answers once");
    run_expect_silence(&run);
    run_close(&run);
}

/* What was written is read back, after plain writes with a sync and after DSYNC writes, also
 * through a new handle. */
void conformance_written_bytes_are_read_back(const struct conformance_kit *kit)
{
    struct run run;
    run_open(&run, kit);
    env_file file = file_make(&run, "data");
    uint8_t *out = env_mem_alloc(run.env, 16 * PAGE);
    uint8_t *in = env_mem_alloc(run.env, 16 * PAGE);
    run_fill(out, 16 * PAGE, 1);
    cr_assert_eq(run_write(&run, file, out, 8 * PAGE, 0, 0), 8 * PAGE);
    cr_assert_eq(run_sync(&run, file), 0);
    cr_assert_eq(run_write(&run, file, out + 8 * PAGE, 8 * PAGE, 8 * PAGE, ENV_WRITE_DSYNC),
                 8 * PAGE);
    uint64_t bytes = 0;
    cr_assert_eq(env_file_bytes(run.env, file, &bytes), 0);
    cr_assert_eq(bytes, 16 * PAGE);
    env_file_close(run.env, file);

    cr_assert_eq(env_file_open(run.env, "data", ENV_OPEN_READ_ONLY, &file), 0);
    cr_assert_eq(run_read(&run, file, in, 16 * PAGE, 0), 16 * PAGE);
    cr_assert_arr_eq(in, out, 16 * PAGE);
    cr_assert_eq(run_read(&run, file, in, PAGE, 9 * PAGE), PAGE);
    cr_assert_arr_eq(in, out + 9 * PAGE, PAGE);
    env_file_close(run.env, file);

    /* Without alignment when opened through the page cache. */
    cr_assert_eq(env_file_open(run.env, "text", ENV_OPEN_CREATE | ENV_OPEN_BUFFERED, &file), 0);
    cr_assert_eq(run_write(&run, file, out + 1, 77, 0, 0), 77);
    cr_assert_eq(run_read(&run, file, in + 3, 70, 7), 70);
    cr_assert_arr_eq(in + 3, out + 8, 70);
    env_file_close(run.env, file);
    run_close(&run);
}

/* Operations started without a turn in between, more than a submission queue holds, all answer. */
void conformance_operations_in_flight_all_answer(const struct conformance_kit *kit)
{
    enum { COUNT = 200 };
    struct run run;
    run_open(&run, kit);
    env_file file = file_make(&run, "data");
    uint8_t *out = env_mem_alloc(run.env, COUNT * PAGE);
    uint8_t *in = env_mem_alloc(run.env, COUNT * PAGE);
    run_fill(out, COUNT * PAGE, 2);
    for (uint64_t i = 0; i < COUNT; i++)
        env_file_write(run.env, file, out + i * PAGE, PAGE, i * PAGE, 0, run_token(1, i));
    for (uint64_t i = 0; i < COUNT; i++)
        cr_assert_eq(run_expect(&run, run_token(1, i)).result, PAGE);
    for (uint64_t i = 0; i < COUNT; i++)
        env_file_read(run.env, file, in + i * PAGE, PAGE, i * PAGE, run_token(2, i));
    for (uint64_t i = 0; i < COUNT; i++)
        cr_assert_eq(run_expect(&run, run_token(2, i)).result, PAGE);
    cr_assert_arr_eq(in, out, COUNT * PAGE);
    run_expect_silence(&run);
    run_close(&run);
}

/* A read over the end gives what is there, behind it 0. */
void conformance_read_at_the_end_is_short(const struct conformance_kit *kit)
{
    struct run run;
    run_open(&run, kit);
    env_file file = file_make(&run, "data");
    uint8_t *pages = env_mem_alloc(run.env, 4 * PAGE);
    run_fill(pages, PAGE, 3);
    cr_assert_eq(run_write(&run, file, pages, PAGE, 0, 0), PAGE);
    cr_assert_eq(run_read(&run, file, pages + PAGE, 3 * PAGE, 0), PAGE);
    cr_assert_arr_eq(pages + PAGE, pages, PAGE);
    cr_assert_eq(run_read(&run, file, pages, PAGE, PAGE), 0);
    cr_assert_eq(run_read(&run, file, pages, PAGE, 64 * PAGE), 0);
    run_close(&run);
}

/* Operations on handles that are not open are answered with -EBADF events. */
void conformance_invalid_file_answers_with_an_event(const struct conformance_kit *kit)
{
    struct run run;
    run_open(&run, kit);
    env_file file = file_make(&run, "data");
    uint8_t *page = env_mem_alloc(run.env, PAGE);
    uint64_t bytes = 0;
    env_file_close(run.env, file);
    env_file wrong[] = {file, -1, 100000};
    for (size_t i = 0; i < 3; i++) {
        cr_assert_eq(run_write(&run, wrong[i], page, PAGE, 0, 0), -EBADF);
        cr_assert_eq(run_read(&run, wrong[i], page, PAGE, 0), -EBADF);
        cr_assert_eq(run_sync(&run, wrong[i]), -EBADF);
        cr_assert_eq(env_file_bytes(run.env, wrong[i], &bytes), -EBADF);
        cr_assert_eq(env_file_reserve(run.env, wrong[i], PAGE), -EBADF);
    }
    run_expect_silence(&run);
    run_close(&run);
}

/* A write through a read-only handle is answered with an error and changes nothing. */
void conformance_read_only_file_refuses_writes(const struct conformance_kit *kit)
{
    struct run run;
    run_open(&run, kit);
    env_file file = file_make(&run, "data");
    uint8_t *pages = env_mem_alloc(run.env, 2 * PAGE);
    run_fill(pages, PAGE, 4);
    cr_assert_eq(run_write(&run, file, pages, PAGE, 0, 0), PAGE);
    env_file_close(run.env, file);
    cr_assert_eq(env_file_open(run.env, "data", ENV_OPEN_READ_ONLY, &file), 0);
    cr_assert_eq(run_write(&run, file, pages + PAGE, PAGE, 0, 0), -EBADF);
    cr_assert_eq(run_read(&run, file, pages + PAGE, PAGE, 0), PAGE);
    cr_assert_arr_eq(pages + PAGE, pages, PAGE);
    run_close(&run);
}

/* CREATE creates, EXCLUSIVE refuses what exists, without CREATE a missing file is -ENOENT, and a
 * failed open leaves the handle alone. */
void conformance_open_respects_its_flags(const struct conformance_kit *kit)
{
    struct run run;
    run_open(&run, kit);
    env_file file = 4711;
    cr_assert_eq(env_file_open(run.env, "data", 0, &file), -ENOENT);
    cr_assert_eq(env_file_open(run.env, "none/data", ENV_OPEN_CREATE, &file), -ENOENT);
    cr_assert_eq(file, 4711);
    cr_assert_eq(env_file_open(run.env, "data", ENV_OPEN_CREATE | ENV_OPEN_EXCLUSIVE, &file), 0);
    uint64_t bytes = 1;
    cr_assert_eq(env_file_bytes(run.env, file, &bytes), 0);
    cr_assert_eq(bytes, 0);
    env_file_close(run.env, file);
    cr_assert_eq(env_file_open(run.env, "data", ENV_OPEN_CREATE | ENV_OPEN_EXCLUSIVE, &file),
                 -EEXIST);
    cr_assert_eq(env_file_open(run.env, "data", ENV_OPEN_CREATE, &file), 0);
    run_close(&run);
}

/* Names that would leave the data folder, or are malformed, are -EINVAL everywhere. */
void conformance_names_cannot_leave_the_folder(const struct conformance_kit *kit)
{
    static const char *const wrong[] = {
        ".",
        "..",
        "../data",
        "sub/..",
        "/data",
        "sub/",
        "/",
        "a//",
        "//a",
        "a/b/c",
        "./data",
        "a/.",
        "../..",
        "name-of-far-more-than-eighty-characters-which-no-module-of-the-broker-would-ever-make-up",
    };
    struct run run;
    run_open(&run, kit);
    env_file file = -1;
    cr_assert_eq(env_dir_make(run.env, "sub"), 0);
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        cr_assert_eq(env_file_open(run.env, wrong[i], ENV_OPEN_CREATE, &file), -EINVAL, "open %s",
                     wrong[i]);
        cr_assert_eq(env_file_unlink(run.env, wrong[i]), -EINVAL, "unlink %s", wrong[i]);
        cr_assert_eq(env_file_rename(run.env, "sub", wrong[i]), -EINVAL, "to %s", wrong[i]);
        cr_assert_eq(env_file_rename(run.env, wrong[i], "x"), -EINVAL, "from %s", wrong[i]);
        cr_assert_eq(env_dir_make(run.env, wrong[i]), -EINVAL, "make %s", wrong[i]);
    }
    cr_assert_eq(env_file_open(run.env, "", ENV_OPEN_CREATE, &file), -EINVAL);
    run_close(&run);
}

/* Reserved space has the size asked for and reads as zero; written parts keep their bytes. */
void conformance_reserved_space_reads_as_zero(const struct conformance_kit *kit)
{
    struct run run;
    run_open(&run, kit);
    env_file file = file_make(&run, "data");
    uint8_t *pages = env_mem_alloc(run.env, 64 * PAGE);
    run_fill(pages, PAGE, 5);
    cr_assert_eq(env_file_reserve(run.env, file, 64 * PAGE), 0);
    uint64_t bytes = 0;
    cr_assert_eq(env_file_bytes(run.env, file, &bytes), 0);
    cr_assert_eq(bytes, 64 * PAGE);
    cr_assert_eq(run_write(&run, file, pages, PAGE, 10 * PAGE, 0), PAGE);
    memset(pages, 0xff, 64 * PAGE);
    cr_assert_eq(run_read(&run, file, pages, 64 * PAGE, 0), 64 * PAGE);
    uint8_t *expected = env_mem_alloc(run.env, 64 * PAGE);
    run_fill(expected + 10 * PAGE, PAGE, 5);
    cr_assert_arr_eq(pages, expected, 64 * PAGE);
    run_close(&run);
}

/* A rename replaces its target and keeps the contents; what is unlinked is gone. */
void conformance_rename_replaces_and_unlink_removes(const struct conformance_kit *kit)
{
    struct run run;
    run_open(&run, kit);
    uint8_t *pages = env_mem_alloc(run.env, 2 * PAGE);
    run_fill(pages, PAGE, 6);
    env_file file = file_make(&run, "old");
    env_file_close(run.env, file);
    file = file_make(&run, "new");
    cr_assert_eq(run_write(&run, file, pages, PAGE, 0, ENV_WRITE_DSYNC), PAGE);
    env_file_close(run.env, file);
    cr_assert_eq(env_file_rename(run.env, "new", "old"), 0);
    cr_assert_eq(env_dir_make(run.env, "sub"), 0);
    cr_assert_eq(env_file_rename(run.env, "old", "sub/old"), 0);
    cr_assert_eq(env_dir_sync(run.env, ""), 0);
    cr_assert_eq(env_dir_sync(run.env, "sub"), 0);
    cr_assert_eq(env_file_open(run.env, "new", 0, &file), -ENOENT);
    cr_assert_eq(env_file_open(run.env, "old", 0, &file), -ENOENT);
    cr_assert_eq(env_file_open(run.env, "sub/old", 0, &file), 0);
    cr_assert_eq(run_read(&run, file, pages + PAGE, PAGE, 0), PAGE);
    cr_assert_arr_eq(pages + PAGE, pages, PAGE);
    env_file_close(run.env, file);
    cr_assert_eq(env_file_rename(run.env, "new", "other"), -ENOENT);
    cr_assert_eq(env_file_unlink(run.env, "sub/old"), 0);
    cr_assert_eq(env_file_unlink(run.env, "sub/old"), -ENOENT);
    run_close(&run);
}

static void entry_expect(struct run *run, uint32_t index, const char *expected)
{
    char name[ENV_NAME_BYTES_MAX];
    cr_assert_eq(env_dir_entry(run->env, "", index, name), 0);
    cr_assert_str_eq(name, expected);
}

static void entries_expect(struct run *run, const char *folder, const char *const *names,
                           uint32_t count)
{
    char name[ENV_NAME_BYTES_MAX];
    for (uint32_t i = 0; i < count; i++) {
        cr_assert_eq(env_dir_entry(run->env, folder, i, name), 0, "entry %u of '%s'", i, folder);
        cr_assert_str_eq(name, names[i]);
    }
    cr_assert_eq(env_dir_entry(run->env, folder, count, name), -ENOENT);
    cr_assert_eq(env_dir_entry(run->env, folder, count + 1, name), -ENOENT);
    /* Out of sequence as well. */
    for (uint32_t i = count; i > 0; i--) {
        cr_assert_eq(env_dir_entry(run->env, folder, i - 1, name), 0);
        cr_assert_str_eq(name, names[i - 1]);
    }
}

/* dir_entry lists files and folders by name, follows changes, and ends with -ENOENT. */
void conformance_folder_entries_come_in_name_sequence(const struct conformance_kit *kit)
{
    static const char *const before[] = {"alpha", "beta", "gamma", "sub"};
    static const char *const after[] = {"aaa", "alpha", "gamma", "sub"};
    static const char *const inside[] = {"x", "y"};
    struct run run;
    run_open(&run, kit);
    char name[ENV_NAME_BYTES_MAX];
    cr_assert_eq(env_dir_entry(run.env, "", 0, name), -ENOENT);
    env_file_close(run.env, file_make(&run, "gamma"));
    env_file_close(run.env, file_make(&run, "alpha"));
    env_file_close(run.env, file_make(&run, "beta"));
    cr_assert_eq(env_dir_make(run.env, "sub"), 0);
    cr_assert_eq(env_dir_make(run.env, "sub"), 0);
    env_file_close(run.env, file_make(&run, "sub/y"));
    env_file_close(run.env, file_make(&run, "sub/x"));
    entries_expect(&run, "", before, 4);
    entries_expect(&run, "sub", inside, 2);

    /* Each change is seen by a caller that is in the middle of the list. */
    entry_expect(&run, 1, "beta");
    cr_assert_eq(env_file_unlink(run.env, "beta"), 0);
    entry_expect(&run, 2, "sub");
    entry_expect(&run, 1, "gamma");
    env_file_close(run.env, file_make(&run, "delta"));
    entry_expect(&run, 2, "gamma");
    entry_expect(&run, 1, "delta");
    cr_assert_eq(env_file_rename(run.env, "delta", "aaa"), 0);
    entry_expect(&run, 2, "gamma");
    entries_expect(&run, "", after, 4);
    entry_expect(&run, 2, "gamma");
    cr_assert_eq(env_dir_make(run.env, "base"), 0);
    entry_expect(&run, 3, "gamma");
    cr_assert_eq(env_dir_entry(run.env, "missing", 0, name), -ENOENT);
    run_close(&run);
}

/* Free space is not more than all space. */
void conformance_disk_space_is_reported(const struct conformance_kit *kit)
{
    struct run run;
    run_open(&run, kit);
    uint64_t free_bytes = 0;
    uint64_t total_bytes = 0;
    cr_assert_eq(env_disk_free(run.env, &free_bytes, &total_bytes), 0);
    cr_assert_gt(total_bytes, 0);
    cr_assert_leq(free_bytes, total_bytes);
    run_close(&run);
}

/* A ring of the env's own bell becomes an event, once for rings between two waits, and each time
 * anew. */
void conformance_bell_arrives_as_an_event(const struct conformance_kit *kit)
{
    if (!kit->bells) {
        cr_skip_test("this env has no bells");
        return;
    }
    struct run run;
    run_open(&run, kit);
    for (int i = 0; i < 3; i++) {
        for (int ring = 0; ring <= i; ring++)
            env_bell(run.env, 0);
        struct env_event event = run_expect(&run, env_token(ENV_OWNER_BELL, 0, 0));
        cr_assert_eq(event.op, ENV_OP_BELL);
        cr_assert_eq(event.result, 0);
        cr_assert_eq(event.more, 1);
        run_expect_silence(&run);
    }
    run_close(&run);
}
