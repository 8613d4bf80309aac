#include "postgresql.h"

#include <stdio.h>
#include <string.h>

enum { WORDS_SIZE = 200 };

/* The first line, without what libpq begins it with. */
static void first_line(const char *text, char words[WORDS_SIZE]) {
    static const char *const beginnings[] = {"ERROR:  ", "FATAL:  ", "PANIC:  "};
    for (size_t i = 0; i < sizeof beginnings / sizeof beginnings[0]; i++) {
        size_t length = strlen(beginnings[i]);
        text += strncmp(text, beginnings[i], length) == 0 ? length : 0;
    }
    snprintf(words, WORDS_SIZE, "%.*s", (int)strcspn(text, "\n"), text);
}

/* PostgreSQL, appendix A: the first two letters are the class. */
static bool class_is(const char *state, const char *class) {
    return strncmp(state, class, 2) == 0;
}

static bool constraint_error(const char *state, const char *words, error *err) {
    if (strcmp(state, "23505") == 0) {
        return error_set(err, ERROR_CONFLICT, "it exists already");
    }
    if (strcmp(state, "23503") == 0) {
        return error_set(err, ERROR_INVALID, "it names a user or a worker that doesn't exist");
    }
    return error_set(err, ERROR_INVALID, "the database refuses it: %s", words);
}

static bool resource_error(const char *state, const char *words, error *err) {
    if (strcmp(state, "53100") == 0) {
        return error_set(err, ERROR_IO, "the database server's disk is full; make room and try again");
    }
    return error_set(err, ERROR_IO, "the database server is out of something: %s", words);
}

static bool is_wait(const char *state) {
    return strcmp(state, "55P03") == 0 || strcmp(state, "40P01") == 0 || strcmp(state, "57014") == 0;
}

bool postgresql_error(const PGresult *result, error *err) {
    const char *state = PQresultErrorField(result, PG_DIAG_SQLSTATE);
    const char *message = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
    char words[WORDS_SIZE];
    first_line(message != NULL ? message : PQresultErrorMessage(result), words);
    if (state == NULL) {
        return error_set(err, ERROR_IO, "the database failed: %s", words);
    }
    if (class_is(state, "23")) {
        return constraint_error(state, words, err);
    }
    if (is_wait(state)) {
        return error_set(err, ERROR_TIMEOUT,
                         "another program holds the database locked; end it and try again");
    }
    if (class_is(state, "53")) {
        return resource_error(state, words, err);
    }
    if (class_is(state, "57") || class_is(state, "58") || class_is(state, "08")) {
        return error_set(err, ERROR_IO, "the database server can't serve now: %s", words);
    }
    if (class_is(state, "XX")) {
        return error_set(err, ERROR_CORRUPT, "the database server finds damage: %s; restore a backup", words);
    }
    if (class_is(state, "22")) {
        return error_set(err, ERROR_INVALID, "a value is too large for the database, or none of its kind: %s",
                         words);
    }
    if (strcmp(state, "42501") == 0) {
        return error_set(err, ERROR_IO, "the database's user lacks a right: %s; let it own the schema",
                         words);
    }
    return error_set(err, ERROR_INTERNAL, "the database failed: %s", words);
}

bool postgresql_connection_error(PGconn *connection, error *err) {
    char words[WORDS_SIZE];
    first_line(PQerrorMessage(connection), words);
    return error_set(err, ERROR_IO, "%s", words[0] == '\0' ? "the connection was closed" : words);
}
