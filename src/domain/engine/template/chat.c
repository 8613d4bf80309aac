#include "chat.h"

#include "base/memory.h"

struct chat {
    const tokenizer *tokens;
    chat_template *template; /* NULL: no conversations */
    const char *format;
    bool wants_first;
    uint32_t first;
    slice first_text; /* as in the vocabulary; empty: none */
    slice end_text;
};

static bool is_chatml(const tokenizer *tokens) {
    uint32_t ignored = 0;
    return tokenizer_find_control(tokens, "<|im_start|>", &ignored) &&
           tokenizer_find_control(tokens, "<|im_end|>", &ignored);
}

static bool read_template(chat *c, const gguf *file, error *err) {
    static const char key[] = "tokenizer.chat_template";
    slice source = slice_of_text(chat_template_chatml);
    c->format = "chatml";
    if (gguf_has(file, key)) {
        c->format = "template";
        if (!gguf_text(file, key, &source, err)) {
            return false;
        }
    } else if (!is_chatml(c->tokens)) {
        c->format = "none";
        return true;
    }
    c->template = chat_template_new(source, err);
    return c->template != NULL;
}

chat *chat_new(const gguf *file, const tokenizer *tokens, error *err) {
    chat *c = memory_allocate_zeroed(1, sizeof *c);
    uint32_t end = 0;
    if (c == NULL) {
        error_memory(err);
        return NULL;
    }
    c->tokens = tokens;
    if (tokenizer_find_role(tokens, TOKEN_FIRST, &c->first)) {
        c->first_text = tokenizer_spelling(tokens, c->first);
        c->wants_first = tokenizer_wants_bos(tokens);
    }
    if (tokenizer_find_role(tokens, TOKEN_END, &end)) {
        c->end_text = tokenizer_spelling(tokens, end);
    }
    if (!read_template(c, file, err)) {
        chat_free(c);
        return NULL;
    }
    return c;
}

void chat_free(chat *c) {
    if (c != NULL) {
        chat_template_free(c->template);
        memory_free(c);
    }
}

const char *chat_format(const chat *c) {
    return c->format;
}

/* Static text, so that the template may be trusted with it; empty for what isn't a role. */
static slice role_name(slice role) {
    static const struct {
        const char *name;
        const char *told;
    } roles[] = {{"system", "system"},
                 {"developer", "system"},
                 {"user", "user"},
                 {"assistant", "assistant"},
                 {"tool", "tool"}};
    for (size_t i = 0; i < sizeof roles / sizeof roles[0]; i++) {
        if (slice_equal_text(role, roles[i].name)) {
            return slice_of_text(roles[i].told);
        }
    }
    return (slice){NULL, 0};
}

static bool copy_messages(const chat_input *input, arena *memory, chat_message **messages, error *err) {
    *messages = arena_allocate_array(memory, input->message_count, sizeof **messages);
    if (*messages == NULL) {
        return error_memory(err);
    }
    for (size_t i = 0; i < input->message_count; i++) {
        chat_message *m = &(*messages)[i];
        *m = input->messages[i];
        m->role = role_name(m->role);
        if (m->role.length == 0) {
            return error_set(err, ERROR_INVALID,
                             "the role '%.*s' is none of system, developer, user, assistant and tool",
                             SLICE_FORMAT(slice_part(input->messages[i].role, 0, 32)));
        }
        if (m->content.length > TOKENIZER_INPUT_MAX) {
            return error_set(err, ERROR_LIMIT, "a message is longer than %d bytes: shorten it",
                             TOKENIZER_INPUT_MAX);
        }
    }
    return true;
}

/* Many templates write the first token themselves: it isn't put twice. */
static bool encode(const chat *c, const token_span *spans, size_t count, token_list *list, error *err) {
    size_t start = list->count;
    if ((c->wants_first && !token_list_append(list, c->first, err)) ||
        !tokenizer_encode_spans(c->tokens, spans, count, false, list, err)) {
        return false;
    }
    if (c->wants_first && list->count > start + 1 && list->ids[start + 1] == c->first) {
        list->count--;
        memmove(list->ids + start, list->ids + start + 1, (list->count - start) * sizeof *list->ids);
    }
    return true;
}

static bool render(const chat *c, const chat_input *input, arena *memory, token_list *list, error *err) {
    chat_message *messages = NULL;
    token_span *spans = NULL;
    size_t count = 0;
    chat_input told = *input;
    if (!copy_messages(input, memory, &messages, err)) {
        return false;
    }
    told.messages = messages;
    told.first_token = c->first_text;
    told.end_token = c->end_text;
    return chat_template_render(c->template, &told, memory, &spans, &count, err) &&
           encode(c, spans, count, list, err);
}

static bool encode_input(const chat *c, const chat_input *input, token_list *list, error *err) {
    if (input->message_count == 0 || input->message_count > ENGINE_MESSAGES_MAX) {
        return error_set(err, ERROR_INVALID, "a conversation has 1 to %d messages", ENGINE_MESSAGES_MAX);
    }
    if (c->template == NULL) {
        return error_set(
            err, ERROR_UNSUPPORTED,
            "the model's file has no chat template: use it without messages, or a file that has one");
    }
    arena *memory = arena_new((size_t)TEMPLATE_MEMORY_MAX + ENGINE_MESSAGES_MAX * sizeof(chat_message) * 2);
    if (memory == NULL) {
        return error_memory(err);
    }
    bool good = render(c, input, memory, list, err);
    arena_wipe(memory);
    arena_free(memory);
    return good;
}

static bool encode_messages(const chat *c, const engine_message *messages, size_t count, slice tools,
                            token_list *list, error *err) {
    chat_message *copies = memory_allocate_zeroed(count == 0 ? 1 : count, sizeof *copies);
    if (copies == NULL) {
        return error_memory(err);
    }
    for (size_t i = 0; i < count; i++) {
        const engine_message *m = &messages[i];
        copies[i] = (chat_message){.role = m->role,
                                   .content = m->content,
                                   .content_is_none = m->content.length == 0 && m->tool_calls.length > 0,
                                   .name = m->name,
                                   .tool_call_id = m->tool_call_id,
                                   .tool_calls = m->tool_calls};
    }
    chat_input input = {
        .messages = copies, .message_count = count, .tools = tools, .add_generation_prompt = true};
    bool good = encode_input(c, &input, list, err);
    memory_free(copies);
    return good;
}

bool chat_prompt(const chat *c, const engine_message *messages, size_t count, slice tools, uint32_t **tokens,
                 size_t *token_count, error *err) {
    token_list list = {0};
    if (!encode_messages(c, messages, count, tools, &list, err)) {
        token_list_free(&list);
        return false;
    }
    *tokens = list.ids;
    *token_count = list.count;
    return true;
}
