#ifndef ENGINE_CHAT_H
#define ENGINE_CHAT_H

#include "engine/engine.h"
#include "template/template.h"

/* How conversations become a model's tokens: by the chat template in its file, or as ChatML when it has none
 * but the markers <|im_start|> and <|im_end|>. */
typedef struct chat chat;

/* Keeps `tokens`. ERROR_UNSUPPORTED names what the file's template needs beyond template.h. A file without
 * template and markers is fine: it has no conversations. */
MUST_CHECK chat *chat_new(const gguf *file, const tokenizer *tokens, error *err);
void chat_free(chat *c); /* NULL is allowed */
/* "template", "chatml" or "none"; static text. */
const char *chat_format(const chat *c);

/* As engine_prompt says, the model's first token before them if it wants one. Roles are checked: "developer"
 * is told as "system", those beyond engine_message's are ERROR_INVALID. ERROR_UNSUPPORTED: the model has no
 * conversations. Errors as of chat_template_render. */
MUST_CHECK bool chat_prompt(const chat *c, const engine_message *messages, size_t count, slice tools,
                            uint32_t **tokens, size_t *token_count, error *err);

#endif
