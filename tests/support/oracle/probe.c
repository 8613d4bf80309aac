#include "probe.h"

#include "base/buffer.h"
#include "base/memory.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum { TEXT_MAX = 1024 * 1024 };

static void answer_ids(const probe_tokens *tokens) {
    for (size_t i = 0; i < tokens->count; i++) {
        printf("%s%" PRIu32, i == 0 ? "[" : ",", tokens->ids[i]);
    }
    puts(tokens->count == 0 ? "[]" : "]");
}

/* Nine digits give each float back; what isn't finite is no JSON. */
static void print_row(const float *values, size_t count) {
    for (size_t i = 0; i < count; i++) {
        bool finite = values[i] - values[i] == 0;
        printf(finite ? "%s%.9g" : "%snull", i == 0 ? "[" : ",", (double)values[i]);
    }
    putchar(']');
}

static void answer_error(const error *err) {
    fputs("{\"error\":\"", stdout);
    for (const char *c = err->text; *c != 0; c++) {
        bool plain = *c >= ' ' && *c != '"' && *c != '\\' && *c != 0x7f;
        putchar(plain ? *c : '?');
    }
    puts("\"}");
}

static bool read_number(char **at, uint32_t *number) {
    char *end;
    unsigned long value = strtoul(*at, &end, 10);
    bool good = end != *at && value <= UINT32_MAX;
    *number = (uint32_t)value;
    *at = end;
    return good;
}

static bool read_tokens(char *at, uint32_t vocabulary, probe_tokens *tokens) {
    tokens->count = 0;
    while (tokens->count < PROBE_TOKENS_MAX && read_number(&at, &tokens->ids[tokens->count])) {
        if (tokens->ids[tokens->count++] >= vocabulary) {
            return false;
        }
    }
    return *at == 0 || *at == '\n';
}

static int digit(char c) {
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool tokenize(const probe *p, char *at, probe_tokens *tokens, error *err) {
    uint32_t whole = 0;
    uint32_t special = 0;
    if (!read_number(&at, &whole) || !read_number(&at, &special)) {
        return error_set(err, ERROR_INVALID, "tokenize WHOLE SPECIAL HEX");
    }
    buffer text = buffer_make(TEXT_MAX);
    at += *at == ' ' ? 1 : 0;
    while (digit(at[0]) >= 0 && digit(at[1]) >= 0) {
        buffer_append_byte(&text, (uint8_t)(digit(at[0]) << 4 | digit(at[1])));
        at += 2;
    }
    bool good = !buffer_failed(&text) && p->tokenize != NULL &&
                p->tokenize(p->context, buffer_slice(&text), whole != 0, special != 0, tokens, err);
    buffer_free(&text);
    if (good) {
        answer_ids(tokens);
    }
    return good;
}

static bool logits(const probe *p, const probe_tokens *tokens, error *err) {
    float *rows = memory_allocate_zeroed(tokens->count * p->vocabulary, sizeof *rows);
    if (rows == NULL) {
        return error_memory(err);
    }
    bool good = p->logits(p->context, tokens, rows, err);
    for (size_t i = 0; good && i < tokens->count; i++) {
        putchar(i == 0 ? '[' : ',');
        print_row(rows + i * p->vocabulary, p->vocabulary);
    }
    if (good) {
        puts("]");
    }
    memory_free(rows);
    return good;
}

static bool embed(const probe *p, const probe_tokens *tokens, error *err) {
    float *values = memory_allocate_zeroed(p->width, sizeof *values);
    if (values == NULL) {
        return error_memory(err);
    }
    bool good = p->embed(p->context, tokens, values, err);
    if (good) {
        print_row(values, p->width);
        putchar('\n');
    }
    memory_free(values);
    return good;
}

/* The verb's arguments, or NULL if the line has another verb. */
static char *after(char *line, const char *verb) {
    size_t length = strlen(verb);
    return strncmp(line, verb, length) == 0 ? line + length : NULL;
}

static bool answer(const probe *p, char *line, error *err) {
    static probe_tokens tokens;
    static probe_tokens written;
    uint32_t count = 0;
    char *at = after(line, "tokenize ");
    if (at != NULL) {
        return tokenize(p, at, &tokens, err);
    }
    at = after(line, "greedy ");
    if (at != NULL) {
        if (!read_number(&at, &count) || !read_tokens(at, p->vocabulary, &tokens) ||
            tokens.count + count > PROBE_TOKENS_MAX) {
            return error_set(err, ERROR_INVALID, "greedy COUNT ID ID …");
        }
        bool good = p->greedy(p->context, &tokens, count, &written, err);
        if (good) {
            answer_ids(&written);
        }
        return good;
    }
    at = after(line, "logits ");
    bool wants_logits = at != NULL;
    at = wants_logits ? at : after(line, "embed ");
    if (at == NULL || !read_tokens(at, p->vocabulary, &tokens) || tokens.count == 0) {
        return error_set(err, ERROR_INVALID, "no such request");
    }
    return wants_logits ? logits(p, &tokens, err) : embed(p, &tokens, err);
}

bool probe_run(const probe *p) {
    char *line = NULL;
    size_t size = 0;
    while (getline(&line, &size, stdin) > 0) {
        error err = {0};
        if (!answer(p, line, &err)) {
            answer_error(&err);
        }
        fflush(stdout);
    }
    free(line);
    return feof(stdin) != 0;
}
