/* SPDX-License-Identifier: Apache-2.0
 *
 * Looks statuses up in the table of status.def and, for kernel errors, in the C library's names.
 *
 * The X-macro is expanded twice: into an array of rows and into a switch from code to row. The
 * switch makes a code that is given twice a compile error. Kernel errors rely on glibc 2.32, whose
 * strerrorname_np and strerrordesc_np return static memory and are safe in any thread.
 *
 * Nothing here fails: an unknown number has a name, a text and the class FATAL.
 */
#include "wire/status.h"

#include "wire/xassert.h"

#include <assert.h>
#include <errno.h>
#include <stddef.h>
#include <string.h>

/* One row of status.def. */
struct status_row {
    const char *name;    /* without prefix, "FENCED" */
    const char *text;    /* one sentence */
    int code;            /* enum xd_status */
    enum xd_class class; /* what a caller does about it */
};

static const struct status_row status_rows[] = {
#define X(name, code, class, text) {#name, text, code, XD_CLASS_##class},
#include "wire/status.def"
#undef X
};

/* Position of each status in status_rows. */
enum status_index {
#define X(name, code, class, text) INDEX_##name,
#include "wire/status.def"
#undef X
    INDEX_COUNT
};

static_assert(sizeof(status_rows) / sizeof(status_rows[0]) == INDEX_COUNT, "one row per index");

static const char *const class_names[] = {
    [XD_CLASS_OK] = "OK",         [XD_CLASS_RETRY] = "RETRY",       [XD_CLASS_BACKOFF] = "BACKOFF",
    [XD_CLASS_FENCED] = "FENCED", [XD_CLASS_REJECTED] = "REJECTED", [XD_CLASS_UNKNOWN] = "UNKNOWN",
    [XD_CLASS_FATAL] = "FATAL",
};

static_assert(sizeof(class_names) / sizeof(class_names[0]) == XD_CLASS_COUNT,
              "every class has a name");

/* Row of a status of ours, or NULL. */
static const struct status_row *find_row(int status)
{
    switch (status) {
#define X(name, code, class, text)                                                                 \
    case code:                                                                                     \
        return &status_rows[INDEX_##name];
#include "wire/status.def"
#undef X
    default:
        return NULL;
    }
}

/* The errno value behind a negative status, or 0 when the status cannot be a kernel error. The
 * kernel's own bound is 4095 (MAX_ERRNO). */
static int errno_of(int status)
{
    XD_ASSERT(status < 0);
    return status >= -4095 ? -status : 0;
}

const char *xd_status_name(int status)
{
    const struct status_row *row = find_row(status);
    if (row != NULL)
        return row->name;
    if (status >= 0)
        return "OK";

    const char *name = errno_of(status) != 0 ? strerrorname_np(errno_of(status)) : NULL;
    return name != NULL ? name : "UNKNOWN_STATUS";
}

const char *xd_status_text(int status)
{
    const struct status_row *row = find_row(status);
    if (row != NULL)
        return row->text;
    if (status >= 0)
        return "success";

    const char *text = errno_of(status) != 0 ? strerrordesc_np(errno_of(status)) : NULL;
    return text != NULL ? text : "a status that this program does not know";
}

enum xd_class xd_status_class(int status)
{
    const struct status_row *row = find_row(status);
    XD_ASSERT(row == NULL || row->code == status);
    if (row != NULL)
        return row->class;
    if (status >= 0)
        return XD_CLASS_OK;

    switch (errno_of(status)) {
    case EAGAIN:
    case EINTR:
        return XD_CLASS_RETRY;
    case ENOSPC:
    case ENOMEM:
    case ECONNREFUSED:
    case EMFILE:
        return XD_CLASS_BACKOFF;
    case ECONNRESET:
    case EPIPE:
    case ETIMEDOUT:
        return XD_CLASS_UNKNOWN;
    default:
        return XD_CLASS_FATAL;
    }
}

const char *xd_class_name(enum xd_class cls)
{
    XD_ASSERT((unsigned)cls < XD_CLASS_COUNT);
    return class_names[cls];
}

int xd_status_find(const char *name, int *ret_status)
{
    XD_ASSERT(name != NULL);
    XD_ASSERT(ret_status != NULL);
    for (unsigned i = 0; i < INDEX_COUNT; i++) {
        if (strcmp(status_rows[i].name, name) == 0) {
            *ret_status = status_rows[i].code;
            return 0;
        }
    }
    return -ENOENT;
}

int xd_status_row(unsigned row, int *ret_status)
{
    XD_ASSERT(ret_status != NULL);
    if (row >= INDEX_COUNT)
        return -ENOENT;
    *ret_status = status_rows[row].code;
    return 0;
}
