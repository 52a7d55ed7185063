/* SPDX-License-Identifier: Apache-2.0
 *
 * SHA-256, for the names of channels that stand for a file's content: two files must never share a
 * name. The only file that includes OpenSSL is digest.c.
 */
#ifndef CROSSDOCK_TOOLS_CROSSDOCK_DIGEST_H
#define CROSSDOCK_TOOLS_CROSSDOCK_DIGEST_H

#include <stddef.h>
#include <stdio.h>

/* Hexadecimal digits that are given out: half of the digest, and a terminator. */
#define DIGEST_TEXT_BYTES 33u

/* The whole of it, as sha256sum(1) prints it. */
#define DIGEST_WHOLE_BYTES 65u

/* Digest over the rest of `file`. 0, -EIO, -ENOMEM. */
int digest_whole(FILE *file, char ret_text[DIGEST_WHOLE_BYTES]);
/* Digest over `prefix`, a zero byte, and the rest of `file` (may be NULL). 0, -EIO, -ENOMEM. */
int digest_file(const char *prefix, FILE *file, char *ret_text);

#endif
