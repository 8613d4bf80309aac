#ifndef VOCABULARY_FILE_H
#define VOCABULARY_FILE_H

#include "model_file.h"

/* GGUF files that hold a vocabulary of each kind and nothing else, made of the texts that are to be encoded:
 * merges and pieces are trained on them without cutting them up first, so that they lie across every border a
 * pre-tokenizer may draw. The same texts give the same files. */
enum { VOCABULARY_TEXTS_MAX = 256, VOCABULARY_TEXT_SIZE = 512 };

typedef struct vocabulary_texts {
    char texts[VOCABULARY_TEXTS_MAX][VOCABULARY_TEXT_SIZE]; /* no zero bytes within */
    size_t count;
} vocabulary_texts;

/* Lines of text with \n, \r, \t, \\ and \xHH. Ends the test if there is anything else, or too much. */
void vocabulary_texts_read(vocabulary_texts *texts, slice lines);

/* "gpt2.NAME" with a pre-tokenizer's name, "llama", "llama.gemma" (without the first space), "llama.phi3"
 * (white space behind special tokens is theirs), "t5", "t5.map" (as XLM-RoBERTa has it), "bert",
 * "bert.cased". Ended by NULL. */
extern const char *const vocabulary_kinds[];
void vocabulary_file_make(const char *kind, const vocabulary_texts *texts, buffer *file);

#endif
