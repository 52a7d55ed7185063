/* SPDX-License-Identifier: Apache-2.0
 *
 * broker/broker.c: whole lives of a broker in a process of its own: start, ready line, signals, exit
 * codes. Skipped where the kernel gives no ring.
 */
#include "broker/broker.h"

#include "broker/io/env_uring.h"
#include "tests/support/json.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define WAIT_MS 20000

/* A broker in a child process, and everything that it said. */
struct child {
    pid_t pid;
    int output;          /* read end of its lines */
    char folder[64];     /* working folder, below it "data" */
    char text[65536];    /* what it said so far */
    size_t bytes;
    char sets[8][128];   /* options beside the small ones */
    uint32_t set_count;
    char notify[96];     /* $NOTIFY_SOCKET, "" = none */
    char file[96];       /* configuration file */
};

static bool ring_available(void)
{
    char why[ENV_URING_WHY_BYTES], folder[] = "/tmp/xd_broker_probe_XXXXXX";
    struct env_uring_options options;
    struct env *env;
    cr_assert_not_null(mkdtemp(folder));
    env_uring_options_init(&options);
    options.folder = folder;
    int status = env_uring_open(&options, &env, why);
    if (status == 0)
        env_uring_close(env);
    else
        cr_log_warn("skipped: %s", why);
    return status == 0;
}

static void child_init(struct child *child)
{
    memset(child, 0, sizeof *child);
    snprintf(child->folder, sizeof child->folder, "/tmp/xd_broker_XXXXXX");
    cr_assert_not_null(mkdtemp(child->folder));
    snprintf(child->file, sizeof child->file, "%s/crossdock.conf", child->folder);
    FILE *file = fopen(child->file, "w");
    cr_assert_not_null(file);
    fprintf(file, "[log]\nsegment_bytes = 4MiB\ntail_bytes = 16MiB\nretention_bytes = 32MiB\n"
                  "index_bytes = 1MiB\ndisk_low_bytes = 0\nsync = fdatasync\n"
                  "[net]\nconnections_max = 16\nout_chunk_count = 64\nreceive_buffers = 16\n"
                  "[produce]\nacks_max = 1024\nchains_max = 64\n"
                  "[catalog]\nfacilities_max = 16\npartitions_max = 256\n"
                  "[server]\nlisten = 127.0.0.1:0\ndata = %s/data\n",
            child->folder);
    fclose(file);
}

static void child_set(struct child *child, const char *set)
{
    snprintf(child->sets[child->set_count++], sizeof child->sets[0], "%s", set);
}

/* The child's whole life. Does not return. */
static void child_run(struct child *child, int output)
{
    static struct config config;
    char why[CONFIG_WHY_BYTES];
    const char *sets[8];
    for (uint32_t i = 0; i < child->set_count; i++)
        sets[i] = child->sets[i];
    struct config_sources sources = {
        .file = child->file, .sets = sets, .set_count = child->set_count};
    FILE *out = fdopen(output, "w");
    if (child->notify[0] != '\0')
        setenv("NOTIFY_SOCKET", child->notify, 1);
    int status = config_load(&config, &sources, why);
    if (status < 0)
        _exit(BROKER_EXIT_USAGE);
    _exit((int)broker_run(&config, &sources, out));
}

static void child_start(struct child *child)
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

static void child_listen(struct child *child)
{
    ssize_t bytes;
    do {
        bytes = read(child->output, child->text + child->bytes,
                     sizeof child->text - 1 - child->bytes);
        child->bytes += bytes > 0 ? (size_t)bytes : 0;
    } while (bytes > 0);
    child->text[child->bytes] = '\0';
}

static void sleep_ms(long ms)
{
    struct timespec time = {ms / 1000, ms % 1000 * 1000000};
    nanosleep(&time, NULL);
}

/* Waits until it has said `words`; where they stand. */
static const char *child_says(struct child *child, const char *words)
{
    for (int ms = 0; ms < WAIT_MS; ms += 10) {
        child_listen(child);
        const char *found = strstr(child->text, words);
        if (found != NULL)
            return found;
        sleep_ms(10);
    }
    cr_assert_fail("'%s' was not said: %s", words, child->text);
    return NULL;
}

/* Waits for the end; the exit code. */
static int child_end(struct child *child)
{
    int status;
    for (int ms = 0; ms < WAIT_MS; ms += 10) {
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

static int remove_entry(const char *path, const struct stat *stat, int type, struct FTW *ftw)
{
    (void)stat;
    (void)type;
    (void)ftw;
    return remove(path);
}

static void child_remove(struct child *child)
{
    nftw(child->folder, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
}

/* Port of the ready line. */
static int child_port(struct child *child)
{
    const char *ready = child_says(child, " ready addresses=127.0.0.1:");
    child_says(child, " data=");
    return (int)strtol(strchr(strstr(ready, "127"), ':') + 1, NULL, 10);
}

static bool connects(int port)
{
    struct sockaddr_in at = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)port),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    bool connected = connect(fd, (struct sockaddr *)&at, sizeof at) == 0;
    close(fd);
    return connected;
}

/* Start, ready line with the port that was taken, stop on TERM with 0, and the folder is free again
 * for the next start, which finds its log. */
Test(broker, serves_and_stops_as_asked)
{
    struct child child;
    if (!ring_available())
        return;
    child_init(&child);
    child_start(&child);
    int port = child_port(&child);
    cr_assert_neq(port, 0);
    cr_assert(connects(port));
    child_says(&child, " engine name=io_uring why=");
    child_says(&child, " log_created");
    kill(child.pid, SIGTERM);
    cr_assert_eq(child_end(&child), BROKER_EXIT_STOPPED, "%s", child.text);
    cr_assert_not_null(strstr(child.text, " stopping signal=TERM\n"));
    cr_assert_not_null(strstr(child.text, " stopped exit=0\n"));
    cr_assert_not(connects(port));

    child_start(&child);
    child_port(&child);
    cr_assert_null(strstr(child.text, "log_created"));
    cr_assert_null(strstr(child.text, "log_tail_cut"), "%s", child.text);
    kill(child.pid, SIGINT);
    cr_assert_eq(child_end(&child), BROKER_EXIT_STOPPED);
    child_remove(&child);
}

/* A broker that was killed starts again over what it left. */
Test(broker, starts_again_after_a_kill)
{
    struct child child;
    int status;
    if (!ring_available())
        return;
    child_init(&child);
    child_start(&child);
    child_port(&child);
    kill(child.pid, SIGKILL);
    cr_assert_eq(waitpid(child.pid, &status, 0), child.pid);
    close(child.output);
    child_start(&child);
    child_port(&child);
    kill(child.pid, SIGTERM);
    cr_assert_eq(child_end(&child), BROKER_EXIT_STOPPED);
    child_remove(&child);
}

/* USR1 prints the status as one line of JSON, and the broker goes on. */
Test(broker, prints_its_status_on_usr1)
{
    struct child child;
    char value[JSON_VALUE_BYTES];
    if (!ring_available())
        return;
    child_init(&child);
    child_start(&child);
    child_port(&child);
    kill(child.pid, SIGUSR1);
    const char *json = child_says(&child, "\n{\"version\":") + 1;
    child_says(&child, "\"next_steps\":[]}\n");
    size_t bytes = strcspn(json, "\n");
    cr_assert_str_eq(json_at(json, bytes, "state", value), "\"running\"");
    cr_assert_str_eq(json_at(json, bytes, "topics", value), "6");
    kill(child.pid, SIGTERM);
    cr_assert_eq(child_end(&child), BROKER_EXIT_STOPPED);
    child_remove(&child);
}

/* HUP reads the sources again and tells what a restart would change, or what is wrong with them. */
Test(broker, checks_the_configuration_on_hup)
{
    struct child child;
    if (!ring_available())
        return;
    child_init(&child);
    child_start(&child);
    child_port(&child);
    kill(child.pid, SIGHUP);
    child_says(&child, " configuration_checked changed=0\n");
    FILE *file = fopen(child.file, "a");
    fprintf(file, "insecure = yes\n[process]\ncpu = 0\n");
    fclose(file);
    kill(child.pid, SIGHUP);
    child_says(&child, " configuration_checked changed=2 options=server.insecure,process.cpu "
                       "next=restart\n");
    file = fopen(child.file, "a");
    fprintf(file, "mlok = yes\n");
    fclose(file);
    kill(child.pid, SIGHUP);
    child_says(&child, " warning configuration_refused why=");
    child_says(&child, "did you mean 'process.mlock'?");
    kill(child.pid, SIGTERM);
    cr_assert_eq(child_end(&child), BROKER_EXIT_STOPPED);
    child_remove(&child);
}

/* A folder that another broker uses is refused with exit code 1, and that other goes on. */
Test(broker, refuses_a_folder_in_use)
{
    struct child first, second;
    if (!ring_available())
        return;
    child_init(&first);
    child_start(&first);
    child_port(&first);
    second = first;
    second.bytes = 0;
    child_start(&second);
    cr_assert_eq(child_end(&second), BROKER_EXIT_FAILED, "%s", second.text);
    cr_assert_not_null(strstr(second.text, " start_failed step=engine error=DATA_LOCKED why="), "%s",
                       second.text);
    kill(first.pid, SIGTERM);
    cr_assert_eq(child_end(&first), BROKER_EXIT_STOPPED);
    child_remove(&first);
}

/* An address in use is refused with exit code 1 and named. */
Test(broker, refuses_an_address_in_use)
{
    struct child first, second;
    char set[128];
    if (!ring_available())
        return;
    child_init(&first);
    child_init(&second);
    child_start(&first);
    snprintf(set, sizeof set, "server.listen=127.0.0.1:%d", child_port(&first));
    child_set(&second, set);
    child_start(&second);
    cr_assert_eq(child_end(&second), BROKER_EXIT_FAILED);
    cr_assert_not_null(strstr(second.text, " start_failed step=listen error=EADDRINUSE why="), "%s",
                       second.text);
    kill(first.pid, SIGTERM);
    cr_assert_eq(child_end(&first), BROKER_EXIT_STOPPED);
    child_remove(&first);
    child_remove(&second);
}

/* A segment size that the folder does not have is a wrong configuration: exit code 2. */
Test(broker, refuses_options_that_the_folder_contradicts)
{
    struct child child;
    if (!ring_available())
        return;
    child_init(&child);
    child_start(&child);
    child_port(&child);
    kill(child.pid, SIGTERM);
    cr_assert_eq(child_end(&child), BROKER_EXIT_STOPPED);
    child_set(&child, "log.segment_bytes=8MiB");
    child_start(&child);
    cr_assert_eq(child_end(&child), BROKER_EXIT_USAGE, "%s", child.text);
    cr_assert_not_null(strstr(child.text, " start_failed step=open error=OPTION_INVALID why="),
                       "%s", child.text);
    child_remove(&child);
}

/* A CPU that is not there is refused before the folder is touched. */
Test(broker, refuses_a_cpu_that_is_not_there)
{
    struct child child;
    char data[128];
    child_init(&child);
    child_set(&child, "process.cpu=1023");
    child_start(&child);
    cr_assert_eq(child_end(&child), BROKER_EXIT_FAILED, "%s", child.text);
    cr_assert_not_null(strstr(child.text, "step=cpu error=EINVAL why=\"process.cpu = 1023: "), "%s",
                       child.text);
    snprintf(data, sizeof data, "%s/data", child.folder);
    cr_assert_neq(access(data, F_OK), 0);
    child_remove(&child);
}

/* The service manager hears READY with the address, and STOPPING before the end. */
Test(broker, tells_the_service_manager)
{
    struct child child;
    char text[512] = "";
    if (!ring_available())
        return;
    child_init(&child);
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    snprintf(child.notify, sizeof child.notify, "%s/notify", child.folder);
    snprintf(at.sun_path, sizeof at.sun_path, "%s", child.notify);
    int fd = socket(AF_UNIX, SOCK_DGRAM, 0);
    cr_assert_eq(bind(fd, (struct sockaddr *)&at, sizeof at), 0);
    child_start(&child);
    child_port(&child);
    cr_assert_gt(recv(fd, text, sizeof text - 1, 0), 0);
    cr_assert_eq(strncmp(text, "READY=1\nSTATUS=serving 127.0.0.1:", 33), 0, "%s", text);
    kill(child.pid, SIGTERM);
    memset(text, 0, sizeof text);
    cr_assert_gt(recv(fd, text, sizeof text - 1, 0), 0);
    cr_assert_eq(strncmp(text, "STOPPING=1\n", 11), 0, "%s", text);
    cr_assert_eq(child_end(&child), BROKER_EXIT_STOPPED);
    close(fd);
    child_remove(&child);
}
