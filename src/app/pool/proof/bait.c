#include "proof/bait.h"

#include "base/log.h"
#include "base/memory.h"
#include "crypto/hash.h"
#include "dispatch/job.h"
#include "os/clock.h"
#include "os/random.h"
#include "session_internal.h"
#include "verify/draw.h"
#include "verify/honeytoken.h"
#include "work.h"

#include <stdio.h>

enum {
    BAITS_MAX = 64, /* waiting or under way at once */
    PROMPT_LIMIT = 4096,
    TOKENS = 96,            /* of the answer, at most */
    MARKERS_PER_ANSWER = 16 /* looked up */
};

typedef struct bait {
    work work; /* first */
    list_node node;
    ev_timer timer;
    dispatch_job *handle;
    uint8_t worker_id[STORE_WORKER_ID_SIZE];
    char marker[HONEYTOKEN_LENGTH + 1];
    char model[PROTO_NAME_MAX + 1];
    buffer prompt;
    receipt_message message;
    uint64_t seed;
    uint8_t salt[PROTO_SALT_SIZE];
    uint8_t nonce[PROTO_NONCE_SIZE];
    uint64_t tokens;
} bait;

static bait *bait_of(work *w) {
    return (bait *)(void *)w; /* its first member */
}

static void bait_free(bait *b) {
    ev_timer_stop(&b->timer);
    list_remove(&b->node);
    b->work.pool->proof->bait_count--;
    buffer_wipe(&b->prompt);
    memory_free(b);
}

static void describe(const work *w, proto_message *message) {
    const bait *b = (const bait *)(const void *)w;
    proto_job *out = &message->job;
    out->messages = (const proto_chat *)(const void *)&b->message;
    out->message_count = 1;
    out->temperature = 1;
    out->top_p = 1;
    out->max_tokens = TOKENS;
    out->seed = b->seed;
    out->deadline_ms = session_deadline(w->pool->settings.job_deadline_ms);
    memcpy(out->nonce, b->nonce, sizeof out->nonce);
    memcpy(out->salt, b->salt, sizeof out->salt);
}

static bool take_delta(work *w, const proto_delta *delta, error *err) {
    bait *b = bait_of(w);
    if (delta->token_count > TOKENS - b->tokens) {
        return error_set(err, ERROR_INVALID, "more tokens than were asked for");
    }
    b->tokens += delta->token_count;
    dispatch_job_consumed(b->handle, b->tokens, ev_now_ms(w->pool->loop));
    return true;
}

static bool check_done(work *w, const fleet_worker *worker, const proto_done *done, signed_receipt *entry,
                       error *err) {
    (void)w;
    (void)worker;
    (void)done;
    (void)err;
    *entry = (signed_receipt){0}; /* nobody will ever ask for it */
    return true;
}

static void complete(work *w, const fleet_worker *worker, const signed_receipt *entry) {
    (void)worker;
    (void)entry;
    bait_free(bait_of(w));
}

static void gave_up(work *w, const fleet_worker *worker, const proto_fail *fail) {
    (void)w;
    (void)worker;
    (void)fail;
}

static void failed(work *w, dispatch_failure reason) {
    (void)reason;
    bait_free(bait_of(w));
}

/* The name is in logs beside those of questions: the log is the pool's own. */
static const work_kind bait_kind = {.name = "honeytoken",
                                    .describe = describe,
                                    .delta = take_delta,
                                    .check_done = check_done,
                                    .complete = complete,
                                    .gave_up = gave_up,
                                    .failed = failed};

static void marker_stored(void *context, const error *failure) {
    (void)context;
    if (failure != NULL) {
        log_error("a honeytoken was sent that isn't stored: it won't be recognised", LOG_CAUSE(failure));
    }
}

static bool store_marker(const bait *b, error *err) {
    store_honeytoken row = {.marker = slice_of_text(b->marker), .created_ms = clock_unix_ms()};
    memcpy(row.worker_id, b->worker_id, sizeof row.worker_id);
    memcpy(row.job_id, b->work.id.bytes, sizeof row.job_id);
    return store_honeytoken_add(b->work.pool->store, &row, marker_stored, NULL, err);
}

static bool send_bait(bait *b, error *err) {
    pool *p = b->work.pool;
    fleet_worker *worker = fleet_find(p->fleet, b->worker_id);
    session *s = worker == NULL ? NULL : fleet_newest(worker)->session;
    const dispatch_spec spec = {.id = b->work.id, .model = b->work.model, .context = &b->work};
    if (s == NULL || s->handle == NULL || p->draining ||
        !dispatch_worker_has_slot(s->handle, b->work.model)) {
        return error_set(err, ERROR_LIMIT, "the worker has no time");
    }
    if (!store_marker(b, err)) {
        return false;
    }
    b->handle = dispatch_assign(p->dispatch, &spec, s->handle, false, ev_now_ms(p->loop), err);
    pool_arm_dispatch(p);
    p->proof->statistics.honeytokens += b->handle != NULL;
    return b->handle != NULL;
}

static void time_has_come(void *context) {
    bait *b = context;
    error err = {0};
    if (!send_bait(b, &err)) {
        bait_free(b);
    }
}

typedef struct randomness {
    dispatch_id id;
    uint64_t number, pattern, seed, delay;
    uint8_t salt[PROTO_SALT_SIZE];
} randomness;

static bool make_prompt(bait *b, const randomness *drawn, error *err) {
    pool *p = b->work.pool;
    b->prompt = buffer_make(PROMPT_LIMIT);
    bool made = honeytoken_make(p->site.verify->honeytoken, b->worker_id, drawn->number, b->marker, err) &&
                honeytoken_write(honeytoken_pattern(drawn->pattern), b->marker, &b->prompt, err) &&
                receipt_nonce(drawn->salt, b->nonce, err);
    b->message = (receipt_message){SLICE_LITERAL("user"), buffer_slice(&b->prompt)};
    return made;
}

static bool begin(proof *f, const fleet_worker *worker, slice model, error *err) {
    randomness drawn;
    if (!random_bytes(&drawn, sizeof drawn, err)) {
        return false;
    }
    bait *b = memory_allocate_zeroed(1, sizeof *b);
    if (b == NULL) {
        return error_memory(err);
    }
    b->work = (work){.kind = &bait_kind, .pool = f->pool, .id = drawn.id};
    hex_encode(slice_of(drawn.id.bytes, sizeof drawn.id.bytes), b->work.id_hex);
    snprintf(b->model, sizeof b->model, "%.*s", SLICE_FORMAT(model));
    b->work.model = slice_of_text(b->model);
    b->seed = drawn.seed;
    memcpy(b->salt, drawn.salt, sizeof b->salt);
    memcpy(b->worker_id, worker->id, sizeof b->worker_id);
    list_append(&f->baits, &b->node);
    f->bait_count++;
    ev_timer_init(&b->timer, time_has_come, b);
    if (!make_prompt(b, &drawn, err)) {
        bait_free(b);
        return false;
    }
    ev_timer_start(f->pool->loop, &b->timer, drawn.delay % (f->pool->settings.honeytoken_delay_ms + 1));
    return true;
}

void bait_consider(proof *f, const fleet_worker *worker, const signed_receipt *entry, slice model) {
    uint64_t every = f->pool->settings.honeytoken_every;
    double draw = 1;
    error err = {0};
    if (every == 0 || f->bait_count >= BAITS_MAX || model.length > PROTO_NAME_MAX ||
        !verify_draw(f->pool->site.verify->draw, VERIFY_DRAW_HONEYTOKEN, entry->fields.job_id,
                     entry->fields.commitment, &draw, &err)) {
        return;
    }
    if (draw * (double)every < 1 && !begin(f, worker, model, &err)) {
        log_warning("no honeytoken was sent", LOG_CAUSE(&err));
    }
}

void bait_stop(proof *f) {
    while (!list_is_empty(&f->baits)) {
        bait *b = LIST_ENTRY(list_first(&f->baits), bait, node);
        if (b->handle != NULL) {
            dispatch_job_cancel(b->handle, ev_now_ms(f->pool->loop));
        }
        bait_free(b);
    }
}

/* Where a marker was found, until the store has said whose it is. */
typedef struct sighting {
    pool *pool;
    uint8_t worker_id[STORE_WORKER_ID_SIZE];
    char where[STORE_PLACE_MAX + 1];
    char marker[HONEYTOKEN_LENGTH + 1];
} sighting;

static void sighting_noted(void *context, const store_honeytoken *token, const error *failure) {
    sighting *s = context;
    char id[2 * STORE_WORKER_ID_SIZE + 1];
    if (failure == NULL) {
        hex_encode(slice_of(token->worker_id, sizeof token->worker_id), id);
        log_error("a honeytoken was seen where it shouldn't be: this worker's prompts are read by others",
                  LOG_TEXT("worker", id), LOG_TEXT("where", s->where));
    } else {
        log_error("a honeytoken was seen, but that could not be stored", LOG_TEXT("where", s->where),
                  LOG_CAUSE(failure));
    }
    if (s->pool->proof != NULL) {
        s->pool->proof->statistics.leaks++;
    }
    memory_free(s);
}

/* A worker may repeat its own. Most of what looks like a marker isn't ours. */
static void sighting_found(void *context, const store_honeytoken *token, const error *failure) {
    sighting *s = context;
    error err = {0};
    bool of_another = failure == NULL && memcmp(token->worker_id, s->worker_id, sizeof s->worker_id) != 0;
    if (of_another && store_honeytoken_seen(s->pool->store, slice_of_text(s->marker), slice_of_text(s->where),
                                            clock_unix_ms(), sighting_noted, s, &err)) {
        return;
    }
    if (of_another) {
        sighting_noted(s, NULL, &err);
        return;
    }
    memory_free(s);
}

void bait_search_answer(proof *f, const fleet_worker *worker, const uint8_t job_id[STORE_JOB_ID_SIZE],
                        slice text) {
    char marker[HONEYTOKEN_LENGTH + 1];
    char job_hex[2 * STORE_JOB_ID_SIZE + 1];
    size_t position = 0;
    hex_encode(slice_of(job_id, STORE_JOB_ID_SIZE), job_hex);
    for (int i = 0; i < MARKERS_PER_ANSWER && honeytoken_find(text, &position, marker); i++) {
        error err = {0};
        sighting *s = memory_allocate_zeroed(1, sizeof *s);
        if (s == NULL) {
            log_warning("an answer was not searched for honeytokens: memory");
            return;
        }
        s->pool = f->pool;
        memcpy(s->worker_id, worker->id, sizeof s->worker_id);
        memcpy(s->marker, marker, sizeof s->marker);
        snprintf(s->where, sizeof s->where, "in answer %s of worker %s", job_hex, worker->id_hex);
        if (!store_honeytoken_find(f->pool->store, slice_of_text(marker), sighting_found, s, &err)) {
            log_warning("an answer was not searched for honeytokens", LOG_CAUSE(&err));
            memory_free(s);
            return;
        }
    }
}
