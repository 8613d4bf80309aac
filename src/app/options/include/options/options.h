#ifndef OPTIONS_OPTIONS_H
#define OPTIONS_OPTIONS_H

#include "base/error.h"

#include <stdbool.h>
#include <stdint.h>

/* Command lines as tables: one row per option gives parsing, bounds and --help. */

typedef enum option_kind {
    OPTION_FLAG,     /* bool *: set to true */
    OPTION_TEXT,     /* const char **: points into argv */
    OPTION_REQUIRED, /* the same, and it must be given */
    OPTION_TEXTS,    /* option_texts *: may be given `most` times, at most OPTION_TEXTS_MAX */
    OPTION_U64,      /* uint64_t *: decimal, within least..most */
    OPTION_REAL      /* double *: "0.7", at most 15 digits, within least..most */
} option_kind;

enum { OPTION_TEXTS_MAX = 8 };

typedef struct option_texts {
    const char *texts[OPTION_TEXTS_MAX]; /* in their order; point into argv */
    size_t count;
} option_texts;

typedef struct option_row {
    const char *name; /* without the dashes */
    option_kind kind;
    void *target;         /* holds the default before parsing */
    const char *argument; /* name of the value in --help; NULL for a flag */
    const char *help;     /* one line; NULL: not in --help */
    uint64_t least;
    uint64_t most;
} option_row;

/* Of each verb that reads or writes key files (crypto/key_file.h). `target` as for OPTION_TEXT. */
#define OPTION_PASSPHRASE_ROW(target)                                                                        \
    {                                                                                                        \
        "passphrase-file", OPTION_TEXT, target, "FILE",                                                      \
            "seals the keys on disk; \"-\": standard input; else systemd's credential, if any", 0, 0         \
    }

/* The words beside the options, where their number varies: set by options_parse, they point into argv. */
typedef struct option_words {
    size_t least;
    size_t most;
    char **first;
    size_t count;
} option_words;

typedef struct option_table {
    const char *usage;   /* "cellule ask [options] QUESTION" */
    const char *summary; /* what the verb does, a sentence or two */
    const option_row *rows;
    size_t row_count;
    bool takes_word; /* exactly one word stands beside the options; else none, or `words` says how many */
    option_words *words;
    const char *more; /* printed at the end of --help; may be NULL */
} option_table;

enum { OPTIONS_WRONG_USAGE = 2 /* the exit code */ };

/* Parses argv[1..]. True: go on, `*status` is 0; `*word` points at the word beside the options (`word` may be
 * NULL if the table takes none). False: end with `*status`: 0 after --help, which went to standard output;
 * OPTIONS_WRONG_USAGE after what a sentence on standard error explains. Permutes argv. Not thread-safe. */
MUST_CHECK bool options_parse(const option_table *table, int argc, char **argv, const char **word,
                              int *status);

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
