#include "proof/statistical.h"

#include "base/log.h"
#include "base/memory.h"
#include "dispatch/job.h"
#include "os/random.h"
#include "proof/calibrations.h"
#include "proof/parties.h"
#include "proof/standings.h"
#include "session_internal.h"
#include "verify/draw.h"
#include "work.h"

enum {
    COMPARISONS_MAX = 64,         /* waiting or under way at once */
    MEMORY_MAX = 2 * 1024 * 1024, /* of one, prompt and answer; longer ones aren't checked */
    TOKENS_MAX = 256,             /* of what is asked again: the beginning says enough */
    TEXT_MAX = TOKENS_MAX * 1024, /* of its answer */
    ATTEMPTS_MAX = 5,             /* to find somebody who has time */
    RETRY_MS = 2000
};

typedef struct comparison comparison;

/* One answer to the prompt. */
typedef struct side {
    work work; /* first; that of asking again */
    comparison *comparison;
    dispatch_job *handle; /* while a worker has it */
    uint8_t worker_id[STORE_WORKER_ID_SIZE];
    uint8_t salt[RECEIPT_SALT_SIZE];
    uint8_t nonce[HASH_SIZE];
    bool is_known; /* `text` is complete */
    bool was_cut;  /* it ended because TOKENS_MAX tokens had come, where more had been allowed */
    buffer text;
    uint64_t tokens;
} side;

/* The worker that is checked, the one it is compared with, and, where these two differ, a third. */
enum { CLAIMED, REPEATED, ARBITER, SIDES };

struct comparison {
    list_node node; /* in statistical.comparisons */
    statistical *all;
    ev_timer timer;
    arena *memory; /* wiped at the end */
    slice model;
    uint8_t digest[HASH_SIZE];
    char profile[RECEIPT_PROFILE_LIMIT + 1];
    uint8_t commitment[HASH_SIZE];
    const receipt_message *messages;
    size_t message_count;
    slice stops[CHAT_STOPS_LIMIT];
    size_t stop_count;
    uint32_t max_tokens;
    uint64_t seed;
    unsigned attempts;
    double score; /* how alike the first two are */
    double ratio; /* what that says, by what was known before */
    side sides[SIDES];
};

struct statistical {
    proof *proof;
    calibrations *calibrations;
    list_node comparisons;
    size_t count;
};

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

static void comparison_free(comparison *c) {
    ev_timer_stop(&c->timer);
    list_remove(&c->node);
    c->all->count--;
    for (size_t i = 0; i < SIDES; i++) {
        side_end(&c->sides[i]);
    }
    arena_wipe(c->memory);
    arena_free(c->memory);
    memory_free(c);
}

static side *side_of(work *w) {
    return (side *)(void *)w; /* its first member */
}

static bool is_in_good_standing(const proof *f, const uint8_t worker[STORE_WORKER_ID_SIZE]) {
    standing_state state = standings_of(f->standings, worker)->state;
    return state == STANDING_NEW || state == STANDING_REGULAR;
}

static bool have_different_owners(const proof *f, const comparison *c) {
    const fleet_worker *a = fleet_find(f->pool->fleet, c->sides[CLAIMED].worker_id);
    const fleet_worker *b = fleet_find(f->pool->fleet, c->sides[REPEATED].worker_id);
    return a != NULL && b != NULL && strcmp(a->owner, b->owner) != 0;
}

/* Of a side that was allowed more than the other only as much is compared as the other could have said. */
static slice compared(const side *s, const side *other) {
    size_t limit = other->was_cut && !s->was_cut ? buffer_length(&other->text) : SIZE_MAX;
    return slice_part(buffer_slice(&s->text), 0, limit);
}

static double score_of(const side *one, const side *other) {
    slice claimed = compared(one, other);
    slice repeated = compared(other, one);
    const agreement_pair pair = {.claimed = claimed.length,
                                 .repeated = repeated.length,
                                 .common = agreement_common_text(claimed, repeated)};
    return agreement_score(&pair);
}

/* Where nobody can say which of the two it was, it is the one that is checked. */
static const side *blamed(const comparison *c) {
    const side *sides = c->sides;
    bool was_other = sides[ARBITER].is_known &&
                     score_of(&sides[CLAIMED], &sides[ARBITER]) > score_of(&sides[REPEATED], &sides[ARBITER]);
    return &sides[was_other ? REPEATED : CLAIMED];
}

/* Honest pairs only, or a cheat would make itself what is usual. Honest workers deviate as well, but seldom
 * twice at a stretch: whoever is halfway to quarantine is no longer learnt from. */
static bool may_learn(const comparison *c, const side *outlier) {
    const proof *f = c->all->proof;
    const standing_rules rules = policy_rules(&f->pool->settings);
    bool is_suspect =
        c->ratio > 0 && standings_of(f->standings, outlier->worker_id)->cusum >= rules.cusum_limit / 2;
    return !is_suspect && have_different_owners(f, c) &&
           is_in_good_standing(f, c->sides[CLAIMED].worker_id) &&
           is_in_good_standing(f, c->sides[REPEATED].worker_id);
}

static void settle(comparison *c) {
    proof *f = c->all->proof;
    const side *outlier = blamed(c);
    if (may_learn(c, outlier)) {
        calibrations_learn(c->all->calibrations, f->pool->store, c->digest, c->score);
    }
    f->statistics.compared++;
    f->statistics.deviated += c->ratio > 0;
    standings_move(f, outlier->worker_id, STANDING_DEVIATED, c->ratio);
    comparison_free(c);
}

static bool ask_arbiter(comparison *c);

static void judge(comparison *c) {
    proof *f = c->all->proof;
    c->score = score_of(&c->sides[CLAIMED], &c->sides[REPEATED]);
    c->ratio = calibrations_ratio(c->all->calibrations, f->pool->store, c->digest, c->score);
    log_debug("answers of a runtime were compared", LOG_TEXT("profile", c->profile),
              LOG_U64("alike_permille", c->score * 1000),
              LOG_TEXT("result", c->ratio > 0 ? "deviates" : "agrees"));
    if (!(c->ratio > 0) || !ask_arbiter(c)) {
        settle(c);
    }
}

static uint32_t tokens_asked(const comparison *c) {
    return c->max_tokens < TOKENS_MAX ? c->max_tokens : TOKENS_MAX;
}

static void describe(const work *w, proto_message *message) {
    const side *s = (const side *)(const void *)w;
    const comparison *c = s->comparison;
    proto_job *out = &message->job;
    out->messages = (const proto_chat *)(const void *)c->messages;
    out->message_count = c->message_count;
    out->temperature = 0;
    out->top_p = 1;
    out->max_tokens = tokens_asked(c);
    out->stop_count = c->stop_count;
    memcpy(out->stop, c->stops, c->stop_count * sizeof c->stops[0]);
    out->seed = c->seed;
    out->deadline_ms = session_deadline(w->pool->settings.job_deadline_ms);
    memcpy(out->nonce, s->nonce, sizeof out->nonce);
    memcpy(out->salt, s->salt, sizeof out->salt);
}

static bool take_delta(work *w, const proto_delta *delta, error *err) {
    side *s = side_of(w);
    if (delta->token_count > tokens_asked(s->comparison) - s->tokens ||
        delta->text.length > TEXT_MAX - buffer_length(&s->text)) {
        return error_set(err, ERROR_INVALID, "more than was asked for");
    }
    s->tokens += delta->token_count;
    if (!buffer_append(&s->text, delta->text)) {
        comparison_free(s->comparison); /* memory: nothing comes of it */
        return true;
    }
    dispatch_job_consumed(s->handle, s->tokens, ev_now_ms(w->pool->loop)); /* may end it */
    return true;
}

static bool check_done(work *w, const fleet_worker *worker, const proto_done *done, signed_receipt *entry,
                       error *err) {
    side *s = side_of(w);
    (void)worker;
    (void)err;
    s->was_cut = done->finish == PROTO_LENGTH && s->comparison->max_tokens > TOKENS_MAX;
    *entry = (signed_receipt){0}; /* nobody will ever ask for it */
    return true;
}

static void complete(work *w, const fleet_worker *worker, const signed_receipt *entry) {
    side *s = side_of(w);
    comparison *c = s->comparison;
    (void)worker;
    (void)entry;
    s->handle = NULL;
    s->is_known = true;
    if (s == &c->sides[ARBITER]) {
        settle(c);
    } else if (c->sides[CLAIMED].is_known && c->sides[REPEATED].is_known) {
        judge(c);
    }
}

static void gave_up(work *w, const fleet_worker *worker, const proto_fail *fail) {
    (void)w;
    (void)worker;
    (void)fail;
}

static void failed(work *w, dispatch_failure reason) {
    side *s = side_of(w);
    (void)reason;
    s->handle = NULL;
    if (s == &s->comparison->sides[ARBITER]) {
        settle(s->comparison);
    } else {
        comparison_free(s->comparison);
    }
}

static const work_kind comparison_kind = {.name = "comparison",
                                          .describe = describe,
                                          .delta = take_delta,
                                          .check_done = check_done,
                                          .complete = complete,
                                          .gave_up = gave_up,
                                          .failed = failed};

static bool prepare_side(side *s, error *err) {
    struct {
        dispatch_id id;
        uint8_t salt[RECEIPT_SALT_SIZE];
    } drawn;
    if (!random_bytes(&drawn, sizeof drawn, err) || !receipt_nonce(drawn.salt, s->nonce, err)) {
        return false;
    }
    s->work.id = drawn.id;
    hex_encode(slice_of(drawn.id.bytes, sizeof drawn.id.bytes), s->work.id_hex);
    memcpy(s->salt, drawn.salt, sizeof s->salt);
    return true;
}

static bool has_time(const session *s, slice model) {
    return s != NULL && s->handle != NULL && dispatch_worker_has_slot(s->handle, model);
}

static session *session_of(const proof *f, const uint8_t worker[STORE_WORKER_ID_SIZE]) {
    const fleet_worker *found = fleet_find(f->pool->fleet, worker);
    return found == NULL ? NULL : found->session;
}

/* Somebody with time who is independent of those who have answered. NULL: nobody. */
static session *choose(const comparison *c, const side *asked) {
    const proof *f = c->all->proof;
    verify_party subjects[SIDES];
    verify_choice choice;
    error err = {0};
    party_query query = {.model = c->model, .digest = c->digest, .profile = c->profile, .subjects = subjects};
    for (const side *s = c->sides; s < asked; s++) {
        const fleet_worker *worker = fleet_find(f->pool->fleet, s->worker_id);
        if (worker == NULL) {
            return NULL;
        }
        subjects[query.subject_count++] = party_of_worker(worker);
    }
    return verify_draw(f->pool->site.verify->draw, VERIFY_DRAW_VERIFIER, asked->work.id.bytes, c->commitment,
                       &query.draw, &err)
               ? parties_choose(f, &query, &choice)
               : NULL;
}

/* False: it could not be given out. */
static bool ask(side *s, session *to) {
    pool *p = s->work.pool;
    error err = {0};
    const dispatch_spec spec = {.id = s->work.id, .model = s->work.model, .context = &s->work};
    memcpy(s->worker_id, to->worker->id, sizeof s->worker_id);
    s->handle = dispatch_assign(p->dispatch, &spec, to->handle, false, ev_now_ms(p->loop), &err);
    pool_arm_dispatch(p);
    return s->handle != NULL;
}

/* False: nobody was asked. */
static bool ask_arbiter(comparison *c) {
    side *s = &c->sides[ARBITER];
    error err = {0};
    session *third = prepare_side(s, &err) && !c->all->proof->stopping ? choose(c, s) : NULL;
    return third != NULL && ask(s, third);
}

/* Both are asked at once, or none. */
static void time_has_come(void *context) {
    comparison *c = context;
    const proof *f = c->all->proof;
    side *claimed = &c->sides[CLAIMED];
    side *repeated = &c->sides[REPEATED];
    error err = {0};
    bool prepared = prepare_side(claimed, &err) && prepare_side(repeated, &err);
    session *other = prepared && !f->stopping && !f->pool->draining ? choose(c, repeated) : NULL;
    session *own = session_of(f, claimed->worker_id);
    if (other == NULL || (!claimed->is_known && !has_time(own, c->model))) {
        if (!prepared || ++c->attempts >= ATTEMPTS_MAX) {
            comparison_free(c);
        } else {
            ev_timer_start(f->pool->loop, &c->timer, RETRY_MS);
        }
        return;
    }
    if (!ask(repeated, other) || (!claimed->is_known && !ask(claimed, own))) {
        comparison_free(c);
    }
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
    ev_timer_init(&c->timer, time_has_come, c);
    list_append(&all->comparisons, &c->node);
    all->count++;
    return c;
}

static bool take(comparison *c, const job *j, const fleet_worker *worker, const receipt *fields) {
    if (!copy_prompt(c, j)) {
        return false;
    }
    memcpy(c->digest, fields->model_digest, sizeof c->digest);
    memcpy(c->profile, fields->engine_profile, sizeof c->profile);
    memcpy(c->commitment, fields->commitment, sizeof c->commitment);
    side *claimed = &c->sides[CLAIMED];
    memcpy(claimed->worker_id, worker->id, sizeof claimed->worker_id);
    c->max_tokens = fields->max_tokens;
    c->seed = fields->seed;
    for (size_t i = 0; i < SIDES; i++) {
        c->sides[i].work.model = c->model;
    }
    claimed->is_known = !(fields->temperature > 0);
    return !claimed->is_known || buffer_append(&claimed->text, buffer_slice(&j->text));
}

void statistical_check(statistical *all, const job *j, const fleet_worker *worker,
                       const signed_receipt *entry) {
    pool *p = all->proof->pool;
    uint64_t drawn = 0;
    error ignored = {0};
    if (all->count >= COMPARISONS_MAX) {
        return;
    }
    comparison *c = comparison_new(all);
    if (c == NULL) {
        return;
    }
    if (!take(c, j, worker, &entry->fields) || !random_bytes(&drawn, sizeof drawn, &ignored)) {
        comparison_free(c);
        return;
    }
    ev_timer_start(p->loop, &c->timer, drawn % (p->settings.check_delay_ms + 1));
}

statistical *statistical_new(proof *f, error *err) {
    statistical *all = memory_allocate_zeroed(1, sizeof *all);
    if (all == NULL) {
        error_memory(err);
        return NULL;
    }
    all->proof = f;
    list_init(&all->comparisons);
    all->calibrations = calibrations_new(f->pool->map_seed, err);
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
    calibrations_free(all->calibrations);
    memory_free(all);
}
