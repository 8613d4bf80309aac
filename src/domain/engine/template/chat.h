#ifndef ENGINE_TEMPLATE_CHAT_H
#define ENGINE_TEMPLATE_CHAT_H

#include "engine/engine.h"
#include "tokenizer/tokenizer.h"

/* How a model's conversations are written. `serve` owns one per model (engine_prompt calls chat_prompt); the
 * template room implements it. Nothing points into the file afterwards; the tokenizer must outlive it. */
typedef struct chat chat;

/* By the file's `tokenizer.chat_template`, or ChatML where there is none and the vocabulary has its markers;
 * else a chat of format "none", with which chat_prompt is ERROR_UNSUPPORTED. A template that is beyond the
 * subset is refused by chat_prompt with the reason, not here: raw prompts still work. */
MUST_CHECK chat *chat_new(const gguf *file, const tokenizer *tokens, error *err);
void chat_free(chat *c);                /* NULL is allowed */
const char *chat_format(const chat *c); /* "jinja", "chatml" or "none" */
/* As engine_prompt says. */
MUST_CHECK bool chat_prompt(const chat *c, const engine_message *messages, size_t count, slice tools,
                            uint32_t **tokens, size_t *token_count, error *err);

#endif
