#include "tools.h"

#include <stdio.h>

enum { ID_LENGTH = 32, TEXT_MAX = 8192, LIMIT_MAX = 32, PAGE_MAX = 100, BODY_LIMIT = 64 * 1024, PATH_SIZE = 128 };

typedef struct tool {
    const char *name;
    const char *title;
    const char *description;
    const char *input;       /* JSON Schema */
    const char *output;      /* the same */
    const char *annotations; /* JSON */
    /* False: the arguments aren't its (ERROR_INVALID), or the call failed. */
    bool (*call)(api *pool, const json_value *arguments, buffer *result, error *err);
} tool;

#define FACT_SCHEMA(more)                                                                                    \
    "{\"type\":\"object\",\"properties\":{\"id\":{\"type\":\"string\"},\"text\":{\"type\":\"string\"}," more    \
    "\"created_ms\":{\"type\":\"integer\",\"description\":\"Unix time in milliseconds\"}},"                  \
    "\"required\":[\"id\",\"text\"]}"

/* One member of an answer, under its name. */
static void copy_member(json_writer *w, const json_value *from, const char *name) {
    const json_value *value = json_find(from, name);
    if (value != NULL) {
        json_write_key(w, name);
        json_write_value(w, value);
    }
}

static void write_fact(json_writer *w, const json_value *fact) {
    json_write_object_begin(w);
    copy_member(w, fact, "id");
    copy_member(w, fact, "text");
    copy_member(w, fact, "score");
    copy_member(w, fact, "created_ms");
    json_write_object_end(w);
}

static void write_facts(json_writer *w, const json_value *list) {
    json_write_key(w, "facts");
    json_write_array_begin(w);
    for (size_t i = 0; i < json_count(list); i++) {
        write_fact(w, json_at(list, i));
    }
    json_write_array_end(w);
}

/* A text of the arguments, within bounds. */
static bool get_text(const json_value *arguments, const char *name, slice *text, error *err) {
    return json_get_text(arguments, name, text, err) &&
           ((text->length > 0 && text->length <= TEXT_MAX) ||
            error_set(err, ERROR_INVALID, "%s: 1 to %d bytes", name, (int)TEXT_MAX));
}

static bool get_id(const json_value *arguments, const char *name, slice *id, error *err) {
    if (!json_get_text(arguments, name, id, err)) {
        return false;
    }
    bool good = id->length == ID_LENGTH;
    for (size_t i = 0; i < id->length && good; i++) {
        good = (id->data[i] >= '0' && id->data[i] <= '9') || (id->data[i] >= 'a' && id->data[i] <= 'f');
    }
    return good || error_set(err, ERROR_INVALID, "%s: the id of a fact, 32 hexadecimal digits", name);
}

/* From here on it isn't the arguments any more that are wrong. */
static bool call(api *pool, const char *method, const char *path, slice body, api_answer *answer, error *err) {
    if (!api_renew(pool, err) || !api_call(pool, method, path, body, answer, err)) {
        err->code = err->code == ERROR_INVALID ? ERROR_IO : err->code;
        return false;
    }
    return true;
}

static bool search(api *pool, const json_value *arguments, buffer *result, error *err) {
    slice query;
    uint64_t limit = 0;
    api_answer answer;
    if (!get_text(arguments, "query", &query, err) ||
        !json_get_u64_or(arguments, "limit", 1, LIMIT_MAX, 10, &limit, err)) {
        return false;
    }
    buffer body = buffer_make(BODY_LIMIT);
    json_writer w = json_writer_make(&body);
    json_write_object_begin(&w);
    json_add_text(&w, "query", query);
    json_add_u64(&w, "limit", limit);
    json_write_object_end(&w);
    bool done = (!buffer_failed(&body) || error_memory(err)) &&
                call(pool, "POST", "/v1/memory/search", buffer_slice(&body), &answer, err);
    buffer_wipe(&body);
    if (done) {
        json_writer out = json_writer_make(result);
        json_write_object_begin(&out);
        write_facts(&out, json_find(answer.json, "facts"));
        json_write_object_end(&out);
        json_free(answer.json);
    }
    return done;
}

static bool add(api *pool, const json_value *arguments, buffer *result, error *err) {
    slice text;
    api_answer answer;
    if (!get_text(arguments, "text", &text, err)) {
        return false;
    }
    buffer body = buffer_make(BODY_LIMIT);
    json_writer w = json_writer_make(&body);
    json_write_object_begin(&w);
    json_add_text(&w, "text", text);
    json_write_object_end(&w);
    bool done = (!buffer_failed(&body) || error_memory(err)) &&
                call(pool, "POST", "/v1/memory/facts", buffer_slice(&body), &answer, err);
    buffer_wipe(&body);
    if (done) {
        json_writer out = json_writer_make(result);
        write_fact(&out, answer.json);
        json_free(answer.json);
    }
    return done;
}

static bool forget(api *pool, const json_value *arguments, buffer *result, error *err) {
    slice id;
    api_answer answer;
    char path[PATH_SIZE];
    if (!get_id(arguments, "id", &id, err)) {
        return false;
    }
    snprintf(path, sizeof path, "/v1/memory/facts/%.*s", SLICE_FORMAT(id));
    if (!call(pool, "DELETE", path, (slice){0}, &answer, err)) {
        return false;
    }
    json_writer out = json_writer_make(result);
    json_write_object_begin(&out);
    json_add_text(&out, "id", id);
    json_add_bool(&out, "forgotten", true);
    json_write_object_end(&out);
    json_free(answer.json);
    return true;
}

static bool list(api *pool, const json_value *arguments, buffer *result, error *err) {
    slice after = {0};
    uint64_t limit = 0;
    api_answer answer;
    char path[PATH_SIZE];
    const json_value *given = json_find(arguments, "after");
    bool is_later = given != NULL && json_kind_of(given) != JSON_KIND_NULL;
    if ((is_later && !get_id(arguments, "after", &after, err)) ||
        !json_get_u64_or(arguments, "limit", 1, PAGE_MAX, 20, &limit, err)) {
        return false;
    }
    snprintf(path, sizeof path, "/v1/memory/facts?limit=%u%s%.*s", (unsigned)limit, is_later ? "&after=" : "",
             is_later ? ID_LENGTH : 0, is_later ? (const char *)after.data : "");
    if (!call(pool, "GET", path, (slice){0}, &answer, err)) {
        return false;
    }
    json_writer out = json_writer_make(result);
    json_write_object_begin(&out);
    write_facts(&out, json_find(answer.json, "facts"));
    copy_member(&out, answer.json, "has_more");
    json_write_object_end(&out);
    json_free(answer.json);
    return true;
}

static const tool tools[] = {
    {"memory_search", "Search memory",
     "Finds the facts that the user wants to be remembered which are nearest to a text, best first. Use it "
     "before answering what may depend on who the user is or what he prefers.",
     "{\"type\":\"object\",\"properties\":{\"query\":{\"type\":\"string\",\"minLength\":1,\"maxLength\":8192,"
     "\"description\":\"What to look for, in plain words\"},\"limit\":{\"type\":\"integer\",\"minimum\":1,"
     "\"maximum\":32,\"description\":\"How many facts at most; 10 unless told\"}},\"required\":[\"query\"],"
     "\"additionalProperties\":false}",
     "{\"type\":\"object\",\"properties\":{\"facts\":{\"type\":\"array\",\"items\":" FACT_SCHEMA(
         "\"score\":{\"type\":\"number\",\"description\":\"1: the same; 0: nothing in common\"},") "}},"
     "\"required\":[\"facts\"]}",
     "{\"title\":\"Search memory\",\"readOnlyHint\":true,\"destructiveHint\":false,\"idempotentHint\":true,"
     "\"openWorldHint\":false}",
     search},
    {"memory_add", "Remember a fact",
     "Remembers one fact about the user for later conversations: a short sentence that is complete in itself. "
     "Use it when the user asks for it, or tells something lasting. Never for passwords or other secrets.",
     "{\"type\":\"object\",\"properties\":{\"text\":{\"type\":\"string\",\"minLength\":1,\"maxLength\":8192,"
     "\"description\":\"The fact, as one sentence\"}},\"required\":[\"text\"],\"additionalProperties\":false}",
     FACT_SCHEMA(""),
     "{\"title\":\"Remember a fact\",\"readOnlyHint\":false,\"destructiveHint\":false,\"idempotentHint\":"
     "false,\"openWorldHint\":false}",
     add},
    {"memory_forget", "Forget a fact",
     "Forgets one fact for good, by its id, which memory_search and memory_list give.",
     "{\"type\":\"object\",\"properties\":{\"id\":{\"type\":\"string\",\"pattern\":\"^[0-9a-f]{32}$\","
     "\"description\":\"The fact's id\"}},\"required\":[\"id\"],\"additionalProperties\":false}",
     "{\"type\":\"object\",\"properties\":{\"id\":{\"type\":\"string\"},\"forgotten\":{\"type\":\"boolean\"}},"
     "\"required\":[\"id\",\"forgotten\"]}",
     "{\"title\":\"Forget a fact\",\"readOnlyHint\":false,\"destructiveHint\":true,\"idempotentHint\":true,"
     "\"openWorldHint\":false}",
     forget},
    {"memory_list", "List memory",
     "Lists all facts that the user wants to be remembered, oldest first, page by page.",
     "{\"type\":\"object\",\"properties\":{\"limit\":{\"type\":\"integer\",\"minimum\":1,\"maximum\":100,"
     "\"description\":\"How many facts at most; 20 unless told\"},\"after\":{\"type\":\"string\",\"pattern\":"
     "\"^[0-9a-f]{32}$\",\"description\":\"The id that the last page ended with\"}},"
     "\"additionalProperties\":false}",
     "{\"type\":\"object\",\"properties\":{\"facts\":{\"type\":\"array\",\"items\":" FACT_SCHEMA("") "},"
     "\"has_more\":{\"type\":\"boolean\"}},\"required\":[\"facts\",\"has_more\"]}",
     "{\"title\":\"List memory\",\"readOnlyHint\":true,\"destructiveHint\":false,\"idempotentHint\":true,"
     "\"openWorldHint\":false}",
     list},
};

static void add_raw(json_writer *w, const char *name, const char *json) {
    json_write_key(w, name);
    json_write_raw(w, slice_of_text(json));
}

void tools_list(json_writer *w) {
    json_write_object_begin(w);
    json_write_key(w, "tools");
    json_write_array_begin(w);
    for (size_t i = 0; i < sizeof tools / sizeof tools[0]; i++) {
        const tool *t = &tools[i];
        json_write_object_begin(w);
        json_add_text(w, "name", slice_of_text(t->name));
        json_add_text(w, "title", slice_of_text(t->title));
        json_add_text(w, "description", slice_of_text(t->description));
        add_raw(w, "inputSchema", t->input);
        add_raw(w, "outputSchema", t->output);
        add_raw(w, "annotations", t->annotations);
        json_write_object_end(w);
    }
    json_write_array_end(w);
    json_write_object_end(w);
}

/* The schemas allow no others. */
static bool knows_all(const tool *t, const json_value *arguments, error *err) {
    error ignored = {0};
    const char *name = NULL;
    const json_value *value = NULL;
    json_value *schema = json_parse(slice_of_text(t->input), (json_limits){.size = SIZE_MAX, .depth = 8}, &ignored);
    const json_value *known = json_find(schema, "properties");
    bool all = schema != NULL || error_memory(err);
    while (all && json_next_member(arguments, &name, &value)) {
        all = json_find(known, name) != NULL ||
              error_set(err, ERROR_INVALID, "%s takes no argument \"%.64s\"", t->name, name);
    }
    json_free(schema);
    return all;
}

tool_outcome tools_call(api *pool, slice name, const json_value *arguments, buffer *result, error *err) {
    for (size_t i = 0; i < sizeof tools / sizeof tools[0]; i++) {
        if (!slice_equal_text(name, tools[i].name)) {
            continue;
        }
        if (knows_all(&tools[i], arguments, err) && tools[i].call(pool, arguments, result, err)) {
            return buffer_failed(result) && !error_memory(err) ? TOOL_FAILED : TOOL_ANSWERED;
        }
        return err->code == ERROR_INVALID ? TOOL_MISUSED : TOOL_FAILED;
    }
    error_set(err, ERROR_INVALID, "there is no tool \"%.*s\"", SLICE_FORMAT(slice_part(name, 0, 64)));
    return TOOL_MISUSED;
}
