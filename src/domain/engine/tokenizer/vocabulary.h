#ifndef ENGINE_VOCABULARY_H
#define ENGINE_VOCABULARY_H

#include "tokenizer.h"
#include "trie.h"

/* How the file spells tokens. */
typedef enum vocabulary_form {
    VOCABULARY_BYTES,  /* each byte as a letter (gpt2) */
    VOCABULARY_PIECES, /* U+2581 for a space (llama, t5) */
    VOCABULARY_WORDS   /* U+2581 where a word begins (bert) */
} vocabulary_form;

/* Kinds of tokens in `tokenizer.ggml.token_type`; the last is one of user-defined kind that looks like a
 * marker. */
typedef enum token_kind {
    KIND_NORMAL = 1,
    KIND_UNKNOWN = 2,
    KIND_CONTROL = 3,
    KIND_USER_DEFINED = 4,
    KIND_UNUSED = 5,
    KIND_BYTE = 6,
    KIND_MARKER = 7
} token_kind;

enum { VOCABULARY_MAX = 1 << 20, TOKEN_ENDS_MAX = 64 };

typedef struct token_text {
    const uint8_t *data;
    uint32_t length;
} token_text;

typedef struct vocabulary {
    vocabulary_form form;
    uint32_t count;
    uint8_t *bytes; /* of all tokens, in one block */
    size_t bytes_used;
    token_text *tokens;    /* by id: with real spaces and bytes */
    uint8_t *kinds;        /* by id */
    float *scores;         /* by id, finite; NULL when the kind of tokenizer has none */
    trie normal;           /* those that plain text becomes, as encoding spells them: bytes, or with U+2581 */
    trie special;          /* those that are recognised before, as they are written */
    uint32_t letters[256]; /* the token of each single byte, or NO_TOKEN */
    uint32_t roles[TOKEN_ROLES]; /* or NO_TOKEN */
    uint32_t ends[TOKEN_ENDS_MAX];
    size_t end_count;
} vocabulary;

/* U+2581, which stands for a space. */
#define SPACE_MARK "\xe2\x96\x81"
enum { SPACE_MARK_LENGTH = 3 };

/* Fills a zeroed vocabulary; to be freed also after a failure. */
MUST_CHECK bool vocabulary_read(vocabulary *v, vocabulary_form form, bool with_scores, const gguf *file,
                                error *err);
/* Finds the tokens with roles, and those that end an answer. */
MUST_CHECK bool vocabulary_read_roles(vocabulary *v, const char *model, const gguf *file, error *err);
void vocabulary_free(vocabulary *v);

/* Writes the bytes that the letters of `text` stand for (at most its length); false for one that stands for
 * none. */
MUST_CHECK bool vocabulary_letters_to_bytes(slice text, uint8_t *out, size_t *length);
bool vocabulary_is_end_spelling(slice text);

static inline slice vocabulary_text(const vocabulary *v, uint32_t id) {
    return slice_of(v->tokens[id].data, v->tokens[id].length);
}

#endif
