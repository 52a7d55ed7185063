/* SPDX-License-Identifier: Apache-2.0
 *
 * Laying out, running, reading the lines.
 */
#include "tests/crash/bit_verify.h"

#include "tools/inspect/commands.h"
#include "tools/inspect/folder.h"
#include "wire/xassert.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define HEAP_BYTES (24u << 20)

/* ---- laying out ------------------------------------------------------------------------------ */

static struct sim_snapshot_file *row_of(const struct sim_snapshot *folder, const char *name)
{
    for (uint32_t i = 0; i < folder->count; i++)
        if (strcmp(folder->files[i].name, name) == 0)
            return &folder->files[i];
    return NULL;
}

static const struct sim_page *page_of(const struct sim_image *image, uint32_t page)
{
    return page < image->end ? image->pages[page] : NULL;
}

/* Writes the pages that are not the ones of `old`, which may be NULL. */
static void lay_out_file(const struct bit_verify *verify, const struct sim_snapshot_file *file,
                         const struct sim_snapshot_file *old)
{
    static const uint8_t zeros[SIM_PAGE_BYTES];
    static const struct sim_image nothing;
    const struct sim_image *before = old != NULL ? &old->image : &nothing;
    uint32_t end = file->image.end > before->end ? file->image.end : before->end;
    int fd = -1;
    for (uint32_t i = 0; i < end; i++) {
        const struct sim_page *page = page_of(&file->image, i);
        if (page == page_of(before, i))
            continue;
        if (fd < 0)
            fd = openat(verify->folder, file->name, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
        ssize_t wrote = pwrite(fd, page != NULL ? page->bytes : zeros, SIM_PAGE_BYTES,
                               (off_t)i * SIM_PAGE_BYTES);
        XD_ASSERT(fd >= 0 && wrote == SIM_PAGE_BYTES);
    }
    if (fd < 0 && old != NULL && old->bytes == file->bytes)
        return;
    if (fd < 0)
        fd = openat(verify->folder, file->name, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    int status = ftruncate(fd, (off_t)file->bytes);
    XD_ASSERT(fd >= 0 && status == 0);
    close(fd);
}

static void lay_out(struct bit_verify *verify, const struct sim_snapshot *folder)
{
    for (uint32_t i = verify->laid_out.count; i-- > 0;) { /* files before their folder */
        const struct sim_snapshot_file *old = &verify->laid_out.files[i];
        if (row_of(folder, old->name) == NULL)
            XD_ASSERT(unlinkat(verify->folder, old->name, old->folder ? AT_REMOVEDIR : 0) == 0);
    }
    for (uint32_t i = 0; i < folder->count; i++) {
        const struct sim_snapshot_file *file = &folder->files[i];
        if (file->folder)
            XD_ASSERT(mkdirat(verify->folder, file->name, 0700) == 0 || errno == EEXIST);
        else
            lay_out_file(verify, file, row_of(&verify->laid_out, file->name));
    }
    sim_snapshot_clear(&verify->laid_out);
    for (uint32_t i = 0; i < folder->count; i++) {
        const struct sim_snapshot_file *file = &folder->files[i];
        struct sim_snapshot_file *row =
            sim_snapshot_add(&verify->laid_out, file->name, file->bytes, file->folder);
        image_share_all(verify->laid_out.pages, &row->image, &file->image);
    }
}

/* ---- running --------------------------------------------------------------------------------- */

static void take_line(struct bit_verify *verify, const char *line)
{
    if (verify->count == BIT_FOUND_MAX)
        return;
    struct bit_found *found = &verify->found[verify->count++];
    const char *file = strstr(line, "\"file\":\"");
    const char *at = strstr(line, "\"at\":");
    *found = (struct bit_found){.finding = strstr(line, "\"severity\":\"finding\"") != NULL};
    if (file != NULL)
        (void)sscanf(file + 8, "%31[^\"]", found->file);
    if (at != NULL)
        found->at = strtoull(at + 5, NULL, 10);
    (void)snprintf(found->text, sizeof found->text, "%s", line);
    verify->findings += found->finding;
}

/* Runs the command with its output in memory. */
static void run(struct bit_verify *verify, const struct data_folder *folder)
{
    struct command command = {.path = verify->path,
                              .json = true,
                              .lines = true,
                              .partition = COMMAND_ANY,
                              .segment = COMMAND_ANY};
    char *text = NULL, *rest = NULL;
    size_t bytes = 0;
    FILE *kept = stdout;
    FILE *memory = open_memstream(&text, &bytes);
    XD_ASSERT(memory != NULL);
    stdout = memory;
    struct folder_set_row row = {.folder = *folder};
    const struct folder_set set = {.count = 1, .rows = &row};
    int status = command_verify(&command, &set);
    stdout = kept;
    int closed = fclose(memory);
    XD_ASSERT(closed == 0 && text != NULL);
    for (char *line = strtok_r(text, "\n", &rest); line != NULL; line = strtok_r(NULL, "\n", &rest))
        take_line(verify, line);
    free(text);
    XD_ASSERT((status != 0) == (verify->findings > 0));
}

void bit_verify(struct bit_verify *verify, const struct sim_snapshot *folder)
{
    struct data_folder data;
    lay_out(verify, folder);
    verify->count = 0;
    verify->findings = 0;
    int status = data_folder_open(&data, verify->path, false);
    verify->refused = status < 0;
    if (status == 0) {
        run(verify, &data);
    } else {
        struct bit_found *found = &verify->found[verify->count++];
        *found = (struct bit_found){.finding = true};
        (void)sscanf(data.why, "%31[^:]", found->file);
        (void)snprintf(found->text, sizeof found->text, "%.300s", data.why);
        verify->findings++;
    }
    data_folder_close(&data);
}

void bit_verify_init(struct bit_verify *verify, struct sim *judged)
{
    /* The command takes and gives back its window of 8 MiB each time. The C library learns from one
     * larger piece to keep such memory; new pages would cost more than the check. */
    volatile uint8_t *piece = malloc(HEAP_BYTES);
    XD_ASSERT(piece != NULL);
    piece[0] = 1;
    free((void *)(uintptr_t)piece);
    memset(verify, 0, sizeof *verify);
    (void)snprintf(verify->path, sizeof verify->path, "%s",
                   access("/dev/shm", W_OK) == 0 ? "/dev/shm/bits.XXXXXX" : "bits.XXXXXX");
    char *made = mkdtemp(verify->path);
    XD_ASSERT(made != NULL);
    verify->folder = open(verify->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    XD_ASSERT(verify->folder >= 0);
    sim_snapshot_init(&verify->laid_out, judged);
}

void bit_verify_remove(const struct bit_verify *verify)
{
    for (uint32_t i = verify->laid_out.count; i-- > 0;)
        (void)unlinkat(verify->folder, verify->laid_out.files[i].name,
                       verify->laid_out.files[i].folder ? AT_REMOVEDIR : 0);
    (void)rmdir(verify->path);
}

void bit_verify_deinit(struct bit_verify *verify)
{
    bit_verify_remove(verify);
    sim_snapshot_deinit(&verify->laid_out);
    close(verify->folder);
}
