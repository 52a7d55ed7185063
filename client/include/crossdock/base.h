/* SPDX-License-Identifier: Apache-2.0
 *
 * What every other header of libcrossdock needs: linkage, handles, bytes, statuses.
 *
 * Rules of the whole library
 * - A handle belongs to the thread that opened it; from another thread every call answers
 *   XDOCK_WRONG_THREAD. Two clients in two threads share nothing.
 * - After fork() every call in the child answers XDOCK_FORKED; closing there frees memory only.
 * - Memory is taken when a handle is opened and given back when it is closed.
 * - Every call that can block takes timeout_ms: 0 = do not block, XDOCK_FOREVER = no limit. It
 *   returns by then, whatever the network does.
 * - int results: zero or more is success, negative is failure: -errno of the kernel, or a status of
 *   status.h. Branch on xdock_status_class(). Outputs are untouched on failure.
 */
#ifndef CROSSDOCK_BASE_H
#define CROSSDOCK_BASE_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
#define XDOCK_BEGIN_DECLS extern "C" {
#define XDOCK_END_DECLS }
#else
#define XDOCK_BEGIN_DECLS
#define XDOCK_END_DECLS
#endif

#if defined(__GNUC__)
#define XDOCK_EXPORT __attribute__((visibility("default")))
#else
#define XDOCK_EXPORT
#endif

#define XDOCK_FOREVER 0xffffffffu

XDOCK_BEGIN_DECLS

typedef struct xdock_options xdock_options_t;   /* settings by name */
typedef struct xdock_client xdock_client_t;     /* one connection to one broker */
typedef struct xdock_producer xdock_producer_t; /* one open channel of a source */
typedef struct xdock_reader xdock_reader_t;     /* a position in some partitions */

/* Bytes owned by somebody else. Not zero-terminated. */
typedef struct xdock_bytes {
    const void *data; /* may be NULL when bytes is 0 */
    size_t bytes;
} xdock_bytes_t;

static inline xdock_bytes_t xdock_bytes(const void *data, size_t bytes)
{
    xdock_bytes_t value;
    value.data = data;
    value.bytes = bytes;
    return value;
}

XDOCK_END_DECLS

#endif
