/* SPDX-License-Identifier: Apache-2.0
 *
 * Programs beside this one; see sibling.h.
 */
#include "tools/crossdock/sibling.h"

#include <crossdock/status.h>
#include <errno.h>
#include <limits.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* Output of a sibling that is read as a whole. */
#define OUTPUT_BYTES_MAX (1024u * 1024u)

extern char **environ;

/* From the folder of this program: installed, then as a build directory has them. */
static const char *const folders[] = {".",          "../sbin",      "../libexec/crossdock",
                                      "../inspect", "../../broker", "../../bench"};

static int find(struct tool *tool, const char *name, char *ret_path)
{
    char own[PATH_MAX];
    const char *libexec = getenv("CROSSDOCK_LIBEXEC");
    if (libexec != NULL && libexec[0] != '\0') {
        snprintf(ret_path, PATH_MAX, "%s/%s", libexec, name);
        if (access(ret_path, X_OK) == 0)
            return 0;
    }
    ssize_t bytes = readlink("/proc/self/exe", own, sizeof own - 1);
    own[bytes > 0 ? bytes : 0] = '\0';
    char *slash = strrchr(own, '/');
    for (size_t i = 0; slash != NULL && i < sizeof folders / sizeof folders[0]; i++) {
        int used =
            snprintf(ret_path, PATH_MAX, "%.*s/%s/%s", (int)(slash - own), own, folders[i], name);
        if (used < PATH_MAX && access(ret_path, X_OK) == 0)
            return 0;
    }
    snprintf(tool->detail, sizeof tool->detail,
             "the program '%s' is not installed beside this one; $CROSSDOCK_LIBEXEC may name its "
             "folder",
             name);
    return XDOCK_NOT_FOUND;
}

static int failed(struct tool *tool, const char *path, int status)
{
    snprintf(tool->detail, sizeof tool->detail, "%.900s: %s", path, xdock_status_name(status));
    return status;
}

/* argv as execv and posix_spawn want it: they do not write into the words. */
static void copy_words(const char *const *argv, char *path, char **ret_words)
{
    unsigned count = 0;
    for (; argv[count] != NULL && count < SIBLING_ARGUMENTS_MAX; count++)
        memcpy(&ret_words[count], &argv[count], sizeof ret_words[count]);
    ret_words[count] = NULL;
    ret_words[0] = path;
}

int sibling_exec(struct tool *tool, const char *const *argv)
{
    char path[PATH_MAX];
    char *words[SIBLING_ARGUMENTS_MAX + 1];
    int status = find(tool, argv[0], path);
    if (status < 0)
        return status;
    copy_words(argv, path, words);
    fflush(NULL);
    execv(path, words);
    return failed(tool, path, -errno);
}

/* Everything up to the end of the pipe. */
static int collect(int fd, char **ret_text)
{
    size_t used = 0;
    char *text = malloc(OUTPUT_BYTES_MAX + 1);
    if (text == NULL)
        return -ENOMEM;
    for (;;) {
        ssize_t got = read(fd, text + used, OUTPUT_BYTES_MAX - used);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            break;
        used += (size_t)got;
    }
    text[used] = '\0';
    *ret_text = text;
    return 0;
}

/* Starts the program with its output in the pipe. 0 or -errno. */
static int spawn(const char *path, char **words, const int ends[2], bool talk, pid_t *ret_pid)
{
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
    if (talk)
        posix_spawn_file_actions_adddup2(&actions, ends[1], STDERR_FILENO);
    posix_spawn_file_actions_addclose(&actions, ends[0]);
    posix_spawn_file_actions_addclose(&actions, ends[1]);
    int status = -posix_spawn(ret_pid, path, &actions, NULL, words, environ);
    posix_spawn_file_actions_destroy(&actions);
    return status;
}

int sibling_read(struct tool *tool, const char *const *argv, bool talk, char **ret_text)
{
    char path[PATH_MAX];
    char *words[SIBLING_ARGUMENTS_MAX + 1];
    int ends[2], how = 0;
    pid_t pid;
    int status = find(tool, argv[0], path);
    if (status < 0)
        return status;
    if (pipe(ends) < 0)
        return failed(tool, path, -errno);
    copy_words(argv, path, words);
    status = spawn(path, words, ends, talk, &pid);
    close(ends[1]);
    if (status == 0) {
        status = collect(ends[0], ret_text);
        close(ends[0]); /* a program that still writes must not be waited for in vain */
        while (waitpid(pid, &how, 0) < 0 && errno == EINTR)
            continue;
    } else {
        close(ends[0]);
    }
    if (status < 0)
        return failed(tool, path, status);
    return WIFEXITED(how) ? WEXITSTATUS(how) : 128;
}
