/* SPDX-License-Identifier: Apache-2.0
 *
 * The daemon under power cuts; see power_broker.h.
 */
#include "tests/crash/power_broker.h"

#include "wire/xassert.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define PORT_FIRST 20000u /* below the kernel's own choice, which begins at 32768 */
#define PORT_COUNT 10000u
#define PORT_WAITS 5000u /* of a millisecond */

static const char *const event_names[POWER_EVENT_COUNT] = {
    [POWER_TAIL_CUT] = "log_tail_cut",
    [POWER_FENCED] = "log_fenced",
    [POWER_ROLLED] = "log_segment_rolled",
    [POWER_DROPPED] = "log_segment_dropped",
    [POWER_CHECKPOINT] = "log_checkpoint",
    [POWER_SLOT_DAMAGED] = "log_meta_slot_damaged",
    [POWER_FALLBACK] = "log_checkpoint_fallback",
};

/* Options by their environment names. */
static const char *const settings[][2] = {
    {"CROSSDOCK_LOG__SEGMENT_BYTES", "4MiB"},
    {"CROSSDOCK_LOG__TAIL_BYTES", "16MiB"},
    {"CROSSDOCK_LOG__RETENTION_BYTES", "24MiB"},
    {"CROSSDOCK_LOG__INDEX_BYTES", "4MiB"},
    {"CROSSDOCK_LOG__CHECKPOINT_EVERY_BYTES", "1MiB"},
    {"CROSSDOCK_LOG__DISK_LOW_BYTES", "4MiB"},
    {"CROSSDOCK_LOG__MARK_IDLE_MS", "5"},
    {"CROSSDOCK_LOG__READ_CACHE_EXTENTS", "4"},
    {"CROSSDOCK_NET__CONNECTIONS_MAX", "16"},
    {"CROSSDOCK_NET__RECEIVE_BUFFERS", "64"},
    {"CROSSDOCK_PRODUCE__CHANNELS_MAX", "64"},
    {"CROSSDOCK_PRODUCE__CHAINS_MAX", "256"},
    {"CROSSDOCK_PRODUCE__ACKS_MAX", "8192"},
    {"CROSSDOCK_CATALOG__FACILITIES_MAX", "16"},
    {"CROSSDOCK_CATALOG__PARTITIONS_MAX", "128"},
    {"CROSSDOCK_CATALOG__TOPICS", "stock:sku:4"},
};

/* True when the port can be listened on: the kernel lets go of a killed daemon's socket a moment
 * after its end is seen. */
static bool is_free(uint16_t port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    const int on = 1;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return false;
    bool found = setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == 0 &&
                 bind(fd, (const struct sockaddr *)&address, sizeof address) == 0 &&
                 listen(fd, 1) == 0;
    (void)close(fd); /* Nobody has connected. */
    return found;
}

/* A port that neither the kernel nor another test gives away while the daemon is down. */
static int choose_port(struct process *process)
{
    for (uint32_t i = 0; i < PORT_COUNT; i++) {
        uint16_t port = (uint16_t)(PORT_FIRST + ((uint32_t)getpid() * 16u + i) % PORT_COUNT);
        if (!is_free(port))
            continue;
        process->port = port;
        snprintf(process->address, sizeof process->address, "127.0.0.1:%u", port);
        return 0;
    }
    snprintf(process->why, sizeof process->why, "no free port");
    return -EADDRINUSE;
}

int power_broker_init(struct power_broker *broker, const char *program, const char *folder,
                      const char *disk)
{
    char data[PROCESS_PATH_BYTES];
    memset(broker, 0, sizeof *broker);
    for (unsigned i = 0; i < sizeof settings / sizeof settings[0]; i++) {
        if (setenv(settings[i][0], settings[i][1], 1) < 0)
            return -errno;
    }
    /* The log file outlives the power. */
    snprintf(data, sizeof data, "%.400s/broker", folder);
    int status = process_init(&broker->process, program, data);
    if (status < 0)
        return status;
    snprintf(broker->process.data, sizeof broker->process.data, "%.400s/data", disk);
    return choose_port(&broker->process);
}

int power_broker_start(struct power_broker *broker, const char *sync, uint32_t timeout_ms)
{
    XD_ASSERT(broker->process.pid == 0);
    if (setenv("CROSSDOCK_LOG__SYNC", sync, 1) < 0)
        return -errno;
    for (uint32_t i = 0; i < PORT_WAITS && !is_free(broker->process.port); i++)
        process_sleep_us(1000);
    broker->process.start_count = 0; /* the first start is tried once */
    return process_start(&broker->process, timeout_ms);
}

int power_broker_kill(struct power_broker *broker)
{
    struct process *process = &broker->process;
    int status;
    /* A second after its log was fenced the daemon tries again, finds no disk and gives up. */
    if (process->pid != 0 && waitpid(process->pid, &status, WNOHANG) == process->pid) {
        process->pid = 0;
        if (WIFEXITED(status) && WEXITSTATUS(status) == 1)
            return 0;
        snprintf(process->why, sizeof process->why,
                 "the daemon has ended (status 0x%x), see %.400s", (unsigned)status, process->log);
        return -EIO;
    }
    return process_kill(process);
}

/* "2026-... warning log_tail_cut bytes=..." */
static void count_line(struct power_broker *broker, const char *line)
{
    for (unsigned event = 0; event < POWER_EVENT_COUNT; event++) {
        const char *at = strstr(line, event_names[event]);
        size_t bytes = strlen(event_names[event]);
        if (at != NULL && at > line && at[-1] == ' ' && (at[bytes] == ' ' || at[bytes] == '\n'))
            broker->counts[event]++;
    }
}

uint64_t power_broker_said(struct power_broker *broker, enum power_event event)
{
    char line[1024];
    XD_ASSERT(event < POWER_EVENT_COUNT);
    FILE *file = fopen(broker->process.log, "re");
    if (file == NULL)
        return broker->counts[event];
    if (fseek(file, broker->counted_to, SEEK_SET) == 0) {
        while (fgets(line, sizeof line, file) != NULL && strchr(line, '\n') != NULL) {
            count_line(broker, line);
            broker->counted_to = ftell(file);
        }
    }
    fclose(file);
    return broker->counts[event];
}

const char *power_event_name(enum power_event event)
{
    XD_ASSERT(event < POWER_EVENT_COUNT);
    return event_names[event];
}
