#include "pretokenizer.h"

#include "base/memory.h"
#include "utf8.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

/* The expressions are those the models were trained with (llama.cpp, llama-vocab.cpp, and the tokenizer.json
 * of each family). Several stages cut one after the other: the second sees the pieces of the first. */
enum { STAGES_MAX = 2, MATCH_LIMIT = 10 * 1000 * 1000, MATCH_KIBIBYTES_MAX = 64 * 1024 };

#define GPT2 "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+"
#define QWEN2                                                                                                \
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*"       \
    "|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"

static const struct {
    const char *name;
    const char *stages[STAGES_MAX];
} kinds[] = {
    {"gpt-2", {GPT2, NULL}},
    {"smollm", {"\\p{N}", GPT2}},
    {"qwen2", {QWEN2, NULL}},
};

struct pretokenizer {
    pcre2_general_context *general;
    pcre2_match_context *limits;
    pcre2_code *stages[STAGES_MAX];
    pcre2_match_data *matches[STAGES_MAX]; /* one each: the stages are at work inside each other */
    size_t stage_count;
};

typedef struct visitor {
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
    p->stages[p->stage_count] = stage;
    p->matches[p->stage_count] = pcre2_match_data_create(1, p->general);
    return p->matches[p->stage_count++] != NULL || error_memory(err);
}

static bool prepare(pretokenizer *p, const char *const stages[STAGES_MAX], error *err) {
    p->general = pcre2_general_context_create(allocate, release, NULL);
    p->limits = p->general == NULL ? NULL : pcre2_match_context_create(p->general);
    if (p->limits == NULL) {
        return error_memory(err);
    }
    pcre2_set_match_limit(p->limits, MATCH_LIMIT);
    pcre2_set_heap_limit(p->limits, MATCH_KIBIBYTES_MAX);
    for (size_t i = 0; i < STAGES_MAX && stages[i] != NULL; i++) {
        if (!compile(p, stages[i], err)) {
            return false;
        }
    }
    return true;
}

pretokenizer *pretokenizer_new(slice name, error *err) {
    size_t kind = 0;
    while (kind < sizeof kinds / sizeof kinds[0] && !slice_equal_text(name, kinds[kind].name)) {
        kind++;
    }
    if (kind == sizeof kinds / sizeof kinds[0]) {
        error_set(err, ERROR_UNSUPPORTED,
                  "the pre-tokenizer '%.*s' is not one this engine knows (gpt-2, smollm, qwen2)",
                  SLICE_FORMAT(slice_part(name, 0, 64)));
        return NULL;
    }
    pretokenizer *p = memory_allocate_zeroed(1, sizeof *p);
    if (p == NULL) {
        error_memory(err);
        return NULL;
    }
    if (!prepare(p, kinds[kind].stages, err)) {
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
        pcre2_match_data_free(p->matches[i]);
        pcre2_code_free(p->stages[i]);
    }
    pcre2_match_context_free(p->limits);
    pcre2_general_context_free(p->general);
    memory_free(p);
}

/* The next match from `start`; `*found` false when there is none. */
static bool match(pretokenizer *p, size_t stage, slice text, size_t start, slice *piece, bool *found,
                  error *err) {
    int count = pcre2_match(p->stages[stage], text.data, text.length, start, PCRE2_NO_UTF_CHECK,
                            p->matches[stage], p->limits);
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
    const size_t *ends = pcre2_get_ovector_pointer(p->matches[stage]);
    *piece = slice_part(text, ends[0], ends[1] - ends[0]);
    return piece->length > 0 || error_set(err, ERROR_INTERNAL, "a pre-tokenizer expression matched nothing");
}

static bool split_stage(pretokenizer *p, size_t stage, slice text, const visitor *v, error *err) {
    if (text.length == 0) {
        return true;
    }
    if (stage == p->stage_count) {
        return v->visit(v->context, text, err);
    }
    size_t done = 0;
    while (done < text.length) {
        slice piece;
        bool found = false;
        if (!match(p, stage, text, done, &piece, &found, err)) {
            return false;
        }
        if (!found) {
            break;
        }
        size_t start = (size_t)(piece.data - text.data);
        if (!split_stage(p, stage + 1, slice_part(text, done, start - done), v, err) ||
            !split_stage(p, stage + 1, piece, v, err)) {
            return false;
        }
        done = start + piece.length;
    }
    return split_stage(p, stage + 1, slice_after(text, done), v, err);
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

bool pretokenizer_split(pretokenizer *p, slice text, pretokenizer_visit *visit, void *context, error *err) {
    visitor v = {visit, context};
    while (text.length > 0) {
        size_t readable = readable_length(text);
        if (!split_stage(p, 0, slice_part(text, 0, readable), &v, err)) {
            return false;
        }
        text = slice_after(text, readable);
        if (text.length > 0) {
            size_t length = 0;
            uint32_t character = 0;
            utf8_next(text, &length, &character);
            if (!visit(context, slice_part(text, 0, length), err)) {
                return false;
            }
            text = slice_after(text, length);
        }
    }
    return true;
}
