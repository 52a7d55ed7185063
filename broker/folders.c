/* SPDX-License-Identifier: Apache-2.0
 *
 * The data folder as a whole; see folders.h.
 */
#include "broker/folders.h"

#include "broker/config.h"
#include "broker/link/link.h"
#include "wire/status.h"
#include "wire/xassert.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#define PATH_BYTES (CONFIG_TEXT_BYTES_MAX + 32u)

/* What only its owner may read. */
#define FOLDER_MODE 0700
/* The file that every log has. */
#define META "meta"

static bool exists(const char *path)
{
    struct stat about;
    return stat(path, &about) == 0;
}

/* "data/shard-03/meta"; `name` is "" for the folder itself. */
static const char *path_of(const char *data, uint32_t shard, const char *name, char *ret_path)
{
    snprintf(ret_path, PATH_BYTES, "%s/shard-%02u%s%s", data, shard, name[0] != '\0' ? "/" : "",
             name);
    return ret_path;
}

/* What lies in a data folder. */
struct found {
    uint32_t count;   /* highest number of a shard's folder, plus 1 */
    uint32_t lacking; /* lowest number without a folder */
    bool used;        /* one of the folders holds a log */
};

static struct found look(const char *data)
{
    struct found found = {.lacking = LINK_SHARDS_MAX};
    char path[PATH_BYTES];
    for (uint32_t i = 0; i < LINK_SHARDS_MAX; i++) {
        if (exists(path_of(data, i, "", path)))
            found.count = i + 1;
        else if (found.lacking == LINK_SHARDS_MAX)
            found.lacking = i;
        found.used = found.used || exists(path_of(data, i, META, path));
    }
    return found;
}

static int refuse(const char *data, uint32_t there, uint32_t wanted, char *why)
{
    snprintf(why, CONFIG_WHY_BYTES,
             "process.shards = %u: the data folder %.600s was made with %u; a folder keeps its "
             "number: start with process.shards = %u, or with a new folder and let sources send "
             "again",
             wanted, data, there, there);
    return XD_OPTION_INVALID;
}

static int fail(const char *what, const char *path, int error, char *why)
{
    snprintf(why, CONFIG_WHY_BYTES,
             "cannot %s %.600s: %s; it must be a folder of this user, in one that exists", what,
             path, xd_status_text(-error));
    return -error;
}

/* Makes the names in a folder durable. */
static int flush(const char *folder, char *why)
{
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int error = fd < 0 || fsync(fd) != 0 ? errno : 0;
    if (fd >= 0)
        (void)close(fd); /* nothing was written through it */
    return error != 0 ? fail("flush the folder", folder, error, why) : 0;
}

static int make(const char *folder, char *why)
{
    return mkdir(folder, FOLDER_MODE) == 0 || errno == EEXIST
               ? 0
               : fail("make the folder", folder, errno, why);
}

/* All folders come before the first log: a start that is cut off in between is no folder of fewer
 * shards. */
static int make_all(const char *data, uint32_t shard_count, char *why)
{
    char path[PATH_BYTES];
    int status = make(data, why);
    for (uint32_t i = 0; i < shard_count && status == 0; i++)
        status = make(path_of(data, i, "", path), why);
    if (status == 0)
        status = flush(data, why);
    snprintf(path, sizeof path, "%s/..", data);
    return status == 0 ? flush(path, why) : status;
}

int folders_prepare(const char *data, uint32_t shard_count, char *why)
{
    char path[PATH_BYTES];
    struct found found = look(data);
    XD_ASSERT(shard_count >= 1 && shard_count <= LINK_SHARDS_MAX);
    snprintf(path, sizeof path, "%s/%s", data, META);
    if (shard_count > 1 && exists(path))
        return refuse(data, 1, shard_count, why);
    if (shard_count == 1)
        return found.count > 0 ? refuse(data, found.count, 1, why) : 0;
    if (found.count > shard_count || (found.used && found.count < shard_count))
        return refuse(data, found.count, shard_count, why);
    if (found.used && found.lacking < shard_count) {
        snprintf(why, CONFIG_WHY_BYTES,
                 "%.600s is missing: restore it from a copy; without it the facilities of that "
                 "shard are gone",
                 path_of(data, found.lacking, "", path));
        return XD_LOG_CORRUPT;
    }
    return found.lacking < shard_count ? make_all(data, shard_count, why) : 0;
}
