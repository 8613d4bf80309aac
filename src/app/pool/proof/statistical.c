#include "proof/statistical.h"

#include "base/memory.h"
#include "os/random.h"
#include "proof/comparison.h"

/* What is taken up, what it may hold, and how it ends. */

enum {
    MEMORY_MAX = 2 * 1024 * 1024, /* of one, prompt and answer; longer ones aren't checked */
    HELD_MAX = 64 * 1024 * 1024,  /* of all */
    WORKER_SHARE = 16,            /* one in so many, and of their bytes, may be of one worker's answers */
    PATIENCE_MS = 10 * 60 * 1000  /* until somebody has time */
};

size_t statistical_learning(const statistical *all) {
    return calibrations_learning(all->calibrations);
}

bool statistical_applies(const receipt *fields) {
    return slice_starts_with(slice_of_text(fields->engine_profile), SLICE_LITERAL("runtime-"));
}

static void side_end(side *s) {
    if (s->handle != NULL) {
        dispatch_job *handle = s->handle;
        s->handle = NULL;
        dispatch_job_cancel(handle, ev_now_ms(s->work.pool->loop));
        pool_arm_dispatch(s->work.pool);
    }
    buffer_wipe(&s->text);
}

void comparison_free(comparison *c) {
    ev_timer_stop(&c->timer);
    list_remove(&c->node);
    c->all->count--;
    c->all->running -= c->is_running;
    c->all->held -= c->held;
    c->all->proof->statistics.uncompared += !c->is_settled;
    for (size_t i = 0; i < SIDES; i++) {
        side_end(&c->sides[i]);
    }
    arena_wipe(c->memory);
    arena_free(c->memory);
    memory_free(c);
}

static bool copy_prompt(comparison *c, const job *j) {
    receipt_message *messages = arena_allocate_array(c->memory, j->chat.message_count, sizeof *messages);
    bool copied = messages != NULL && arena_copy(c->memory, j->chat.model, &c->model);
    for (size_t i = 0; copied && i < j->chat.message_count; i++) {
        copied = arena_copy(c->memory, j->chat.messages[i].role, &messages[i].role) &&
                 arena_copy(c->memory, j->chat.messages[i].content, &messages[i].content);
    }
    for (size_t i = 0; copied && i < j->chat.stop_count; i++) {
        copied = arena_copy(c->memory, j->chat.stops[i], &c->stops[i]);
    }
    c->messages = messages;
    c->message_count = j->chat.message_count;
    c->stop_count = j->chat.stop_count;
    return copied;
}

static comparison *comparison_new(statistical *all) {
    comparison *c = memory_allocate_zeroed(1, sizeof *c);
    arena *memory = arena_new(MEMORY_MAX);
    if (c == NULL || memory == NULL) {
        memory_free(c);
        arena_free(memory);
        return NULL;
    }
    c->all = all;
    c->memory = memory;
    for (size_t i = 0; i < SIDES; i++) {
        c->sides[i] = (side){.work = {.kind = &comparison_kind, .pool = all->proof->pool},
                             .comparison = c,
                             .text = buffer_make(MEMORY_MAX)};
    }
    ev_timer_init(&c->timer, comparison_time_has_come, c);
    list_append(&all->comparisons, &c->node);
    all->count++;
    return c;
}

static bool take_claim(side *claimed, const job *j, const fleet_worker *worker, const receipt *fields) {
    memcpy(claimed->worker_id, worker->id, sizeof claimed->worker_id);
    claimed->is_known = !(fields->temperature > 0);
    if (claimed->is_known) {
        claimed->limit = fields->max_tokens;
        claimed->tokens = fields->completion_tokens;
        claimed->was_cut = fields->finish == RECEIPT_FINISH_LENGTH;
        claimed->logprobs = j->logprobs == NULL ? (agreement_logprobs){0} : *j->logprobs;
        comparison_note_logprobs(claimed, worker);
    }
    return !claimed->is_known || buffer_append(&claimed->text, buffer_slice(&j->text));
}

static bool take(comparison *c, const job *j, const fleet_worker *worker, const receipt *fields, error *err) {
    statistical *all = c->all;
    c->prompt_tokens = fields->prompt_tokens;
    c->max_tokens = fields->max_tokens;
    c->seed = fields->seed;
    memcpy(c->digest, fields->model_digest, sizeof c->digest);
    memcpy(c->profile, fields->engine_profile, sizeof c->profile);
    memcpy(c->commitment, fields->commitment, sizeof c->commitment);
    if (!copy_prompt(c, j) || !take_claim(&c->sides[CLAIMED], j, worker, fields) ||
        !calibration_key_of(c->digest, c->profile, CALIBRATION_TEXTS, &c->keys[CALIBRATION_TEXTS], err) ||
        !calibration_key_of(c->digest, c->profile, CALIBRATION_LOGPROBS, &c->keys[CALIBRATION_LOGPROBS],
                            err)) {
        return false;
    }
    for (size_t i = 0; i < SIDES; i++) {
        c->sides[i].work.model = c->model;
    }
    c->held = arena_used(c->memory) + buffer_length(&c->sides[CLAIMED].text);
    all->held += c->held;
    return all->held <= HELD_MAX;
}

/* Nobody's answers, which may be such that nobody can compare them, take the room of all others'. */
static bool has_share(const statistical *all, const fleet_worker *worker) {
    size_t count = 0;
    size_t held = 0;
    for (const list_node *node = all->comparisons.next; node != &all->comparisons; node = node->next) {
        const comparison *c = LIST_ENTRY(node, const comparison, node);
        bool is_its = memcmp(c->sides[CLAIMED].worker_id, worker->id, sizeof worker->id) == 0;
        count += is_its;
        held += is_its ? c->held : 0;
    }
    return count < COMPARISONS_MAX / WORKER_SHARE && held < HELD_MAX / WORKER_SHARE;
}

void statistical_check(statistical *all, const job *j, const fleet_worker *worker,
                       const signed_receipt *entry) {
    const pool *p = all->proof->pool;
    uint64_t drawn = 0;
    error ignored = {0};
    calibrations_load(all->calibrations, p->store);
    bool has_room = all->count < COMPARISONS_MAX && has_share(all, worker);
    comparison *c = has_room ? comparison_new(all) : NULL;
    if (c == NULL) {
        all->proof->statistics.uncompared++;
        return;
    }
    if (!take(c, j, worker, &entry->fields, &ignored) || !random_bytes(&drawn, sizeof drawn, &ignored)) {
        comparison_free(c);
        return;
    }
    uint64_t delay = drawn % (p->settings.check_delay_ms + 1);
    c->give_up_at = ev_now_ms(p->loop) + delay + PATIENCE_MS;
    comparison_wait(c, delay);
}

statistical *statistical_new(proof *f, error *err) {
    statistical *all = memory_allocate_zeroed(1, sizeof *all);
    if (all == NULL) {
        error_memory(err);
        return NULL;
    }
    all->proof = f;
    list_init(&all->comparisons);
    all->calibrations = calibrations_new(err);
    if (all->calibrations == NULL) {
        memory_free(all);
        return NULL;
    }
    return all;
}

void statistical_free(statistical *all) {
    if (all == NULL) {
        return;
    }
    while (!list_is_empty(&all->comparisons)) {
        comparison_free(LIST_ENTRY(list_first(&all->comparisons), comparison, node));
    }
    calibrations_free(all->calibrations, all->proof->pool->store);
    memory_free(all);
}
