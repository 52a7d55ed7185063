/* SPDX-License-Identifier: Apache-2.0
 *
 * crossdock-demo: shows a broker that is killed with batches unacknowledged, and that nothing is
 * lost or doubled by it.
 *
 * Normal path: arguments, picks, broker, scenario, summary, and the broker is stopped. It is
 * stopped on every failure path too, and by the kernel should this program die. Exit: 0 shown, 1
 * failed or nothing shown, 2 wrong usage.
 */
#include "tools/demo/demo.h"

#include <dirent.h>
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define START_MS 30000u
#define STOP_MS 15000u

static const char usage[] =
    "crossdock-demo: a day of picks, a broker killed twice, nothing lost, nothing doubled\n"
    "\n"
    "  crossdock-demo --broker PATH [--picks FILE | --seed N --count N] [--data FOLDER]\n"
    "                 [--facility NAME] [--seconds N] [--keep]\n"
    "\n"
    "  --broker PATH    the program crossdockd\n"
    "  --picks FILE     CSV with columns DATE, OrderNumber, SKU, PCS, Location; without it a day "
    "is\n"
    "                   generated: --count order lines (5000) from --seed (1)\n"
    "  --data FOLDER    new or empty folder; default " DEMO_DATA ", which is emptied first\n"
    "  --facility NAME  where the picks happen (DC01)\n"
    "  --seconds N      how long sending takes, without the trouble (10)\n"
    "  --keep           leave the broker running at the end\n"
    "\n"
    "Exit: 0 shown, 1 failed or nothing shown, 2 wrong usage.\n";

enum choice {
    CHOICE_BROKER = 256, /* behind all characters, which getopt_long() may return */
    CHOICE_PICKS,
    CHOICE_DATA,
    CHOICE_FACILITY,
    CHOICE_SEED,
    CHOICE_COUNT,
    CHOICE_SECONDS,
    CHOICE_KEEP,
    CHOICE_HELP
};
static const struct option long_options[] = {
    {"broker", required_argument, NULL, CHOICE_BROKER},
    {"picks", required_argument, NULL, CHOICE_PICKS},
    {"data", required_argument, NULL, CHOICE_DATA},
    {"facility", required_argument, NULL, CHOICE_FACILITY},
    {"seed", required_argument, NULL, CHOICE_SEED},
    {"count", required_argument, NULL, CHOICE_COUNT},
    {"seconds", required_argument, NULL, CHOICE_SECONDS},
    {"keep", no_argument, NULL, CHOICE_KEEP},
    {"help", no_argument, NULL, CHOICE_HELP},
    {NULL, 0, NULL, 0},
};

/* A decimal number from low to high; false when the text is none. */
static bool parse_number(const char *text, uint64_t low, uint64_t high, uint64_t *ret_number)
{
    char *end;
    errno = 0;
    unsigned long long number = strtoull(text, &end, 10);
    if (errno != 0 || end == text || *end != '\0' || *text == '-' || number < low || number > high)
        return false;
    *ret_number = number;
    return true;
}

static bool take_option(struct demo_options *options, int choice, const char *value)
{
    uint64_t number = 0;
    bool ok = true;
    switch (choice) {
    case CHOICE_BROKER:
        options->broker = value;
        break;
    case CHOICE_PICKS:
        options->picks_path = value;
        break;
    case CHOICE_DATA:
        options->data = value;
        break;
    case CHOICE_FACILITY:
        options->facility = value;
        break;
    case CHOICE_SEED:
        ok = parse_number(value, 0, UINT64_MAX, &options->seed);
        break;
    case CHOICE_COUNT:
        ok = parse_number(value, 1, PICKS_MAX, &number);
        options->count = (uint32_t)number;
        break;
    case CHOICE_SECONDS:
        ok = parse_number(value, 1, 3600, &number);
        options->seconds = (uint32_t)number;
        break;
    case CHOICE_KEEP:
        options->keep = true;
        break;
    default:
        ok = false;
    }
    return ok;
}

/* 0 go on, 1 help was asked for, 2 wrong usage. */
static int parse_options(int argc, char **argv, struct demo_options *ret_options)
{
    struct demo_options options = {.facility = "DC01", .seed = 1, .count = 5000, .seconds = 10};
    int choice;
    while ((choice = getopt_long(argc, argv, "", long_options, NULL)) != -1) {
        if (choice == CHOICE_HELP)
            return 1;
        if (!take_option(&options, choice, optarg))
            return 2;
    }
    if (options.broker == NULL || optind != argc)
        return 2;
    *ret_options = options;
    return 0;
}

static int load_picks(struct demo *demo)
{
    const struct demo_options *options = &demo->options;
    if (options->picks_path == NULL)
        return picks_generate(options->seed, options->count, &demo->picks, demo->why);
    FILE *file = fopen(options->picks_path, "re");
    if (file == NULL) {
        snprintf(demo->why, sizeof demo->why, "%s", strerror(errno));
        return -errno;
    }
    int status = picks_read(file, &demo->picks, demo->why);
    fclose(file);
    return status;
}

/* True for a folder with anything in it, or something that is no folder. */
static bool occupied(const char *path)
{
    DIR *folder = opendir(path);
    const struct dirent *entry;
    bool found = false;
    if (folder == NULL)
        return errno != ENOENT;
    while (!found && (entry = readdir(folder)) != NULL)
        found = strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
    closedir(folder);
    return found;
}

/* Chooses the data folder and starts the broker on it. 0 or negative with what went wrong told. */
static int start_broker(struct demo *demo)
{
    const struct demo_options *options = &demo->options;
    struct process *broker = &demo->broker;
    int status = process_init(broker, options->broker, options->data ? options->data : DEMO_DATA);
    if (status >= 0 && options->data == NULL) {
        if (mkdir(DEMO_DATA_PARENT, 0755) < 0 && errno != EEXIST)
            status = -errno;
        if (status >= 0)
            status = process_remove_data(broker);
        (void)unlink(broker->log); /* Of the run before; there may be none. */
    }
    if (status >= 0 && occupied(broker->data)) {
        fprintf(stderr, "crossdock-demo: %s is not empty; name a new folder with --data\n",
                broker->data);
        return -EEXIST;
    }
    broker->outlive = options->keep;
    if (status >= 0)
        status = process_start(broker, START_MS);
    if (status < 0)
        fprintf(stderr, "crossdock-demo: %s\n",
                broker->why[0] != '\0' ? broker->why : strerror(-status));
    return status;
}

/* The command line program lies beside this one where it was built. */
static void find_tool(struct demo *demo, const char *self)
{
    const char *slash = strrchr(self, '/');
    int bytes = slash == NULL ? 0 : (int)(slash - self);
    static const char folder[] = "/demo";
    const int folder_bytes = (int)sizeof folder - 1;
    if (bytes > folder_bytes && memcmp(self + bytes - folder_bytes, folder, sizeof folder - 1) == 0)
        snprintf(demo->tool, sizeof demo->tool, "%.*s/crossdock/crossdock", bytes - folder_bytes,
                 self);
    if (demo->tool[0] == '\0' || access(demo->tool, X_OK) < 0)
        snprintf(demo->tool, sizeof demo->tool, "crossdock");
}

/* Everything between loaded picks and exit status. */
static bool run(struct demo *demo)
{
    bool shown = false;
    int status = start_broker(demo);
    if (status >= 0)
        status =
            sender_init(&demo->sender, &demo->picks, demo->broker.address, demo->options.facility);
    if (status >= 0) {
        show_head(demo);
        status = scenario_run(demo);
        if (status >= 0)
            shown = show_summary(demo);
    }
    if (!demo->options.keep || !shown) {
        status = process_stop(&demo->broker, STOP_MS);
        if (status < 0)
            fprintf(stderr, "crossdock-demo: %s\n", demo->broker.why);
        shown = shown && status >= 0;
    }
    if (shown)
        show_next(demo);
    sender_deinit(&demo->sender);
    return shown;
}

int main(int argc, char **argv)
{
    struct demo demo = {0};
    sigset_t set;
    int status = parse_options(argc, argv, &demo.options);
    if (status != 0) {
        fputs(usage, status == 1 ? stdout : stderr);
        return status == 1 ? 0 : 2;
    }
    status = load_picks(&demo);
    if (status < 0) {
        fprintf(stderr, "crossdock-demo: picks %s: %s\n",
                demo.options.picks_path != NULL ? demo.options.picks_path : "", demo.why);
        return 1;
    }
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    sigprocmask(SIG_BLOCK, &set, NULL);
    find_tool(&demo, argv[0]);
    bool shown = run(&demo);
    picks_free(&demo.picks);
    return shown ? 0 : 1;
}
