/* SPDX-License-Identifier: Apache-2.0
 *
 * Acknowledgement files; see ack_file.h.
 */
#include "tools/crossdock/ack_file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* An acknowledgement holds 100 lines and 256 channels at most; a longer file is not ours. */
#define ACK_BYTES_MAX (1024u * 1024u)
#define NAME_BYTES (NAME_MAX + 1u)

bool ack_file_takes(const char *name)
{
    static const char *const endings[] = {".tmp", ".part", ".ack", ".rejects"};
    size_t bytes = strlen(name);
    if (name[0] == '.')
        return false;
    for (size_t i = 0; i < sizeof endings / sizeof endings[0]; i++) {
        size_t end = strlen(endings[i]);
        if (bytes >= end && strcmp(name + bytes - end, endings[i]) == 0)
            return false;
    }
    return true;
}

/* "NAME.ack", and with `hidden` ".NAME.ack.tmp". 0 or -ENAMETOOLONG. */
static int name_beside(const char *name, const char *ending, bool hidden, char ret_name[NAME_BYTES])
{
    int bytes = snprintf(ret_name, NAME_BYTES, "%s%s%s%s", hidden ? "." : "", name, ending,
                         hidden ? ".tmp" : "");
    return bytes < 0 || (size_t)bytes >= NAME_BYTES ? -ENAMETOOLONG : 0;
}

static json_int_t nanoseconds(struct timespec time)
{
    return (json_int_t)time.tv_sec * 1000000000 + time.tv_nsec;
}

static json_t *state_of(const struct stat *about)
{
    return json_pack("{s:I, s:I, s:I, s:I}", "inode", (json_int_t)about->st_ino, "size",
                     (json_int_t)about->st_size, "mtime_ns", nanoseconds(about->st_mtim),
                     "ctime_ns", nanoseconds(about->st_ctim));
}

bool ack_file_matches(int folder_fd, const char *name, const struct stat *about)
{
    char beside[NAME_BYTES];
    struct stat ack;
    if (name_beside(name, ".ack", false, beside) < 0)
        return false;
    int fd = openat(folder_fd, beside, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0)
        return false;
    json_t *data = NULL;
    if (fstat(fd, &ack) == 0 && S_ISREG(ack.st_mode) && ack.st_size <= ACK_BYTES_MAX)
        data = json_loadfd(fd, 0, NULL);
    close(fd);
    json_t *state = state_of(about);
    bool same = data != NULL && json_equal(json_object_get(data, "state"), state) == 1;
    json_decref(state);
    json_decref(data);
    return same;
}

/* Writes everything and flushes it. 0 or -errno. */
static int write_text(int fd, const char *text, size_t bytes)
{
    while (bytes > 0) {
        ssize_t written = write(fd, text, bytes);
        if (written < 0 && errno == EINTR)
            continue;
        if (written < 0)
            return -errno;
        text += written;
        bytes -= (size_t)written;
    }
    return fsync(fd) < 0 ? -errno : 0;
}

/* A name in a folder is durable when the folder is. */
static int rename_durably(int folder_fd, const char *from, const char *to)
{
    if (renameat(folder_fd, from, folder_fd, to) < 0)
        return -errno;
    return fsync(folder_fd) < 0 ? -errno : 0;
}

int ack_file_write(int folder_fd, const char *name, const struct stat *about, json_t *data)
{
    char hidden[NAME_BYTES], beside[NAME_BYTES];
    json_object_set_new(data, "state", state_of(about));
    char *text = json_dumps(data, JSON_INDENT(2));
    json_decref(data);
    if (text == NULL)
        return -ENOMEM;
    int status = name_beside(name, ".ack", true, hidden);
    if (status == 0)
        status = name_beside(name, ".ack", false, beside);
    int fd = -1;
    if (status == 0) {
        fd = openat(folder_fd, hidden, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0666);
        status = fd < 0 ? -errno : 0;
    }
    size_t bytes = strlen(text);
    text[bytes++] = '\n'; /* in the place of the terminator */
    if (status == 0)
        status = write_text(fd, text, bytes);
    free(text);
    if (fd >= 0 && close(fd) < 0 && status == 0)
        status = -errno;
    return status == 0 ? rename_durably(folder_fd, hidden, beside) : status;
}

/* ---- rejects --------------------------------------------------------------------------------- */

int ack_file_rejects_open(int folder_fd, const char *name, FILE **ret_file)
{
    char hidden[NAME_BYTES];
    int status = name_beside(name, ".rejects", true, hidden);
    if (status < 0)
        return status;
    int fd = openat(folder_fd, hidden, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0666);
    FILE *file = fd >= 0 ? fdopen(fd, "w") : NULL;
    if (file == NULL) {
        status = -errno;
        if (fd >= 0)
            close(fd);
        return status;
    }
    *ret_file = file;
    return 0;
}

void ack_file_rejects_drop(int folder_fd, const char *name, FILE *file)
{
    char hidden[NAME_BYTES];
    fclose(file); /* nobody reads it */
    if (name_beside(name, ".rejects", true, hidden) == 0)
        unlinkat(folder_fd, hidden, 0); /* a hidden file that stays is overwritten next time */
}

int ack_file_rejects_keep(int folder_fd, const char *name, FILE *file)
{
    char hidden[NAME_BYTES], beside[NAME_BYTES];
    int status = name_beside(name, ".rejects", true, hidden);
    if (status == 0)
        status = name_beside(name, ".rejects", false, beside);
    off_t bytes = ftello(file);
    if (status < 0 || bytes <= 0) {
        ack_file_rejects_drop(folder_fd, name, file);
        if (status == 0 && unlinkat(folder_fd, beside, 0) < 0 && errno != ENOENT)
            return -errno;
        return status;
    }
    if (fflush(file) != 0 || fsync(fileno(file)) < 0)
        status = -errno;
    if (fclose(file) != 0 && status == 0)
        status = -errno;
    return status == 0 ? rename_durably(folder_fd, hidden, beside) : status;
}
