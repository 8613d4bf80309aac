#include "memory/lesson.h"

#include "base/memory.h"
#include "crypto/hash.h"
#include "dispatch/job.h"
#include "job.h"
#include "os/random.h"
#include "proof/policy.h"
#include "proof/proof.h"
#include "session.h"

#include <stdio.h>

struct lesson {
    work work;      /* first */
    list_node node; /* in pool.lessons */
    dispatch_job *handle;
    lesson_done *done;
    void *context;
    uint64_t user_id;
    uint64_t key_id;
    uint64_t login;
    char model[PROTO_NAME_MAX + 1];
    buffer prompt;
    receipt_message message;
    uint32_t max_tokens;
    uint64_t tokens;
    buffer answer;
    uint8_t salt[PROTO_SALT_SIZE];
    uint8_t nonce[PROTO_NONCE_SIZE];
    uint64_t seed;
    bool input_refused;
};

static lesson *lesson_of(work *w) {
    return (lesson *)(void *)w; /* its first member */
}

static void free_lesson(lesson *l) {
    list_remove(&l->node);
    buffer_wipe(&l->prompt);
    buffer_wipe(&l->answer);
    memory_free(l);
}

static void let_go(lesson *l) {
    pool *p = l->work.pool;
    dispatch_job *handle = l->handle;
    l->handle = NULL;
    if (handle != NULL) {
        dispatch_job_cancel(handle, ev_now_ms(p->loop));
        pool_arm_dispatch(p);
    }
}

static void fail(lesson *l, const lesson_failure *failure) {
    list_remove(&l->node);
    l->done(l->context, (slice){0}, failure);
    free_lesson(l);
}

void lesson_cancel(lesson *l) {
    list_remove(&l->node);
    let_go(l);
    free_lesson(l);
}

static bool fits(const lesson *l, const lessons_of *which) {
    return (which->user_id == 0 || which->user_id == l->user_id) &&
           (which->key_id == 0 || which->key_id == l->key_id) &&
           (which->login == 0 || which->login == l->login) &&
           (!which->waiting || (l->handle != NULL && dispatch_job_position(l->handle) > 0));
}

/* Ending one can end others, as with jobs: those meant are set apart first. */
void lessons_end(pool *p, const lessons_of *which, unsigned status, const char *code, const char *text) {
    const lesson_failure failure = {status, code, text};
    list_node ending;
    list_init(&ending);
    for (list_node *node = p->lessons.next, *next = NULL; node != &p->lessons; node = next) {
        next = node->next;
        if (fits(LIST_ENTRY(node, lesson, node), which)) {
            list_remove(node);
            list_append(&ending, node);
        }
    }
    while (!list_is_empty(&ending)) {
        lesson *l = LIST_ENTRY(list_first(&ending), lesson, node);
        list_remove(&l->node);
        let_go(l);
        fail(l, &failure);
    }
}

static void describe(const work *w, proto_message *message) {
    const lesson *l = (const lesson *)(const void *)w;
    proto_job *out = &message->job;
    out->messages = (const proto_chat *)(const void *)&l->message;
    out->message_count = 1;
    out->temperature = 0;
    out->top_p = 1;
    out->max_tokens = l->max_tokens;
    out->seed = l->seed;
    out->deadline_ms = session_deadline(w->pool->settings.job_deadline_ms);
    memcpy(out->nonce, l->nonce, sizeof out->nonce);
    memcpy(out->salt, l->salt, sizeof out->salt);
}

/* What is beyond the room for an answer isn't read. */
static bool take_delta(work *w, const proto_delta *delta, error *err) {
    lesson *l = lesson_of(w);
    if (!job_check_delta(delta, err)) {
        return false;
    }
    if (delta->token_count > l->max_tokens - l->tokens) {
        return error_set(err, ERROR_INVALID, "more tokens than were asked for");
    }
    l->tokens += delta->token_count;
    buffer_append(&l->answer, slice_part(delta->text, 0, LESSON_ANSWER_MAX - buffer_length(&l->answer)));
    dispatch_job_consumed(l->handle, l->tokens, ev_now_ms(w->pool->loop));
    return true;
}

static bool check_done(work *w, const fleet_worker *worker, const proto_done *done, signed_receipt *entry,
                       error *err) {
    (void)w;
    (void)worker;
    (void)done;
    (void)err;
    *entry = (signed_receipt){0}; /* nobody will ask for it */
    return true;
}

static void complete(work *w, const fleet_worker *worker, const signed_receipt *entry) {
    static const lesson_failure memory = {503, "memory", "the pool is out of memory; ask again"};
    lesson *l = lesson_of(w);
    (void)worker;
    (void)entry;
    l->handle = NULL;
    list_remove(&l->node);
    l->done(l->context, buffer_slice(&l->answer), buffer_failed(&l->answer) ? &memory : NULL);
    free_lesson(l);
}

static void gave_up(work *w, const fleet_worker *worker, const proto_fail *told) {
    (void)worker;
    lesson_of(w)->input_refused = slice_equal_text(told->code, PROTO_FAIL_INPUT);
}

static void restarted(work *w, bool resumed) {
    lesson *l = lesson_of(w);
    (void)resumed; /* nothing of it has gone out */
    l->tokens = 0;
    buffer_clear(&l->answer);
}

static void failed(work *w, dispatch_failure reason) {
    lesson *l = lesson_of(w);
    lesson_failure failure = {503, dispatch_failure_name(reason),
                              "no worker could read the conversation; ask again later"};
    l->handle = NULL;
    if (reason == DISPATCH_REFUSED && l->input_refused) {
        failure = (lesson_failure){400, "bad_input", "the conversation is too long for this model"};
    } else if (reason == DISPATCH_JOB_DEADLINE) {
        failure.status = 504;
    }
    fail(l, &failure);
}

static const work_kind lesson_kind = {.name = "lesson",
                                      .describe = describe,
                                      .delta = take_delta,
                                      .check_done = check_done,
                                      .complete = complete,
                                      .gave_up = gave_up,
                                      .restarted = restarted,
                                      .failed = failed};

/* What is said to come from such a worker only when it is proved doesn't come from it at all. */
static bool allows(void *asked, void *asking) {
    const work *w = asked;
    return proof_mode_of_worker(w->pool, session_worker(asking)) < VERIFY_PROVED;
}

static bool fill(lesson *l, slice prompt, error *err) {
    dispatch_id id;
    l->prompt = buffer_make(LESSON_PROMPT_MAX);
    l->answer = buffer_make(LESSON_ANSWER_MAX);
    if (!buffer_append(&l->prompt, prompt)) {
        return error_memory(err);
    }
    l->message = (receipt_message){SLICE_LITERAL("user"), buffer_slice(&l->prompt)};
    if (!job_draw_id(&id, err) || !random_bytes(l->salt, sizeof l->salt, err) ||
        !random_bytes(&l->seed, sizeof l->seed, err) || !receipt_nonce(l->salt, l->nonce, err)) {
        return false;
    }
    l->work.id = id;
    hex_encode(slice_of(id.bytes, sizeof id.bytes), l->work.id_hex);
    return true;
}

static lesson *new_lesson(pool *p, const account *who, slice model, lesson_done *done, void *context,
                          error *err) {
    uint64_t most = p->settings.max_tokens_limit;
    lesson *l = memory_allocate_zeroed(1, sizeof *l);
    if (l == NULL) {
        error_memory(err);
        return NULL;
    }
    *l = (lesson){.work = {.kind = &lesson_kind, .pool = p},
                  .done = done,
                  .context = context,
                  .user_id = who->user_id,
                  .key_id = who->key_id,
                  .login = who->login,
                  .max_tokens = (uint32_t)(most < LESSON_TOKENS ? most : LESSON_TOKENS)};
    list_init(&l->node);
    memcpy(l->model, model.data, model.length);
    l->work.model = slice_of_text(l->model);
    return l;
}

lesson *lesson_start(pool *p, const account *who, slice model, slice prompt, lesson_done *done, void *context,
                     error *err) {
    if (model.length == 0 || model.length > PROTO_NAME_MAX) {
        error_set(err, ERROR_NOT_FOUND, "no worker has a model with such a name");
        return NULL;
    }
    if (policy_of_model(&p->settings, model) >= VERIFY_PROVED) {
        error_set(err, ERROR_UNSUPPORTED,
                  "this site takes only what is proved, and what is learnt isn't checked; add facts yourself");
        return NULL;
    }
    lesson *l = new_lesson(p, who, model, done, context, err);
    if (l == NULL) {
        return NULL;
    }
    if (!fill(l, prompt, err) || !session_check_job(&l->work, err)) {
        free_lesson(l);
        return NULL;
    }
    const dispatch_spec spec = {.id = l->work.id,
                                .user = l->user_id,
                                .model = l->work.model,
                                .context = &l->work,
                                .allows = p->settings.verify_tiers[0] == '\0' ? NULL : allows};
    l->handle = dispatch_submit(p->dispatch, &spec, ev_now_ms(p->loop), err);
    pool_arm_dispatch(p);
    if (l->handle == NULL) {
        free_lesson(l);
        return NULL;
    }
    list_append(&p->lessons, &l->node);
    return l;
}
