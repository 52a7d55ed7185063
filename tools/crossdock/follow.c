/* SPDX-License-Identifier: Apache-2.0
 *
 * Following a folder; see follow.h.
 *
 * Normal path: lock the folder, watch it, scan it; take what has no acknowledgement, one file after
 * the other in the sequence of their names; acknowledge each; wait for news or for the next scan.
 * Exactly once rests on two things: a file's records go into a channel that is named by its
 * content, so the broker knows what of it came; and the acknowledgement is written when everything
 * is durable. A crash in between takes the file again and finds every record there.
 * Failure paths: a broker that is away is tried again; a file with a wrong header is acknowledged
 * with its error; a file that cannot be read is told and tried at later scans; a refusal that no
 * later try can change, such as an unknown topic, ends the run.
 * Shutdown: a signal is seen between two lines. What is under way is settled, and a file that is
 * not through gets no acknowledgement.
 */
#include "tools/crossdock/follow.h"

#include "tools/common/json_out.h"
#include "tools/crossdock/ack_file.h"
#include "tools/crossdock/digest.h"
#include "tools/crossdock/names.h"
#include "tools/crossdock/report.h"
#include "tools/crossdock/session.h"
#include "tools/crossdock/shards.h"

#include <crossdock/client.h>
#include <crossdock/status.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <time.h>
#include <unistd.h>

/* A scan without news: for what a watch cannot tell, such as files of another machine. */
#define SCAN_MS 15000u
/* After a broker that was away, and until a file that was just written to is at rest. */
#define RETRY_MS 2000u
#define SETTLED_NS 2000000000
/* Statuses above this one are errors of the kernel, about one file. */
#define KERNEL_END (-4096)
/* One wait; signals are looked at in between, and the connection is kept alive. */
#define STEP_MS 250

struct follow {
    const struct transfer_options *options; /* */
    struct tool *tool;                      /* */
    const char *path;                       /* of the folder */
    int folder_fd;                          /* */
    int watch_fd;                           /* inotify, -1 = scans only */
    uint32_t wait_ms;                       /* until the next scan */
    uint64_t printed;                       /* files told so far */
    bool wrong;                             /* a dry run saw a wrong line */
    bool away;                              /* it was told that the broker does not answer */
    struct transfer transfer;               /* the present file */
};

/* ---- what is told ---------------------------------------------------------------------------- */

static void print_row(struct follow *follow, const json_t *data)
{
    static const char *const columns[] = {"file",    "records",  "appended",
                                          "already", "rejected", "last_sequence"};
    bool tsv = follow->tool->output == OUTPUT_TSV;
    for (size_t i = 0; follow->printed == 0 && i < 6; i++)
        printf(tsv ? "%s%s" : "%s%-14s", tsv && i > 0 ? "\t" : "", columns[i]);
    if (follow->printed == 0)
        putchar('\n');
    for (size_t i = 0; i < 6; i++) {
        const json_t *value = json_object_get(data, columns[i]);
        char text[NAME_MAX + 1];
        if (json_is_string(value))
            snprintf(text, sizeof text, "%s", json_string_value(value));
        else
            snprintf(text, sizeof text, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
        for (char *at = text; *at != '\0'; at++) /* would move a cursor, or end a cell */
            *at = (unsigned char)*at < 0x20 || *at == 0x7f ? '?' : *at;
        printf(tsv ? "%s%s" : "%s%-14s", tsv && i > 0 ? "\t" : "", text);
    }
    putchar('\n');
}

static void print_file(struct follow *follow, const json_t *data)
{
    enum output output = follow->tool->output;
    if (output == OUTPUT_JSON || output == OUTPUT_JSONL) {
        json_dumpf(data, stdout, JSON_COMPACT);
        putchar('\n');
    } else if (output == OUTPUT_NAME) {
        puts(json_string_value(json_object_get(data, "file")));
    } else {
        print_row(follow, data);
    }
    follow->printed++;
    fflush(stdout);
}

static void tell(const struct follow *follow, const char *name, int status)
{
    const char *detail = follow->tool->detail;
    fprintf(stderr, "crossdock: produce: %s%s%s (%s)\n", detail[0] == '\0' ? name : "",
            detail[0] == '\0' ? ": " : "", detail[0] != '\0' ? detail : xdock_status_text(status),
            xdock_status_name(status));
}

/* ---- one file -------------------------------------------------------------------------------- */

/* What the acknowledgement and the line on standard output share. */
static int file_data(struct follow *follow, const char *name, json_t **ret_data)
{
    const struct import *import = &follow->transfer.import;
    FILE *file = follow->transfer.input.file;
    char hash[DIGEST_WHOLE_BYTES];
    uint64_t records = 0;
    rewind(file);
    int status = digest_whole(file, hash);
    if (status < 0)
        return status;
    for (uint32_t i = 0; i < import->channel_count; i++)
        records += import->channels[i].records;
    json_t *data = transfer_data(&follow->transfer);
    json_object_set_new(data, "file", json_string(name));
    json_object_set_new(data, "sha256", json_string(hash));
    json_object_set_new(data, "records", json_integer((json_int_t)records));
    json_object_set_new(data, "first_sequence", json_integer((json_int_t)import->first_sequence));
    json_object_set_new(data, "last_sequence",
                        json_integer(records > 0 ? (json_int_t)import->last_sequence : 0));
    *ret_data = data;
    return 0;
}

/* Where the log holds all records of the file: what the outcomes rest on, or, for records that were
 * there before this run, what is durable now. Of several shards, the highest. */
static int log_index(struct follow *follow, const json_t *data, json_int_t *ret_index)
{
    json_int_t index = (json_int_t)follow->transfer.import.log_index;
    json_t *replies, *reply;
    size_t shard;
    if (json_integer_value(json_object_get(data, "already")) > 0) {
        int status = shards_call(follow->tool, "log stats", NULL, NULL, &replies);
        if (status < 0)
            return status;
        json_array_foreach(replies, shard, reply)
        {
            json_int_t durable = json_integer_value(json_object_get(reply, "durable_index"));
            index = durable > index ? durable : index;
        }
        json_decref(replies);
    }
    *ret_index = index;
    return 0;
}

/* Writes the acknowledgement. Takes `data` over. 0 or a status. */
static int acknowledge(struct follow *follow, const char *name, json_t *data)
{
    struct timespec now;
    char text[JSON_TIME_BYTES];
    json_int_t index = 0;
    int status = log_index(follow, data, &index);
    if (status < 0) {
        json_decref(data);
        return status;
    }
    clock_gettime(CLOCK_REALTIME, &now);
    time_format((int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000, text);
    json_object_set_new(data, "log_index", json_integer(index));
    json_object_set_new(data, "acknowledged_time", json_string(text));
    status = ack_file_write(follow->folder_fd, name, &follow->transfer.input.about, data);
    if (status < 0)
        snprintf(follow->tool->detail, sizeof follow->tool->detail, "%.500s/%.255s.ack: %s",
                 follow->path, name, xdock_status_text(status));
    return status;
}

/* The file cannot be read as what it should be: no later try changes that. */
static int acknowledge_refused(struct follow *follow, const char *name, int status)
{
    struct tool *tool = follow->tool;
    json_t *data =
        json_pack("{s:s, s:s, s:s, s:I, s:I, s:I, s:b, s:{s:s, s:s}}", "topic",
                  follow->options->topic, "source", follow->options->source, "file", name,
                  "records", (json_int_t)0, "appended", (json_int_t)0, "already", (json_int_t)0,
                  "ok", 0, "error", "name", xdock_status_name(status), "text", tool->detail);
    follow->wrong = true;
    tell(follow, name, status);
    if (follow->options->dry_run)
        json_object_set_new(data, "dry_run", json_true());
    print_file(follow, data);
    if (follow->options->dry_run) {
        json_decref(data);
        return 0;
    }
    return acknowledge(follow, name, data);
}

/* Sends an open file and acknowledges it. 0 or a status. */
static int send_file(struct follow *follow, const char *name)
{
    FILE *rejects = NULL;
    json_t *data = NULL;
    bool dry_run = follow->options->dry_run;
    int status = dry_run ? 0 : ack_file_rejects_open(follow->folder_fd, name, &rejects);
    if (status < 0) {
        snprintf(follow->tool->detail, sizeof follow->tool->detail, "%.500s/%.255s.rejects: %s",
                 follow->path, name, xdock_status_text(status));
        return status;
    }
    status = transfer_run(&follow->transfer, rejects);
    if (status == 0)
        status = file_data(follow, name, &data);
    if (status < 0) {
        if (rejects != NULL)
            ack_file_rejects_drop(follow->folder_fd, name, rejects);
        return status;
    }
    bool ok = follow->transfer.import.rejected == 0;
    follow->wrong = follow->wrong || !ok;
    json_object_set_new(data, "ok", json_boolean(ok));
    if (!dry_run)
        status = ack_file_rejects_keep(follow->folder_fd, name, rejects);
    json_t *line = json_copy(data); /* the acknowledgement adds to its own */
    if (dry_run || status < 0)
        json_decref(data);
    else
        status = acknowledge(follow, name, data);
    if (status == 0)
        print_file(follow, line);
    json_decref(line);
    return status;
}

/* True when trying again may help: the broker is away or busy. */
static bool passes_by(int status)
{
    int status_class = xdock_status_class(status);
    return status == XDOCK_UNREACHABLE || status == XDOCK_CONNECTION_LOST ||
           status == XDOCK_DEADLINE_EXCEEDED || status == XDOCK_SHUTTING_DOWN ||
           status_class == XDOCK_CLASS_RETRY || status_class == XDOCK_CLASS_BACKOFF ||
           status_class == XDOCK_CLASS_UNKNOWN;
}

/* Once for every time that the broker is away, not for every try. */
static void tell_away(struct follow *follow, const char *name, int status)
{
    if (follow->away)
        return;
    follow->away = true;
    tell(follow, name, status);
    fprintf(stderr, "crossdock: produce: trying again every %u s\n", RETRY_MS / 1000);
}

static void tell_back(struct follow *follow, int status)
{
    if (follow->away && status >= 0)
        fprintf(stderr, "crossdock: produce: the broker answers again\n");
    follow->away = follow->away && status < 0;
}

static void wait_at_most(struct follow *follow, uint32_t wait_ms)
{
    follow->wait_ms = wait_ms < follow->wait_ms ? wait_ms : follow->wait_ms;
}

/* Takes one file. 0: go on with the next one; 1: go on later; or a status that ends the run. */
static int take_file(struct follow *follow, const char *name)
{
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/%s", follow->path, name);
    follow->tool->detail[0] = '\0';
    int status = transfer_open(&follow->transfer, follow->options, path);
    bool opened = status == 0;
    if (status == XDOCK_FIELD_INVALID)
        status = acknowledge_refused(follow, name, status);
    else if (opened)
        status = send_file(follow, name);
    transfer_close(&follow->transfer);
    if (status == -ENOENT && !opened)
        return 0; /* somebody took it away */
    if (status >= 0 || status == -EINTR || tool_interrupted()) {
        tell_back(follow, status);
        return status < 0 ? -EINTR : 0;
    }
    if (passes_by(status)) {
        tell_away(follow, name, status);
        session_close(follow->tool);
        wait_at_most(follow, RETRY_MS);
        return 1;
    }
    if (status <= KERNEL_END)
        return status;          /* no other file would do better */
    tell(follow, name, status); /* the file's own fault, or this folder's */
    return 0;
}

/* ---- the folder ------------------------------------------------------------------------------ */

static int is_candidate(const struct dirent *entry)
{
    return ack_file_takes(entry->d_name) ? 1 : 0;
}

/* A file that was written to last, and not renamed, may still grow: both of its times are equal
 * then, because a rename changes only the second one. */
static bool is_settled(const struct stat *about)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (about->st_mtim.tv_sec != about->st_ctim.tv_sec ||
        about->st_mtim.tv_nsec != about->st_ctim.tv_nsec)
        return true;
    int64_t age_ns = ((int64_t)now.tv_sec - about->st_mtim.tv_sec) * 1000000000 + now.tv_nsec -
                     about->st_mtim.tv_nsec;
    return age_ns >= SETTLED_NS || age_ns < 0;
}

/* Takes what is there and not acknowledged. 0 or a status that ends the run. */
static int scan(struct follow *follow)
{
    struct dirent **entries = NULL;
    int status = 0;
    int count = scandirat(follow->folder_fd, ".", &entries, is_candidate, alphasort);
    if (count < 0) {
        snprintf(follow->tool->detail, sizeof follow->tool->detail, "%.900s: %s", follow->path,
                 strerror(errno));
        return -errno;
    }
    for (int i = 0; i < count; i++) {
        const char *name = entries[i]->d_name;
        struct stat about;
        bool file = status == 0 &&
                    fstatat(follow->folder_fd, name, &about, AT_SYMLINK_NOFOLLOW) == 0 &&
                    S_ISREG(about.st_mode);
        if (file && tool_interrupted())
            status = -EINTR;
        else if (file && !follow->options->dry_run && !is_settled(&about))
            wait_at_most(follow, RETRY_MS);
        else if (file && !ack_file_matches(follow->folder_fd, name, &about))
            status = take_file(follow, name);
        free(entries[i]);
    }
    free(entries);
    return status < 0 ? status : 0;
}

/* Events only wake; the scan finds out what there is. */
static void drop_events(const struct follow *follow)
{
    char events[4096];
    while (follow->watch_fd >= 0 && read(follow->watch_fd, events, sizeof events) > 0)
        continue;
}

/* Until there is news, or time for a scan. */
static int wait_for_news(struct follow *follow)
{
    struct pollfd news = {.fd = follow->watch_fd, .events = POLLIN};
    for (uint32_t waited_ms = 0; waited_ms < follow->wait_ms; waited_ms += STEP_MS) {
        if (tool_interrupted())
            return -EINTR;
        if (follow->tool->client != NULL)
            (void)xdock_client_step(follow->tool->client, 0); /* keeps it alive; news of a failure
                                                               * come with the next file */
        if (poll(&news, 1, STEP_MS) > 0)
            break;
    }
    drop_events(follow);
    return tool_interrupted() ? -EINTR : 0;
}

static int open_folder(struct follow *follow)
{
    struct tool *tool = follow->tool;
    follow->folder_fd = open(follow->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (follow->folder_fd < 0) {
        snprintf(tool->detail, sizeof tool->detail, "%.900s: %s", follow->path, strerror(errno));
        return -errno;
    }
    if (follow->options->dry_run)
        return 0; /* changes nothing, so it may look along */
    if (flock(follow->folder_fd, LOCK_EX | LOCK_NB) < 0) {
        snprintf(tool->detail, sizeof tool->detail, "%.900s: %s", follow->path,
                 errno == EWOULDBLOCK ? "another program follows this folder" : strerror(errno));
        return errno == EWOULDBLOCK ? -EBUSY : -errno;
    }
    follow->watch_fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    if (follow->watch_fd < 0 || inotify_add_watch(follow->watch_fd, follow->path,
                                                  IN_MOVED_TO | IN_CLOSE_WRITE | IN_ONLYDIR) < 0)
        fprintf(stderr, "crossdock: produce: %s cannot be watched (%s); it is scanned every %u s\n",
                follow->path, strerror(errno), SCAN_MS / 1000);
    return 0;
}

/* The folder itself may be removed under the run. */
static int check_folder(struct follow *follow)
{
    struct stat about;
    if (fstat(follow->folder_fd, &about) == 0 && about.st_nlink > 0)
        return 0;
    snprintf(follow->tool->detail, sizeof follow->tool->detail, "%.900s was removed", follow->path);
    return -ENOENT;
}

static int run(struct follow *follow)
{
    int status = open_folder(follow);
    if (status == 0)
        status = session_open(follow->tool); /* a wrong address is told at once */
    while (status == 0) {
        follow->wait_ms = SCAN_MS;
        status = check_folder(follow);
        if (status == 0)
            status = scan(follow);
        if (follow->options->dry_run || status < 0)
            break;
        status = wait_for_news(follow);
    }
    return status;
}

int follow_folder(const struct transfer_options *options, const char *folder)
{
    static struct follow follow;
    struct tool *tool = options->tool;
    follow = (struct follow){
        .options = options, .tool = tool, .path = folder, .folder_fd = -1, .watch_fd = -1};
    int status = run(&follow);
    if (follow.watch_fd >= 0)
        close(follow.watch_fd);
    if (follow.folder_fd >= 0)
        close(follow.folder_fd);
    if (status == -EINTR)
        return EXIT_INTERRUPTED;
    if (status == XDOCK_TOPIC_UNKNOWN || status == XDOCK_NOT_FOUND)
        names_suggest(tool, NAMES_TOPIC, options->topic);
    if (status < 0)
        return report_failure(tool, status, NULL);
    return follow.wrong ? EXIT_FAILED : EXIT_OK;
}
