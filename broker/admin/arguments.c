/* SPDX-License-Identifier: Apache-2.0
 *
 * Strict reading of arguments; see arguments.h.
 */
#include "broker/admin/arguments.h"

#include "broker/admin/verbs.h"
#include "wire/status.h"
#include "wire/xassert.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

static const char *kind_text(enum admin_argument_kind kind)
{
    switch (kind) {
    case ADMIN_ARGUMENT_TEXT:
        return "a string";
    case ADMIN_ARGUMENT_NUMBER:
        return "a whole number, 0 or more";
    case ADMIN_ARGUMENT_FLAG:
        return "true or false";
    case ADMIN_ARGUMENT_SETTING:
    case ADMIN_ARGUMENT_KIND_COUNT:
        break;
    }
    XD_ASSERT(false);
    return "";
}

static int unknown(unsigned verb, const char *key, char *detail)
{
    struct suggest suggest;
    struct xd_text word = suggest_text(key);
    suggest_init(&suggest, word);
    const struct admin_argument_row *row;
    for (unsigned i = 0; (row = admin_argument_at(verb, i)) != NULL; i++)
        suggest_offer(&suggest, suggest_text(row->name));
    snprintf(detail, XD_DETAIL_BYTES_MAX, "%s: verb '%s' has no such argument", quote(word).text,
             admin_verb_at(verb)->name);
    suggest_append(&suggest, detail);
    return XD_FIELD_INVALID;
}

/* Takes one value into its slot. */
static int take(const struct admin_argument_row *row, const json_t *json,
                struct argument_value *value, char *detail)
{
    bool fits = false;
    if (row->kind == ADMIN_ARGUMENT_SETTING) {
        snprintf(detail, XD_DETAIL_BYTES_MAX, "%s: %s", row->name, row->text);
        return XD_SETTING_UNSUPPORTED;
    }
    if (row->kind == ADMIN_ARGUMENT_TEXT && json_is_string(json)) {
        value->text = (struct xd_text){json_string_value(json), (uint32_t)json_string_length(json)};
        fits = true;
    } else if (row->kind == ADMIN_ARGUMENT_NUMBER && json_is_integer(json)) {
        fits = json_integer_value(json) >= 0;
        value->number = (uint64_t)json_integer_value(json);
    } else if (row->kind == ADMIN_ARGUMENT_FLAG && json_is_boolean(json)) {
        value->number = json_is_true(json) ? 1 : 0;
        fits = true;
    }
    if (!fits) {
        snprintf(detail, XD_DETAIL_BYTES_MAX, "%s: expected %s (%s)", row->name,
                 kind_text(row->kind), row->text);
        return XD_FIELD_INVALID;
    }
    value->given = true;
    return 0;
}

static int take_all(unsigned verb, json_t *root, struct arguments *arguments, char *detail)
{
    const char *key;
    json_t *json;
    json_object_foreach(root, key, json)
    {
        uint32_t i = 0;
        while (i < arguments->count && strcmp(arguments->values[i].name, key) != 0)
            i++;
        int status = i == arguments->count
                         ? unknown(verb, key, detail)
                         : take(admin_argument_at(verb, i), json, &arguments->values[i], detail);
        if (status < 0)
            return status;
    }
    for (uint32_t i = 0; i < arguments->count; i++) {
        const struct admin_argument_row *row = admin_argument_at(verb, i);
        if (row->required && !arguments->values[i].given) {
            snprintf(detail, XD_DETAIL_BYTES_MAX, "%s: verb '%s' needs it (%s)", row->name,
                     admin_verb_at(verb)->name, row->text);
            return XD_FIELD_INVALID;
        }
    }
    return 0;
}

/* The request as one object. NULL and a detail when it is none. */
static json_t *load(struct xd_text text, int *ret_status, char *detail)
{
    json_error_t error;
    json_t *root = text.bytes == 0
                       ? json_object()
                       : json_loadb(text.data, text.bytes, JSON_REJECT_DUPLICATES, &error);
    if (root != NULL && json_is_object(root))
        return root;
    if (root != NULL) {
        json_decref(root);
        snprintf(detail, XD_DETAIL_BYTES_MAX, "arguments: expected one JSON object");
        *ret_status = XD_FIELD_INVALID;
    } else if (text.bytes == 0 || json_error_code(&error) == json_error_out_of_memory) {
        snprintf(detail, XD_DETAIL_BYTES_MAX, "arguments: no memory to read them");
        *ret_status = -ENOMEM;
    } else {
        snprintf(detail, XD_DETAIL_BYTES_MAX, "arguments: %s at line %d column %d",
                 quote(suggest_text(error.text)).text, error.line, error.column);
        *ret_status = XD_FIELD_INVALID;
    }
    return NULL;
}

int arguments_parse(unsigned verb, struct xd_text json, struct arguments *ret_arguments,
                    char *detail)
{
    struct arguments arguments = {0};
    const struct admin_argument_row *row;
    int status = 0;
    for (unsigned i = 0; (row = admin_argument_at(verb, i)) != NULL; i++) {
        XD_ASSERT(i < ARGUMENTS_MAX);
        arguments.values[arguments.count++].name = row->name;
    }
    json_t *root = load(json, &status, detail);
    if (root == NULL)
        return status;
    status = take_all(verb, root, &arguments, detail);
    if (status < 0) {
        json_decref(root);
        return status;
    }
    arguments.root = root;
    *ret_arguments = arguments;
    return 0;
}

void arguments_release(struct arguments *arguments)
{
    json_decref(arguments->root);
    *arguments = (struct arguments){0};
}

static const struct argument_value *value_of(const struct arguments *arguments, const char *name)
{
    for (uint32_t i = 0; i < arguments->count; i++)
        if (strcmp(arguments->values[i].name, name) == 0)
            return &arguments->values[i];
    XD_ASSERT(false);
    return NULL;
}

bool arguments_given(const struct arguments *arguments, const char *name)
{
    return value_of(arguments, name)->given;
}

struct xd_text arguments_text(const struct arguments *arguments, const char *name,
                              const char *default_text)
{
    const struct argument_value *value = value_of(arguments, name);
    return value->given ? value->text : suggest_text(default_text);
}

uint64_t arguments_number(const struct arguments *arguments, const char *name,
                          uint64_t default_number)
{
    const struct argument_value *value = value_of(arguments, name);
    return value->given ? value->number : default_number;
}

bool arguments_flag(const struct arguments *arguments, const char *name)
{
    return value_of(arguments, name)->number != 0;
}
