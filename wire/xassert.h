/* SPDX-License-Identifier: Apache-2.0
 *
 * Assertions that are compiled in always. They guard what the programmer controls; bytes from a
 * socket or a file are checked with statuses instead. A failed assertion prints the expression and
 * aborts: a broken invariant must not reach the disk.
 */
#ifndef CROSSDOCK_WIRE_XASSERT_H
#define CROSSDOCK_WIRE_XASSERT_H

/* Prints `file:line: assertion failed: text` to stderr and aborts. */
__attribute__((noreturn, cold)) void xd_assert_failed(const char *text, const char *file, int line);

#define XD_ASSERT(expression)                                                                      \
    do {                                                                                           \
        if (__builtin_expect(!(expression), 0))                                                    \
            xd_assert_failed(#expression, __FILE__, __LINE__);                                     \
    } while (0)

/* For checks that cost more than O(1): active only in builds with -DXD_DEBUG. */
#ifdef XD_DEBUG
#define XD_DEBUG_ASSERT(expression) XD_ASSERT(expression)
#else
#define XD_DEBUG_ASSERT(expression) ((void)sizeof(!(expression)))
#endif

#endif
