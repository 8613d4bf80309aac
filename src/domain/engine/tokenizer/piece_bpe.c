#include "base/memory.h"
#include "merge.h"
#include "method.h"
#include "utf8.h"

#include <stdlib.h>

typedef struct ranked {
    float score;
    uint32_t id;
} ranked;

static int compare_scores(const void *a, const void *b) {
    const ranked *x = a;
    const ranked *y = b;
    return x->score > y->score ? -1 : x->score < y->score;
}

static bool rank_scores(piece_bpe *p, error *err) {
    uint32_t count = p->v->count;
    ranked *order = memory_allocate_zeroed(count, sizeof *order);
    p->orders = memory_allocate_zeroed(count, sizeof *p->orders);
    if (order == NULL || p->orders == NULL) {
        memory_free(order);
        return error_memory(err);
    }
    for (uint32_t id = 0; id < count; id++) {
        order[id] = (ranked){p->v->scores[id], id};
    }
    qsort(order, count, sizeof *order, compare_scores);
    uint32_t rank = 0;
    for (uint32_t i = 0; i < count; i++) {
        rank += i > 0 && order[i].score < order[i - 1].score;
        p->orders[order[i].id] = rank;
    }
    memory_free(order);
    return true;
}

/* A space behind anything but spaces. */
static bool has_inner_space(slice text) {
    size_t front = 0;
    while (front < text.length && text.data[front] == ' ') {
        front++;
    }
    return slice_find(slice_after(text, front), ' ') != SIZE_MAX;
}

bool piece_bpe_read(piece_bpe *p, const vocabulary *v, error *err) {
    p->v = v;
    p->is_cut_at_spaces = true;
    for (uint32_t id = 0; id < v->count; id++) {
        if (v->kinds[id] == KIND_NORMAL && has_inner_space(vocabulary_text(v, id))) {
            p->is_cut_at_spaces = false;
        }
    }
    return rank_scores(p, err);
}

void piece_bpe_free(piece_bpe *p) {
    memory_free(p->orders);
}

/* A space mark that is the text's own stays as its bytes: it would be read back as a space. */
enum { RAW = NO_TOKEN - 1 };

typedef struct encoding {
    const piece_bpe *p;
    const uint8_t *text; /* with marks for the spaces */
} encoding;

static bool find_joined(const void *context, const merge_symbol *left, const merge_symbol *right,
                        uint32_t *order, uint32_t *merged) {
    const encoding *e = context;
    if (left->token == RAW || right->token == RAW) {
        return false;
    }
    *merged = trie_find(&e->p->v->normal, slice_of(e->text + left->start, left->length + right->length));
    if (*merged == NO_TOKEN) {
        return false;
    }
    *order = e->p->orders[*merged];
    return true;
}

static bool append_bytes(const vocabulary *v, slice bytes, token_list *list, error *err) {
    for (size_t i = 0; i < bytes.length; i++) {
        uint32_t id = v->letters[bytes.data[i]];
        id = id == NO_TOKEN ? v->roles[TOKEN_UNKNOWN] : id;
        if (id == NO_TOKEN) {
            return error_set(err, ERROR_UNSUPPORTED,
                             "the model's vocabulary has no token for the byte 0x%02x", bytes.data[i]);
        }
        if (!token_list_append(list, id, err)) {
            return false;
        }
    }
    return true;
}

static bool encode_row(const encoding *e, merge_row *row, token_list *list, error *err) {
    if (row->count == 0) {
        return true;
    }
    if (!merge_run(row, find_joined, e, err)) {
        return false;
    }
    for (uint32_t i = 0; i != MERGE_NOWHERE; i = row->symbols[i].next) {
        const merge_symbol *s = &row->symbols[i];
        bool good = s->token == RAW || s->token == NO_TOKEN
                        ? append_bytes(e->p->v, slice_of(e->text + s->start, s->length), list, err)
                        : token_list_append(list, s->token, err);
        if (!good) {
            return false;
        }
    }
    merge_clear(row);
    return true;
}

/* Adds the character at the front of `text`, written to `escaped`; returns its bytes in `*step`. */
static bool append_character(const encoding *e, slice text, buffer *escaped, merge_row *row, size_t *step,
                             error *err) {
    uint32_t character = 0;
    (void)utf8_next(text, step, &character); /* what is no character is taken whole, and becomes bytes */
    slice own = slice_part(text, 0, *step);
    bool raw = slice_equal_text(own, SPACE_MARK);
    slice written = slice_equal_text(own, " ") ? SLICE_LITERAL(SPACE_MARK) : own;
    size_t start = buffer_length(escaped);
    buffer_append(escaped, written);
    uint32_t token = raw ? RAW : trie_find(&e->p->v->normal, written);
    return merge_append(row, token, (uint32_t)start, (uint32_t)written.length, err);
}

static bool encode_all(encoding *e, slice text, bool adds_space, buffer *escaped, merge_row *row,
                       token_list *list, error *err) {
    size_t step = 0;
    if (adds_space && !append_character(e, SLICE_LITERAL(" "), escaped, row, &step, err)) {
        return false;
    }
    bool after_space = true;
    while (text.length > 0) {
        bool space = text.data[0] == ' ';
        if (space && !after_space && e->p->is_cut_at_spaces && !encode_row(e, row, list, err)) {
            return false;
        }
        if (!append_character(e, text, escaped, row, &step, err)) {
            return false;
        }
        text = slice_after(text, step);
        after_space = space;
    }
    return encode_row(e, row, list, err);
}

bool piece_bpe_encode(const piece_bpe *p, slice text, bool adds_space, token_list *list, error *err) {
    size_t size = SPACE_MARK_LENGTH * (text.length + 1);
    buffer escaped = buffer_make(size);
    if (buffer_reserve(&escaped, size) == NULL) { /* so that it never moves */
        return error_memory(err);
    }
    encoding e = {p, buffer_slice(&escaped).data};
    merge_row row = {0};
    bool good = encode_all(&e, text, adds_space, &escaped, &row, list, err);
    merge_free(&row);
    buffer_wipe(&escaped);
    return good;
}
