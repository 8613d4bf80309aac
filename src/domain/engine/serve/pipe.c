#include "engine/pipe.h"

#include "serve/pipe_fields.h"

static bool has_job(pipe_type type) {
    return type != PIPE_PING && type != PIPE_PONG && type != PIPE_READY && type != PIPE_LOADING &&
           type != PIPE_WIPE && type != PIPE_WIPED;
}

static void put_body(pipe_writer *w, const pipe_message *m) {
    switch (m->type) {
    case PIPE_GENERATE:
        put_generate(w, &m->generate);
        break;
    case PIPE_SCORE:
        put_score(w, &m->score);
        break;
    case PIPE_EMBED:
        put_text(w, m->text, PIPE_FRAME_MAX);
        break;
    case PIPE_CANCEL:
    case PIPE_WIPE:
    case PIPE_WIPED:
        break;
    case PIPE_PING:
    case PIPE_PONG:
        put_u32(w, m->nonce);
        break;
    case PIPE_READY:
        put_ready(w, &m->ready);
        break;
    case PIPE_LOADING:
        put_u32(w, m->percent);
        break;
    case PIPE_DELTA:
        put_delta(w, &m->delta);
        break;
    case PIPE_DONE:
        put_done(w, &m->done);
        break;
    case PIPE_SCORED:
        put_scored(w, &m->scored);
        break;
    case PIPE_EMBEDDED:
        put_embedded(w, &m->embedded);
        break;
    case PIPE_FAIL:
        put_fail(w, &m->fail);
        break;
    }
}

static void take_body(pipe_reader *r, pipe_message *m) {
    switch (m->type) {
    case PIPE_GENERATE:
        take_generate(r, &m->generate);
        break;
    case PIPE_SCORE:
        take_score(r, &m->score);
        break;
    case PIPE_EMBED:
        m->text = take_text(r, PIPE_FRAME_MAX);
        break;
    case PIPE_CANCEL:
    case PIPE_WIPE:
    case PIPE_WIPED:
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
        take_delta(r, &m->delta);
        break;
    case PIPE_DONE:
        take_done(r, &m->done);
        break;
    case PIPE_SCORED:
        take_scored(r, &m->scored);
        break;
    case PIPE_EMBEDDED:
        take_embedded(r, &m->embedded);
        break;
    case PIPE_FAIL:
        take_fail(r, &m->fail);
        break;
    default:
        r->bad = true;
    }
}

bool pipe_append(buffer *output, const pipe_message *m, error *err) {
    pipe_writer w = {.body = buffer_make(PIPE_FRAME_MAX)};
    put_u8(&w, (uint8_t)m->type);
    if (has_job(m->type)) {
        put_bytes(&w, m->job, PIPE_JOB_SIZE);
    }
    put_body(&w, m);
    bool good = true;
    if (w.too_large) {
        good = error_set(err, ERROR_LIMIT, "the message is larger than a frame of %d bytes takes",
                         PIPE_FRAME_MAX);
    } else if (buffer_failed(&w.body) || buffer_reserve(output, 4 + buffer_length(&w.body)) == NULL) {
        good = error_memory(err);
    } else {
        buffer_append_u32_big_endian(output, (uint32_t)buffer_length(&w.body));
        buffer_append(output, buffer_slice(&w.body));
    }
    buffer_wipe(&w.body);
    return good;
}

bool pipe_read(slice input, arena *memory, pipe_message *m, size_t *taken, error *err) {
    *taken = 0;
    *m = (pipe_message){0};
    if (input.length < 4) {
        return true;
    }
    pipe_reader header = {.rest = input};
    uint32_t length = take_u32(&header);
    if (length == 0 || length > PIPE_FRAME_MAX) {
        return error_set(err, ERROR_LIMIT, "a frame of %u bytes on the engine's pipe", length);
    }
    if (header.rest.length < length) {
        return true;
    }
    pipe_reader r = {.rest = slice_part(header.rest, 0, length), .memory = memory};
    m->type = (pipe_type)take_u8(&r);
    if (has_job(m->type)) {
        take_bytes(&r, m->job, PIPE_JOB_SIZE);
    }
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
