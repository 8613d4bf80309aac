#include "base/memory.h"
#include "merge.h"
#include "method.h"

#include <stdlib.h>

typedef struct read_pair {
    uint32_t left;
    byte_pair pair;
} read_pair;

static int compare_pairs(const void *a, const void *b) {
    const read_pair *x = a;
    const read_pair *y = b;
    if (x->left != y->left) {
        return x->left < y->left ? -1 : 1;
    }
    if (x->pair.right != y->pair.right) {
        return x->pair.right < y->pair.right ? -1 : 1;
    }
    return x->pair.rank < y->pair.rank ? -1 : x->pair.rank > y->pair.rank;
}

/* Added tokens are sometimes made by merges too. */
static uint32_t find_token(const vocabulary *v, const uint8_t *data, size_t length) {
    uint32_t id = trie_find(&v->normal, slice_of(data, length));
    if (id == NO_TOKEN) {
        id = trie_find(&v->special, slice_of(data, length));
        id = id != NO_TOKEN && v->kinds[id] == KIND_USER_DEFINED ? id : NO_TOKEN;
    }
    return id;
}

static bool parse_merge(const vocabulary *v, uint32_t rank, slice text, read_pair *read, error *err) {
    uint8_t joined[TOKEN_LENGTH_MAX];
    size_t left = 0;
    size_t right = 0;
    size_t space = slice_find(text, ' ');
    if (space == SIZE_MAX || text.length > TOKEN_LENGTH_MAX ||
        !vocabulary_letters_to_bytes(slice_part(text, 0, space), joined, &left) ||
        !vocabulary_letters_to_bytes(slice_after(text, space + 1), joined + left, &right)) {
        return error_set(err, ERROR_CORRUPT, "merge %u is not two tokens with a space between them", rank);
    }
    *read = (read_pair){find_token(v, joined, left),
                        {find_token(v, joined + left, right), rank, find_token(v, joined, left + right)}};
    return (read->left != NO_TOKEN && read->pair.right != NO_TOKEN && read->pair.merged != NO_TOKEN) ||
           error_set(err, ERROR_CORRUPT, "merge %u names a token that the vocabulary lacks", rank);
}

static bool index_pairs(byte_bpe *b, const read_pair *read, size_t count, error *err) {
    b->pairs = memory_allocate_zeroed(count + 1, sizeof *b->pairs);
    b->pair_first = memory_allocate_zeroed((size_t)b->v->count + 1, sizeof *b->pair_first);
    if (b->pairs == NULL || b->pair_first == NULL) {
        return error_memory(err);
    }
    size_t next = 0;
    for (uint32_t left = 0; left < b->v->count; left++) {
        b->pair_first[left] = (uint32_t)next;
        for (; next < count && read[next].left == left; next++) {
            b->pairs[next] = read[next].pair;
        }
    }
    b->pair_first[b->v->count] = (uint32_t)next;
    return true;
}

static bool read_merges(byte_bpe *b, const gguf *file, error *err) {
    gguf_array texts;
    if (!gguf_text_array(file, "tokenizer.ggml.merges", &texts, err)) {
        return false;
    }
    size_t count = texts.count;
    read_pair *read = memory_allocate_zeroed(count + 1, sizeof *read);
    if (read == NULL) {
        return error_memory(err);
    }
    slice text;
    bool good = true;
    for (uint32_t rank = 0; good && gguf_next_text(&texts, &text); rank++) {
        good = parse_merge(b->v, rank, text, &read[rank], err);
    }
    if (good) {
        qsort(read, count, sizeof *read, compare_pairs);
        good = index_pairs(b, read, count, err);
    }
    memory_free(read);
    return good;
}

bool byte_bpe_read(byte_bpe *b, const vocabulary *v, const gguf *file, error *err) {
    slice pre;
    b->v = v;
    if (!gguf_text(file, "tokenizer.ggml.pre", &pre, err)) {
        return false;
    }
    b->pieces = pretokenizer_new(pre, err);
    return b->pieces != NULL && read_merges(b, file, err);
}

void byte_bpe_free(byte_bpe *b) {
    pretokenizer_free(b->pieces);
    memory_free(b->pairs);
    memory_free(b->pair_first);
}

/* The first among equal pairs, so the lowest rank. */
static bool find_pair(const void *context, const merge_symbol *left, const merge_symbol *right,
                      uint32_t *order, uint32_t *merged) {
    const byte_bpe *b = context;
    uint32_t low = b->pair_first[left->token];
    uint32_t end = b->pair_first[left->token + 1];
    uint32_t high = end;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (b->pairs[middle].right < right->token) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    if (low == end || b->pairs[low].right != right->token) {
        return false;
    }
    *order = b->pairs[low].rank;
    *merged = b->pairs[low].merged;
    return true;
}

typedef struct encoding {
    const byte_bpe *b;
    token_list *list;
    merge_row row;
} encoding;

static bool encode_piece(void *context, slice piece, error *err) {
    encoding *e = context;
    const byte_bpe *b = e->b;
    if (pretokenizer_ignores_merges(b->pieces)) {
        uint32_t whole = trie_find(&b->v->normal, piece);
        if (whole != NO_TOKEN) {
            return token_list_append(e->list, whole, err);
        }
    }
    merge_clear(&e->row);
    for (uint32_t i = 0; i < piece.length; i++) {
        uint32_t letter = b->v->letters[piece.data[i]];
        if (letter == NO_TOKEN) {
            return error_set(err, ERROR_UNSUPPORTED,
                             "the model's vocabulary has no token for the byte 0x%02x", piece.data[i]);
        }
        if (!merge_append(&e->row, letter, i, 1, err)) {
            return false;
        }
    }
    if (!merge_run(&e->row, find_pair, b, err)) {
        return false;
    }
    for (uint32_t i = 0; i != MERGE_NOWHERE; i = e->row.symbols[i].next) {
        if (!token_list_append(e->list, e->row.symbols[i].token, err)) {
            return false;
        }
    }
    return true;
}

bool byte_bpe_encode(const byte_bpe *b, slice text, token_list *list, error *err) {
    encoding e = {.b = b, .list = list};
    bool good = pretokenizer_split(b->pieces, text, encode_piece, &e, err);
    merge_free(&e.row);
    return good;
}
