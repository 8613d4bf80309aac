#include "template.h"

#include "base/memory.h"
#include "codec/json.h"
#include "evaluate.h"

enum { PARSED_MEMORY_MAX = 64 * 1024 * 1024, VARIABLES_SIZE_MAX = 16 * 1024 * 1024 };

struct chat_template {
    arena *memory;
    symbol_table symbols;
    node *statements;
};

const char chat_template_chatml[] =
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + "
    "'<|im_end|>' + "
    "'\\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}";

chat_template *chat_template_new(slice source, error *err) {
    chat_template *t = memory_allocate_zeroed(1, sizeof *t);
    if (t == NULL || (t->memory = arena_new(PARSED_MEMORY_MAX)) == NULL) {
        error_memory(err);
    } else if (parser_run(source, t->memory, &t->symbols, &t->statements, err)) {
        return t;
    }
    chat_template_free(t);
    return NULL;
}

void chat_template_free(chat_template *t) {
    if (t != NULL) {
        arena_free(t->memory);
        memory_free(t);
    }
}

static bool copy_text(run *r, slice bytes, value *v) {
    uint8_t *copy = run_allocate(r, bytes.length, 1);
    if (copy != NULL && bytes.length > 0) {
        memcpy(copy, bytes.data, bytes.length);
    }
    *v = value_text(text_untrusted(slice_of(copy, bytes.length)));
    return copy != NULL;
}

static bool from_json(run *r, const json_value *j, value *v);

static bool from_json_array(run *r, const json_value *j, value *v) {
    size_t count = json_count(j);
    value *items = run_allocate(r, count, sizeof *items);
    for (size_t i = 0; items != NULL && i < count; i++) {
        if (!from_json(r, json_at(j, i), &items[i])) {
            return false;
        }
    }
    *v = value_list(VALUE_LIST, items, count);
    return items != NULL;
}

static bool from_json_object(run *r, const json_value *j, value *v) {
    const char *name = NULL;
    const json_value *member = NULL;
    dict *d = dict_new(r);
    while (d != NULL && json_next_member(j, &name, &member)) {
        value key;
        value item;
        if (!copy_text(r, slice_of_text(name), &key) || !from_json(r, member, &item) ||
            !dict_append(r, d, &key, &item)) {
            return false;
        }
    }
    *v = (value){.kind = VALUE_DICT, .dict = d};
    return d != NULL;
}

/* Copies, so that the JSON needn't stay. Its depth is bounded by the parse. */
static bool from_json(run *r, const json_value *j, value *v) {
    int64_t integer = 0;
    switch (json_kind_of(j)) {
    case JSON_KIND_BOOL:
        *v = value_bool(json_to_bool(j));
        return true;
    case JSON_KIND_NUMBER:
        *v = json_to_i64(j, &integer) ? value_integer(integer) : value_float(json_to_double(j));
        return true;
    case JSON_KIND_TEXT:
        return copy_text(r, json_text_of(j), v);
    case JSON_KIND_ARRAY:
        return from_json_array(r, j, v);
    case JSON_KIND_OBJECT:
        return from_json_object(r, j, v);
    default:
        *v = (value){.kind = VALUE_NONE};
        return true;
    }
}

static bool parse(run *r, slice words, json_kind kind, const char *what, value *v) {
    json_limits limits = {VARIABLES_SIZE_MAX, TEMPLATE_JSON_DEPTH_MAX, TEMPLATE_JSON_VALUES_MAX};
    json_value *root = json_parse(words, limits, r->err);
    if (root == NULL) {
        error_context(r->err, "%s", what);
        return false;
    }
    bool good = json_kind_of(root) == kind;
    if (good) {
        good = from_json(r, root, v);
    } else {
        error_set(r->err, ERROR_INVALID, "%s must be a JSON %s", what,
                  kind == JSON_KIND_ARRAY ? "array" : "object");
    }
    json_free(root);
    return good;
}

/* OpenAI's API gives a call's arguments as text; templates want the object in it, and some the text. */
static bool open_arguments(run *r, const value *call) {
    const value *function =
        call->kind == VALUE_DICT ? dict_find_text(call->dict, SLICE_LITERAL("function")) : NULL;
    const value *words = function != NULL && function->kind == VALUE_DICT
                             ? dict_find_text(function->dict, SLICE_LITERAL("arguments"))
                             : NULL;
    value object;
    error ignored;
    error *err = r->err;
    if (words == NULL || words->kind != VALUE_TEXT) {
        return true;
    }
    slice spelling = words->text.bytes;
    r->err = &ignored;
    bool good = parse(r, spelling, JSON_KIND_OBJECT, "the arguments", &object);
    r->err = err;
    if (!good) {
        *err = ignored.code == ERROR_INVALID ? *err : ignored;
        return ignored.code == ERROR_INVALID; /* not an object: it stays text */
    }
    object.dict->spelling = spelling;
    value key = value_text(text_trusted(SLICE_LITERAL("arguments")));
    return dict_put(r, function->dict, &key, &object);
}

static bool put(run *r, dict *d, const char *name, const value *v) {
    value key = value_text(text_trusted(slice_of_text(name)));
    return dict_append(r, d, &key, v);
}

static bool put_text(run *r, dict *d, const char *name, slice words) {
    value v = value_text(text_untrusted(words));
    return words.length == 0 || put(r, d, name, &v);
}

static bool put_calls(run *r, dict *d, slice words) {
    value calls;
    if (words.length == 0) {
        return true;
    }
    if (!parse(r, words, JSON_KIND_ARRAY, "tool_calls", &calls)) {
        return false;
    }
    for (size_t i = 0; i < calls.list.count; i++) {
        if (!open_arguments(r, &calls.list.items[i])) {
            return false;
        }
    }
    return put(r, d, "tool_calls", &calls);
}

static bool message_value(run *r, const chat_message *m, value *v) {
    dict *d = dict_new(r);
    value role = value_text(text_trusted(m->role));
    value content = value_text(text_untrusted(m->content));
    value none = {.kind = VALUE_NONE};
    *v = (value){.kind = VALUE_DICT, .dict = d};
    return d != NULL && put(r, d, "role", &role) &&
           put(r, d, "content", m->content_is_none ? &none : &content) && put_text(r, d, "name", m->name) &&
           put_text(r, d, "reasoning_content", m->reasoning) &&
           put_text(r, d, "tool_call_id", m->tool_call_id) && put_calls(r, d, m->tool_calls);
}

static bool messages_value(run *r, const chat_input *input, value *v) {
    value *items = run_allocate(r, input->message_count, sizeof *items);
    for (size_t i = 0; items != NULL && i < input->message_count; i++) {
        if (!message_value(r, &input->messages[i], &items[i])) {
            return false;
        }
    }
    *v = value_list(VALUE_LIST, items, input->message_count);
    return items != NULL;
}

/* A variable that the template doesn't name isn't set. */
static bool set(run *r, frame *globals, slice name, const value *v) {
    uint32_t symbol = symbol_find(r->symbols, name);
    return symbol == SYMBOL_NONE || frame_set(r, globals, symbol, v);
}

static bool set_variables(run *r, frame *globals, slice words) {
    value variables;
    if (words.length == 0) {
        return true;
    }
    if (!parse(r, words, JSON_KIND_OBJECT, "the template's variables", &variables)) {
        return false;
    }
    for (size_t i = 0; i < variables.dict->count; i++) {
        const dict_entry *entry = &variables.dict->entries[i];
        if (!set(r, globals, entry->key.text.bytes, &entry->value)) {
            return false;
        }
    }
    return true;
}

/* What transformers gives a template. Tools that aren't there are none, not undefined. */
static bool set_globals(run *r, frame *globals, const chat_input *input) {
    value messages;
    value tools = {.kind = VALUE_NONE};
    value none = {.kind = VALUE_NONE};
    value first = value_text(text_trusted(input->first_token));
    value end = value_text(text_trusted(input->end_token));
    value prompt = value_bool(input->add_generation_prompt);
    return set_variables(r, globals, input->variables) && messages_value(r, input, &messages) &&
           (input->tools.length == 0 || parse(r, input->tools, JSON_KIND_ARRAY, "tools", &tools)) &&
           set(r, globals, SLICE_LITERAL("messages"), &messages) &&
           set(r, globals, SLICE_LITERAL("tools"), &tools) &&
           set(r, globals, SLICE_LITERAL("documents"), &none) &&
           set(r, globals, SLICE_LITERAL("add_generation_prompt"), &prompt) &&
           (input->first_token.length == 0 || set(r, globals, SLICE_LITERAL("bos_token"), &first)) &&
           (input->end_token.length == 0 || set(r, globals, SLICE_LITERAL("eos_token"), &end));
}

static size_t run_of(const text *t, size_t start) {
    bool trusted = text_trusted_at(t, start);
    size_t end = start + 1;
    while (end < t->bytes.length && text_trusted_at(t, end) == trusted) {
        end++;
    }
    return end - start;
}

static bool make_spans(run *r, const text *t, token_span **spans, size_t *count) {
    *count = 0;
    for (size_t at = 0; at < t->bytes.length; at += run_of(t, at)) {
        (*count)++;
    }
    *spans = run_allocate(r, *count, sizeof **spans);
    size_t at = 0;
    for (size_t i = 0; *spans != NULL && i < *count; i++) {
        size_t length = run_of(t, at);
        (*spans)[i] = (token_span){slice_part(t->bytes, at, length), text_trusted_at(t, at)};
        at += length;
    }
    return *spans != NULL;
}

bool chat_template_render(const chat_template *t, const chat_input *input, arena *memory, token_span **spans,
                          size_t *count, error *err) {
    run r = {.memory = memory,
             .memory_limit = arena_used(memory) + TEMPLATE_MEMORY_MAX,
             .steps = TEMPLATE_STEPS_MAX,
             .symbols = &t->symbols,
             .has_now = input->has_now,
             .now = input->now,
             .err = err};
    frame globals = {0};
    text_builder output = run_builder(&r);
    text words;
    r.output = &output;
    return set_globals(&r, &globals, input) && execute_template(&r, &globals, t->statements) &&
           run_built(&r, &output, &words) && make_spans(&r, &words, spans, count);
}
