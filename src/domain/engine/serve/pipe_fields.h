#ifndef ENGINE_SERVE_PIPE_FIELDS_H
#define ENGINE_SERVE_PIPE_FIELDS_H

#include "engine/pipe.h"

/* Each message has its writer beside its reader, in the order of the fields. A writer that is given too much,
 * and a reader that runs out, remember that and go on with nothing and with zeros, so that the fields read
 * straight; pipe_append and pipe_read ask once at the end. */
typedef struct pipe_writer {
    buffer body;
    bool too_large;
} pipe_writer;

typedef struct pipe_reader {
    slice rest;
    arena *memory;
    bool bad;
    bool memory_out;
} pipe_reader;

void put_bytes(pipe_writer *w, const void *bytes, size_t length);
void put_u8(pipe_writer *w, uint8_t value);
void put_u32(pipe_writer *w, uint32_t value);
void put_u64(pipe_writer *w, uint64_t value);
void put_f32(pipe_writer *w, float value);
void put_bool(pipe_writer *w, bool value);
void put_text(pipe_writer *w, slice text, size_t most);
/* A list's count; false: it is too long, and nothing of it may be written. */
bool put_count(pipe_writer *w, size_t count, size_t most);
void put_u32s(pipe_writer *w, const uint32_t *values, size_t count, size_t most);

void take_bytes(pipe_reader *r, void *bytes, size_t length);
uint8_t take_u8(pipe_reader *r);
uint32_t take_u32(pipe_reader *r);
uint64_t take_u64(pipe_reader *r);
float take_f32(pipe_reader *r);
bool take_bool(pipe_reader *r);
slice take_text(pipe_reader *r, size_t most);
/* A list's count, and room for it. `least` is the size of its smallest element in the frame. */
void *take_list(pipe_reader *r, size_t most, size_t least, size_t size, size_t *count);
const uint32_t *take_u32s(pipe_reader *r, size_t most, size_t *count);

/* The jobs (pipe_job.c) and the answers (pipe_answer.c): the fields behind the job's id. */
void put_generate(pipe_writer *w, const pipe_generate *g);
void take_generate(pipe_reader *r, pipe_generate *g);
void put_score(pipe_writer *w, const pipe_score *s);
void take_score(pipe_reader *r, pipe_score *s);
void put_ready(pipe_writer *w, const pipe_ready *m);
void take_ready(pipe_reader *r, pipe_ready *m);
void put_delta(pipe_writer *w, const pipe_delta *m);
void take_delta(pipe_reader *r, pipe_delta *m);
void put_done(pipe_writer *w, const pipe_done *m);
void take_done(pipe_reader *r, pipe_done *m);
void put_scored(pipe_writer *w, const pipe_scored *m);
void take_scored(pipe_reader *r, pipe_scored *m);
void put_embedded(pipe_writer *w, const pipe_embedded *m);
void take_embedded(pipe_reader *r, pipe_embedded *m);
void put_fail(pipe_writer *w, const pipe_fail *m);
void take_fail(pipe_reader *r, pipe_fail *m);

#endif
