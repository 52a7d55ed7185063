/* SPDX-License-Identifier: Apache-2.0
 *
 * broker/folders.c: a data folder keeps its number of shards, and what is refused stays as it was.
 */
#include "broker/folders.h"

#include "broker/config.h"
#include "broker/link/link.h"
#include "wire/status.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char data[64];
static char why[CONFIG_WHY_BYTES];

static void begin(void)
{
    snprintf(data, sizeof data, "/tmp/xd_folders_XXXXXX");
    cr_assert_not_null(mkdtemp(data));
}

static int remove_entry(const char *path, const struct stat *stat, int type, struct FTW *ftw)
{
    (void)stat;
    (void)type;
    (void)ftw;
    return remove(path);
}

static void end(void)
{
    nftw(data, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
}

static const char *path_of(const char *name)
{
    static char path[128];
    snprintf(path, sizeof path, "%s/%s", data, name);
    return path;
}

static bool is_there(const char *name)
{
    return access(path_of(name), F_OK) == 0;
}

static void make_folder(const char *name)
{
    cr_assert_eq(mkdir(path_of(name), 0700), 0);
}

static void make_file(const char *name)
{
    int fd = open(path_of(name), O_CREAT | O_EXCL | O_WRONLY, 0600);
    cr_assert_geq(fd, 0);
    close(fd);
}

/* A folder as `count` shards leave it. */
static void make_shards(uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        char name[32];
        snprintf(name, sizeof name, "shard-%02u", i);
        make_folder(name);
        snprintf(name, sizeof name, "shard-%02u/meta", i);
        make_file(name);
    }
}

static void refused(uint32_t shard_count, int status, const char *words)
{
    why[0] = '\0';
    cr_assert_eq(folders_prepare(data, shard_count, why), status, "%s", why);
    cr_assert_not_null(strstr(why, words), "%s", why);
    cr_assert_not_null(strstr(why, data), "%s", why);
}

/* One shard's folder is its engine's affair: nothing is made. */
Test(folders, makes_nothing_for_one_shard, .init = begin, .fini = end)
{
    cr_assert_eq(rmdir(data), 0);
    cr_assert_eq(folders_prepare(data, 1, why), 0, "%s", why);
    cr_assert_neq(access(data, F_OK), 0);
    begin();
    make_file("meta");
    cr_assert_eq(folders_prepare(data, 1, why), 0, "%s", why);
}

/* Several shards: the folder and one for each, for their owner alone; and again without change. */
Test(folders, makes_a_folder_for_each_shard, .init = begin, .fini = end)
{
    struct stat about;
    cr_assert_eq(rmdir(data), 0);
    cr_assert_eq(folders_prepare(data, 3, why), 0, "%s", why);
    cr_assert(is_there("shard-00") && is_there("shard-02") && !is_there("shard-03"));
    cr_assert_eq(stat(path_of("shard-01"), &about), 0);
    cr_assert_eq(about.st_mode & 0777, 0700);
    cr_assert_eq(folders_prepare(data, 3, why), 0, "%s", why);
}

/* Another number than the folder was made with is refused with the number to start with. */
Test(folders, refuses_another_number_of_shards, .init = begin, .fini = end)
{
    make_shards(2);
    cr_assert_eq(folders_prepare(data, 2, why), 0, "%s", why);
    refused(1, XD_OPTION_INVALID, "start with process.shards = 2");
    refused(3, XD_OPTION_INVALID, "process.shards = 3: the data folder ");
    refused(4, XD_OPTION_INVALID, "was made with 2");
    cr_assert_not(is_there("shard-02"));
    cr_assert_not(is_there("meta"));
}

/* A folder of one shard is not taken for several. */
Test(folders, refuses_several_shards_in_a_folder_of_one, .init = begin, .fini = end)
{
    make_file("meta");
    refused(2, XD_OPTION_INVALID, "start with process.shards = 1");
    cr_assert_not(is_there("shard-00"));
}

/* A shard's folder that has gone is not made again: its facilities would be empty. */
Test(folders, refuses_a_folder_that_lacks_a_shard, .init = begin, .fini = end)
{
    make_shards(4);
    cr_assert_eq(unlink(path_of("shard-02/meta")), 0);
    cr_assert_eq(rmdir(path_of("shard-02")), 0);
    refused(4, XD_LOG_CORRUPT, "/shard-02 is missing: restore it from a copy");
    cr_assert_not(is_there("shard-02"));
}

/* A first start that was cut off between two folders, or before the last log, goes on. */
Test(folders, goes_on_with_a_first_start_that_was_cut_off, .init = begin, .fini = end)
{
    make_folder("shard-00");
    cr_assert_eq(folders_prepare(data, 2, why), 0, "%s", why);
    cr_assert(is_there("shard-01"));
    make_file("shard-00/meta");
    cr_assert_eq(folders_prepare(data, 2, why), 0, "%s", why);
}

/* The highest number is the highest number. */
Test(folders, knows_all_shards, .init = begin, .fini = end)
{
    make_shards(LINK_SHARDS_MAX);
    cr_assert_eq(folders_prepare(data, LINK_SHARDS_MAX, why), 0, "%s", why);
    refused(2, XD_OPTION_INVALID, "was made with 64");
}

/* What the kernel refuses is named. */
Test(folders, names_what_cannot_be_made, .init = begin, .fini = end)
{
    char inner[80];
    snprintf(inner, sizeof inner, "%s/a/b", data);
    cr_assert_eq(folders_prepare(inner, 2, why), -ENOENT);
    cr_assert_not_null(strstr(why, "cannot make the folder "), "%s", why);
    cr_assert_not_null(strstr(why, inner), "%s", why);
    make_file("file");
    snprintf(inner, sizeof inner, "%s/file", data);
    cr_assert_eq(folders_prepare(inner, 2, why), -ENOTDIR, "%s", why);
}
