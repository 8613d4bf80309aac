#include "pretokenizer.h"

#include "base/memory.h"
#include "pretokenizer_rules.h"
#include "utf8.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

enum { MATCH_LIMIT = 10 * 1000 * 1000, MATCH_KIBIBYTES_MAX = 64 * 1024 };

struct pretokenizer {
    const pretokenizer_rule *rule;
    pcre2_general_context *general;
    pcre2_match_context *limits;
    pcre2_code *stages[PRETOKENIZER_STAGES_MAX];
    size_t stage_count;
};

typedef struct visitor {
    const pretokenizer *p;
    pcre2_match_data *matches[PRETOKENIZER_STAGES_MAX]; /* one each: stages are at work inside each other */
    pretokenizer_visit *visit;
    void *context;
} visitor;

static void *allocate(size_t size, void *context) {
    (void)context;
    return memory_allocate(size);
}

static void release(void *block, void *context) {
    (void)context;
    memory_free(block);
}

static bool compile(pretokenizer *p, const char *expression, error *err) {
    int code = 0;
    size_t offset = 0;
    pcre2_compile_context *context = pcre2_compile_context_create(p->general);
    if (context == NULL) {
        return error_memory(err);
    }
    pcre2_code *stage = pcre2_compile((PCRE2_SPTR)expression, PCRE2_ZERO_TERMINATED, PCRE2_UTF | PCRE2_UCP,
                                      &code, &offset, context);
    pcre2_compile_context_free(context);
    if (stage == NULL) {
        return code == PCRE2_ERROR_HEAP_FAILED
                   ? error_memory(err)
                   : error_set(err, ERROR_INTERNAL, "a pre-tokenizer expression doesn't compile (%d at %zu)",
                               code, offset);
    }
    p->stages[p->stage_count++] = stage;
    return true;
}

static bool prepare(pretokenizer *p, error *err) {
    p->general = pcre2_general_context_create(allocate, release, NULL);
    p->limits = p->general == NULL ? NULL : pcre2_match_context_create(p->general);
    if (p->limits == NULL) {
        return error_memory(err);
    }
    pcre2_set_match_limit(p->limits, MATCH_LIMIT);
    pcre2_set_heap_limit(p->limits, MATCH_KIBIBYTES_MAX);
    for (size_t i = 0; i < PRETOKENIZER_STAGES_MAX && p->rule->stages[i] != NULL; i++) {
        if (!compile(p, p->rule->stages[i], err)) {
            return false;
        }
    }
    return true;
}

pretokenizer *pretokenizer_new(slice name, error *err) {
    const pretokenizer_rule *rule = pretokenizer_find_rule(name);
    if (rule == NULL) {
        error_set(err, ERROR_UNSUPPORTED, "the pre-tokenizer '%.*s' is not one this engine knows",
                  SLICE_FORMAT(slice_part(name, 0, 64)));
        return NULL;
    }
    pretokenizer *p = memory_allocate_zeroed(1, sizeof *p);
    if (p == NULL) {
        error_memory(err);
        return NULL;
    }
    p->rule = rule;
    if (!prepare(p, err)) {
        pretokenizer_free(p);
        return NULL;
    }
    return p;
}

void pretokenizer_free(pretokenizer *p) {
    if (p == NULL) {
        return;
    }
    for (size_t i = 0; i < p->stage_count; i++) {
        pcre2_code_free(p->stages[i]);
    }
    pcre2_match_context_free(p->limits);
    pcre2_general_context_free(p->general);
    memory_free(p);
}

bool pretokenizer_ignores_merges(const pretokenizer *p) {
    return p->rule->ignores_merges;
}

bool pretokenizer_wants_first(const pretokenizer *p) {
    return p->rule->wants_first;
}

/* The next match from `start`; `*found` false when there is none. */
static bool match(const visitor *v, size_t stage, slice text, size_t start, slice *piece, bool *found,
                  error *err) {
    int count = pcre2_match(v->p->stages[stage], text.data, text.length, start, PCRE2_NO_UTF_CHECK,
                            v->matches[stage], v->p->limits);
    *found = count > 0;
    if (count == PCRE2_ERROR_NOMATCH) {
        return true;
    }
    if (count == PCRE2_ERROR_NOMEMORY) {
        return error_memory(err);
    }
    if (count < 0) {
        return error_set(err, ERROR_LIMIT, "the text is too intricate to be cut into tokens (%d): shorten it",
                         count);
    }
    const size_t *ends = pcre2_get_ovector_pointer(v->matches[stage]);
    *piece = slice_part(text, ends[0], ends[1] - ends[0]);
    return piece->length > 0 || error_set(err, ERROR_INTERNAL, "a pre-tokenizer expression matched nothing");
}

static bool split_stage(const visitor *v, size_t stage, slice text, error *err) {
    if (text.length == 0) {
        return true;
    }
    if (stage == v->p->stage_count) {
        return v->visit(v->context, text, err);
    }
    size_t done = 0;
    while (done < text.length) {
        slice piece;
        bool found = false;
        if (!match(v, stage, text, done, &piece, &found, err)) {
            return false;
        }
        if (!found) {
            break;
        }
        size_t start = (size_t)(piece.data - text.data);
        if (!split_stage(v, stage + 1, slice_part(text, done, start - done), err) ||
            !split_stage(v, stage + 1, piece, err)) {
            return false;
        }
        done = start + piece.length;
    }
    return split_stage(v, stage + 1, slice_after(text, done), err);
}

/* Bytes at the front that are whole characters. */
static size_t readable_length(slice text) {
    size_t done = 0;
    while (done < text.length) {
        size_t length = 0;
        uint32_t character = 0;
        if (utf8_next(slice_after(text, done), &length, &character) != UTF8_WHOLE) {
            break;
        }
        done += length;
    }
    return done;
}

static bool split_all(const visitor *v, slice text, error *err) {
    while (text.length > 0) {
        size_t readable = readable_length(text);
        if (!split_stage(v, 0, slice_part(text, 0, readable), err)) {
            return false;
        }
        text = slice_after(text, readable);
        if (text.length > 0) {
            size_t length = 0;
            uint32_t character = 0;
            utf8_next(text, &length, &character);
            if (!v->visit(v->context, slice_part(text, 0, length), err)) {
                return false;
            }
            text = slice_after(text, length);
        }
    }
    return true;
}

bool pretokenizer_split(const pretokenizer *p, slice text, pretokenizer_visit *visit, void *context,
                        error *err) {
    visitor v = {.p = p, .visit = visit, .context = context};
    bool good = true;
    for (size_t i = 0; good && i < p->stage_count; i++) {
        v.matches[i] = pcre2_match_data_create(1, p->general);
        good = v.matches[i] != NULL || error_memory(err);
    }
    good = good && split_all(&v, text, err);
    for (size_t i = 0; i < p->stage_count; i++) {
        pcre2_match_data_free(v.matches[i]);
    }
    return good;
}
