/* SPDX-License-Identifier: Apache-2.0
 *
 * Completion scripts from the verb table. One function per shell; bash's also serves zsh through
 * its bashcompinit. Topics, facilities, sources and profiles that exist come from `crossdock
 * names`, which does not wait long, asked where the command line's -s and -p point.
 */
#include "tools/crossdock/report.h"
#include "tools/crossdock/run.h"

#include <crossdock/status.h>
#include <stdio.h>
#include <string.h>

/* Whether a verb's first words are met earlier in the table ("topic" of "topic show"). */
static bool noun_seen(unsigned row, size_t bytes)
{
    for (unsigned i = 1; i < row; i++)
        if (strncmp(verb_at(i)->name, verb_at(row)->name, bytes) == 0 &&
            (verb_at(i)->name[bytes] == ' ' || verb_at(i)->name[bytes] == '\0'))
            return true;
    return false;
}

static void print_nouns(void)
{
    const struct verb *verb;
    for (unsigned i = 1; (verb = verb_at(i)) != NULL; i++) {
        size_t bytes = strcspn(verb->name, " ");
        if (!noun_seen(i, bytes))
            printf("%s%.*s", i > 1 ? " " : "", (int)bytes, verb->name);
    }
}

static void print_words(const struct verb *verb)
{
    const struct option_row *row;
    for (unsigned i = 0; (row = option_at(verb, i)) != NULL; i++)
        printf("%s--%s", i > 0 ? " " : "", row->name);
}

static void print_choices(const char *value)
{
    const char *word;
    size_t bytes;
    for (unsigned i = 0; (bytes = choice_at(value, i, &word)) > 0; i++)
        printf("%s%.*s", i > 0 ? " " : "", (int)bytes, word);
}

static bool is_file(const char *value)
{
    return strcmp(value, "FILE") == 0 || strcmp(value, "FOLDER") == 0;
}

/* What `crossdock names` lists for a value or the first argument of a verb, NULL when nothing. */
static const char *live_names(const char *value)
{
    static const char *const kinds[][2] = {
        {"TOPIC", "topic"}, {"FACILITY", "facility"}, {"SOURCE", "source"}, {"PROFILE", "profile"}};
    size_t bytes = strcspn(value, " ");
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
        if (strlen(kinds[i][0]) == bytes && memcmp(kinds[i][0], value, bytes) == 0)
            return kinds[i][1];
    return NULL;
}

/* One case for each option that has words or files as values. Names that several verbs use with
 * other words are told apart by the verb in front. */
static void bash_values(const struct verb *verb)
{
    const struct option_row *row;
    const char *word;
    for (unsigned i = 0; (row = option_at(verb, i)) != NULL; i++) {
        bool own = row->verb == verb->id;
        const char *names = live_names(row->value);
        if (!own || (choice_at(row->value, 0, &word) == 0 && !is_file(row->value) && names == NULL))
            continue;
        printf("    '%s --%s'", verb->name, row->name);
        if (row->letter != 0)
            printf(" | '%s -%c'", verb->name, row->letter);
        if (is_file(row->value)) {
            printf(") COMPREPLY=($(compgen -f -- \"$word\")); return ;;\n");
            continue;
        }
        if (names != NULL) {
            printf(") COMPREPLY=($(compgen -W \"$(_crossdock_names %s)\" -- \"$word\")); "
                   "return ;;\n",
                   names);
            continue;
        }
        printf(") COMPREPLY=($(compgen -W '");
        print_choices(row->value);
        printf("' -- \"$word\")); return ;;\n");
    }
}

static void bash_verb(const struct verb *verb)
{
    const char *word;
    printf("    '%s') words='", verb->name);
    print_words(verb);
    if (choice_at(verb->arguments, 0, &word) > 0) {
        printf(" ");
        print_choices(verb->arguments);
    }
    printf("'");
    if (live_names(verb->arguments) != NULL)
        printf("; live=1; [[ $word != -* ]] && words=$(_crossdock_names %s)",
               live_names(verb->arguments));
    printf(" ;;\n");
}

/* The words in front of the present one, as they were typed: the shell cuts them at : and =. */
static void print_bash_words(void)
{
    printf("_crossdock_line()\n{\n"
           "    local w glue=''\n"
           "    line=()\n"
           "    for w in \"${COMP_WORDS[@]:1:COMP_CWORD-1}\"; do\n"
           "        if [[ ${#line[@]} -gt 0 && ( $w == : || $w == '=' || -n $glue ) ]]; then\n"
           "            line[${#line[@]}-1]+=$w\n"
           "        else\n"
           "            line+=(\"$w\")\n"
           "        fi\n"
           "        glue=''\n"
           "        [[ $w == : || $w == '=' ]] && glue=1\n"
           "    done\n"
           "}\n"
           "_crossdock_names()\n{\n"
           "    local i where=()\n"
           "    for ((i = 0; i < ${#line[@]}; i++)); do\n"
           "        case ${line[i]} in\n"
           "        -s | --address | -p | --profile)\n"
           "            [[ -n ${line[i+1]} ]] && where+=(\"${line[i]}\" \"${line[i+1]}\") ;;\n"
           "        --address=?* | --profile=?*) where+=(\"${line[i]}\") ;;\n"
           "        esac\n"
           "    done\n"
           "    \"${COMP_WORDS[0]}\" \"${where[@]}\" names \"$1\" 2>/dev/null\n"
           "}\n");
}

static void print_bash(void)
{
    const struct verb *verb;
    printf("# SPDX-License-Identifier: Apache-2.0\n"
           "# bash completion of crossdock, printed by `crossdock completion bash`\n");
    print_bash_words();
    printf("_crossdock()\n{\n"
           "    local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]}\n"
           "    [[ $word == '=' ]] && word=''\n"
           "    [[ $before == '=' ]] && before=${COMP_WORDS[COMP_CWORD-2]}\n"
           "    local verb='' words='' live='' i w line known=' ");
    for (unsigned i = 1; (verb = verb_at(i)) != NULL; i++)
        printf("%s|", verb->name);
    printf(
        "'\n    known=\"|${known# }\"\n"
        "    _crossdock_line\n"
        "    for ((i = 0; i < ${#line[@]}; i++)); do\n"
        "        w=${line[i]}\n"
        "        case $w in\n"
        "        -s | -p | -o | -n | -f | --address | --profile | --output | --timeout | --color)"
        " ((i++)) ;;\n"
        "        -*) ;;\n"
        "        *)\n"
        "            if [[ $known == *\"|$w|\"* && -z $verb ]]; then verb=$w; break; fi\n"
        "            if [[ -n $verb ]]; then verb=\"$verb $w\"; break; fi\n"
        "            verb=$w ;;\n"
        "        esac\n"
        "    done\n"
        "    case $before in\n");
    printf("    -o | --output) COMPREPLY=($(compgen -W 'table wide json jsonl tsv name' -- "
           "\"$word\")); return ;;\n"
           "    -p | --profile) COMPREPLY=($(compgen -W \"$(_crossdock_names profile)\" -- "
           "\"$word\")); return ;;\n"
           "    --color) COMPREPLY=($(compgen -W 'auto always never' -- \"$word\")); return ;;\n"
           "    esac\n"
           "    case \"$verb $before\" in\n");
    for (unsigned i = 1; (verb = verb_at(i)) != NULL; i++)
        bash_values(verb);
    printf("    esac\n    case $verb in\n    '') words='");
    print_nouns();
    printf(" ");
    print_words(verb_at(VERB_ID_global));
    printf("' ;;\n");
    for (unsigned i = 1; (verb = verb_at(i)) != NULL; i++)
        bash_verb(verb);
    printf(
        "    *)\n"
        "        IFS='|' read -ra i <<<\"$known\"\n"
        "        for w in \"${i[@]}\"; do\n"
        "            [[ $w == \"$verb \"* ]] && words+=\" ${w#\"$verb \"}\"\n"
        "        done ;;\n"
        "    esac\n"
        "    COMPREPLY=($(compgen -W \"$words\" -- \"$word\"))\n"
        "    [[ ${#COMPREPLY[@]} -eq 0 && $word != -* && -z $live ]] && COMPREPLY=($(compgen -f -- "
        "\"$word\"))\n"
        "    return 0\n}\ncomplete -F _crossdock crossdock\n");
}

/* The same function through zsh's bridge, whether the file is sourced or found as a completion
 * function; then the first call, which loaded it, completes as well. */
static void print_zsh(void)
{
    printf("#compdef crossdock\nautoload -U +X bashcompinit && bashcompinit\n");
    print_bash();
    printf("if [[ $funcstack[1] == _crossdock ]]; then\n"
           "    _bash_complete -F _crossdock\n"
           "fi\n");
}

static void fish_quoted(const char *text)
{
    putchar('\'');
    for (; *text != '\0'; text++)
        printf("%s%c", *text == '\'' || *text == '\\' ? "\\" : "", *text);
    putchar('\'');
}

/* The condition "the verb's words are there". */
static void fish_condition(const struct verb *verb)
{
    size_t bytes = strcspn(verb->name, " ");
    printf("-n '__fish_seen_subcommand_from %.*s", (int)bytes, verb->name);
    if (verb->name[bytes] == ' ')
        printf("; and __fish_seen_subcommand_from %s", verb->name + bytes + 1);
    printf("'");
}

static void fish_option(const struct verb *verb, const struct option_row *row)
{
    const char *word;
    printf("complete -c crossdock ");
    if (verb->id != VERB_ID_global)
        fish_condition(verb);
    printf(" -l %s", row->name);
    if (row->letter != 0)
        printf(" -s %c", row->letter);
    if (is_file(row->value))
        printf(" -r -F");
    else if (row->value[0] != '\0')
        printf(" -x");
    if (choice_at(row->value, 0, &word) > 0) {
        printf(" -a '");
        print_choices(row->value);
        printf("'");
    } else if (live_names(row->value) != NULL) {
        printf(" -a '(__crossdock_names %s)'", live_names(row->value));
    }
    printf(" -d ");
    fish_quoted(row->text);
    printf("\n");
}

static void fish_names(void)
{
    printf("function __crossdock_names\n"
           "    set -l words (commandline -opc)\n"
           "    set -l where\n"
           "    for i in (seq 2 (count $words))\n"
           "        switch $words[$i]\n"
           "            case -s --address -p --profile\n"
           "                test $i -lt (count $words)\n"
           "                and set -a where $words[$i] $words[(math $i + 1)]\n"
           "            case '--address=?*' '--profile=?*'\n"
           "                set -a where $words[$i]\n"
           "        end\n"
           "    end\n"
           "    $words[1] $where names $argv[1] 2>/dev/null\n"
           "end\n");
}

static void print_fish(void)
{
    const struct verb *verb;
    const struct option_row *row;
    printf("# SPDX-License-Identifier: Apache-2.0\n"
           "# fish completion of crossdock, printed by `crossdock completion fish`\n");
    fish_names();
    printf("complete -c crossdock -f\ncomplete -c crossdock -n __fish_use_subcommand -a '");
    print_nouns();
    printf("'\n");
    for (unsigned i = 0; (row = option_at(verb_at(VERB_ID_global), i)) != NULL; i++)
        fish_option(verb_at(VERB_ID_global), row);
    for (unsigned i = 1; (verb = verb_at(i)) != NULL; i++) {
        size_t bytes = strcspn(verb->name, " ");
        if (verb->name[bytes] == ' ') {
            printf("complete -c crossdock -n '__fish_seen_subcommand_from %.*s' -a %s -d ",
                   (int)bytes, verb->name, verb->name + bytes + 1);
            fish_quoted(verb->text);
            printf("\n");
        }
        if (live_names(verb->arguments) != NULL) {
            printf("complete -c crossdock ");
            fish_condition(verb);
            printf(" -a '(__crossdock_names %s)'\n", live_names(verb->arguments));
        }
        for (unsigned k = 0; (row = option_at(verb, k)) != NULL; k++)
            if (row->verb == verb->id || strcmp(row->name, "dry-run") == 0)
                fish_option(verb, row);
    }
}

int run_completion(struct tool *tool)
{
    const char *shell = tool_argument(tool, 0);
    report_text_begin(tool);
    if (strcmp(shell, "bash") == 0) {
        print_bash();
    } else if (strcmp(shell, "zsh") == 0) {
        print_zsh();
    } else if (strcmp(shell, "fish") == 0) {
        print_fish();
    } else {
        report_text_drop(tool);
        snprintf(tool->detail, sizeof tool->detail, "'%s' is none of bash, zsh, fish", shell);
        return report_failure(tool, XDOCK_OPTION_INVALID, NULL);
    }
    return report_text_end(tool);
}
