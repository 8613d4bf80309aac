#include "fake.h"

#include "base/memory.h"
#include "crypto/hash.h"
#include "proto/vector.h"

#include <math.h>
#include <stdio.h>

enum { VECTORS_LIMIT = PROTO_MESSAGE_MAX };

/* Value i is a number from -1 to 1 out of the hash of i and the text. */
static float value_of(slice text, uint32_t index) {
    uint8_t digest[HASH_SIZE] = {0};
    error err;
    buffer bytes = buffer_make(PROTO_TEXT_SIZE_MAX + 16);
    buffer_append_format(&bytes, "%u ", index);
    buffer_append(&bytes, text);
    (void)!hash_sha256(buffer_slice(&bytes), digest, &err);
    buffer_free(&bytes);
    uint32_t drawn = ((uint32_t)digest[0] << 16) + ((uint32_t)digest[1] << 8) + digest[2];
    return ((float)drawn - 8388608.0F) / 8388608.0F;
}

static bool append_vector(const fake *f, slice text, buffer *out) {
    behaviour behave = f->options.behave;
    uint32_t dimension = (uint32_t)f->options.dimension + (behave == OTHER_DIMENSION ? 1 : 0);
    float *values = memory_allocate_zeroed(dimension, sizeof *values);
    if (values == NULL) {
        return false;
    }
    for (uint32_t i = 0; i < dimension; i++) {
        values[i] = behave == NO_DIRECTION ? 0 : value_of(text, i);
    }
    if (behave == NOT_FINITE) {
        values[dimension - 1] = INFINITY;
    }
    bool appended = proto_vector_append(values, dimension, out);
    memory_free(values);
    return appended;
}

static void send_delta(fake_session *s, const proto_job *wanted) {
    const uint32_t token = 1;
    proto_message delta = {.type = PROTO_DELTA,
                           .delta = {.text = SLICE_LITERAL("x"), .tokens = &token, .token_count = 1}};
    memcpy(delta.delta.id, wanted->id, sizeof delta.delta.id);
    fake_send(s, &delta);
}

/* What the protocol's own encoder would refuse to write. */
static void send_as_it_is(fake_session *s, const proto_message *message) {
    char hex[2 * PROTO_ID_SIZE + 1];
    buffer text = buffer_make(PROTO_MESSAGE_MAX);
    hex_encode(slice_of(message->embedded.id, PROTO_ID_SIZE), hex);
    buffer_append_format(&text, "{\"type\":\"embedded\",\"id\":\"%s\",\"prompt_tokens\":%u,\"dimension\":%u,",
                         hex, message->embedded.prompt_tokens, message->embedded.dimension);
    buffer_append_text(&text, "\"vectors\":[");
    for (size_t i = 0; i < message->embedded.vector_count; i++) {
        buffer_append_format(&text, "%s\"%.*s\"", i == 0 ? "" : ",",
                             SLICE_FORMAT(message->embedded.vectors[i]));
    }
    buffer_append_text(&text, "]}");
    (void)!websocket_send_text(s->socket, buffer_slice(&text));
    buffer_free(&text);
}

static void send_vectors(fake_session *s, const proto_job *wanted) {
    const fake *f = s->owner;
    behaviour behave = f->options.behave;
    slice vectors[PROTO_TEXTS_MAX];
    buffer all = buffer_make(VECTORS_LIMIT);
    proto_message message = {.type = PROTO_EMBEDDED,
                             .embedded = {.dimension = (uint32_t)f->options.dimension, .vectors = vectors}};
    proto_embedded *told = &message.embedded;
    bool made = true;
    told->dimension += behave == OTHER_DIMENSION ? 1 : 0;
    told->vector_count = wanted->text_count - (behave == FEWER_VECTORS ? 1 : 0);
    memcpy(told->id, wanted->id, sizeof told->id);
    for (size_t i = 0; i < wanted->text_count; i++) {
        told->prompt_tokens += (uint32_t)wanted->texts[i].length / 4 + 1;
        made = made && append_vector(f, wanted->texts[i], &all);
    }
    told->prompt_tokens = behave == MANY_TOKENS ? PROTO_COUNT_MAX : told->prompt_tokens;
    for (size_t i = 0; i < told->vector_count; i++) {
        size_t length = wanted->text_count == 0 ? 0 : buffer_length(&all) / wanted->text_count;
        vectors[i] = slice_part(buffer_slice(&all), i * length, length);
    }
    if (!made) {
        websocket_abort(s->socket);
    } else if (behave == NOT_FINITE || behave == FEWER_VECTORS) {
        send_as_it_is(s, &message);
    } else {
        fake_send(s, &message);
    }
    buffer_free(&all);
}

static void refuse(fake_session *s, const proto_job *wanted) {
    proto_message fail = {
        .type = PROTO_FAIL,
        .fail = {.code = SLICE_LITERAL(PROTO_FAIL_INPUT), .text = SLICE_LITERAL("a text is too long")}};
    memcpy(fail.fail.id, wanted->id, sizeof fail.fail.id);
    fake_send(s, &fail);
}

void fake_embed(fake_session *s, const proto_job *wanted) {
    switch (s->owner->options.behave) {
    case CUT_VECTORS:
        websocket_abort(s->socket);
        return;
    case ANSWERS_TEXTS:
        send_delta(s, wanted);
        return;
    case REFUSES_INPUT:
        refuse(s, wanted);
        return;
    default:
        send_vectors(s, wanted);
        fake_report(s, "embedded", wanted->id, "texts", wanted->text_count, (slice){0});
    }
}
