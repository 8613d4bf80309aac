#include "golden_report.h"

#include "codec/json_writer.h"
#include "crypto/hash.h"

#include <inttypes.h>
#include <stdio.h>

/* Whether this form gives the bits of the last, which is the plain one unless another was asked for. */
static bool operation_agrees(const golden *g, size_t form, size_t operation) {
    return g->operations[form][operation].hash == g->operations[g->form_count - 1][operation].hash;
}

size_t golden_count_differences(const golden *g) {
    size_t count = 0;
    for (size_t o = 0; o < g->operation_count; o++) {
        for (size_t f = 0; f < g->form_count; f++) {
            count += !operation_agrees(g, f, o);
        }
    }
    for (size_t i = 0; i < g->model_count; i++) {
        count += g->models[i].difference[0] != '\0';
    }
    return count;
}

static void append_hex(buffer *out, const uint8_t digest[HASH_SIZE]) {
    char text[HASH_HEX_SIZE];
    hex_encode(slice_of(digest, HASH_SIZE), text);
    buffer_append_text(out, text);
}

static void append_operation(buffer *out, const golden_operation *o, const char *form) {
    buffer_append_format(out, "%s%s%s %016" PRIx64 "%s%s\n", o->name, o->type == NULL ? "" : " ",
                         o->type == NULL ? "" : o->type, o->hash, form == NULL ? "" : " by ",
                         form == NULL ? "" : form);
}

void golden_append_text(const golden *g, buffer *out) {
    size_t last = g->form_count - 1;
    buffer_append_format(out, "profile %s\n", ENGINE_PROFILE);
    for (size_t o = 0; o < g->operation_count; o++) {
        append_operation(out, &g->operations[last][o], NULL);
        for (size_t f = 0; f < last; f++) {
            if (!operation_agrees(g, f, o)) {
                append_operation(out, &g->operations[f][o], g->forms[f]);
            }
        }
    }
    for (size_t i = 0; i < g->model_count; i++) {
        const golden_model *m = &g->models[i];
        buffer_append_text(out, "model ");
        append_hex(out, m->digest);
        buffer_append_byte(out, '\n');
        for (size_t k = 0; k < GOLDEN_ANSWERS; k++) {
            buffer_append_format(out, "%s of %u ", m->answers[k].name, m->answers[k].count);
            append_hex(out, m->answers[k].digest);
            buffer_append_byte(out, '\n');
        }
        if (m->difference[0] != '\0') {
            buffer_append_format(out, "another %s\n", m->difference);
        }
    }
}

static void add_hex(json_writer *w, const char *name, const uint8_t digest[HASH_SIZE]) {
    char text[HASH_HEX_SIZE];
    hex_encode(slice_of(digest, HASH_SIZE), text);
    json_add_text(w, name, slice_of_text(text));
}

static void write_operations(const golden *g, json_writer *w) {
    json_write_key(w, "operations");
    json_write_array_begin(w);
    for (size_t o = 0; o < g->operation_count; o++) {
        const golden_operation *first = &g->operations[0][o];
        json_write_object_begin(w);
        json_add_text(w, "operation", slice_of_text(first->name));
        if (first->type != NULL) {
            json_add_text(w, "type", slice_of_text(first->type));
        }
        json_write_key(w, "hashes");
        json_write_object_begin(w);
        for (size_t f = 0; f < g->form_count; f++) {
            char text[17];
            snprintf(text, sizeof text, "%016" PRIx64, g->operations[f][o].hash);
            json_add_text(w, g->forms[f], slice_of_text(text));
        }
        json_write_object_end(w);
        json_write_object_end(w);
    }
    json_write_array_end(w);
}

static void write_answer(const golden_answer *a, json_writer *w) {
    json_write_object_begin(w);
    json_add_text(w, "name", slice_of_text(a->name));
    json_write_key(w, "tokens");
    json_write_array_begin(w);
    for (uint32_t i = 0; i < a->count; i++) {
        json_write_u64(w, a->tokens[i]);
    }
    json_write_array_end(w);
    add_hex(w, "hash", a->digest);
    json_write_object_end(w);
}

static void write_models(const golden *g, json_writer *w) {
    json_write_key(w, "models");
    json_write_array_begin(w);
    for (size_t i = 0; i < g->model_count; i++) {
        const golden_model *m = &g->models[i];
        json_write_object_begin(w);
        add_hex(w, "digest", m->digest);
        json_add_u64(w, "ways", m->ways);
        json_write_key(w, "answers");
        json_write_array_begin(w);
        for (size_t k = 0; k < GOLDEN_ANSWERS; k++) {
            write_answer(&m->answers[k], w);
        }
        json_write_array_end(w);
        if (m->difference[0] == '\0') {
            json_add_null(w, "difference");
        } else {
            json_add_text(w, "difference", slice_of_text(m->difference));
        }
        json_write_object_end(w);
    }
    json_write_array_end(w);
}

void golden_append_json(const golden *g, buffer *out) {
    json_writer w = json_writer_make(out);
    json_write_object_begin(&w);
    json_add_text(&w, "profile", SLICE_LITERAL(ENGINE_PROFILE));
    json_add_bool(&w, "equal", golden_count_differences(g) == 0);
    write_operations(g, &w);
    write_models(g, &w);
    json_write_object_end(&w);
    buffer_append_byte(out, '\n');
}
