/* SPDX-License-Identifier: Apache-2.0
 *
 * `crossdock produce`: a file into a topic, or with --follow every file that comes into a folder.
 *
 * Normal path: settle the options, run the file, report. Failure paths: wrong lines end with exit
 * status 1, and what was sent stays sent; see transfer.h.
 */
#include "tools/crossdock/follow.h"
#include "tools/crossdock/names.h"
#include "tools/crossdock/report.h"
#include "tools/crossdock/run.h"
#include "tools/crossdock/transfer.h"

#include <crossdock/status.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static const struct report_view view = {
    NULL, "topic,source,file,lines,appended,already,rejected,dry_run", ""};

static int report(const struct transfer *transfer, int status)
{
    const struct import *import = &transfer->import;
    struct tool *tool = import->tool;
    json_t *data = transfer_data(transfer);
    bool all = transfer->options->all_or_nothing;
    json_int_t appended = json_integer_value(json_object_get(data, "appended"));
    if (status == XDOCK_TOPIC_UNKNOWN || status == XDOCK_NOT_FOUND)
        names_suggest(tool, NAMES_TOPIC, import->topic);
    if (status < 0)
        return report_partly(tool, &view, data, status, NULL);
    if (import->rejected > 0) {
        snprintf(tool->detail, sizeof tool->detail,
                 all ? "%" PRIu64 " of %" PRIu64 " lines are wrong: nothing was sent"
                     : "%" PRIu64 " of %" PRIu64 " lines were not sent",
                 import->rejected, import->lines);
        int exit_status = report_partly(
            tool, &view, data, XDOCK_RECORD_MALFORMED,
            all ? "correct them and run the command again"
                : "correct them in a file of their own (--rejects makes one) and send that");
        return exit_status;
    }
    if (import->lines > 0 && appended == 0)
        fprintf(stderr,
                "crossdock: the broker had every record of %s already; nothing was "
                "appended\n",
                import->path);
    return report_data(tool, &view, data);
}

/* The file that --rejects names, NULL without. 0, or -errno with the detail. */
static int open_rejects(struct tool *tool, FILE **ret_file)
{
    const char *path = tool_option(tool, "rejects");
    FILE *file = path != NULL ? fopen(path, "we") : NULL;
    if (path != NULL && file == NULL) {
        snprintf(tool->detail, sizeof tool->detail, "%.900s: %s", path, strerror(errno));
        return -errno;
    }
    *ret_file = file;
    return 0;
}

static int produce_file(struct tool *tool, const struct transfer_options *options)
{
    static struct transfer transfer;
    FILE *rejects = NULL;
    int exit_status;
    int status = transfer_open(&transfer, options, tool_option(tool, "file"));
    if (status == 0)
        status = open_rejects(tool, &rejects);
    if (status < 0)
        exit_status = report_failure(tool, status, NULL);
    else
        exit_status = report(&transfer, transfer_run(&transfer, rejects));
    transfer_close(&transfer);
    if (rejects != NULL && fclose(rejects) != 0)
        fprintf(stderr, "crossdock: %s: %s\n", tool_option(tool, "rejects"), strerror(errno));
    return exit_status;
}

int run_produce(struct tool *tool)
{
    static struct map map;
    struct transfer_options options;
    const char *file = tool_option(tool, "file"), *folder = tool_option(tool, "follow");
    tool->stream = folder != NULL;
    int status = transfer_options_init(&options, tool, &map);
    if (status == 0 && (file != NULL) == (folder != NULL)) {
        snprintf(tool->detail, sizeof tool->detail,
                 file != NULL ? "--file and --follow exclude each other"
                              : "'produce' needs --file or --follow");
        status = XDOCK_OPTION_INVALID;
    }
    if (status == 0 && folder != NULL && tool_option(tool, "rejects") != NULL) {
        snprintf(tool->detail, sizeof tool->detail,
                 "--follow writes rejected lines beside each file; --rejects is for --file");
        status = XDOCK_OPTION_INVALID;
    }
    if (status < 0)
        return report_failure(tool, status, NULL);
    return folder != NULL ? follow_folder(&options, folder) : produce_file(tool, &options);
}
