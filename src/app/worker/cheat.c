#include "cheat.h"

#include "base/log.h"
#include "base/memory.h"
#include "os/random.h"

#include <stdlib.h>

typedef enum cheat_way { CHEAT_EDIT, CHEAT_REPLAY, CHEAT_MODEL } cheat_way;

typedef struct cheat cheat;

/* A job that isn't passed on as it is. */
typedef struct cheat_job {
    cheat *owner;
    bool used;
    bool records; /* replay: this is the answer that will be given again */
    uint8_t id[PIPE_JOB_SIZE];
    size_t tokens; /* that came */
    ev_timer timer;
} cheat_job;

struct cheat {
    backend base;
    ev_loop *loop;
    cheat_way way;
    size_t place; /* edit */
    char *path;   /* model */
    double share;
    cheat_engine_maker *make;
    void *plan;
    const backend_handlers *handlers;
    void *context;
    backend *engine; /* with the enrolled model; NULL until the other has loaded */
    backend *other;  /* model; or NULL */
    bool recording;  /* replay: kept is being filled, or whole */
    bool recorded;
    uint32_t max_tokens;
    buffer tokens;
    buffer text;
    pipe_done end;
    cheat_job jobs[ENGINE_SLOTS_MAX];
};

static cheat_job *find(cheat *c, const uint8_t id[PIPE_JOB_SIZE]) {
    for (size_t i = 0; i < ENGINE_SLOTS_MAX; i++) {
        if (c->jobs[i].used && memcmp(c->jobs[i].id, id, PIPE_JOB_SIZE) == 0) {
            return &c->jobs[i];
        }
    }
    return NULL;
}

static void release(cheat_job *j) {
    cheat *c = j->owner;
    ev_timer_stop(&j->timer);
    j->used = false;
    if (j->records && !c->recorded) {
        c->recording = false;
        buffer_clear(&c->tokens);
        buffer_clear(&c->text);
    }
}

static void tell(cheat *c, const pipe_message *message) {
    c->handlers->on_message(c->context, message);
}

static void replay(void *context) {
    cheat_job *j = context;
    cheat *c = j->owner;
    pipe_message delta = {.type = PIPE_DELTA,
                          .delta = {.tokens = (const uint32_t *)(const void *)buffer_slice(&c->tokens).data,
                                    .token_count = buffer_length(&c->tokens) / sizeof(uint32_t),
                                    .text = buffer_slice(&c->text)}};
    pipe_message done = {.type = PIPE_DONE, .done = c->end};
    memcpy(delta.job, j->id, sizeof delta.job);
    memcpy(done.job, j->id, sizeof done.job);
    release(j);
    tell(c, &delta);
    tell(c, &done); /* of a job that is gone by now, perhaps: then it is ignored */
}

static cheat_job *take_slot(cheat *c, const uint8_t id[PIPE_JOB_SIZE]) {
    for (size_t i = 0; i < ENGINE_SLOTS_MAX; i++) {
        cheat_job *j = &c->jobs[i];
        if (!j->used) {
            *j = (cheat_job){.owner = c, .used = true};
            memcpy(j->id, id, sizeof j->id);
            ev_timer_init(&j->timer, replay, j);
            return j;
        }
    }
    return NULL;
}

static bool draw(const cheat *c) {
    uint32_t random = 0;
    error err = {0};
    return random_bytes(&random, sizeof random, &err) && random < c->share * 0x1p32;
}

/* Puts the job down if it is one to cheat on. NULL: it isn't. */
static cheat_job *choose(cheat *c, const pipe_message *message) {
    uint32_t max_tokens = message->generate.parameters.max_tokens;
    if (c->way == CHEAT_REPLAY && !c->recording) {
        cheat_job *j = take_slot(c, message->job);
        if (j != NULL) {
            j->records = c->recording = true;
            c->max_tokens = max_tokens;
        }
        return j;
    }
    bool can = c->way != CHEAT_REPLAY || (c->recorded && max_tokens == c->max_tokens);
    return can && draw(c) ? take_slot(c, message->job) : NULL;
}

static bool send_generate(cheat *c, const pipe_message *message) {
    cheat_job *j = choose(c, message);
    if (j != NULL && c->way == CHEAT_REPLAY && !j->records) {
        ev_timer_start(c->loop, &j->timer, 0);
        return true;
    }
    bool elsewhere = j != NULL && c->way == CHEAT_MODEL;
    bool sent = backend_send(elsewhere ? c->other : c->engine, message);
    if (!sent && j != NULL) {
        release(j);
    }
    return sent;
}

static bool cheat_send(backend *self, const pipe_message *message) {
    cheat *c = (cheat *)(void *)self;
    if (c->engine == NULL) {
        return false;
    }
    if (message->type == PIPE_GENERATE) {
        return send_generate(c, message);
    }
    cheat_job *j = message->type == PIPE_CANCEL ? find(c, message->job) : NULL;
    if (j != NULL) {
        bool replays = c->way == CHEAT_REPLAY && !j->records;
        release(j);
        if (replays || c->way == CHEAT_MODEL) {
            return replays || backend_send(c->other, message);
        }
    }
    return backend_send(c->engine, message);
}

/* The deltas of the engine have a token each, but for what came at once. */
static void tell_edited(cheat *c, cheat_job *j, const pipe_message *message) {
    pipe_message edited = *message;
    size_t count = message->delta.token_count;
    size_t at = c->place - j->tokens;
    uint32_t *tokens = memory_allocate(count * sizeof *tokens);
    char *text = memory_allocate(message->delta.text.length + 1);
    j->tokens += count;
    if (tokens != NULL && text != NULL && at < count) {
        memcpy(tokens, message->delta.tokens, count * sizeof *tokens);
        tokens[at] = tokens[at] > 0 ? tokens[at] - 1 : 1;
        for (size_t i = 0; i < message->delta.text.length; i++) {
            text[i] = (char)message->delta.text.data[i];
        }
        for (size_t i = 0; i < message->delta.text.length; i++) {
            if ((text[i] | 0x20) >= 'a' && (text[i] | 0x20) <= 'z') {
                text[i] ^= 0x20;
                break;
            }
        }
        edited.delta.tokens = tokens;
        edited.delta.text = slice_of(text, message->delta.text.length);
    }
    tell(c, &edited);
    memory_free(tokens);
    memory_free(text);
}

static void record(cheat *c, const pipe_message *message) {
    if (message->type == PIPE_DELTA) {
        buffer_append(&c->tokens,
                      slice_of(message->delta.tokens, message->delta.token_count * sizeof(uint32_t)));
        buffer_append(&c->text, message->delta.text);
    } else if (message->type == PIPE_DONE && !buffer_failed(&c->tokens) && !buffer_failed(&c->text)) {
        c->end = message->done;
        c->recorded = true;
    }
}

static void on_message(void *context, const pipe_message *message) {
    cheat *c = context;
    bool of_job = message->type != PIPE_READY && message->type != PIPE_LOADING;
    cheat_job *j = of_job ? find(c, message->job) : NULL;
    if (j != NULL && j->records) {
        record(c, message);
    }
    if (j != NULL && c->way == CHEAT_EDIT && message->type == PIPE_DELTA) {
        tell_edited(c, j, message);
        return;
    }
    if (j != NULL && (message->type == PIPE_DONE || message->type == PIPE_FAIL)) {
        release(j);
    }
    tell(c, message);
}

static void on_lost(void *context, const char *reason) {
    cheat *c = context;
    for (size_t i = 0; i < ENGINE_SLOTS_MAX; i++) {
        if (c->jobs[i].used) {
            release(&c->jobs[i]);
        }
    }
    c->handlers->on_lost(c->context, reason);
}

static bool start_engine(cheat *c, error *err) {
    static const backend_handlers handlers = {.on_message = on_message, .on_lost = on_lost};
    c->engine = c->make(c->plan, NULL, &handlers, c, err);
    return c->engine != NULL;
}

/* Only when the other model is there the worker says that it can work. */
static void on_other_message(void *context, const pipe_message *message) {
    cheat *c = context;
    error err = {0};
    if (message->type != PIPE_READY) {
        on_message(context, message);
    } else if (c->engine == NULL && !start_engine(c, &err)) {
        log_error("the engine could not be started", LOG_CAUSE(&err));
    }
}

static void on_other_lost(void *context, const char *reason) {
    cheat *c = context;
    for (size_t i = 0; i < ENGINE_SLOTS_MAX; i++) {
        if (c->jobs[i].used) {
            pipe_message fail = {
                .type = PIPE_FAIL,
                .fail = {.code = ERROR_IO, .text = slice_of_text(reason), .retryable = true}};
            memcpy(fail.job, c->jobs[i].id, sizeof fail.job);
            release(&c->jobs[i]);
            tell(c, &fail);
        }
    }
}

static void cheat_free(backend *self) {
    cheat *c = (cheat *)(void *)self;
    for (size_t i = 0; i < ENGINE_SLOTS_MAX; i++) {
        if (c->jobs[i].used) {
            ev_timer_stop(&c->jobs[i].timer);
        }
    }
    backend_free(c->engine);
    backend_free(c->other);
    buffer_free(&c->tokens);
    buffer_free(&c->text);
    memory_free(c->path);
    memory_free(c);
}

static bool parse_share(const char *text, double *share) {
    char *end = NULL;
    *share = 1;
    if (text == NULL) {
        return true;
    }
    *share = strtod(text, &end);
    return end != text && *end == '\0' && *share >= 0 && *share <= 1;
}

static bool parse(cheat *c, const char *way, error *err) {
    static const char share[] = ",share=";
    const char *comma = strstr(way, share);
    slice name = slice_of(way, comma == NULL ? strlen(way) : (size_t)(comma - way));
    slice edit = SLICE_LITERAL("edit:");
    slice model = SLICE_LITERAL("model:");
    char *end = NULL;
    bool good = parse_share(comma == NULL ? NULL : comma + sizeof share - 1, &c->share);
    if (slice_starts_with(name, edit) && name.length > edit.length) {
        c->way = CHEAT_EDIT;
        c->place = strtoul(way + edit.length, &end, 10);
        good = good && end == way + name.length;
    } else if (slice_starts_with(name, model) && name.length > model.length) {
        c->way = CHEAT_MODEL;
        c->path = memory_copy_string(way + model.length);
        if (c->path == NULL) {
            return error_memory(err);
        }
        c->path[name.length - model.length] = '\0';
    } else {
        c->way = CHEAT_REPLAY;
        good = good && slice_equal_text(name, "replay");
    }
    return good || error_set(err, ERROR_INVALID,
                             "--cheat is edit:N, replay or model:PATH, perhaps with ,share=0.1 behind it");
}

static bool start(cheat *c, error *err) {
    static const backend_handlers handlers = {.on_message = on_other_message, .on_lost = on_other_lost};
    if (c->way != CHEAT_MODEL) {
        return start_engine(c, err);
    }
    c->other = c->make(c->plan, c->path, &handlers, c, err);
    return c->other != NULL;
}

backend *cheat_new(ev_loop *loop, const char *way, cheat_engine_maker *make, void *plan,
                   const backend_handlers *handlers, void *context, error *err) {
    cheat *c = memory_allocate_zeroed(1, sizeof *c);
    if (c == NULL) {
        error_memory(err);
        return NULL;
    }
    c->base = (backend){.send = cheat_send, .free = cheat_free};
    c->loop = loop;
    c->make = make;
    c->plan = plan;
    c->handlers = handlers;
    c->context = context;
    c->tokens = buffer_make(PIPE_FRAME_MAX);
    c->text = buffer_make(PIPE_FRAME_MAX);
    if (!parse(c, way, err) || !start(c, err)) {
        cheat_free(&c->base);
        return NULL;
    }
    log_warning("this worker cheats", LOG_TEXT("way", way));
    return &c->base;
}
