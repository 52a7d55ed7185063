/* SPDX-License-Identifier: Apache-2.0
 *
 * Numbers on the command lines of test programs.
 */
#ifndef CROSSDOCK_TESTS_SUPPORT_ARGUMENTS_H
#define CROSSDOCK_TESTS_SUPPORT_ARGUMENTS_H

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

/* A decimal number from 1 to `high`; false, and *ret_number untouched, when the text is none. */
static inline bool argument_number(const char *text, uint64_t high, uint64_t *ret_number)
{
    char *end;
    errno = 0;
    unsigned long long number = strtoull(text, &end, 10);
    if (errno != 0 || end == text || *end != '\0' || *text == '-' || number < 1 || number > high)
        return false;
    *ret_number = number;
    return true;
}

#endif
