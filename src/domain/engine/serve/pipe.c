#include "engine/pipe.h"

/* Each message has its writer beside its reader, in the order of the fields. A reader that runs out sets
 * `bad` and goes on with zeros, so that the fields read straight; pipe_read asks once at the end. */
enum { TEXT_MAX = 64 * 1024 };

typedef struct reader {
    slice rest;
    arena *memory;
    bool bad;
    bool memory_out;
} reader;

static slice take(reader *r, size_t length) {
    if (r->bad || length > r->rest.length) {
        r->bad = true;
        return (slice){NULL, 0};
    }
    slice taken = slice_of(r->rest.data, length);
    r->rest = slice_of(r->rest.data + length, r->rest.length - length);
    return taken;
}

static uint64_t take_number(reader *r, size_t size) {
    slice bytes = take(r, size);
    uint64_t value = 0;
    for (size_t i = 0; i < bytes.length; i++) {
        value = value << 8 | bytes.data[i];
    }
    return value;
}

static uint32_t take_u32(reader *r) {
    return (uint32_t)take_number(r, 4);
}

static float take_f32(reader *r) {
    uint32_t bits = take_u32(r);
    float value = 0;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static slice take_text(reader *r, size_t most) {
    uint32_t length = take_u32(r);
    if (length > most) {
        r->bad = true;
    }
    return take(r, length);
}

static void take_bytes(reader *r, uint8_t *bytes, size_t length) {
    slice taken = take(r, length);
    if (taken.length == length) {
        memcpy(bytes, taken.data, length);
    }
}

/* A list's count, and room for it. `least` is the size of its smallest element in the frame. */
static void *take_list(reader *r, size_t most, size_t least, size_t size, size_t *count) {
    uint32_t stated = take_u32(r);
    if (r->bad || stated > most || stated > r->rest.length / least) {
        r->bad = true;
        *count = 0;
        return NULL;
    }
    *count = stated;
    void *list = arena_allocate_array(r->memory, stated == 0 ? 1 : stated, size);
    if (list == NULL) {
        r->bad = true;
        r->memory_out = true;
        *count = 0;
    }
    return list;
}

static void put_f32(buffer *b, float value) {
    uint32_t bits = 0;
    memcpy(&bits, &value, sizeof bits);
    buffer_append_u32_big_endian(b, bits);
}

static void put_text(buffer *b, slice text) {
    buffer_append_u32_big_endian(b, (uint32_t)text.length);
    buffer_append(b, text);
}

static void put_parameters(buffer *b, const engine_parameters *p) {
    put_f32(b, p->temperature);
    put_f32(b, p->top_p);
    buffer_append_u32_big_endian(b, p->max_tokens);
    buffer_append_u32_big_endian(b, (uint32_t)p->stop_count);
    for (size_t i = 0; i < p->stop_count; i++) {
        put_text(b, p->stops[i]);
    }
}

static void take_parameters(reader *r, engine_parameters *p) {
    p->temperature = take_f32(r);
    p->top_p = take_f32(r);
    p->max_tokens = take_u32(r);
    p->stop_count = take_u32(r);
    if (p->stop_count > ENGINE_STOPS_MAX) {
        r->bad = true;
        p->stop_count = 0;
    }
    for (size_t i = 0; i < p->stop_count; i++) {
        p->stops[i] = take_text(r, ENGINE_STOP_LENGTH_MAX);
    }
}

static void put_generate(buffer *b, const pipe_message *m) {
    const pipe_generate *g = &m->generate;
    buffer_append(b, slice_of(m->job, PIPE_JOB_SIZE));
    buffer_append_u32_big_endian(b, (uint32_t)g->message_count);
    for (size_t i = 0; i < g->message_count; i++) {
        put_text(b, g->messages[i].role);
        put_text(b, g->messages[i].content);
    }
    put_parameters(b, &g->parameters);
    buffer_append_u64_big_endian(b, g->seed);
    buffer_append(b, slice_of(g->nonce, sizeof g->nonce));
}

static void take_generate(reader *r, pipe_message *m) {
    pipe_generate *g = &m->generate;
    take_bytes(r, m->job, PIPE_JOB_SIZE);
    engine_message *messages = take_list(r, ENGINE_MESSAGES_MAX, 8, sizeof *messages, &g->message_count);
    for (size_t i = 0; i < g->message_count; i++) {
        messages[i].role = take_text(r, PIPE_FRAME_MAX);
        messages[i].content = take_text(r, PIPE_FRAME_MAX);
    }
    g->messages = messages;
    take_parameters(r, &g->parameters);
    g->seed = take_number(r, 8);
    take_bytes(r, g->nonce, sizeof g->nonce);
}

static void put_ready(buffer *b, const pipe_ready *m) {
    put_text(b, m->model);
    buffer_append(b, slice_of(m->digest, sizeof m->digest));
    buffer_append_u32_big_endian(b, m->context);
    buffer_append_u32_big_endian(b, m->slots);
    buffer_append_u32_big_endian(b, m->vocabulary);
    put_text(b, m->profile);
}

static void take_ready(reader *r, pipe_ready *m) {
    m->model = take_text(r, TEXT_MAX);
    take_bytes(r, m->digest, sizeof m->digest);
    m->context = take_u32(r);
    m->slots = take_u32(r);
    m->vocabulary = take_u32(r);
    m->profile = take_text(r, TEXT_MAX);
}

static void put_delta(buffer *b, const pipe_message *m) {
    buffer_append(b, slice_of(m->job, PIPE_JOB_SIZE));
    buffer_append_u32_big_endian(b, (uint32_t)m->delta.token_count);
    for (size_t i = 0; i < m->delta.token_count; i++) {
        buffer_append_u32_big_endian(b, m->delta.tokens[i]);
    }
    put_text(b, m->delta.text);
}

static void take_delta(reader *r, pipe_message *m) {
    take_bytes(r, m->job, PIPE_JOB_SIZE);
    uint32_t *tokens = take_list(r, PIPE_DELTA_TOKENS_MAX, 4, sizeof *tokens, &m->delta.token_count);
    for (size_t i = 0; i < m->delta.token_count; i++) {
        tokens[i] = take_u32(r);
    }
    m->delta.tokens = tokens;
    m->delta.text = take_text(r, PIPE_FRAME_MAX);
}

static void put_done(buffer *b, const pipe_message *m) {
    buffer_append(b, slice_of(m->job, PIPE_JOB_SIZE));
    buffer_append_byte(b, (uint8_t)m->done.finish);
    buffer_append_u32_big_endian(b, m->done.usage.prompt_tokens);
    buffer_append_u32_big_endian(b, m->done.usage.completion_tokens);
    buffer_append(b, slice_of(m->done.commitment, sizeof m->done.commitment));
}

static void take_done(reader *r, pipe_message *m) {
    take_bytes(r, m->job, PIPE_JOB_SIZE);
    uint64_t finish = take_number(r, 1);
    r->bad = r->bad || (finish != ENGINE_STOP && finish != ENGINE_LENGTH);
    m->done.finish = finish == ENGINE_STOP ? ENGINE_STOP : ENGINE_LENGTH;
    m->done.usage.prompt_tokens = take_u32(r);
    m->done.usage.completion_tokens = take_u32(r);
    take_bytes(r, m->done.commitment, sizeof m->done.commitment);
}

static void put_fail(buffer *b, const pipe_message *m) {
    buffer_append(b, slice_of(m->job, PIPE_JOB_SIZE));
    buffer_append_byte(b, (uint8_t)m->fail.code);
    put_text(b, m->fail.text);
    buffer_append_byte(b, m->fail.retryable ? 1 : 0);
}

static void take_fail(reader *r, pipe_message *m) {
    take_bytes(r, m->job, PIPE_JOB_SIZE);
    uint64_t code = take_number(r, 1);
    r->bad = r->bad || code == ERROR_NONE || code > ERROR_INTERNAL;
    m->fail.code = r->bad ? ERROR_INTERNAL : (error_code)code;
    m->fail.text = take_text(r, TEXT_MAX);
    uint64_t retryable = take_number(r, 1);
    r->bad = r->bad || retryable > 1;
    m->fail.retryable = retryable == 1;
}

/* Room beyond the texts and lists for the fields that every frame has. */
enum { FIXED_FIELDS_MAX = 1024 };

/* Adds a text and its length field to `total`; false past what a frame takes. */
static bool add_size(size_t *total, size_t length, size_t most) {
    *total += 4 + (length <= most ? length : 0);
    return length <= most && *total <= PIPE_FRAME_MAX;
}

static bool generate_fits(const pipe_generate *g) {
    size_t total = 0;
    const engine_parameters *p = &g->parameters;
    bool good = g->message_count <= ENGINE_MESSAGES_MAX && p->stop_count <= ENGINE_STOPS_MAX;
    for (size_t i = 0; good && i < p->stop_count; i++) {
        good = add_size(&total, p->stops[i].length, ENGINE_STOP_LENGTH_MAX);
    }
    for (size_t i = 0; good && i < g->message_count; i++) {
        good = add_size(&total, g->messages[i].role.length, PIPE_FRAME_MAX) &&
               add_size(&total, g->messages[i].content.length, PIPE_FRAME_MAX);
    }
    return good;
}

/* Texts and lists keep their own bounds and together about that of the frame. */
static bool fits(const pipe_message *m) {
    switch (m->type) {
    case PIPE_GENERATE:
        return generate_fits(&m->generate);
    case PIPE_READY:
        return m->ready.model.length <= TEXT_MAX && m->ready.profile.length <= TEXT_MAX;
    case PIPE_DELTA:
        return m->delta.token_count <= PIPE_DELTA_TOKENS_MAX && m->delta.text.length <= PIPE_FRAME_MAX;
    case PIPE_FAIL:
        return m->fail.text.length <= TEXT_MAX;
    default:
        return true;
    }
}

static void put_body(buffer *b, const pipe_message *m) {
    switch (m->type) {
    case PIPE_GENERATE:
        put_generate(b, m);
        break;
    case PIPE_CANCEL:
        buffer_append(b, slice_of(m->job, PIPE_JOB_SIZE));
        break;
    case PIPE_PING:
    case PIPE_PONG:
        buffer_append_u32_big_endian(b, m->nonce);
        break;
    case PIPE_READY:
        put_ready(b, &m->ready);
        break;
    case PIPE_LOADING:
        buffer_append_u32_big_endian(b, m->percent);
        break;
    case PIPE_DELTA:
        put_delta(b, m);
        break;
    case PIPE_DONE:
        put_done(b, m);
        break;
    case PIPE_FAIL:
        put_fail(b, m);
        break;
    }
}

static void take_body(reader *r, pipe_message *m) {
    switch (m->type) {
    case PIPE_GENERATE:
        take_generate(r, m);
        break;
    case PIPE_CANCEL:
        take_bytes(r, m->job, PIPE_JOB_SIZE);
        break;
    case PIPE_PING:
    case PIPE_PONG:
        m->nonce = take_u32(r);
        break;
    case PIPE_READY:
        take_ready(r, &m->ready);
        break;
    case PIPE_LOADING:
        m->percent = take_u32(r);
        r->bad = r->bad || m->percent > 100;
        break;
    case PIPE_DELTA:
        take_delta(r, m);
        break;
    case PIPE_DONE:
        take_done(r, m);
        break;
    case PIPE_FAIL:
        take_fail(r, m);
        break;
    default:
        r->bad = true;
    }
}

static bool too_large(error *err) {
    return error_set(err, ERROR_LIMIT, "the message is larger than a frame of %d bytes takes",
                     PIPE_FRAME_MAX);
}

bool pipe_append(buffer *output, const pipe_message *m, error *err) {
    if (!fits(m)) {
        return too_large(err);
    }
    buffer body = buffer_make(PIPE_FRAME_MAX + FIXED_FIELDS_MAX + 4 * PIPE_DELTA_TOKENS_MAX);
    buffer_append_byte(&body, (uint8_t)m->type);
    put_body(&body, m);
    bool good = true;
    if (buffer_failed(&body)) {
        good = error_memory(err);
    } else if (buffer_length(&body) > PIPE_FRAME_MAX) {
        good = too_large(err);
    } else if (buffer_reserve(output, 4 + buffer_length(&body)) == NULL) {
        good = error_memory(err);
    } else {
        buffer_append_u32_big_endian(output, (uint32_t)buffer_length(&body));
        buffer_append(output, buffer_slice(&body));
    }
    buffer_wipe(&body);
    return good;
}

bool pipe_read(slice input, arena *memory, pipe_message *m, size_t *taken, error *err) {
    *taken = 0;
    *m = (pipe_message){0};
    if (input.length < 4) {
        return true;
    }
    reader header = {.rest = input};
    uint32_t length = take_u32(&header);
    if (length == 0 || length > PIPE_FRAME_MAX) {
        return error_set(err, ERROR_LIMIT, "a frame of %u bytes on the engine's pipe", length);
    }
    if (header.rest.length < length) {
        return true;
    }
    reader r = {.rest = slice_part(header.rest, 0, length), .memory = memory};
    m->type = (pipe_type)take_number(&r, 1);
    take_body(&r, m);
    if (r.memory_out) {
        return error_memory(err);
    }
    if (r.bad || r.rest.length > 0) {
        return error_set(err, ERROR_INVALID, "a malformed frame of type %d on the engine's pipe",
                         (int)m->type);
    }
    *taken = 4 + (size_t)length;
    return true;
}
