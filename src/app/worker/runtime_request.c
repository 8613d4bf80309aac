#include "runtime_request.h"

#include "codec/envelope.h"
#include "codec/json_writer.h"
#include "crypto/hash.h"

#include <stdio.h>

enum {
    LIST_MAX = 4 * 1024 * 1024,
    LIST_DEPTH = 32,
    LIST_VALUES_MAX = 200000,
    NAMES_TOLD = 4, /* of models that there are, where the one wanted isn't */
    FIELD_MAX = 256
};

static const uint64_t seed_mask = 0x7FFFFFFF; /* what every runtime takes for a seed */

/* Of what a list says of a model: those that don't differ between machines or starts. */
static const char *const listed[] = {"id", "owned_by"};
static const char *const measured[] = {"vocab_type", "n_vocab", "n_ctx_train", "n_embd", "n_params", "size"};

static bool is_one_of(char c, const char *set) {
    return c != '\0' && strchr(set, c) != NULL;
}

static bool is_letter_or_digit(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

/* Length of the run of letters, digits and characters of `others` at the front. */
static size_t span(const char *text, const char *others) {
    size_t length = 0;
    while (is_letter_or_digit(text[length]) || is_one_of(text[length], others)) {
        length++;
    }
    return length;
}

/* "name", "192.0.2.1", "[2001:db8::1]", each maybe with ":8080". Returns its length, 0 if it is none. */
static size_t host_length(const char *text) {
    size_t length = 0;
    if (text[0] == '[') {
        length = 1 + span(text + 1, ":.");
        if (length == 1 || text[length++] != ']') {
            return 0;
        }
    } else {
        length = span(text, ".-");
    }
    if (length > 0 && text[length] == ':') {
        uint64_t port = 0;
        size_t digits = strspn(text + length + 1, "0123456789");
        if (!slice_to_u64(slice_of(text + length + 1, digits), &port) || port == 0 || port > UINT16_MAX) {
            return 0;
        }
        length += 1 + digits;
    }
    return length;
}

static const char *after_scheme(const char *url) {
    const char *const schemes[] = {"http://", "https://"};
    for (size_t i = 0; i < sizeof schemes / sizeof schemes[0]; i++) {
        if (strncmp(url, schemes[i], strlen(schemes[i])) == 0) {
            return url + strlen(schemes[i]);
        }
    }
    return NULL;
}

bool runtime_url_parse(const char *text, char url[RUNTIME_URL_MAX + 1], error *err) {
    const char *host = after_scheme(text);
    size_t length = host == NULL ? 0 : host_length(host);
    if (length == 0 || (host[length] != '\0' && host[length] != '/') ||
        host[length + span(host + length, "/._~-")] != '\0') {
        return error_set(
            err, ERROR_INVALID,
            "--runtime is a URL such as http://127.0.0.1:8080: http or https, a host, maybe a port "
            "and a path, without a name, a password or a question mark");
    }
    slice rest = slice_of_text(text);
    while (rest.length > 0 && rest.data[rest.length - 1] == '/') {
        rest.length--;
    }
    if (rest.length > 3 && memcmp(rest.data + rest.length - 3, "/v1", 3) == 0) {
        rest.length -= 3;
    }
    if (rest.length > RUNTIME_URL_MAX) {
        return error_set(err, ERROR_INVALID, "--runtime is longer than %d bytes", RUNTIME_URL_MAX);
    }
    memcpy(url, rest.data, rest.length);
    url[rest.length] = '\0';
    return true;
}

bool runtime_url_is_exposed(const char *url) {
    const char *host = after_scheme(url);
    if (strncmp(url, "http://", 7) != 0 || host == NULL) {
        return false;
    }
    size_t length = strcspn(host, ":/");
    bool is_this_machine = (length == 9 && strncmp(host, "localhost", 9) == 0) ||
                           strncmp(host, "[::1]", 5) == 0 ||
                           (strncmp(host, "127.", 4) == 0 && strspn(host, "0123456789.") == length);
    return !is_this_machine;
}

static void write_messages(json_writer *w, const pipe_generate *wanted) {
    json_write_key(w, "messages");
    json_write_array_begin(w);
    for (size_t i = 0; i < wanted->message_count; i++) {
        json_write_object_begin(w);
        json_add_text(w, "role", wanted->messages[i].role);
        json_add_text(w, "content", wanted->messages[i].content);
        json_write_object_end(w);
    }
    json_write_array_end(w);
}

/* top_p 0 leaves the most likely token only, which some runtimes know as temperature 0 alone. */
static void write_parameters(json_writer *w, const engine_parameters *p, uint64_t seed) {
    bool greedy = !(p->temperature > 0) || !(p->top_p > 0);
    json_add_double(w, "temperature", greedy ? 0 : (double)p->temperature);
    json_add_double(w, "top_p", greedy ? 1 : (double)p->top_p);
    json_add_u64(w, "max_tokens", p->max_tokens);
    json_add_u64(w, "seed", seed & seed_mask);
    if (p->stop_count > 0) {
        json_write_key(w, "stop");
        json_write_array_begin(w);
        for (size_t i = 0; i < p->stop_count; i++) {
            json_write_text(w, p->stops[i]);
        }
        json_write_array_end(w);
    }
}

bool runtime_request_write(slice model, const pipe_generate *wanted, buffer *out, error *err) {
    json_writer w = json_writer_make(out);
    json_write_object_begin(&w);
    json_add_text(&w, "model", model);
    write_messages(&w, wanted);
    write_parameters(&w, &wanted->parameters, wanted->seed);
    json_add_bool(&w, "stream", true);
    json_write_key(&w, "stream_options");
    json_write_object_begin(&w);
    json_add_bool(&w, "include_usage", true);
    json_write_object_end(&w);
    if (wanted->parameters.with_logprob) {
        json_add_bool(&w, "logprobs", true);
    }
    json_write_object_end(&w);
    return !buffer_failed(out) || error_memory(err);
}

bool runtime_name_is_valid(const char *name) {
    size_t length = strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789._-");
    return length > 0 && length <= RUNTIME_NAME_MAX && name[length] == '\0';
}

/* Ollama lists "name:latest" for what may be asked for as "name". */
static bool is_named(const json_value *entry, slice model) {
    slice id = json_text_of(json_find(entry, "id"));
    return slice_equal(id, model) ||
           (slice_starts_with(id, model) && slice_equal_text(slice_after(id, model.length), ":latest"));
}

static bool tell_not_listed(const json_value *list, slice model, error *err) {
    buffer names = buffer_make(FIELD_MAX);
    for (size_t i = 0; i < json_count(list) && i < NAMES_TOLD; i++) {
        buffer_append_format(&names, "%s\"%.*s\"", i == 0 ? "" : ", ",
                             SLICE_FORMAT(json_text_of(json_find(json_at(list, i), "id"))));
    }
    error_set(err, ERROR_NOT_FOUND, "the runtime has no model \"%.*s\"; it has %.*s", SLICE_FORMAT(model),
              SLICE_FORMAT(buffer_length(&names) == 0 ? SLICE_LITERAL("none") : buffer_slice(&names)));
    buffer_free(&names);
    return false;
}

static const char *name_of_owner(slice owner) {
    static const struct {
        const char *owner;
        const char *name;
    } known[] = {{"llamacpp", "llama.cpp"}, {"library", "ollama"}, {"vllm", "vllm"}};
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        if (slice_equal_text(owner, known[i].owner)) {
            return known[i].name;
        }
    }
    return "openai";
}

static bool add_value(buffer *text, const json_value *value) {
    buffer field = buffer_make(LIST_MAX);
    json_writer w = json_writer_make(&field);
    if (json_kind_of(value) == JSON_KIND_NUMBER || json_kind_of(value) == JSON_KIND_TEXT) {
        json_write_value(&w, value);
    }
    bool added = !buffer_failed(&field);
    envelope_add(text, buffer_slice(&field));
    buffer_free(&field);
    return added && !buffer_failed(text);
}

static bool make_digest(const json_value *entry, const char *name, slice model, uint8_t digest[HASH_SIZE],
                        error *err) {
    buffer text = buffer_make(2 * LIST_MAX);
    const json_value *meta = json_find(entry, "meta");
    envelope_begin(&text, "cellule runtime v1");
    envelope_add_text(&text, name);
    envelope_add(&text, model);
    bool added = true;
    for (size_t i = 0; added && i < sizeof listed / sizeof listed[0]; i++) {
        added = add_value(&text, json_find(entry, listed[i]));
    }
    for (size_t i = 0; added && i < sizeof measured / sizeof measured[0]; i++) {
        added = add_value(&text, json_find(meta, measured[i]));
    }
    bool made = added ? hash_sha256(buffer_slice(&text), digest, err) : error_memory(err);
    buffer_free(&text);
    return made;
}

static uint32_t number_of(const json_value *value, uint32_t most) {
    uint64_t number = 0;
    return json_to_u64(value, 1, most, &number) ? (uint32_t)number : 0;
}

static bool describe_entry(const json_value *entry, slice model, const char *name, runtime_description *d,
                           error *err) {
    const char *own = name_of_owner(json_text_of(json_find(entry, "owned_by")));
    const json_value *meta = json_find(entry, "meta");
    *d = (runtime_description){.context = number_of(json_find(entry, "max_model_len"), ENGINE_CONTEXT_MAX)};
    if (d->context == 0) {
        d->context = number_of(json_find(meta, "n_ctx"), ENGINE_CONTEXT_MAX);
    }
    if (strcmp(own, "llama.cpp") == 0) {
        d->more = "/props";
    } else if (strcmp(own, "ollama") == 0) {
        d->more = "/api/ps";
    }
    name = name == NULL ? own : name;
    snprintf(d->profile, sizeof d->profile, "runtime-%s", name);
    return make_digest(entry, name, model, d->digest, err);
}

bool runtime_describe(slice json, slice model, const char *name, runtime_description *d, error *err) {
    error cause;
    json_value *root = json_parse(json, (json_limits){LIST_MAX, LIST_DEPTH, LIST_VALUES_MAX}, &cause);
    const json_value *list = json_find(root, "data");
    if (root == NULL && cause.code == ERROR_MEMORY) {
        return error_memory(err);
    }
    if (json_kind_of(list) != JSON_KIND_ARRAY) {
        json_free(root);
        return error_set(err, ERROR_IO,
                         "/v1/models is no list of models: is this an OpenAI-compatible server?");
    }
    const json_value *found = NULL;
    for (size_t i = 0; i < json_count(list) && found == NULL; i++) {
        found = is_named(json_at(list, i), model) ? json_at(list, i) : NULL;
    }
    bool described =
        found == NULL ? tell_not_listed(list, model, err) : describe_entry(found, model, name, d, err);
    json_free(root);
    return described;
}

/* Ollama's list of loaded models: the one wanted, if it is loaded. */
static const json_value *loaded(const json_value *models, slice model) {
    for (size_t i = 0; i < json_count(models); i++) {
        slice name = json_text_of(json_find(json_at(models, i), "name"));
        if (slice_starts_with(name, model)) {
            return json_at(models, i);
        }
    }
    return NULL;
}

void runtime_describe_more(slice json, slice model, runtime_description *d) {
    error ignored;
    json_value *root = json_parse(json, (json_limits){LIST_MAX, LIST_DEPTH, LIST_VALUES_MAX}, &ignored);
    const json_value *settings = json_find(root, "default_generation_settings");
    uint32_t context = number_of(json_find(settings, "n_ctx"), ENGINE_CONTEXT_MAX);
    if (context == 0) {
        const json_value *one = loaded(json_find(root, "models"), model);
        context = number_of(json_find(one, "context_length"), ENGINE_CONTEXT_MAX);
    }
    d->slots = number_of(json_find(root, "total_slots"), ENGINE_SLOTS_MAX);
    d->context = context == 0 ? d->context : context;
    json_free(root);
}
