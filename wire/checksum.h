/* SPDX-License-Identifier: Apache-2.0
 *
 * XXH3-64, the project's only checksum and hash. checksum.c is the one file that includes xxHash;
 * on x86 it goes through the run-time dispatch, because Debian's plain build reaches a sixth to an
 * eighteenth of the speed. XXH3 finds accidents, it does not stop attackers.
 */
#ifndef CROSSDOCK_WIRE_CHECKSUM_H
#define CROSSDOCK_WIRE_CHECKSUM_H

#include <stddef.h>
#include <stdint.h>

/* Hash of `bytes` bytes at `data`, seed 0. */
uint64_t xd_xxh3(const void *data, size_t bytes);

/* The same with a seed. Seed 0 gives the same value as xd_xxh3. */
uint64_t xd_xxh3_seeded(const void *data, size_t bytes, uint64_t seed);

/* Hash of pieces. Opaque: the state is the library's, sized for the stack. Usage: begin, any
 * number of adds, end; equal to one xd_xxh3_seeded over the joined pieces. */
struct xd_xxh3_state {
    _Alignas(64) uint8_t opaque[576]; /* XXH3_state_t of xxHash 0.8, checked in checksum.c */
};
void xd_xxh3_begin(struct xd_xxh3_state *state, uint64_t seed);
void xd_xxh3_add(struct xd_xxh3_state *state, const void *data, size_t bytes);
uint64_t xd_xxh3_end(const struct xd_xxh3_state *state);

#endif
