/* SPDX-License-Identifier: Apache-2.0
 *
 * A broker as a child process; see process.h.
 */
#include "tools/demo/process.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define POLL_US 2000u      /* between two looks at a child */
#define RESTART_US 50000u  /* between two attempts to start again */
#define LOG_TAIL_BYTES 600 /* of the broker's file, shown when it does not start */

uint64_t process_now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

void process_sleep_us(uint64_t us)
{
    struct timespec left = {(time_t)(us / 1000000u), (long)(us % 1000000u) * 1000};
    while (nanosleep(&left, &left) < 0 && errno == EINTR)
        continue;
}

static int fail(struct process *process, int error, const char *what, const char *subject)
{
    snprintf(process->why, sizeof process->why, "%s %.400s: %s", what, subject, strerror(error));
    return -error;
}

static struct sockaddr_in loopback(uint16_t port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return address;
}

/* The port itself when it can be bound, or any free one for 0; 0 when there is none. */
static uint16_t free_port(uint16_t port)
{
    struct sockaddr_in address = loopback(port);
    socklen_t bytes = sizeof address;
    const int on = 1;
    uint16_t found = 0;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return 0;
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == 0 &&
        bind(fd, (struct sockaddr *)&address, sizeof address) == 0 && listen(fd, 1) == 0 &&
        getsockname(fd, (struct sockaddr *)&address, &bytes) == 0)
        found = ntohs(address.sin_port);
    close(fd);
    return found;
}

int process_init(struct process *process, const char *program, const char *data)
{
    memset(process, 0, sizeof *process);
    process->program = program;
    size_t bytes = strlen(data);
    while (bytes > 1 && data[bytes - 1] == '/')
        bytes--;
    if (bytes == 0 || bytes + sizeof ".log" > sizeof process->data)
        return fail(process, ENAMETOOLONG, "data folder", data);
    if (access(program, X_OK) < 0)
        return fail(process, errno, "broker", program);
    memcpy(process->data, data, bytes);
    snprintf(process->log, sizeof process->log, "%.*s.log", (int)bytes, data);
    process->port = free_port(PROCESS_PORT_DEFAULT);
    if (process->port == 0)
        process->port = free_port(0);
    if (process->port == 0)
        return fail(process, EADDRINUSE, "no free port on", "127.0.0.1");
    snprintf(process->address, sizeof process->address, "127.0.0.1:%u", process->port);
    return 0;
}

/* In the child: only calls that are safe after fork, then exec. */
__attribute__((noreturn)) static void run_child(const struct process *process, pid_t parent)
{
    char *const words[] = {(char *)process->program,
                           "--data",
                           (char *)process->data,
                           "--listen",
                           (char *)process->address,
                           "--set",
                           "metrics.listen=127.0.0.1:0", /* the port above ours may be taken */
                           NULL};
    sigset_t none;
    int fd = open(process->log, O_WRONLY | O_CREAT | O_APPEND, 0644);
    int null_fd = open("/dev/null", O_RDONLY);
    if (fd < 0 || null_fd < 0 || dup2(null_fd, 0) < 0 || dup2(fd, 1) < 0 || dup2(fd, 2) < 0)
        _exit(126);
    /* A session of its own: an interrupt from the terminal reaches the parent, which then stops the
     * broker. A parent that dies without doing so takes the broker with it. */
    setsid();
    if (!process->outlive && (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != parent))
        _exit(126);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    execv(process->program, words);
    _exit(127);
}

/* True when the broker's file has a ready line behind `from`. Connecting would prove nothing: the
 * listening socket of a killed broker outlives it while its ring is being taken down. */
static bool has_ready_line(const struct process *process, long from)
{
    static const char ready[] = " info ready addresses=";
    char line[512];
    bool found = false;
    FILE *file = fopen(process->log, "re");
    if (file == NULL)
        return false;
    if (fseek(file, from, SEEK_SET) == 0) {
        while (!found && fgets(line, sizeof line, file) != NULL)
            found = strstr(line, ready) != NULL && strchr(line, '\n') != NULL;
    }
    fclose(file);
    return found;
}

/* Bytes in the broker's file. */
static long log_bytes(const struct process *process)
{
    struct stat stat_now;
    return stat(process->log, &stat_now) == 0 ? (long)stat_now.st_size : 0;
}

/* True when the child has ended; it is no more our child then. */
static bool ended(struct process *process, int *ret_status)
{
    pid_t pid = waitpid(process->pid, ret_status, WNOHANG);
    if (pid == 0 || (pid < 0 && errno == EINTR))
        return false;
    process->pid = 0;
    return true;
}

/* Appends the end of the broker's file to `why`. */
static void add_log_tail(struct process *process)
{
    char tail[LOG_TAIL_BYTES + 1];
    size_t used = strlen(process->why);
    FILE *file = fopen(process->log, "re");
    if (file == NULL)
        return;
    if (fseek(file, -LOG_TAIL_BYTES, SEEK_END) < 0)
        rewind(file);
    tail[fread(tail, 1, LOG_TAIL_BYTES, file)] = '\0';
    fclose(file);
    snprintf(process->why + used, sizeof process->why - used, "\nthe end of %s:\n%s", process->log,
             tail);
}

/* One attempt: 0, -ECHILD when the broker ended by itself, or -errno. */
static int start_once(struct process *process, uint64_t deadline_ns)
{
    int status;
    long from = log_bytes(process);
    pid_t parent = getpid();
    pid_t pid = fork();
    if (pid < 0)
        return fail(process, errno, "cannot start", process->program);
    if (pid == 0)
        run_child(process, parent);
    process->pid = pid;
    while (process_now_ns() < deadline_ns) {
        if (ended(process, &status)) {
            snprintf(process->why, sizeof process->why, "%.400s ended at its start (status 0x%x)",
                     process->program, (unsigned)status);
            add_log_tail(process);
            return -ECHILD;
        }
        if (has_ready_line(process, from))
            return 0;
        process_sleep_us(POLL_US);
    }
    (void)process_kill(process); /* The failure to be told is the slow start. */
    (void)fail(process, ETIMEDOUT, "waited for the ready line of", process->program);
    add_log_tail(process);
    return -ETIMEDOUT;
}

int process_start(struct process *process, uint32_t timeout_ms)
{
    uint64_t started_ns = process_now_ns();
    uint64_t deadline_ns = started_ns + (uint64_t)timeout_ms * 1000000u;
    if (process->pid != 0)
        return fail(process, EALREADY, "running:", process->program);
    int status = start_once(process, deadline_ns);
    /* The kernel lets go of the files and sockets of a killed process a moment after its end is
     * seen: work of its ring may still be under way. Like a service manager, try again. */
    while (status == -ECHILD && process->start_count > 0 && process_now_ns() < deadline_ns) {
        process_sleep_us(RESTART_US);
        status = start_once(process, deadline_ns);
    }
    if (status < 0)
        return status;
    process->start_count++;
    process->ready_ns = process_now_ns() - started_ns;
    return 0;
}

int process_kill(struct process *process)
{
    int status;
    if (process->pid == 0)
        return 0;
    if (kill(process->pid, SIGKILL) < 0)
        return fail(process, errno, "cannot kill", process->program);
    while (waitpid(process->pid, &status, 0) < 0) {
        if (errno != EINTR)
            return fail(process, errno, "cannot wait for", process->program);
    }
    process->pid = 0;
    if (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL)
        return 0;
    /* It had ended before: an assertion of it failed, perhaps. */
    snprintf(process->why, sizeof process->why, "%.400s had ended by itself (status 0x%x)",
             process->program, (unsigned)status);
    add_log_tail(process);
    return -EIO;
}

int process_stop(struct process *process, uint32_t timeout_ms)
{
    uint64_t deadline_ns = process_now_ns() + (uint64_t)timeout_ms * 1000000u;
    int status = 0;
    if (process->pid == 0)
        return 0;
    if (kill(process->pid, SIGTERM) < 0)
        return fail(process, errno, "cannot stop", process->program);
    while (!ended(process, &status)) {
        if (process_now_ns() >= deadline_ns) {
            (void)process_kill(process); /* The failure to be told is the slow stop. */
            return fail(process, ETIMEDOUT, "waited for the end of", process->program);
        }
        process_sleep_us(POLL_US);
    }
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return 0;
    snprintf(process->why, sizeof process->why, "%.400s stopped with status 0x%x", process->program,
             (unsigned)status);
    add_log_tail(process);
    return -EIO;
}

static int remove_one(const char *path, const struct stat *stat, int kind, struct FTW *place)
{
    (void)stat;
    (void)kind;
    (void)place;
    return remove(path) == 0 ? 0 : errno;
}

int process_remove_data(struct process *process)
{
    int error = nftw(process->data, remove_one, 16, FTW_DEPTH | FTW_PHYS | FTW_MOUNT);
    if (error < 0)
        error = errno;
    if (error != 0 && error != ENOENT)
        return fail(process, error, "cannot remove", process->data);
    return 0;
}
