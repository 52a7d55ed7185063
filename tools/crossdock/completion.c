/* SPDX-License-Identifier: Apache-2.0
 *
 * Completion scripts from the verb table. One function per shell; bash's also serves zsh through
 * its bashcompinit. The scripts ask no broker: completing must not wait for a network.
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

/* One case for each option that has words or files as values. Names that several verbs use with
 * other words are told apart by the verb in front. */
static void bash_values(const struct verb *verb)
{
    const struct option_row *row;
    const char *word;
    for (unsigned i = 0; (row = option_at(verb, i)) != NULL; i++) {
        bool own = row->verb == verb->id;
        if (!own || (choice_at(row->value, 0, &word) == 0 && !is_file(row->value)))
            continue;
        printf("    '%s --%s'", verb->name, row->name);
        if (row->letter != 0)
            printf(" | '%s -%c'", verb->name, row->letter);
        if (is_file(row->value)) {
            printf(") COMPREPLY=($(compgen -f -- \"$word\")); return ;;\n");
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
    printf("' ;;\n");
}

static void print_bash(void)
{
    const struct verb *verb;
    printf("# SPDX-License-Identifier: Apache-2.0\n"
           "# bash completion of crossdock, printed by `crossdock completion bash`\n"
           "_crossdock()\n{\n"
           "    local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]}\n"
           "    local verb='' words='' i w known=' ");
    for (unsigned i = 1; (verb = verb_at(i)) != NULL; i++)
        printf("%s|", verb->name);
    printf(
        "'\n    known=\"|${known# }\"\n"
        "    for ((i = 1; i < COMP_CWORD; i++)); do\n"
        "        w=${COMP_WORDS[i]}\n"
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
    printf("    *)\n"
           "        IFS='|' read -ra i <<<\"$known\"\n"
           "        for w in \"${i[@]}\"; do\n"
           "            [[ $w == \"$verb \"* ]] && words+=\" ${w#\"$verb \"}\"\n"
           "        done ;;\n"
           "    esac\n"
           "    COMPREPLY=($(compgen -W \"$words\" -- \"$word\"))\n"
           "    [[ ${#COMPREPLY[@]} -eq 0 && $word != -* ]] && COMPREPLY=($(compgen -f -- "
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
    }
    printf(" -d ");
    fish_quoted(row->text);
    printf("\n");
}

static void print_fish(void)
{
    const struct verb *verb;
    const struct option_row *row;
    printf("# SPDX-License-Identifier: Apache-2.0\n"
           "# fish completion of crossdock, printed by `crossdock completion fish`\n"
           "complete -c crossdock -f\ncomplete -c crossdock -n __fish_use_subcommand -a '");
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
        for (unsigned k = 0; (row = option_at(verb, k)) != NULL; k++)
            if (row->verb == verb->id || strcmp(row->name, "dry-run") == 0)
                fish_option(verb, row);
    }
}

int run_completion(struct tool *tool)
{
    const char *shell = tool_argument(tool, 0);
    if (strcmp(shell, "bash") == 0) {
        print_bash();
    } else if (strcmp(shell, "zsh") == 0) {
        print_zsh();
    } else if (strcmp(shell, "fish") == 0) {
        print_fish();
    } else {
        snprintf(tool->detail, sizeof tool->detail, "'%s' is none of bash, zsh, fish", shell);
        return report_failure(tool, XDOCK_OPTION_INVALID, NULL);
    }
    return EXIT_OK;
}
