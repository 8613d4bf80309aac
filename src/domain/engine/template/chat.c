#include "template/chat.h"

#include "base/buffer.h"
#include "base/memory.h"

/* ChatML: for each message <|im_start|> role newline content <|im_end|> newline, then the same opening for
 * the assistant. Role, newline and content are encoded as one text. */

struct chat {
    const tokenizer *tokens;
    bool known; /* has the markers */
    uint32_t message_start;
    uint32_t message_end;
};

chat *chat_new(const gguf *file, const tokenizer *tokens, error *err) {
    (void)file;
    chat *c = memory_allocate_zeroed(1, sizeof *c);
    if (c == NULL) {
        error_memory(err);
        return NULL;
    }
    c->tokens = tokens;
    c->known = tokenizer_find_control(tokens, "<|im_start|>", &c->message_start) &&
               tokenizer_find_control(tokens, "<|im_end|>", &c->message_end);
    return c;
}

void chat_free(chat *c) {
    memory_free(c);
}

const char *chat_format(const chat *c) {
    return c->known ? "chatml" : "none";
}

static slice role_name(slice role) {
    static const char *const known[] = {"system", "user", "assistant", "tool"};
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        if (slice_equal_text(role, known[i])) {
            return role;
        }
    }
    return slice_equal_text(role, "developer") ? SLICE_LITERAL("system") : (slice){NULL, 0};
}

static bool append_message(const chat *m, const engine_message *message, buffer *text, token_list *list,
                           error *err) {
    slice role = role_name(message->role);
    if (role.length == 0) {
        return error_set(err, ERROR_INVALID,
                         "the role '%.*s' is none of system, developer, user, assistant and tool",
                         SLICE_FORMAT(slice_part(message->role, 0, 32)));
    }
    if (message->content.length > TOKENIZER_INPUT_MAX) {
        return error_set(err, ERROR_LIMIT, "a message is longer than %d bytes: shorten it",
                         TOKENIZER_INPUT_MAX);
    }
    buffer_clear(text);
    buffer_append(text, role);
    buffer_append_text(text, "\n");
    buffer_append(text, message->content);
    if (buffer_failed(text)) {
        return error_memory(err);
    }
    return token_list_append(list, m->message_start, err) &&
           tokenizer_encode(m->tokens, buffer_slice(text), list, err) &&
           token_list_append(list, m->message_end, err) &&
           tokenizer_encode(m->tokens, SLICE_LITERAL("\n"), list, err);
}

static bool append_all(const chat *m, const engine_message *messages, size_t count, buffer *text,
                       token_list *list, error *err) {
    if (count == 0 || count > ENGINE_MESSAGES_MAX) {
        return error_set(err, ERROR_INVALID, "a conversation has 1 to %d messages", ENGINE_MESSAGES_MAX);
    }
    uint32_t first = 0;
    if (tokenizer_wants_bos(m->tokens) && tokenizer_find_role(m->tokens, TOKEN_FIRST, &first) &&
        !token_list_append(list, first, err)) {
        return false;
    }
    for (size_t i = 0; i < count; i++) {
        if (!append_message(m, &messages[i], text, list, err)) {
            return false;
        }
    }
    return token_list_append(list, m->message_start, err) &&
           tokenizer_encode(m->tokens, SLICE_LITERAL("assistant\n"), list, err);
}

bool chat_prompt(const chat *m, const engine_message *messages, size_t count, slice tools, uint32_t **tokens,
                 size_t *token_count, error *err) {
    buffer text = buffer_make(TOKENIZER_INPUT_MAX + 64);
    token_list list = {0};
    if (!m->known || tools.length > 0) {
        return error_set(err, ERROR_UNSUPPORTED, "the model isn't made for conversations or tools");
    }
    bool good = append_all(m, messages, count, &text, &list, err);
    buffer_wipe(&text);
    if (!good) {
        token_list_free(&list);
        return false;
    }
    *tokens = list.ids;
    *token_count = list.count;
    return true;
}
