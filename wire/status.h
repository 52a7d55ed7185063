/* SPDX-License-Identifier: Apache-2.0
 *
 * Statuses: one int for every outcome. Zero or more is success, negative is failure; kernel errors
 * pass through as -errno, our own come from status.def. Callers branch on the class, people read
 * the name and the text. This module must not log and holds no state.
 */
#ifndef CROSSDOCK_WIRE_STATUS_H
#define CROSSDOCK_WIRE_STATUS_H

/* What a caller does about a status. The values travel in replies and never change. */
enum xd_class {
    XD_CLASS_OK = 0,       /* success, perhaps with a flag                                   */
    XD_CLASS_RETRY = 1,    /* nothing happened: the same request again                       */
    XD_CLASS_BACKOFF = 2,  /* throttled or degraded: wait for the delay given, then again    */
    XD_CLASS_FENCED = 3,   /* a newer epoch exists: stop this session                        */
    XD_CLASS_REJECTED = 4, /* request or record is wrong: the detail names the field         */
    XD_CLASS_UNKNOWN = 5,  /* may or may not be durable: resend the same sequence to find out */
    XD_CLASS_FATAL = 6,    /* the handle or process is finished                              */
    XD_CLASS_COUNT
};

enum xd_status {
#define X(name, code, class, text) XD_##name = (code),
#include "wire/status.def"
#undef X
};

/* Name of a status without prefix ("FENCED"), or of an errno value ("ENOSPC"); "UNKNOWN_STATUS" for
 * a number that is in neither table, "OK" for 0 and positive numbers without a row. Static memory,
 * never NULL, any thread. */
const char *xd_status_name(int status);

/* One sentence for people. Static memory, never NULL, any thread. */
const char *xd_status_text(int status);

/* Class of a status. Kernel errors: EAGAIN, EINTR are RETRY; ENOSPC, ENOMEM, ECONNREFUSED, EMFILE
 * are BACKOFF; connection errors (ECONNRESET, EPIPE, ETIMEDOUT) are UNKNOWN; all others FATAL. */
enum xd_class xd_status_class(int status);

/* Name of a class ("RETRY"). Static memory, never NULL. */
const char *xd_class_name(enum xd_class cls);

/* Looks a status up by name; 0 and *ret_status on success, -ENOENT when there is none. */
int xd_status_find(const char *name, int *ret_status);

/* Calls for tools that list the table: rows from 0; returns 0, or -ENOENT behind the last. */
int xd_status_row(unsigned row, int *ret_status);

#endif
