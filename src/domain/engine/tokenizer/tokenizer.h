#ifndef ENGINE_TOKENIZER_H
#define ENGINE_TOKENIZER_H

#include "engine/gguf.h"

/* Byte-level BPE (Sennrich et al. 2016; bytes as letters as in GPT-2) over a model's vocabulary. */
typedef struct tokenizer tokenizer;

/* A list that grows at its end; start with all zero, free with token_list_free. */
typedef struct token_list {
    uint32_t *ids;
    size_t count;
    size_t capacity;
} token_list;
MUST_CHECK bool token_list_append(token_list *list, uint32_t id, error *err);
void token_list_free(token_list *list);

enum { TOKEN_LENGTH_MAX = 1024, TOKENIZER_INPUT_MAX = 16 * 1024 * 1024 };

/* Copies what it needs from the file. Errors name the key or token. */
MUST_CHECK tokenizer *tokenizer_new(const gguf *file, error *err);
void tokenizer_free(tokenizer *t);

uint32_t tokenizer_count(const tokenizer *t);
/* What a token writes; empty for a control token. */
slice tokenizer_bytes(const tokenizer *t, uint32_t id);
/* The control token spelled `text`, such as "<|im_end|>". */
MUST_CHECK bool tokenizer_find_control(const tokenizer *t, const char *text, uint32_t *id);

/* Appends the tokens of `text`, never a control token, whatever the text spells; decoding them gives `text`
 * back byte for byte. One call at a time on one tokenizer. */
MUST_CHECK bool tokenizer_encode(const tokenizer *t, slice text, token_list *list, error *err);

#endif
