/* SPDX-License-Identifier: Apache-2.0
 *
 * crossdock-examplestest: runs the example programs of the client library, as a reader of them
 * would, against a broker of their own, and checks what they print.
 *
 *   crossdock-examplestest BROKER NEW-FOLDER PRODUCE EVENT_LOOP READ
 *
 * Normal path: broker, the facility that the examples name, each step of the table; the read at the
 * end must find what the producing ones have sent. Failure path: what was printed is told, the
 * run ends. Exit: 0 all as expected, 1 not, 2 wrong usage.
 */
#include "tools/demo/process.h"

#include <crossdock/crossdock.h>

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define START_MS 60000u
#define STOP_MS 30000u
#define CALL_MS 10000u
#define EXAMPLE_S 60 /* an example that takes longer is ended by its alarm */
#define OUTPUT_BYTES 65536u

enum program { PROGRAM_PRODUCE, PROGRAM_EVENT_LOOP, PROGRAM_READ, PROGRAM_COUNT };

/* One run of an example: exit status 0 is expected, and these texts in what it prints. */
static const struct step {
    enum program program;
    const char *expected[3]; /* NULL = no more */
} steps[] = {
    {PROGRAM_READ, {"0 records\n"}},
    {PROGRAM_PRODUCE,
     {"sequence 1 is durable at offset 0 of partition ", "100 of 100 picks were appended"}},
    {PROGRAM_EVENT_LOOP, {"move 0: ", "move 19: "}},
    {PROGRAM_READ,
     {"DC07 PICK_CONFIRMED sku=SKU-4711 location=A-12-03 quantity=3 payload=16 B",
      "DC07 STOCK_MOVED sku=SKU-0815 location=A-01 quantity=1 payload=0 B", "\n121 records\n"}},
    /* A second run numbers on behind the first: nothing is taken for a duplicate. */
    {PROGRAM_PRODUCE,
     {"sequence 102 is durable at offset 101 of partition ", "100 of 100 picks were appended"}},
    {PROGRAM_READ, {"\n222 records\n"}},
};

static int add_facility(const char *address)
{
    char error[256] = "";
    const char *reply;
    xdock_options_t *options = NULL;
    xdock_client_t *client = NULL;
    int status = xdock_options_init(&options);
    if (status >= 0)
        status = xdock_options_set(options, "address", address);
    if (status >= 0)
        status = xdock_client_open(options, CALL_MS, &client, error, sizeof error);
    xdock_options_free(&options);
    if (status >= 0)
        status = xdock_admin_call(client, "facility add", "{\"name\": \"DC07\"}", CALL_MS, &reply);
    if (status < 0)
        fprintf(stderr, "cannot add the facility: %s %s\n", xdock_status_text(status), error);
    (void)xdock_client_close(&client, 0); /* Nothing of it is unacknowledged. */
    return status;
}

/* Runs an example; what it prints, on both streams, is caught. Returns its wait status or -errno.
 */
static int run_example(const char *path, const char *address, char *ret_output)
{
    int ends[2];
    size_t used = 0;
    ssize_t bytes;
    int status;
    if (pipe(ends) < 0)
        return -errno;
    pid_t pid = fork();
    if (pid < 0)
        return -errno;
    if (pid == 0) {
        dup2(ends[1], 1);
        dup2(ends[1], 2);
        close(ends[0]);
        close(ends[1]);
        alarm(EXAMPLE_S);
        execl(path, path, address, (char *)NULL);
        _exit(127);
    }
    close(ends[1]);
    while (used + 1 < OUTPUT_BYTES &&
           (bytes = read(ends[0], ret_output + used, OUTPUT_BYTES - 1 - used)) > 0)
        used += (size_t)bytes;
    ret_output[used] = '\0';
    close(ends[0]);
    while (waitpid(pid, &status, 0) < 0) {
        if (errno != EINTR)
            return -errno;
    }
    return status;
}

static bool run_step(const struct step *step, const char *path, const char *address)
{
    char output[OUTPUT_BYTES] = "";
    int status = run_example(path, address, output);
    bool ok = status == 0;
    for (size_t i = 0; i < sizeof step->expected / sizeof step->expected[0]; i++)
        ok = ok && (step->expected[i] == NULL || strstr(output, step->expected[i]) != NULL);
    printf("%s: %s\n", path, ok ? "as expected" : "NOT AS EXPECTED");
    if (!ok)
        printf("wait status 0x%x, printed:\n%s\n", (unsigned)status, output);
    return ok;
}

int main(int argc, char **argv)
{
    struct process broker;
    if (argc != 3 + PROGRAM_COUNT) {
        fputs("crossdock-examplestest BROKER NEW-FOLDER PRODUCE EVENT_LOOP READ\n", stderr);
        return 2;
    }
    int status = process_init(&broker, argv[1], argv[2]);
    if (status >= 0)
        status = process_start(&broker, START_MS);
    bool ok = status >= 0;
    if (!ok)
        fprintf(stderr, "%s\n", broker.why);
    ok = ok && add_facility(broker.address) >= 0;
    for (size_t i = 0; ok && i < sizeof steps / sizeof steps[0]; i++)
        ok = run_step(&steps[i], argv[3 + steps[i].program], broker.address);
    if (process_stop(&broker, STOP_MS) < 0) {
        fprintf(stderr, "%s\n", broker.why);
        ok = false;
    }
    return ok ? 0 : 1;
}
