#include "special.h"

#include "base/memory.h"

static bool contains_ignoring_case(slice text, const char *part) {
    slice wanted = slice_of_text(part);
    for (size_t i = 0; i + wanted.length <= text.length; i++) {
        if (slice_equal_ignore_case(slice_part(text, i, wanted.length), wanted)) {
            return true;
        }
    }
    return false;
}

void special_read(special *s, const vocabulary *v, const gguf *file) {
    bool seen[TOKEN_LENGTH_MAX + 1] = {false};
    error ignored;
    slice name = {NULL, 0};
    s->v = v;
    for (uint32_t id = 0; id < v->count; id++) {
        bool plain = v->kinds[id] == KIND_NORMAL || v->kinds[id] == KIND_BYTE || v->kinds[id] == KIND_UNUSED;
        seen[v->tokens[id].length] = seen[v->tokens[id].length] || !plain;
    }
    for (size_t length = TOKEN_LENGTH_MAX; length > 0; length--) {
        if (seen[length]) {
            s->lengths[s->length_count++] = (uint16_t)length;
        }
    }
    if (gguf_has(file, "general.name") && !gguf_text(file, "general.name", &name, &ignored)) {
        name = (slice){NULL, 0};
    }
    /* The file doesn't say it; llama.cpp goes by the name too. */
    s->takes_spaces = contains_ignoring_case(name, "phi-3") || contains_ignoring_case(name, "phi3");
    s->leaves[0] = trie_find(&v->special, SLICE_LITERAL("<unk>"));
    s->leaves[1] = trie_find(&v->special, SLICE_LITERAL("<s>"));
    s->leaves[2] = trie_find(&v->special, SLICE_LITERAL("<|endoftext|>"));
}

/* A place where special tokens are spelled. */
typedef struct candidate {
    uint32_t start;
    uint32_t longest;
    uint32_t trusted; /* bytes from here that may spell control tokens */
    uint32_t token;   /* the one chosen, or NO_TOKEN */
} candidate;

typedef struct search {
    const special *s;
    slice text;
    candidate *candidates;
    size_t count;
    size_t capacity;
    uint8_t *taken; /* by byte of the text */
} search;

/* The token spelled by exactly `length` bytes at the candidate, or (0) the length of the longest. */
static uint32_t spelled(const search *f, const candidate *c, size_t length, size_t *longest) {
    const vocabulary *v = f->s->v;
    size_t end = length > 0 ? length : f->text.length - c->start;
    uint32_t found = NO_TOKEN;
    uint32_t node = 0;
    for (size_t i = 0; i < end; i++) {
        node = trie_step(&v->special, node, f->text.data[c->start + i]);
        if (node == TRIE_NOWHERE) {
            return length > 0 ? NO_TOKEN : found;
        }
        uint32_t token = v->special.nodes[node].token;
        bool allowed = token != NO_TOKEN && (v->kinds[token] == KIND_USER_DEFINED || i < c->trusted);
        if (allowed && (length == 0 || i + 1 == length)) {
            found = token;
            *longest = i + 1;
        }
    }
    return found;
}

static bool append_candidate(search *f, const candidate *c, error *err) {
    if (f->count == f->capacity) {
        size_t capacity = f->capacity == 0 ? 64 : f->capacity * 2;
        candidate *grown = memory_resize(f->candidates, capacity * sizeof *grown);
        if (grown == NULL) {
            return error_memory(err);
        }
        f->candidates = grown;
        f->capacity = capacity;
    }
    f->candidates[f->count++] = *c;
    return true;
}

static bool find_candidates(search *f, const special_range *trusted, size_t trusted_count, error *err) {
    size_t range = 0;
    for (size_t i = 0; i < f->text.length; i++) {
        while (range < trusted_count && trusted[range].end <= i) {
            range++;
        }
        bool within = range < trusted_count && trusted[range].start <= i;
        candidate c = {(uint32_t)i, 0, within ? (uint32_t)(trusted[range].end - i) : 0, NO_TOKEN};
        size_t longest = 0;
        if (spelled(f, &c, 0, &longest) != NO_TOKEN) {
            c.longest = (uint32_t)longest;
            if (!append_candidate(f, &c, err)) {
                return false;
            }
        }
    }
    return true;
}

static bool is_white(uint8_t byte) {
    return byte == ' ' || (byte >= '\t' && byte <= '\r');
}

static void take(search *f, candidate *c, uint32_t token, size_t length) {
    const special *s = f->s;
    size_t end = c->start + length;
    c->token = token;
    c->longest = (uint32_t)length;
    if (s->takes_spaces && s->v->kinds[token] != KIND_USER_DEFINED && token != s->leaves[0] &&
        token != s->leaves[1] && token != s->leaves[2]) {
        while (end < f->text.length && f->taken[end] == 0 && is_white(f->text.data[end])) {
            end++;
        }
    }
    memset(f->taken + c->start, 1, end - c->start);
}

/* What was taken before is at least as long, so that it covers one of the two ends if it covers any byte. */
static void choose(search *f) {
    for (size_t i = 0; i < f->s->length_count; i++) {
        size_t length = f->s->lengths[i];
        for (size_t k = 0; k < f->count; k++) {
            candidate *c = &f->candidates[k];
            if (c->longest < length || f->taken[c->start] != 0 || f->taken[c->start + length - 1] != 0) {
                continue;
            }
            size_t found = 0;
            uint32_t token = spelled(f, c, length, &found);
            if (token != NO_TOKEN) {
                take(f, c, token, length);
            }
        }
    }
}

static bool visit_all(const search *f, special_visit *visit, void *context, error *err) {
    size_t next = 0;
    for (size_t i = 0; i < f->text.length;) {
        while (next < f->count && (f->candidates[next].token == NO_TOKEN || f->candidates[next].start < i)) {
            next++;
        }
        size_t start = i;
        while (i < f->text.length && f->taken[i] == 0) {
            i++;
        }
        if (i > start && !visit(context, slice_part(f->text, start, i - start), NO_TOKEN, err)) {
            return false;
        }
        if (next < f->count && f->candidates[next].start == i) {
            if (!visit(context, (slice){NULL, 0}, f->candidates[next].token, err)) {
                return false;
            }
            i += f->candidates[next].longest;
        } else if (i < f->text.length) {
            i++; /* white space that a token took */
        }
    }
    return true;
}

bool special_split(const special *s, slice text, const special_range *trusted, size_t trusted_count,
                   special_visit *visit, void *context, error *err) {
    if (text.length == 0) {
        return true;
    }
    search f = {.s = s, .text = text, .taken = memory_allocate_zeroed(text.length, 1)};
    if (f.taken == NULL) {
        return error_memory(err);
    }
    bool good = find_candidates(&f, trusted, trusted_count, err);
    if (good) {
        choose(&f);
        good = visit_all(&f, visit, context, err);
    }
    memory_free(f.candidates);
    memory_free(f.taken);
    return good;
}
