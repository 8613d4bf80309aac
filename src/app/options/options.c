#include "options/options.h"
#include "options/terminal.h"

#include "base/slice.h"

#include <getopt.h>
#include <stdio.h>
#include <string.h>

enum { ROWS_LIMIT = 48, FIRST_ROW_VALUE = 256, HELP_COLUMN = 30, REAL_DIGITS_MAX = 15, PROGRAM_SIZE = 64 };

static void print_help(const option_table *table) {
    printf("Usage: %s\n\n%s\n\nOptions:\n", table->usage, table->summary);
    for (size_t i = 0; i < table->row_count; i++) {
        const option_row *row = &table->rows[i];
        if (row->help == NULL) {
            continue;
        }
        int printed = printf("  --%s%s%s", row->name, row->argument == NULL ? "" : " ",
                             row->argument == NULL ? "" : row->argument);
        printf("%*s%s", printed < HELP_COLUMN ? HELP_COLUMN - printed : 1, "", row->help);
        if (row->kind == OPTION_U64) {
            printf(" (%llu to %llu; default %llu)", (unsigned long long)row->least,
                   (unsigned long long)row->most, (unsigned long long)*(const uint64_t *)row->target);
        } else if (row->kind == OPTION_REAL) {
            printf(" (%llu to %llu; default %g)", (unsigned long long)row->least,
                   (unsigned long long)row->most, *(const double *)row->target);
        } else if (row->kind == OPTION_REQUIRED) {
            printf("; must be given");
        } else if (row->kind == OPTION_TEXTS) {
            printf(" (up to %llu times)", (unsigned long long)row->most);
        } else if (row->kind == OPTION_TEXT && *(const char *const *)row->target != NULL) {
            printf(" (default %s)", *(const char *const *)row->target);
        }
        printf("\n");
    }
    printf("  --help%*sprint this\n", HELP_COLUMN - 8, "");
    if (table->more != NULL) {
        printf("\n%s\n", table->more);
    }
}

/* Digits with at most one point among them. So few digits and their power of ten are exact numbers, and so
 * the quotient is the nearest one. */
static bool read_real(slice text, double *value) {
    uint64_t digits = 0;
    double scale = 1;
    size_t count = 0;
    bool behind_point = false;
    for (size_t i = 0; i < text.length; i++) {
        uint8_t c = text.data[i];
        if (c == '.' && !behind_point && i > 0 && i + 1 < text.length) {
            behind_point = true;
            continue;
        }
        if (c < '0' || c > '9' || ++count > REAL_DIGITS_MAX) {
            return false;
        }
        digits = digits * 10 + (uint64_t)(c - '0');
        scale *= behind_point ? 10 : 1;
    }
    *value = (double)digits / scale;
    return count > 0;
}

static bool set_real(const option_row *row, const char *usage, const char *value) {
    double number = 0;
    if (!read_real(slice_of_text(value), &number) || number < (double)row->least ||
        number > (double)row->most) {
        fprintf(stderr, "%s: --%s takes a number from %llu to %llu, not \"%s\"\n", usage, row->name,
                (unsigned long long)row->least, (unsigned long long)row->most, value);
        return false;
    }
    *(double *)row->target = number;
    return true;
}

static bool add_text(const option_row *row, const char *usage, const char *value) {
    option_texts *list = row->target;
    if (list->count >= row->most || list->count == OPTION_TEXTS_MAX) {
        fprintf(stderr, "%s: --%s may be given %llu times at most\n", usage, row->name,
                (unsigned long long)row->most);
        return false;
    }
    list->texts[list->count++] = value;
    return true;
}

static bool set_value(const option_row *row, const char *usage, const char *value) {
    switch (row->kind) {
    case OPTION_FLAG:
        *(bool *)row->target = true;
        return true;
    case OPTION_TEXT:
    case OPTION_REQUIRED:
        *(const char **)row->target = value;
        return true;
    case OPTION_TEXTS:
        return add_text(row, usage, value);
    case OPTION_REAL:
        return set_real(row, usage, value);
    case OPTION_U64:
        break;
    }
    uint64_t number = 0;
    if (!slice_to_u64(slice_of_text(value), &number) || number < row->least || number > row->most) {
        fprintf(stderr, "%s: --%s takes a whole number from %llu to %llu, not \"%s\"\n", usage, row->name,
                (unsigned long long)row->least, (unsigned long long)row->most, value);
        return false;
    }
    *(uint64_t *)row->target = number;
    return true;
}

static bool bad_usage(const option_table *table) {
    fprintf(stderr, "Usage: %s\nTry --help for what each option does.\n", table->usage);
    return false;
}

static bool nothing_is_missing(const option_table *table) {
    for (size_t i = 0; i < table->row_count; i++) {
        const option_row *row = &table->rows[i];
        if (row->kind == OPTION_REQUIRED && *(const char *const *)row->target == NULL) {
            fprintf(stderr, "Usage: %s\n--%s %s must be given: %s\n", table->usage, row->name, row->argument,
                    row->help);
            return false;
        }
    }
    return true;
}

/* What getopt has left. */
static bool take_words(const option_table *table, int argc, char **argv, const char **word) {
    size_t count = (size_t)(argc - optind);
    option_words *words = table->words;
    if (words != NULL) {
        words->first = argv + optind;
        words->count = count;
        return count >= words->least && count <= words->most;
    }
    if (table->takes_word && count == 1) {
        *word = argv[optind];
    }
    return count == (table->takes_word ? 1 : 0);
}

/* The verb as it was called, which the usage begins with: "cellule conversation list". */
static void find_program(const char *usage, char program[PROGRAM_SIZE]) {
    size_t length = 0;
    for (size_t i = 0; usage[i] >= 'a' && usage[i] <= 'z';) {
        i += strcspn(usage + i, " ");
        length = i;
        i += usage[i] == ' ' ? 1 : 0;
    }
    snprintf(program, PROGRAM_SIZE, "%.*s", (int)length, usage);
}

static bool parse(const option_table *table, int argc, char **argv, const char **word, int *status) {
    struct option rows[ROWS_LIMIT + 2] = {0};
    *status = OPTIONS_WRONG_USAGE;
    if (table->row_count > ROWS_LIMIT) {
        return bad_usage(table);
    }
    for (size_t i = 0; i < table->row_count; i++) {
        rows[i].name = table->rows[i].name;
        rows[i].has_arg = table->rows[i].kind == OPTION_FLAG ? no_argument : required_argument;
        rows[i].val = FIRST_ROW_VALUE + (int)i;
    }
    rows[table->row_count] = (struct option){.name = "help", .has_arg = no_argument, .val = 'h'};
    optind = 0;
    for (int chosen = 0; (chosen = getopt_long(argc, argv, "h", rows, NULL)) != -1;) {
        if (chosen == 'h') {
            print_help(table);
            *status = 0;
            return false;
        }
        if (chosen < FIRST_ROW_VALUE) {
            return bad_usage(table);
        }
        if (!set_value(&table->rows[chosen - FIRST_ROW_VALUE], argv[0], optarg)) {
            return false;
        }
    }
    if (!take_words(table, argc, argv, word)) {
        return bad_usage(table);
    }
    if (!nothing_is_missing(table)) {
        return false;
    }
    *status = 0;
    return true;
}

bool options_parse(const option_table *table, int argc, char **argv, const char **word, int *status) {
    char program[PROGRAM_SIZE];
    char *last_word = argv[0];
    find_program(table->usage, program);
    argv[0] = program; /* for what getopt says */
    bool parsed = parse(table, argc, argv, word, status);
    argv[0] = last_word;
    return parsed;
}

static void print_verbs(FILE *out, const char *program, const verb *verbs, size_t count) {
    fprintf(out, "Usage: %s VERB [options]\n\n", program);
    for (size_t i = 0; i < count; i++) {
        fprintf(out, "  %-14s %s\n", verbs[i].name, verbs[i].help);
    }
    fprintf(out, "\n%s VERB --help says more.\n", program);
}

int options_run_verb(const char *program, const verb *verbs, size_t count, int argc, char **argv) {
    const char *name = argc > 1 ? argv[1] : "";
    for (size_t i = 0; i < count; i++) {
        if (strcmp(name, verbs[i].name) == 0) {
            return verbs[i].run(argc - 1, argv + 1);
        }
    }
    bool asked = strcmp(name, "help") == 0 || strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0;
    if (!asked && name[0] != '\0') {
        fprintf(stderr, "%s: there is no verb \"%s\"\n\n", program, name);
    }
    print_verbs(asked ? stdout : stderr, program, verbs, count);
    return asked ? 0 : OPTIONS_WRONG_USAGE;
}

int options_fail(const char *program, const error *err) {
    fprintf(stderr, "%s: ", program);
    terminal_write(stderr, slice_of_text(err->text)); /* a pool's or a model's words may be in it */
    fputc('\n', stderr);
    return 1;
}
