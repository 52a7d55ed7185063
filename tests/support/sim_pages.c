/* SPDX-License-Identifier: Apache-2.0
 *
 * Counted pages and sparse images. Pages come from chunks of 1 MiB and go back to a free list, so
 * a world that is reset for the next seed finds its memory warm.
 */
#include "tests/support/sim_pages.h"

#include "wire/xassert.h"

#include <stdlib.h>
#include <string.h>

#define CHUNK_PAGES 256u

struct sim_page_chunk {
    struct sim_page_chunk *next; /* older chunk */
    struct sim_page pages[CHUNK_PAGES];
};

void pages_deinit(struct sim_pages *pages)
{
    while (pages->chunks != NULL) {
        struct sim_page_chunk *chunk = pages->chunks;

        pages->chunks = chunk->next;
        free(chunk);
    }
    pages->free = NULL;
}

static void pages_grow(struct sim_pages *pages)
{
    struct sim_page_chunk *chunk = malloc(sizeof(*chunk));

    XD_ASSERT(chunk != NULL);
    chunk->next = pages->chunks;
    pages->chunks = chunk;
    for (uint32_t i = 0; i < CHUNK_PAGES; i++) {
        chunk->pages[i].holders = 0;
        chunk->pages[i].next_free = pages->free;
        pages->free = &chunk->pages[i];
    }
}

struct sim_page *page_new(struct sim_pages *pages)
{
    struct sim_page *page;

    if (pages->free == NULL)
        pages_grow(pages);
    page = pages->free;
    XD_ASSERT(page->holders == 0);
    pages->free = page->next_free;
    page->holders = 1;
    return page;
}

struct sim_page *page_hold(struct sim_page *page)
{
    if (page != NULL) {
        XD_ASSERT(page->holders > 0);
        page->holders++;
    }
    return page;
}

void page_drop(struct sim_pages *pages, struct sim_page *page)
{
    if (page == NULL)
        return;
    XD_ASSERT(page->holders > 0);
    if (--page->holders == 0) {
        page->next_free = pages->free;
        pages->free = page;
    }
}

bool bytes_zero(const uint8_t *data, size_t bytes)
{
    XD_ASSERT(bytes > 0);
    return data[0] == 0 && memcmp(data, data + 1, bytes - 1) == 0;
}

void piece_fill(struct sim_pages *pages, struct sim_piece *piece, const uint8_t *data)
{
    size_t bytes = (size_t)(piece->to - piece->from);

    XD_ASSERT(piece->from < piece->to && piece->to <= SIM_PAGE_BYTES);
    piece->page = NULL;
    if (!bytes_zero(data, bytes)) {
        piece->page = page_new(pages);
        memcpy(piece->page->bytes + piece->from, data, bytes);
    }
}

/* Gives *slot a page that nobody else holds, with the same contents. */
static struct sim_page *own(struct sim_pages *pages, struct sim_page **slot)
{
    struct sim_page *page = *slot;

    if (page != NULL && page->holders == 1)
        return page;
    *slot = page_new(pages);
    if (page == NULL)
        memset((*slot)->bytes, 0, SIM_PAGE_BYTES);
    else
        memcpy((*slot)->bytes, page->bytes, SIM_PAGE_BYTES);
    page_drop(pages, page);
    return *slot;
}

void piece_own(struct sim_pages *pages, struct sim_piece *piece)
{
    (void)own(pages, &piece->page); /* the caller goes on with piece->page */
}

/* Entry of a page, made when it is not there yet. */
static struct sim_page **image_slot(struct sim_image *image, uint32_t page_index)
{
    if (page_index >= image->capacity) {
        uint32_t capacity = image->capacity == 0 ? 64 : image->capacity;

        while (capacity <= page_index)
            capacity *= 2;
        image->pages = realloc(image->pages, capacity * sizeof(struct sim_page *));
        XD_ASSERT(image->pages != NULL);
        memset(image->pages + image->capacity, 0,
               (capacity - image->capacity) * sizeof(struct sim_page *));
        image->capacity = capacity;
    }
    if (page_index >= image->end)
        image->end = page_index + 1;
    return &image->pages[page_index];
}

void image_put(struct sim_pages *pages, struct sim_image *image, const struct sim_piece *piece,
               uint16_t from, uint16_t to)
{
    struct sim_page **slot;

    XD_ASSERT(piece->from <= from && from < to && to <= piece->to);
    if (piece->page == NULL &&
        (piece->page_index >= image->end || image->pages[piece->page_index] == NULL))
        return; /* zeros onto zeros */
    slot = image_slot(image, piece->page_index);
    if (from == 0 && to == SIM_PAGE_BYTES) {
        struct sim_page *old = *slot;

        *slot = page_hold(piece->page);
        page_drop(pages, old);
        return;
    }
    own(pages, slot);
    if (piece->page == NULL)
        memset((*slot)->bytes + from, 0, (size_t)(to - from));
    else
        memcpy((*slot)->bytes + from, piece->page->bytes + from, (size_t)(to - from));
}

void image_write(struct sim_pages *pages, struct sim_image *image, uint64_t position,
                 const void *data, size_t bytes)
{
    const uint8_t *from = data;

    while (bytes > 0) {
        size_t in_page = (size_t)(position % SIM_PAGE_BYTES);
        size_t part = bytes < SIM_PAGE_BYTES - in_page ? bytes : SIM_PAGE_BYTES - in_page;
        struct sim_page **slot = image_slot(image, (uint32_t)(position / SIM_PAGE_BYTES));

        memcpy(own(pages, slot)->bytes + in_page, from, part);
        from += part;
        position += part;
        bytes -= part;
    }
}

void image_read(const struct sim_image *image, uint64_t position, void *data, size_t bytes)
{
    uint8_t *to = data;

    while (bytes > 0) {
        size_t in_page = (size_t)(position % SIM_PAGE_BYTES);
        size_t part = bytes < SIM_PAGE_BYTES - in_page ? bytes : SIM_PAGE_BYTES - in_page;
        uint64_t index = position / SIM_PAGE_BYTES;

        if (index < image->end && image->pages[index] != NULL)
            memcpy(to, image->pages[index]->bytes + in_page, part);
        else
            memset(to, 0, part);
        to += part;
        position += part;
        bytes -= part;
    }
}

void image_share(struct sim_pages *pages, struct sim_image *to, const struct sim_image *from,
                 uint32_t page_index)
{
    struct sim_page *page = page_index < from->end ? from->pages[page_index] : NULL;
    struct sim_page **slot;

    if (page == NULL && page_index >= to->end)
        return;
    slot = image_slot(to, page_index);
    page_hold(page);
    page_drop(pages, *slot);
    *slot = page;
}

void image_share_all(struct sim_pages *pages, struct sim_image *to, const struct sim_image *from)
{
    uint32_t end = to->end > from->end ? to->end : from->end;

    for (uint32_t i = 0; i < end; i++)
        image_share(pages, to, from, i);
    if (to->end > from->end)
        to->end = from->end;
}

void image_cut(struct sim_pages *pages, struct sim_image *image, uint64_t bytes)
{
    uint64_t keep = (bytes + SIM_PAGE_BYTES - 1) / SIM_PAGE_BYTES;
    size_t in_page = (size_t)(bytes % SIM_PAGE_BYTES);

    for (uint64_t i = keep; i < image->end; i++) {
        page_drop(pages, image->pages[i]);
        image->pages[i] = NULL;
    }
    if (keep < image->end)
        image->end = (uint32_t)keep;
    if (in_page != 0 && keep == image->end && image->pages[keep - 1] != NULL)
        memset(own(pages, &image->pages[keep - 1])->bytes + in_page, 0, SIM_PAGE_BYTES - in_page);
}

void image_deinit(struct sim_pages *pages, struct sim_image *image)
{
    image_cut(pages, image, 0);
    free(image->pages);
    *image = (struct sim_image){0};
}
