#include "embeddings_request.h"

#include "codec/json.h"
#include "embedding.h"
#include "proto/message.h"

/* The member being read, so that an error can name it. */
typedef struct reading {
    const json_value *root;
    arena *memory;
    const char *param;
    error *err;
} reading;

static bool wrong(reading *r, const char *what) {
    return error_set(r->err, ERROR_INVALID, "%s: %s", r->param, what);
}

static bool read_model(reading *r, embeddings_request *wanted) {
    slice model;
    r->param = "model";
    return json_get_text(r->root, "model", &model, r->err) &&
           (arena_copy(r->memory, model, &wanted->model) || error_memory(r->err));
}

static bool read_text(reading *r, const json_value *value, slice *text) {
    if (json_kind_of(value) == JSON_KIND_NUMBER || json_kind_of(value) == JSON_KIND_ARRAY) {
        return wrong(r, "arrays of tokens are not supported by this release; send the text");
    }
    if (json_kind_of(value) != JSON_KIND_TEXT) {
        return wrong(r, "must be a string, or an array of strings");
    }
    slice said = json_text_of(value);
    if (embedding_fits(&said, 1) == 0) {
        return error_set(r->err, ERROR_INVALID, "input: each text must have 1 to %d bytes",
                         PROTO_TEXT_SIZE_MAX);
    }
    return arena_copy(r->memory, said, text) || error_memory(r->err);
}

static bool read_input(reading *r, embeddings_request *wanted) {
    r->param = "input";
    const json_value *input = json_find(r->root, "input");
    bool is_list = json_kind_of(input) == JSON_KIND_ARRAY;
    if (input == NULL) {
        return wrong(r, "is missing: a string, or an array of strings");
    }
    wanted->count = is_list ? json_count(input) : 1;
    if (is_list && json_kind_of(json_at(input, 0)) == JSON_KIND_NUMBER) {
        return read_text(r, json_at(input, 0), &(slice){0}); /* says that it isn't text */
    }
    if (wanted->count == 0 || wanted->count > EMBEDDINGS_TEXTS_MAX) {
        return error_set(r->err, ERROR_INVALID, "input: there may be 1 to %d texts; ask several times",
                         EMBEDDINGS_TEXTS_MAX);
    }
    wanted->texts = arena_allocate_array(r->memory, wanted->count, sizeof *wanted->texts);
    if (wanted->texts == NULL) {
        return error_memory(r->err);
    }
    for (size_t i = 0; i < wanted->count; i++) {
        if (!read_text(r, is_list ? json_at(input, i) : input, &wanted->texts[i])) {
            return false;
        }
    }
    return true;
}

static bool read_form(reading *r, embeddings_request *wanted) {
    slice format;
    r->param = "encoding_format";
    if (!json_get_text_or(r->root, r->param, SLICE_LITERAL("float"), &format, r->err)) {
        return false;
    }
    wanted->base64 = slice_equal_text(format, "base64");
    if (!wanted->base64 && !slice_equal_text(format, "float")) {
        return wrong(r, "must be \"float\" or \"base64\"");
    }
    r->param = "dimensions";
    return json_kind_of(json_find(r->root, r->param)) == JSON_KIND_NULL ||
           wrong(r, "is not supported by this release: a vector is as long as the model makes it");
}

static bool read_all(reading *r, embeddings_request *wanted) {
    if (json_kind_of(r->root) != JSON_KIND_OBJECT) {
        return error_set(r->err, ERROR_INVALID, "the body must be a JSON object");
    }
    return read_model(r, wanted) && read_form(r, wanted) && read_input(r, wanted);
}

bool embeddings_request_parse(slice body, const pool_settings *settings, arena *memory,
                              embeddings_request *wanted, const char **param, error *err) {
    *wanted = (embeddings_request){0};
    *param = NULL;
    json_value *root = json_parse(body,
                                  (json_limits){.size = settings->body_limit,
                                                .depth = EMBEDDINGS_DEPTH_LIMIT,
                                                .values = EMBEDDINGS_VALUES_LIMIT},
                                  err);
    if (root == NULL) {
        return false;
    }
    reading r = {.root = root, .memory = memory, .err = err};
    bool done = read_all(&r, wanted);
    if (!done && err->code == ERROR_INVALID) {
        *param = r.param;
    }
    json_free(root);
    return done;
}
