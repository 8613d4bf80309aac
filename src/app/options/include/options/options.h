#ifndef OPTIONS_OPTIONS_H
#define OPTIONS_OPTIONS_H

#include "base/error.h"

#include <stdbool.h>
#include <stdint.h>

/* Command lines as tables: one row per option gives parsing, bounds and --help. */

typedef enum option_kind {
    OPTION_FLAG, /* bool *: set to true */
    OPTION_TEXT, /* const char **: points into argv */
    OPTION_U64   /* uint64_t *: decimal, within least..most */
} option_kind;

typedef struct option_row {
    const char *name; /* without the dashes */
    option_kind kind;
    void *target;         /* holds the default before parsing */
    const char *argument; /* name of the value in --help; NULL for a flag */
    const char *help;     /* one line */
    uint64_t least;
    uint64_t most;
} option_row;

typedef struct option_table {
    const char *usage;   /* "cellule ask [options] QUESTION" */
    const char *summary; /* what the verb does, a sentence or two */
    const option_row *rows;
    size_t row_count;
    int least_arguments; /* how many words may stand beside the options */
    int most_arguments;
    const char *more; /* printed at the end of --help; may be NULL */
} option_table;

typedef enum options_result {
    OPTIONS_RUN,  /* go on */
    OPTIONS_HELP, /* help was printed on standard output: exit 0 */
    OPTIONS_BAD   /* a sentence was printed on standard error: exit 2 */
} options_result;

/* Parses argv[1..]. On OPTIONS_RUN `*arguments` points at the words that aren't options, `*argument_count` of
 * them; argv is permuted. Not thread-safe. */
MUST_CHECK options_result options_parse(const option_table *table, int argc, char **argv, char ***arguments,
                                        int *argument_count);

/* A verb and what runs it; argv[0] is the verb itself. */
typedef struct verb {
    const char *name;
    int (*run)(int argc, char **argv); /* returns the exit code */
    const char *help;
} verb;

/* Runs the verb that argv[1] names, or prints the list (for "help" and --help on standard output, exit 0; for
 * none or an unknown one on standard error, exit 2). `program` is what was typed so far, "cellule admin". */
MUST_CHECK int options_run_verb(const char *program, const verb *verbs, size_t count, int argc, char **argv);

/* Prints "cellule VERB: the error's text" on standard error; returns 1, the exit code. */
int options_fail(const char *program, const error *err);

#endif
