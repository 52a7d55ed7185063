/* SPDX-License-Identifier: Apache-2.0
 *
 * Names of the simulated disk. Creating, renaming and unlinking change the newest table at once and
 * wait in a list until dir_sync of a folder they touch makes them durable; a crash keeps a prefix
 * of that list. Folders are names too ("quarantine"), their files carry the folder in the name.
 *
 * dir_sync of one folder also makes durable what its changes rest on: an earlier change of another
 * folder that a later rename between both depends on.
 */
#include "tests/support/sim_disk.h"
#include "wire/xassert.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* ---- sorted tables --------------------------------------------------------------------------- */

/* Index of the first entry not below `text`. */
static uint32_t names_index(const struct sim_names *names, const char *text)
{
    uint32_t low = 0;
    uint32_t high = names->count;

    while (low < high) {
        uint32_t middle = low + (high - low) / 2;

        if (strcmp(names->entries[middle].text, text) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static bool names_at(const struct sim_names *names, uint32_t index, const char *text)
{
    return index < names->count && strcmp(names->entries[index].text, text) == 0;
}

struct sim_inode *names_find(const struct sim_names *names, const char *text)
{
    uint32_t index = names_index(names, text);

    return names_at(names, index, text) ? names->entries[index].inode : NULL;
}

void names_set(struct sim_disk *disk, struct sim_names *names, const char *text,
               struct sim_inode *inode)
{
    uint32_t index = names_index(names, text);

    XD_ASSERT(text[0] != '\0' && strlen(text) < SIM_NAME_ROOM);
    inode_hold(inode);
    if (names_at(names, index, text)) {
        inode_drop(disk, names->entries[index].inode);
        names->entries[index].inode = inode;
        return;
    }
    if (names->count == names->capacity) {
        names->capacity = names->capacity == 0 ? 32 : names->capacity * 2;
        names->entries = realloc(names->entries, names->capacity * sizeof(struct sim_name));
        XD_ASSERT(names->entries != NULL);
    }
    memmove(&names->entries[index + 1], &names->entries[index],
            (names->count - index) * sizeof(struct sim_name));
    text_copy(names->entries[index].text, SIM_NAME_ROOM, text);
    names->entries[index].inode = inode;
    names->count++;
}

static void names_remove(struct sim_disk *disk, struct sim_names *names, const char *text)
{
    uint32_t index = names_index(names, text);

    if (!names_at(names, index, text))
        return;
    inode_drop(disk, names->entries[index].inode);
    names->count--;
    memmove(&names->entries[index], &names->entries[index + 1],
            (names->count - index) * sizeof(struct sim_name));
}

static void names_clear(struct sim_disk *disk, struct sim_names *names)
{
    for (uint32_t i = 0; i < names->count; i++)
        inode_drop(disk, names->entries[i].inode);
    names->count = 0;
}

/* ---- changes that wait for dir_sync ---------------------------------------------------------- */

/* One part of a name: not empty, not "." or "..". */
static bool part_valid(const char *part, size_t bytes)
{
    return bytes > 0 && strncmp(part, "..", bytes) != 0;
}

/* Checks a name and finds its folder's number. -EINVAL for a malformed one, -ENOENT when the folder
 * is missing. */
static int name_folder(const struct sim_disk *disk, const char *name, uint32_t *ret_folder)
{
    const char *slash = strchr(name, '/');
    const char *base = slash == NULL ? name : slash + 1;
    char folder[SIM_NAME_ROOM];
    const struct sim_inode *inode;

    if (strlen(name) >= SIM_NAME_ROOM || strchr(base, '/') != NULL)
        return -EINVAL;
    if (!part_valid(base, strlen(base)) ||
        (slash != NULL && !part_valid(name, (size_t)(slash - name))))
        return -EINVAL;
    if (slash == NULL) {
        *ret_folder = 0;
        return 0;
    }
    memcpy(folder, name, (size_t)(slash - name));
    folder[slash - name] = '\0';
    inode = names_find(&disk->newest, folder);
    if (inode == NULL)
        return -ENOENT;
    if (inode->folder == 0)
        return -ENOTDIR;
    *ret_folder = inode->folder;
    return 0;
}

static void name_op_apply(struct sim_disk *disk, struct sim_names *names,
                          const struct sim_name_op *op)
{
    if (op->from[0] != '\0')
        names_remove(disk, names, op->from);
    if (op->to[0] != '\0')
        names_set(disk, names, op->to, op->inode);
}

/* The next operation of the list, to be filled in. */
static struct sim_name_op *name_op_new(struct sim_disk *disk)
{
    if (disk->op_count == disk->op_capacity) {
        disk->op_capacity = disk->op_capacity == 0 ? 32 : disk->op_capacity * 2;
        disk->ops = realloc(disk->ops, disk->op_capacity * sizeof(struct sim_name_op));
        XD_ASSERT(disk->ops != NULL);
    }
    return &disk->ops[disk->op_count++];
}

/* Does the change to the newest names and lets it wait. */
static void name_op_add(struct sim_disk *disk, const char *from, const char *to,
                        struct sim_inode *inode, uint64_t folders)
{
    struct sim_name_op *op = name_op_new(disk);

    text_copy(op->from, SIM_NAME_ROOM, from);
    text_copy(op->to, SIM_NAME_ROOM, to);
    op->inode = inode_hold(inode);
    op->folders = folders;
    name_op_apply(disk, &disk->newest, op);
}

void name_op_copy(struct sim_disk *disk, const struct sim_name_op *op, struct sim_inode *inode)
{
    struct sim_name_op *copy = name_op_new(disk);

    *copy = *op;
    copy->inode = inode_hold(inode);
}

int disk_open(struct sim_disk *disk, const char *name, uint32_t flags, struct sim_inode **ret)
{
    struct sim_inode *inode = names_find(&disk->newest, name);
    uint32_t folder;
    int status = name_folder(disk, name, &folder);

    if (status < 0)
        return status;
    if (inode != NULL && inode->folder != 0)
        return -EISDIR;
    if (inode == NULL && (flags & ENV_OPEN_CREATE) == 0)
        return -ENOENT;
    if (inode != NULL && (flags & ENV_OPEN_EXCLUSIVE) != 0)
        return -EEXIST;
    if (inode == NULL) {
        if (disk->used_bytes >= disk->capacity_bytes)
            return -ENOSPC;
        inode = inode_new(disk, false);
        name_op_add(disk, "", name, inode, 1ull << folder);
    }
    *ret = inode_hold(inode);
    return 0;
}

int disk_rename(struct sim_disk *disk, const char *from, const char *to)
{
    struct sim_inode *inode = names_find(&disk->newest, from);
    struct sim_inode *target = names_find(&disk->newest, to);
    uint32_t folder_from;
    uint32_t folder_to;
    int status = name_folder(disk, from, &folder_from);

    if (status >= 0)
        status = name_folder(disk, to, &folder_to);
    if (status < 0)
        return status;
    if (inode == NULL)
        return -ENOENT;
    if (inode->folder != 0 || (target != NULL && target->folder != 0))
        return -EISDIR;
    if (inode != target)
        name_op_add(disk, from, to, inode, 1ull << folder_from | 1ull << folder_to);
    return 0;
}

int disk_unlink(struct sim_disk *disk, const char *name)
{
    struct sim_inode *inode = names_find(&disk->newest, name);
    uint32_t folder;
    int status = name_folder(disk, name, &folder);

    if (status < 0)
        return status;
    if (inode == NULL)
        return -ENOENT;
    if (inode->folder != 0)
        return -EISDIR;
    name_op_add(disk, name, "", inode, 1ull << folder);
    return 0;
}

int disk_dir_make(struct sim_disk *disk, const char *name)
{
    const struct sim_inode *inode = names_find(&disk->newest, name);
    uint32_t folder;
    int status = name_folder(disk, name, &folder);

    if (status < 0)
        return status;
    if (strchr(name, '/') != NULL)
        return -EINVAL;
    if (inode != NULL)
        return inode->folder != 0 ? 0 : -EEXIST;
    name_op_add(disk, "", name, inode_new(disk, true), 1ull << folder);
    return 0;
}

/* Number of a folder by its name, "" being the data folder. */
static int folder_number(const struct sim_disk *disk, const char *name, uint32_t *ret_folder)
{
    const struct sim_inode *inode;

    if (name[0] == '\0') {
        *ret_folder = 0;
        return 0;
    }
    inode = names_find(&disk->newest, name);
    if (inode == NULL)
        return -ENOENT;
    if (inode->folder == 0)
        return -ENOTDIR;
    *ret_folder = inode->folder;
    return 0;
}

int disk_dir_entry(const struct sim_disk *disk, const char *name, uint32_t index, char *ret_name)
{
    size_t prefix = name[0] == '\0' ? 0 : strlen(name) + 1;
    uint32_t folder;
    int status = folder_number(disk, name, &folder);

    if (status < 0)
        return status;
    for (uint32_t i = 0; i < disk->newest.count; i++) {
        const char *text = disk->newest.entries[i].text;

        if (prefix == 0 && strchr(text, '/') != NULL)
            continue;
        if (prefix != 0 && (strncmp(text, name, prefix - 1) != 0 || text[prefix - 1] != '/'))
            continue;
        if (index-- == 0) {
            text_copy(ret_name, SIM_NAME_ROOM, text + prefix);
            return 0;
        }
    }
    return -ENOENT;
}

/* Applies operation `i` to the durable names and lets it go; the caller closes the gap. */
static void name_op_settle(struct sim_disk *disk, uint32_t i)
{
    name_op_apply(disk, &disk->durable, &disk->ops[i]);
    inode_drop(disk, disk->ops[i].inode);
    disk->ops[i].inode = NULL;
}

int disk_dir_sync(struct sim_disk *disk, const char *name)
{
    uint32_t folder;
    uint32_t kept = 0;
    uint64_t folders;
    int status = folder_number(disk, name, &folder);

    if (status < 0)
        return status;
    /* From the newest back: whatever a chosen change touches takes earlier changes with it. */
    folders = 1ull << folder;
    for (uint32_t i = disk->op_count; i-- > 0;) {
        if ((disk->ops[i].folders & folders) != 0)
            folders |= disk->ops[i].folders;
    }
    for (uint32_t i = 0; i < disk->op_count; i++) {
        if ((disk->ops[i].folders & folders) != 0)
            name_op_settle(disk, i);
        else
            disk->ops[kept++] = disk->ops[i];
    }
    disk->op_count = kept;
    return 0;
}

/* ---- crash ----------------------------------------------------------------------------------- */

void disk_names_crash(struct sim_disk *disk, uint32_t count)
{
    XD_ASSERT(count <= disk->op_count);
    for (uint32_t i = 0; i < count; i++)
        name_op_settle(disk, i);
    for (uint32_t i = count; i < disk->op_count; i++)
        inode_drop(disk, disk->ops[i].inode);
    disk->op_count = 0;
    /* The new set holds its inodes before the old one lets go of them. */
    for (uint32_t i = 0; i < disk->durable.count; i++)
        inode_hold(disk->durable.entries[i].inode);
    names_clear(disk, &disk->newest);
    for (uint32_t i = 0; i < disk->durable.count; i++) {
        names_set(disk, &disk->newest, disk->durable.entries[i].text,
                  disk->durable.entries[i].inode);
        inode_drop(disk, disk->durable.entries[i].inode);
    }
}

void disk_names_clear(struct sim_disk *disk)
{
    for (uint32_t i = 0; i < disk->op_count; i++)
        inode_drop(disk, disk->ops[i].inode);
    disk->op_count = 0;
    names_clear(disk, &disk->newest);
    names_clear(disk, &disk->durable);
}
