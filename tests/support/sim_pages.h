/* SPDX-License-Identifier: Apache-2.0
 *
 * Sparse byte images out of shared 4 KiB pages: what the simulated disk stores.
 *
 * Normal path: an image is an array of page pointers, NULL for a page of zeros. Pages are counted:
 * the newest image of a file, its durable image and a write on its way hold the same page, so a
 * write is copied once and made durable by moving pointers. A page with two holders is never
 * changed; image_put copies it first.
 *
 * Failure path: none; without memory the test aborts. Must not know files, names or time.
 */
#ifndef CROSSDOCK_TESTS_SUPPORT_SIM_PAGES_H
#define CROSSDOCK_TESTS_SUPPORT_SIM_PAGES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SIM_PAGE_BYTES 4096u
#define SIM_SECTOR_BYTES 512u /* what the device writes whole or not at all */

struct sim_page {
    uint8_t bytes[SIM_PAGE_BYTES];
    struct sim_page *next_free; /* while free */
    uint32_t holders;           /* images and pieces that point here; 0 = free */
};

/* All pages of one disk; keeps its memory until deinit. */
struct sim_pages {
    struct sim_page_chunk *chunks; /* memory, newest first */
    struct sim_page *free;         /* list of free pages */
};

/* Part of one page: bytes from..to of page number page_index of a file. */
struct sim_piece {
    struct sim_page *page; /* the bytes stand at from..to of it too; NULL = zeros */
    uint32_t page_index;
    uint16_t from; /* in page */
    uint16_t to;   /* in page, behind the last byte, 1..4096 */
};

/* Contents of one file. */
struct sim_image {
    struct sim_page **pages;
    uint32_t capacity; /* entries of pages */
    uint32_t end;      /* entries that may be other than NULL */
};

void pages_deinit(struct sim_pages *pages);
/* A page with undefined contents and one holder. */
struct sim_page *page_new(struct sim_pages *pages);
/* Adds or drops a holder; NULL is allowed. */
struct sim_page *page_hold(struct sim_page *page);
void page_drop(struct sim_pages *pages, struct sim_page *page);

/* Whether all bytes, at least one, are zero. */
bool bytes_zero(const uint8_t *data, size_t bytes);

/* Makes the piece hold the data of from..to, `data` being its first byte. */
void piece_fill(struct sim_pages *pages, struct sim_piece *piece, const uint8_t *data);
/* Makes the piece the only holder of a real page, for changing its bytes in place. */
void piece_own(struct sim_pages *pages, struct sim_piece *piece);

/* Stores the bytes from..to of the piece's page (a part of the piece) into the image. */
void image_put(struct sim_pages *pages, struct sim_image *image, const struct sim_piece *piece,
               uint16_t from, uint16_t to);
void image_write(struct sim_pages *pages, struct sim_image *image, uint64_t position,
                 const void *data, size_t bytes);
void image_read(const struct sim_image *image, uint64_t position, void *data, size_t bytes);
/* Lets the page of `to` be the one of `from`. */
void image_share(struct sim_pages *pages, struct sim_image *to, const struct sim_image *from,
                 uint32_t page_index);
/* Lets the whole of `to` be the contents of `from`, within one disk. */
void image_share_all(struct sim_pages *pages, struct sim_image *to, const struct sim_image *from);
/* Everything from byte `bytes` on becomes zeros. */
void image_cut(struct sim_pages *pages, struct sim_image *image, uint64_t bytes);
/* Cuts at 0 and frees the array. */
void image_deinit(struct sim_pages *pages, struct sim_image *image);

#endif
