#include "server.h"

#include "base/memory.h"

#include <errno.h>
#include <poll.h>
#include <unistd.h>

enum { READ_SIZE = 64 * 1024, FRAME_MEMORY = 1024 * 1024 };

typedef struct job {
    uint8_t id[PIPE_JOB_SIZE];
    engine_sequence *sequence; /* NULL: the slot is free */
} job;

struct server {
    int input;
    int output;
    engine_model *model;
    buffer received;
    buffer sending;
    arena *memory; /* of the frame at hand */
    job jobs[ENGINE_SLOTS_MAX];
    uint32_t slots;
    uint32_t running;
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

void server_free(server *s) {
    if (s == NULL) {
        return;
    }
    for (size_t i = 0; i < ENGINE_SLOTS_MAX; i++) {
        engine_sequence_free(s->jobs[i].sequence);
    }
    buffer_wipe(&s->received);
    buffer_wipe(&s->sending);
    arena_free(s->memory);
    memory_free(s);
}

static bool wait_for(int descriptor, short events, int timeout, bool *ready, error *err) {
    struct pollfd watched = {.fd = descriptor, .events = events};
    int count = poll(&watched, 1, timeout);
    *ready = count > 0;
    return count >= 0 || errno == EINTR ||
           error_set_errno(err, ERROR_IO, errno, "waiting on the engine's pipe");
}

static bool write_all(server *s, error *err) {
    while (buffer_length(&s->sending) > 0) {
        slice rest = buffer_slice(&s->sending);
        ssize_t count = write(s->output, rest.data, rest.length);
        bool ready = false;
        if (count > 0) {
            buffer_consume(&s->sending, (size_t)count);
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

static engine_sequence *start_sequence(server *s, const pipe_generate *g, error *cause) {
    uint32_t *prompt = NULL;
    size_t count = 0;
    if (!engine_prompt(s->model, g->messages, g->message_count, &prompt, &count, cause)) {
        return NULL;
    }
    engine_sequence *sequence =
        engine_sequence_new(s->model, prompt, count, &g->parameters, g->seed, g->nonce, cause);
    memory_free(prompt);
    return sequence;
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
    engine_sequence *sequence = start_sequence(s, &m->generate, &cause);
    if (sequence == NULL) {
        return send_failure(s, m->job, &cause, may_be_retried(cause.code), err);
    }
    slot->sequence = sequence;
    memcpy(slot->id, m->job, PIPE_JOB_SIZE);
    s->running++;
    return true;
}

static bool handle(server *s, const pipe_message *m, error *err) {
    job *j = NULL;
    pipe_message answer = {.type = PIPE_PONG, .nonce = m->nonce};
    switch (m->type) {
    case PIPE_GENERATE:
        return start_job(s, m, err);
    case PIPE_CANCEL:
        j = find_job(s, m->job);
        if (j != NULL) { /* it may have ended just before */
            end_job(s, j);
        }
        return true;
    case PIPE_PING:
        return server_send(s, &answer, err);
    default:
        return error_set(err, ERROR_INVALID, "a message of type %d is not for the engine", (int)m->type);
    }
}

static bool handle_received(server *s, error *err) {
    size_t taken = 0;
    do {
        pipe_message m;
        arena_reset(s->memory);
        if (!pipe_read(buffer_slice(&s->received), s->memory, &m, &taken, err) ||
            (taken > 0 && !handle(s, &m, err))) {
            return false;
        }
        buffer_consume(&s->received, taken);
    } while (taken > 0);
    return true;
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
    return handle_received(s, err);
}

static bool send_done(server *s, const job *j, engine_finish finish, error *err) {
    pipe_message m = message_about(PIPE_DONE, j->id);
    m.done = (pipe_done){.finish = finish, .usage = engine_sequence_usage(j->sequence)};
    engine_sequence_commitment(j->sequence, m.done.commitment);
    return server_send(s, &m, err);
}

static bool step_job(server *s, job *j, error *err) {
    error cause;
    engine_output out;
    if (!engine_step(j->sequence, &out, &cause)) {
        bool sent = send_failure(s, j->id, &cause, may_be_retried(cause.code), err);
        end_job(s, j);
        return sent;
    }
    if (out.has_token) {
        pipe_message m = message_about(PIPE_DELTA, j->id);
        m.delta = (pipe_delta){&out.token, 1, out.text};
        if (!server_send(s, &m, err)) {
            return false;
        }
    }
    if (out.finish == ENGINE_RUNNING) {
        return true;
    }
    bool sent = send_done(s, j, out.finish, err);
    end_job(s, j);
    return sent;
}

bool server_run(server *s, engine_model *model, uint32_t slots, error *err) {
    s->model = model;
    s->slots = slots < ENGINE_SLOTS_MAX ? slots : ENGINE_SLOTS_MAX;
    while (!s->input_ended) {
        if (!receive(s, err)) {
            return false;
        }
        for (size_t i = 0; i < s->slots; i++) {
            if (s->jobs[i].sequence != NULL && !step_job(s, &s->jobs[i], err)) {
                return false;
            }
        }
    }
    return true;
}
