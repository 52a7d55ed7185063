/* SPDX-License-Identifier: Apache-2.0
 *
 * The public side of the status table. status.h is generated from the same rows, which the
 * assertions below compare.
 */
#include "wire/status.h"
#include "wire/event.h"
#include "wire/xassert.h"

#include <crossdock/events.h>
#include <crossdock/status.h>

#include <assert.h>

#define X(name, code, class, text)                                                                 \
    static_assert((int)XDOCK_##name == (int)XD_##name, "client/generate.py has been run");
#include "wire/status.def"
#undef X
#define X(name, code, kind, topic, groups, text)                                                   \
    static_assert((int)XDOCK_##name == (int)XD_EVENT_##name, "client/generate.py has been run");
#include "wire/event.def"
#undef X
static_assert((int)XDOCK_CLASS_OK == (int)XD_CLASS_OK, "the classes are the same");
static_assert((int)XDOCK_CLASS_FENCED == (int)XD_CLASS_FENCED, "the classes are the same");
static_assert((int)XDOCK_CLASS_FATAL == (int)XD_CLASS_FATAL, "the classes are the same");
static_assert((int)XDOCK_CLASS_FATAL + 1 == (int)XD_CLASS_COUNT, "the classes are the same");

const char *xdock_status_name(int status)
{
    return xd_status_name(status);
}

const char *xdock_status_text(int status)
{
    return xd_status_text(status);
}

int xdock_status_class(int status)
{
    return (int)xd_status_class(status);
}

const char *xdock_class_name(int status_class)
{
    if (status_class < 0 || status_class >= (int)XD_CLASS_COUNT)
        return "UNKNOWN_CLASS";
    return xd_class_name((enum xd_class)status_class);
}

int xdock_status_find(const char *name, int *ret_status)
{
    XD_ASSERT(name != NULL && ret_status != NULL);
    return xd_status_find(name, ret_status);
}

int xdock_status_row(unsigned row, int *ret_status)
{
    XD_ASSERT(ret_status != NULL);
    return xd_status_row(row, ret_status);
}
