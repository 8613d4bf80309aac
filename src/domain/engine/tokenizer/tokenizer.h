#ifndef ENGINE_TOKENIZER_H
#define ENGINE_TOKENIZER_H

#include "engine/gguf.h"

/* The tokenizer that a GGUF describes (`tokenizer.ggml.model`): gpt2 (byte-level BPE, Sennrich et al. 2016),
 * llama (SentencePiece BPE, Kudo and Richardson 2018), t5 (SentencePiece unigram, Kudo 2018) or bert
 * (WordPiece, Devlin et al. 2018). Decoding what was encoded gives the text back byte for byte for gpt2, and
 * for llama when the vocabulary has all byte tokens (but for the space of tokenizer_adds_space); t5 and bert
 * are lossy by nature.
 *
 * Gives what llama.cpp gives, but: text of users never becomes a control token; in text for llama U+2581
 * stays three bytes, not a space; and where llama.cpp approximates what the models were trained with, it is
 * as they were: cased words with marks (gpt-4o, tekken), white space beyond ASCII (deepseek-llm,
 * deepseek-coder), spacing marks and Hangul (bert).
 *
 * For a text of n bytes and a longest token of m, encoding takes O(n log n) for gpt2 and O(n (m + log n)) for
 * llama, O(n m) for t5 and bert; finding special tokens O(n m k), where k is how many lengths of their
 * spellings fit one place (1 but for tokens such as runs of spaces). Memory: about 64 n bytes at most. */
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
void tokenizer_free(tokenizer *t); /* NULL is allowed */

uint32_t tokenizer_count(const tokenizer *t);
/* What a token writes: the part of a text that it stands for, with real spaces and bytes. Empty for control,
 * unknown and unused tokens, and for an id that is none. A token of bert that begins a word writes a space
 * before it. */
slice tokenizer_bytes(const tokenizer *t, uint32_t id);
/* How a token is written in trusted text, control tokens too; for the others as tokenizer_bytes. */
slice tokenizer_spelling(const tokenizer *t, uint32_t id);
/* The control token spelled `text`, such as "<|im_end|>". */
MUST_CHECK bool tokenizer_find_control(const tokenizer *t, const char *text, uint32_t *id);

typedef enum tokenizer_role {
    TOKEN_FIRST,     /* bos; [CLS] */
    TOKEN_END,       /* eos */
    TOKEN_TURN_END,  /* eot */
    TOKEN_UNKNOWN,   /* unk */
    TOKEN_SEPARATOR, /* sep */
    TOKEN_PADDING,   /* pad */
    TOKEN_MASK,      /* mask */
    TOKEN_ROLES
} tokenizer_role;
/* The id that has a role; false if none has. */
MUST_CHECK bool tokenizer_find_role(const tokenizer *t, tokenizer_role role, uint32_t *id);
/* True for the tokens at which an answer ends: eos, eot, and those spelled like other models' ends. */
bool tokenizer_is_end(const tokenizer *t, uint32_t id);
/* Whether a whole text has a first token put before it, and an end token (or separator) behind it. */
bool tokenizer_wants_bos(const tokenizer *t);
bool tokenizer_wants_eos(const tokenizer *t);
/* Whether encoding puts a space before text that begins the input or follows a special token. */
bool tokenizer_adds_space(const tokenizer *t);

/* Part of a text. Only in trusted parts do the spellings of control tokens become these tokens; a spelling
 * must lie in trusted parts whole. Untrusted text never becomes a control, unknown or unused token, nor one
 * that looks like a marker ("<|…|>") whatever kind the file gives it. Plain added tokens (kind 4, "user
 * defined") are recognised in any text. */
typedef struct token_span {
    slice text;
    bool trusted;
} token_span;

/* Appends the tokens of the joined spans; between special tokens the text is encoded as one, whatever its
 * parts. `whole`: puts the first and last tokens around it that the model wants, the first not twice. On an
 * error the list may have grown. ERROR_LIMIT: longer than TOKENIZER_INPUT_MAX in all. Any number of threads
 * may encode at once. */
MUST_CHECK bool tokenizer_encode_spans(const tokenizer *t, const token_span *spans, size_t count, bool whole,
                                       token_list *list, error *err);
/* One untrusted span, not whole. */
MUST_CHECK bool tokenizer_encode(const tokenizer *t, slice text, token_list *list, error *err);

#endif
