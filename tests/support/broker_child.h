/* SPDX-License-Identifier: Apache-2.0
 *
 * A broker in a child process, for tests of its whole life: started over a folder of its own,
 * listened to line by line, connected to over TCP, made to fail by a limit on its files, waited
 * for.
 *
 * A child that is left behind is killed when its test ends. What goes wrong here is a Criterion
 * assertion with all that the broker said.
 */
#ifndef CROSSDOCK_TESTS_SUPPORT_BROKER_CHILD_H
#define CROSSDOCK_TESTS_SUPPORT_BROKER_CHILD_H

#include "broker/broker.h"
#include "wire/frame.h"
#include "wire/request.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* How long a broker may take for anything, in ms. */
#define CHILD_WAIT_MS 20000

/* A broker in a child process, and everything that it said. */
struct child {
    pid_t pid;
    int output;       /* read end of its lines */
    char folder[64];  /* working folder, below it "data" */
    char text[65536]; /* what it said so far */
    size_t bytes;
    char sets[8][128]; /* options beside the small ones */
    uint32_t set_count;
    char notify[96]; /* $NOTIFY_SOCKET, "" = none */
    char file[96];   /* configuration file */
};

static inline int remove_entry(const char *path, const struct stat *stat, int type, struct FTW *ftw)
{
    (void)stat;
    (void)type;
    (void)ftw;
    return remove(path);
}

static inline void remove_folder(const char *folder)
{
    nftw(folder, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
}

static inline void child_init(struct child *child)
{
    memset(child, 0, sizeof *child);
    snprintf(child->folder, sizeof child->folder, "/tmp/xd_broker_XXXXXX");
    cr_assert_not_null(mkdtemp(child->folder));
    snprintf(child->file, sizeof child->file, "%s/crossdock.conf", child->folder);
    FILE *file = fopen(child->file, "w");
    cr_assert_not_null(file);
    fprintf(file,
            "[log]\nsegment_bytes = 4MiB\ntail_bytes = 16MiB\nretention_bytes = 32MiB\n"
            "index_bytes = 1MiB\ndisk_low_bytes = 0\nsync = fdatasync\n"
            "[net]\nconnections_max = 16\nout_chunk_count = 64\nreceive_buffers = 16\n"
            "[produce]\nacks_max = 1024\nchains_max = 64\n"
            "[catalog]\nfacilities_max = 16\npartitions_max = 256\n"
            "[server]\nlisten = 127.0.0.1:0\ndata = %s/data\n",
            child->folder);
    fclose(file);
}

static inline void child_set(struct child *child, const char *set)
{
    snprintf(child->sets[child->set_count++], sizeof child->sets[0], "%s", set);
}

/* The child's whole life. Does not return. */
static inline void child_run(struct child *child, int output)
{
    static struct config config;
    char why[CONFIG_WHY_BYTES];
    const char *sets[8];
    for (uint32_t i = 0; i < child->set_count; i++)
        sets[i] = child->sets[i];
    struct config_sources sources = {
        .file = child->file, .sets = sets, .set_count = child->set_count};
    FILE *out = fdopen(output, "w");
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    signal(SIGXFSZ, SIG_IGN);
    if (child->notify[0] != '\0')
        setenv("NOTIFY_SOCKET", child->notify, 1);
    sources.environment = environ;
    int status = config_load(&config, &sources, why);
    if (status < 0)
        _exit(BROKER_EXIT_USAGE);
    _exit((int)broker_run(&config, &sources, out));
}

static inline void child_start(struct child *child)
{
    int ends[2];
    cr_assert_eq(pipe(ends), 0);
    child->bytes = 0;
    child->text[0] = '\0';
    child->pid = fork();
    cr_assert_geq(child->pid, 0);
    if (child->pid == 0) {
        close(ends[0]);
        child_run(child, ends[1]);
    }
    close(ends[1]);
    cr_assert_eq(fcntl(ends[0], F_SETFL, O_NONBLOCK), 0);
    child->output = ends[0];
}

static inline void child_listen(struct child *child)
{
    ssize_t bytes;
    do {
        bytes =
            read(child->output, child->text + child->bytes, sizeof child->text - 1 - child->bytes);
        child->bytes += bytes > 0 ? (size_t)bytes : 0;
    } while (bytes > 0);
    child->text[child->bytes] = '\0';
}

static inline void sleep_ms(long ms)
{
    struct timespec time = {ms / 1000, ms % 1000 * 1000000};
    nanosleep(&time, NULL);
}

/* Waits until it has said `words`; where they stand. */
static inline const char *child_says(struct child *child, const char *words)
{
    for (int ms = 0; ms < CHILD_WAIT_MS; ms += 10) {
        child_listen(child);
        const char *found = strstr(child->text, words);
        if (found != NULL)
            return found;
        sleep_ms(10);
    }
    cr_assert_fail("'%s' was not said: %s", words, child->text);
    return NULL;
}

/* Drops what it said before `words`. */
static inline void child_forget(struct child *child, const char *words)
{
    child->bytes -= (size_t)(words - child->text);
    memmove(child->text, words, child->bytes + 1);
}

/* Waits for the end; the exit code. */
static inline int child_end(struct child *child)
{
    int status;
    for (int ms = 0; ms < CHILD_WAIT_MS; ms += 10) {
        if (waitpid(child->pid, &status, WNOHANG) == child->pid) {
            child_listen(child);
            close(child->output);
            cr_assert(WIFEXITED(status), "signal %d: %s", WTERMSIG(status), child->text);
            return WEXITSTATUS(status);
        }
        sleep_ms(10);
    }
    kill(child->pid, SIGKILL);
    cr_assert_fail("it does not end: %s", child->text);
    return -1;
}

static inline void child_remove(struct child *child)
{
    remove_folder(child->folder);
}

/* Port of the ready line. */
static inline int child_port(struct child *child)
{
    const char *ready = child_says(child, " ready addresses=127.0.0.1:");
    child_says(child, " data=");
    return (int)strtol(strchr(strstr(ready, "127"), ':') + 1, NULL, 10);
}

/* A connection, or -1. */
static inline int connect_to(int port)
{
    struct sockaddr_in at = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)port),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    struct timeval limit = {.tv_sec = CHILD_WAIT_MS / 1000};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    if (connect(fd, (struct sockaddr *)&at, sizeof at) == 0)
        return fd;
    close(fd);
    return -1;
}

static inline bool connects(int port)
{
    int fd = connect_to(port);
    if (fd >= 0)
        close(fd);
    return fd >= 0;
}

static inline void send_frame(int fd, uint16_t op, const void *payload, uint32_t bytes)
{
    uint8_t frame[512];
    struct xd_frame head = {.length = bytes, .op = op, .version = 1, .correlation = op};
    xd_frame_encode(&head, frame);
    memcpy(frame + XD_FRAME_HEADER_BYTES, payload, bytes);
    cr_assert_eq(write(fd, frame, XD_FRAME_HEADER_BYTES + bytes),
                 (ssize_t)(XD_FRAME_HEADER_BYTES + bytes));
}

/* Says HELLO and asks for a topic, which makes the broker write. */
static inline void ask_for_topic(int fd, const char *json)
{
    uint8_t payload[256];
    struct xd_hello_request hello = {.fixed = {.version_min = 1, .version_max = 1}};
    struct xd_admin_request admin = {.verb = {"topic create", 12},
                                     .json = {json, (uint32_t)strlen(json)}};
    int bytes = xd_hello_encode(&hello, payload, sizeof payload);
    cr_assert_gt(bytes, 0);
    send_frame(fd, XD_OP_HELLO, payload, (uint32_t)bytes);
    bytes = xd_admin_encode(&admin, payload, sizeof payload);
    cr_assert_gt(bytes, 0);
    send_frame(fd, XD_OP_ADMIN, payload, (uint32_t)bytes);
}

/* Files of the child may not be written at this position or behind it: its storage fails. */
static inline void limit_files(struct child *child, rlim_t bytes)
{
    struct rlimit limit = {.rlim_cur = bytes, .rlim_max = RLIM_INFINITY};
    cr_assert_eq(prlimit(child->pid, RLIMIT_FSIZE, &limit, NULL), 0);
}

#endif
