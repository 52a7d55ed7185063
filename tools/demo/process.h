/* SPDX-License-Identifier: Apache-2.0
 *
 * A broker as a child process: started, killed, stopped, always by its process number.
 *
 * Normal path: process_init, process_start, then process_kill and process_start as often as wanted,
 * and process_stop. The address is chosen once, so a client finds a restarted broker where the
 * former one was. What the broker writes goes to a file beside its data folder.
 * Failure path: 0 or -errno with a sentence in `why`; the child is gone then.
 * Must not know what the broker does; must not end a process that it did not start.
 */
#ifndef CROSSDOCK_TOOLS_DEMO_PROCESS_H
#define CROSSDOCK_TOOLS_DEMO_PROCESS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define PROCESS_PATH_BYTES 512u
#define PROCESS_WHY_BYTES 1280u
#define PROCESS_PORT_DEFAULT 7700u

struct process {
    const char *program;           /* path of crossdockd; the caller's */
    char data[PROCESS_PATH_BYTES]; /* data folder */
    char log[PROCESS_PATH_BYTES];  /* file that takes what the broker writes */
    char address[32];              /* "127.0.0.1:7700" */
    char why[PROCESS_WHY_BYTES];   /* sentence about the last failure */
    uint64_t ready_ns;             /* how long the last start took until its ready line */
    uint32_t start_count;          /* successful starts */
    uint16_t port;                 /* of address */
    bool outlive;                  /* the broker goes on when the caller's process ends */
    pid_t pid;                     /* 0 = not running */
};

/* Takes port 7700 when it is free, else one that is. `data` is made by the broker. */
int process_init(struct process *process, const char *program, const char *data);
/* Starts the broker and waits for its ready line. */
int process_start(struct process *process, uint32_t timeout_ms);
/* kill -9, and waits for the end. Does nothing when it is not running. */
int process_kill(struct process *process);
/* Asks for an orderly end and waits; after timeout_ms kill -9 and -ETIMEDOUT. An exit status other
 * than 0 is -EIO. Does nothing when it is not running. */
int process_stop(struct process *process, uint32_t timeout_ms);
/* Removes the data folder and everything in it; it is no failure when there is none. */
int process_remove_data(struct process *process);

/* Monotonic clock, ns. */
uint64_t process_now_ns(void);
void process_sleep_us(uint64_t us);

#endif
