#ifndef ENGINE_METHOD_H
#define ENGINE_METHOD_H

#include "base/buffer.h"
#include "pretokenizer.h"
#include "vocabulary.h"

/* How text without special tokens becomes tokens: one of these per kind of tokenizer. Each `encode` appends
 * the tokens of `text`, which is not empty; any number of threads at once. */

/* gpt2: byte pairs within the pieces that the pre-tokenizer cuts. */
typedef struct byte_pair {
    uint32_t right;
    uint32_t rank;
    uint32_t merged;
} byte_pair;

typedef struct byte_bpe {
    const vocabulary *v;
    pretokenizer *pieces;
    byte_pair *pairs;     /* by left token, then right, then rank */
    uint32_t *pair_first; /* by left token: its first pair; one more at the end */
} byte_bpe;
MUST_CHECK bool byte_bpe_read(byte_bpe *b, const vocabulary *v, const gguf *file, error *err);
MUST_CHECK bool byte_bpe_encode(const byte_bpe *b, slice text, token_list *list, error *err);
void byte_bpe_free(byte_bpe *b);

/* llama: pieces are joined as long as that gives a token, the one of the best score first. */
typedef struct piece_bpe {
    const vocabulary *v;
    uint32_t *orders;      /* by token: 0 for the best score; equal scores are equal */
    bool is_cut_at_spaces; /* no token has a space but at its front, so no merge crosses one */
} piece_bpe;
MUST_CHECK bool piece_bpe_read(piece_bpe *p, const vocabulary *v, error *err);
/* `adds_space`: a space before the text. */
MUST_CHECK bool piece_bpe_encode(const piece_bpe *p, slice text, bool adds_space, token_list *list,
                                 error *err);
void piece_bpe_free(piece_bpe *p);

/* t5: the segmentation of the highest sum of scores, after normalisation. */
typedef struct unigram {
    const vocabulary *v;
    uint32_t *map; /* the units of the precompiled character map (Darts-clone), or NULL */
    size_t map_count;
    char *replacements; /* strings, each ended by a zero */
    size_t replacements_size;
    bool adds_space;
    bool removes_spaces; /* only one between words, and none around */
    double unknown_score;
} unigram;
MUST_CHECK bool unigram_read(unigram *u, const vocabulary *v, const gguf *file, error *err);
MUST_CHECK bool unigram_encode(const unigram *u, slice text, token_list *list, error *err);
void unigram_free(unigram *u);
/* Appends the normalised text; in charsmap.c. */
MUST_CHECK bool unigram_normalize(const unigram *u, slice text, buffer *output, error *err);
MUST_CHECK bool unigram_read_map(unigram *u, const gguf *file, error *err);

/* bert: the longest tokens from the front of each word. */
typedef struct word_piece {
    const vocabulary *v;
    bool lowers;
    bool strips_accents;
} word_piece;
MUST_CHECK bool word_piece_read(word_piece *w, const vocabulary *v, const gguf *file, error *err);
MUST_CHECK bool word_piece_encode(const word_piece *w, slice text, token_list *list, error *err);

/* A key that may be absent: then `*value` stays. */
MUST_CHECK bool tokenizer_read_flag(const gguf *file, const char *key, bool *value, error *err);

#endif
