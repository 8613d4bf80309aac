#include "server.h"

#include "base/memory.h"

#include <errno.h>
#include <poll.h>
#include <unistd.h>

enum { READ_SIZE = 64 * 1024, FRAME_MEMORY = 4 * 1024 * 1024 };

typedef struct job {
    uint8_t id[PIPE_JOB_SIZE];
    engine_sequence *sequence; /* NULL: the slot is free */
    bool with_logprobs;
} job;

struct server {
    int input;
    int output;
    engine_model *model; /* NULL: wiped */
    buffer received;
    buffer sending;
    arena *memory; /* of the frame at hand */
    job jobs[ENGINE_SLOTS_MAX];
    uint32_t slots;
    uint32_t running;
    engine_output outputs[ENGINE_SLOTS_MAX];
    bool input_ended;
};

server *server_new(int input, int output, error *err) {
    server *s = memory_allocate_zeroed(1, sizeof *s);
    if (s == NULL) {
        error_memory(err);
        return NULL;
    }
    *s = (server){.input = input,
                  .output = output,
                  .received = buffer_make(4 + PIPE_FRAME_MAX + READ_SIZE),
                  .sending = buffer_make(4 + PIPE_FRAME_MAX),
                  .memory = arena_new(FRAME_MEMORY)};
    if (s->memory == NULL) {
        memory_free(s);
        error_memory(err);
        return NULL;
    }
    return s;
}

static void end_job(server *s, job *j) {
    engine_sequence_free(j->sequence);
    *j = (job){0};
    s->running--;
}

static bool wait_for(int descriptor, short events, int timeout, bool *ready, error *err) {
    struct pollfd watched = {.fd = descriptor, .events = events};
    int count = poll(&watched, 1, timeout);
    *ready = count > 0;
    return count >= 0 || errno == EINTR ||
           error_set_errno(err, ERROR_IO, errno, "waiting on the engine's pipe");
}

/* What was handled is wiped as soon as nothing stands behind it. */
static void drop(buffer *b, size_t length) {
    if (length > 0 && length == buffer_length(b)) {
        buffer_wipe(b);
    } else {
        buffer_consume(b, length);
    }
}

static bool write_all(server *s, error *err) {
    while (buffer_length(&s->sending) > 0) {
        slice rest = buffer_slice(&s->sending);
        ssize_t count = write(s->output, rest.data, rest.length);
        bool ready = false;
        if (count > 0) {
            drop(&s->sending, (size_t)count);
        } else if (count < 0 && errno == EAGAIN) {
            if (!wait_for(s->output, POLLOUT, -1, &ready, err)) {
                return false;
            }
        } else if (count < 0 && errno != EINTR) {
            return error_set_errno(err, ERROR_IO, errno, "writing to the engine's pipe");
        }
    }
    return true;
}

bool server_send(server *s, const pipe_message *message, error *err) {
    return pipe_append(&s->sending, message, err) && write_all(s, err);
}

static pipe_message message_about(pipe_type type, const uint8_t id[PIPE_JOB_SIZE]) {
    pipe_message m = {.type = type};
    memcpy(m.job, id, PIPE_JOB_SIZE);
    return m;
}

static bool send_failure(server *s, const uint8_t id[PIPE_JOB_SIZE], const error *cause, bool retryable,
                         error *err) {
    pipe_message m = message_about(PIPE_FAIL, id);
    m.fail = (pipe_fail){cause->code, slice_of_text(cause->text), retryable};
    return server_send(s, &m, err);
}

/* Whether the same job may work later or on another machine. */
static bool may_be_retried(error_code code) {
    return code == ERROR_MEMORY || code == ERROR_CONFLICT;
}

static job *find_job(server *s, const uint8_t id[PIPE_JOB_SIZE]) {
    for (size_t i = 0; i < s->slots; i++) {
        if (s->jobs[i].sequence != NULL && memcmp(s->jobs[i].id, id, PIPE_JOB_SIZE) == 0) {
            return &s->jobs[i];
        }
    }
    return NULL;
}

static job *find_free_slot(server *s) {
    for (size_t i = 0; i < s->slots; i++) {
        if (s->jobs[i].sequence == NULL) {
            return &s->jobs[i];
        }
    }
    return NULL;
}

static void drop_tokens(uint32_t *tokens, size_t count) {
    if (tokens != NULL) {
        explicit_bzero(tokens, count * sizeof *tokens);
    }
    memory_free(tokens);
}

static engine_sequence *start_answer(server *s, const pipe_generate *g, const pipe_score *score,
                                     error *cause) {
    uint32_t *prompt = NULL;
    size_t count = 0;
    engine_draw draw = {.seed = g->seed, .salt = g->has_salt ? g->salt : NULL};
    memcpy(draw.nonce, g->nonce, sizeof draw.nonce);
    if (!engine_prompt(s->model, g->messages, g->message_count, g->tools, &prompt, &count, cause)) {
        return NULL;
    }
    engine_sequence *sequence = score == NULL
                                    ? engine_generate(s->model, prompt, count, &g->parameters, &draw, cause)
                                    : engine_score(s->model, prompt, count, score->answer,
                                                   score->answer_count, &g->parameters, &draw, cause);
    drop_tokens(prompt, count);
    return sequence;
}

static engine_sequence *start_embedding(server *s, slice text, error *cause) {
    uint32_t *tokens = NULL;
    size_t count = 0;
    if (!engine_tokenize(s->model, text, &tokens, &count, cause)) {
        return NULL;
    }
    engine_sequence *sequence = engine_embed(s->model, tokens, count, cause);
    drop_tokens(tokens, count);
    return sequence;
}

static engine_sequence *start_sequence(server *s, const pipe_message *m, error *cause) {
    switch (m->type) {
    case PIPE_GENERATE:
        return start_answer(s, &m->generate, NULL, cause);
    case PIPE_SCORE:
        return start_answer(s, &m->score.claim, &m->score, cause);
    default:
        return start_embedding(s, m->text, cause);
    }
}

static bool wants_logprobs(const engine_parameters *p) {
    return p->with_logprob || p->logprobs > 0;
}

static bool start_job(server *s, const pipe_message *m, error *err) {
    error cause;
    job *slot = find_free_slot(s);
    if (find_job(s, m->job) != NULL) {
        return error_set(err, ERROR_INVALID, "a job was given to the engine twice");
    }
    if (slot == NULL) {
        error_set(&cause, ERROR_LIMIT, "all %u slots of the engine are taken", s->slots);
        return send_failure(s, m->job, &cause, true, err);
    }
    engine_sequence *sequence = start_sequence(s, m, &cause);
    if (sequence == NULL) {
        return send_failure(s, m->job, &cause, may_be_retried(cause.code), err);
    }
    slot->sequence = sequence;
    slot->with_logprobs = m->type == PIPE_GENERATE && wants_logprobs(&m->generate.parameters);
    memcpy(slot->id, m->job, PIPE_JOB_SIZE);
    s->running++;
    return true;
}

/* The model goes with all that conversations left in it: the process computes nothing any more. */
static void wipe(server *s) {
    for (size_t i = 0; i < s->slots; i++) {
        if (s->jobs[i].sequence != NULL) {
            end_job(s, &s->jobs[i]);
        }
    }
    engine_close(s->model);
    s->model = NULL;
    explicit_bzero(s->outputs, sizeof s->outputs);
}

static bool handle(server *s, const pipe_message *m, error *err) {
    job *j = NULL;
    pipe_message answer = {.type = PIPE_PONG, .nonce = m->nonce};
    switch (m->type) {
    case PIPE_GENERATE:
    case PIPE_SCORE:
    case PIPE_EMBED:
        return start_job(s, m, err);
    case PIPE_CANCEL:
        j = find_job(s, m->job);
        if (j != NULL) { /* it may have ended just before */
            end_job(s, j);
        }
        return true;
    case PIPE_PING:
        return server_send(s, &answer, err);
    case PIPE_WIPE:
        wipe(s);
        return true;
    default:
        return error_set(err, ERROR_INVALID, "a message of type %d is not for the engine", (int)m->type);
    }
}

/* What stands behind the message goes unread: nothing is done any more. */
static bool end_wiped(server *s, error *err) {
    const pipe_message wiped = {.type = PIPE_WIPED};
    arena_wipe(s->memory);
    buffer_wipe(&s->received);
    return server_send(s, &wiped, err);
}

static bool handle_received(server *s, error *err) {
    size_t taken = 0;
    do {
        pipe_message m;
        arena_wipe(s->memory);
        if (!pipe_read(buffer_slice(&s->received), s->memory, &m, &taken, err) ||
            (taken > 0 && !handle(s, &m, err))) {
            return false;
        }
        drop(&s->received, taken);
    } while (taken > 0 && s->model != NULL);
    return s->model != NULL || end_wiped(s, err);
}

/* Takes what has arrived; waits for it only when there is nothing else to do. */
static bool receive(server *s, error *err) {
    bool ready = false;
    if (!wait_for(s->input, POLLIN, s->running > 0 ? 0 : -1, &ready, err)) {
        return false;
    }
    if (!ready) {
        return true;
    }
    uint8_t *place = buffer_reserve(&s->received, READ_SIZE);
    if (place == NULL) {
        return error_memory(err);
    }
    ssize_t count = read(s->input, place, READ_SIZE);
    if (count < 0) {
        return errno == EAGAIN || errno == EINTR ||
               error_set_errno(err, ERROR_IO, errno, "reading from the engine's pipe");
    }
    s->input_ended = count == 0;
    buffer_commit(&s->received, (size_t)count);
    if (s->model == NULL) {
        buffer_wipe(&s->received);
        return true;
    }
    return handle_received(s, err);
}

/* No pass is possible now (memory): the jobs may fare better elsewhere. */
static bool fail_all(server *s, const error *cause, error *err) {
    bool good = true;
    for (size_t i = 0; i < s->slots; i++) {
        job *j = &s->jobs[i];
        if (j->sequence != NULL) {
            good = good && send_failure(s, j->id, cause, may_be_retried(cause->code), err);
            end_job(s, j);
        }
    }
    return good;
}

static bool send_token(server *s, const job *j, const engine_output *out, error *err) {
    const pipe_logprobs logprobs = {out->logprob, out->logprobs, out->logprob_count};
    pipe_message m = message_about(PIPE_DELTA, j->id);
    m.delta = (pipe_delta){&out->token, 1, out->text, j->with_logprobs ? &logprobs : NULL};
    return server_send(s, &m, err);
}

static bool send_done(server *s, const job *j, engine_finish finish, error *err) {
    pipe_message m = message_about(PIPE_DONE, j->id);
    m.done = (pipe_done){.finish = finish, .usage = engine_sequence_usage(j->sequence)};
    engine_sequence_commitment(j->sequence, m.done.commitment);
    return server_send(s, &m, err);
}

static bool send_scored(server *s, const job *j, error *err) {
    pipe_message m = message_about(PIPE_SCORED, j->id);
    m.scored = (pipe_scored){.usage = engine_sequence_usage(j->sequence),
                             .result = engine_sequence_score(j->sequence)};
    engine_sequence_commitment(j->sequence, m.scored.commitment);
    return server_send(s, &m, err);
}

static bool send_embedded(server *s, const job *j, error *err) {
    pipe_message m = message_about(PIPE_EMBEDDED, j->id);
    m.embedded = (pipe_embedded){.usage = engine_sequence_usage(j->sequence),
                                 .values = engine_sequence_embedding(j->sequence),
                                 .count = engine_describe(s->model)->width};
    return server_send(s, &m, err);
}

static bool send_end(server *s, const job *j, const engine_output *out, error *err) {
    switch (out->finish) {
    case ENGINE_SCORED:
        return send_scored(s, j, err);
    case ENGINE_EMBEDDED:
        return send_embedded(s, j, err);
    case ENGINE_FAILED:
        return send_failure(s, j->id, out->failure, may_be_retried(out->failure->code), err);
    default:
        return send_done(s, j, out->finish, err);
    }
}

static job *job_of(server *s, const engine_sequence *sequence) {
    job *j = s->jobs;
    while (j->sequence != sequence) {
        j++;
    }
    return j;
}

/* One pass for all jobs, and what it has to tell. */
static bool step(server *s, error *err) {
    size_t count = 0;
    error cause;
    if (!engine_step(s->model, s->outputs, &count, &cause)) {
        return fail_all(s, &cause, err);
    }
    for (size_t i = 0; i < count; i++) {
        const engine_output *out = &s->outputs[i];
        job *j = job_of(s, out->sequence);
        if (out->has_token && !send_token(s, j, out, err)) {
            return false;
        }
        if (out->finish != ENGINE_RUNNING) {
            bool sent = send_end(s, j, out, err);
            end_job(s, j);
            if (!sent) {
                return false;
            }
        }
    }
    return true;
}

bool server_run(server *s, engine_model *model, uint32_t slots, error *err) {
    s->model = model;
    s->slots = slots < ENGINE_SLOTS_MAX ? slots : ENGINE_SLOTS_MAX;
    while (!s->input_ended) {
        if (!receive(s, err) || (s->running > 0 && !step(s, err))) {
            return false;
        }
    }
    return true;
}
