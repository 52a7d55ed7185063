/* SPDX-License-Identifier: Apache-2.0
 *
 * Bytes of a replayed disk: the pieces of a write, what of it a crash stores, hashes. For
 * crash_disk.c; users of the replayed disk need crash_disk.h only.
 */
#ifndef CROSSDOCK_TESTS_CRASH_CRASH_IMAGE_H
#define CROSSDOCK_TESTS_CRASH_CRASH_IMAGE_H

#include "tests/crash/crash_disk.h"

#include <stdint.h>

/* Index of a name, or the count. */
uint32_t crash_names_find(const struct crash_names *names, const char *text);
void crash_names_change(struct crash_names *names, const struct crash_change *change);

/* Cuts the data of a write (NULL = zeros) into pages. */
void crash_image_pieces(struct crash_disk *disk, struct crash_write *write, const uint8_t *data);
/* The write ends after its first `bytes`. */
void crash_image_shorten(struct crash_disk *disk, struct crash_write *write, uint32_t bytes);
/* Stores a whole write into the safe contents of its file. */
void crash_image_settle(struct crash_disk *disk, const struct crash_write *write);
/* Hash of contents: a sum over pages, so that it can follow changes of some. */
uint64_t crash_image_hash(const struct sim_image *image);

#endif
