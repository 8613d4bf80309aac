#include "site.h"

#include "base/memory.h"
#include "dispatch/job.h"
#include "proof/parties.h"
#include "proof/proof_internal.h"
#include "proof/standings.h"
#include "session_internal.h"
#include "store/join_tokens.h"
#include "store/users.h"

#include <stdio.h>
#include <string.h>

enum { ENROLLED_AT_ONCE = 1000, NETWORKS = 200, WORKERS_OF_OWNER = 2, SLOTS = 2 };

static session_model model;
static const char model_name[] = "bench";

slice bench_site_model(void) {
    return slice_of_text(model_name);
}

static void keep_failure(void *context, const error *failure) {
    bench_site *b = context;
    if (failure != NULL && b->failure.code == ERROR_NONE) {
        b->failure = *failure;
    }
}

static void user_added(void *context, const store_loaded_key *key, const error *failure) {
    bench_site *b = context;
    b->user = key == NULL ? 0 : key->user_id;
    keep_failure(b, failure);
}

static void enrolled(void *context, const store_worker *worker, const error *failure) {
    bench_site *b = context;
    error err = {0};
    keep_failure(b, failure != NULL || fleet_put_stored(b->pool.fleet, worker, &err) ? failure : &err);
}

static void stop(void *context, const store_worker *workers, size_t count, const error *failure) {
    (void)workers;
    (void)count;
    bench_site *b = context;
    keep_failure(b, failure);
    ev_loop_stop(b->pool.loop);
}

/* All that was asked of the store is done. */
static bool wait_for_store(bench_site *b, error *err) {
    if (!store_worker_list(b->pool.store, NULL, 1, stop, b, err)) {
        return false;
    }
    ev_loop_run(b->pool.loop);
    if (b->failure.code != ERROR_NONE) {
        *err = b->failure;
    }
    return b->failure.code == ERROR_NONE;
}

static void number_id(uint8_t *id, size_t length, size_t number) {
    memset(id, 0x5a, length);
    memcpy(id, &number, length < sizeof number ? length : sizeof number);
}

sign_key *bench_site_key(size_t worker, error *err) {
    uint8_t seed[SIGN_SEED_SIZE];
    number_id(seed, sizeof seed, worker);
    return sign_key_from_seed(seed, err);
}

static bool public_key(size_t worker, uint8_t key[STORE_KEY_SIZE], error *err) {
    sign_key *whole = bench_site_key(worker, err);
    if (whole == NULL) {
        return false;
    }
    memcpy(key, sign_key_public(whole), STORE_KEY_SIZE);
    sign_key_free(whole);
    return true;
}

static bool enrol(bench_site *b, size_t i, error *err) {
    char owner[32];
    snprintf(owner, sizeof owner, "owner%zu", i / WORKERS_OF_OWNER);
    store_join_token token = {.owner = slice_of_text(owner),
                              .tiers = SLICE_LITERAL("all"),
                              .expires_ms = 1000,
                              .created_by = b->user,
                              .referee = i < BENCH_REFEREES};
    store_enrolment enrolment = {
        .name = SLICE_LITERAL("desk"), .class_name = SLICE_LITERAL("cpu"), .now_ms = 1};
    number_id(token.id, sizeof token.id, i);
    number_id(enrolment.token_id, sizeof enrolment.token_id, i);
    return public_key(i, enrolment.public_key, err) &&
           receipt_worker_id(enrolment.public_key, enrolment.worker_id, err) &&
           store_join_token_add(b->pool.store, &token, keep_failure, b, err) &&
           store_join_token_consume(b->pool.store, &enrolment, enrolled, b, err);
}

static bool connect(bench_site *b, size_t i, size_t approvers, error *err) {
    pool *p = &b->pool;
    session *s = &b->sessions[i];
    uint8_t key[STORE_KEY_SIZE];
    uint8_t worker_id[STORE_WORKER_ID_SIZE];
    const dispatch_offer offer = {.model = bench_site_model(), .slots = SLOTS, .exact = true};
    dispatch_id id;
    if (!public_key(i, key, err) || !receipt_worker_id(key, worker_id, err)) {
        return false;
    }
    fleet_worker *worker = fleet_find(p->fleet, worker_id);
    if (worker == NULL) {
        return error_set(err, ERROR_INTERNAL, "a worker wasn't enrolled");
    }
    worker->approved_by = 1 + i % approvers;
    worker->session = s;
    *s = (session){.pool = p, .worker = worker, .models = &model, .model_count = 1};
    list_init(&s->node);
    snprintf(s->peer, sizeof s->peer, "10.%zu.0.7:443", i % NETWORKS);
    memcpy(id.bytes, worker->id, sizeof id.bytes);
    s->handle = dispatch_worker_add(p->dispatch, &id, s, &offer, 1, ev_now_ms(p->loop), err);
    if (s->handle == NULL) {
        return false;
    }
    dispatch_worker_ready(s->handle, ev_now_ms(p->loop));
    const dispatch_beat beat = {.slots = SLOTS, .running = i % 4 < 2 ? 0 : SLOTS};
    dispatch_worker_beat(s->handle, &beat, ev_now_ms(p->loop));
    store_reputation known = {
        .state = SLICE_LITERAL("regular"), .checks = 60, .agreed = 60, .consecutive = 60, .passed = 20};
    memcpy(known.worker_id, worker->id, sizeof known.worker_id);
    return standings_add_stored(p->proof->standings, &known, err) && proof_worker_ready(s, err);
}

static void send_job(void *context, void *worker, void *about, uint64_t credit) {
    (void)context;
    (void)worker;
    (void)about;
    (void)credit;
}

static void send_credit(void *context, void *worker, const dispatch_id *about, uint64_t tokens) {
    (void)context;
    (void)worker;
    (void)about;
    (void)tokens;
}

static void send_cancel(void *context, void *worker, const dispatch_id *about) {
    (void)context;
    (void)worker;
    (void)about;
}

static void restarted(void *context, void *about, bool resumed) {
    (void)context;
    (void)about;
    (void)resumed;
}

static void failed(void *context, void *about, dispatch_failure reason) {
    (void)context;
    (void)about;
    (void)reason;
}

static void drained(void *context, void *worker) {
    (void)context;
    (void)worker;
}

static void closed(void *context, void *worker, dispatch_closing reason) {
    (void)context;
    (void)worker;
    (void)reason;
}

static void nothing(void *context) {
    (void)context;
}

static bool start_pool(bench_site *b, const char *path, error *err) {
    static const dispatch_hooks hooks = {.send_job = send_job,
                                         .send_credit = send_credit,
                                         .send_cancel = send_cancel,
                                         .job_restarted = restarted,
                                         .job_failed = failed,
                                         .worker_drained = drained,
                                         .worker_closed = closed};
    const dispatch_config config = dispatch_config_default();
    pool *p = &b->pool;
    p->site.verify = &b->keys;
    ev_timer_init(&p->dispatch_timer, nothing, p);
    if (!pool_settings_load(NULL, &p->settings, err)) {
        return false;
    }
    p->settings.checks_at_once = 0; /* nobody would answer */
    p->loop = ev_loop_new(err);
    p->fleet = p->loop == NULL ? NULL : fleet_new(p->map_seed, err);
    p->dispatch = p->fleet == NULL ? NULL : dispatch_new(&config, &hooks, err);
    store *database = p->dispatch == NULL ? NULL : store_open(&(store_options){.path = path}, err);
    bool loaded = database != NULL && proof_load(p, database, err);
    store_close(database);
    p->store = loaded ? store_open(&(store_options){.path = path, .loop = p->loop}, err) : NULL;
    return p->store != NULL;
}

static bool add_workers(bench_site *b, error *err) {
    const store_new_key key = {.label = SLICE_LITERAL("bench"), .created_ms = 1};
    if (!store_user_add(b->pool.store, SLICE_LITERAL("bench"), SLICE_LITERAL("it_admin"), &key, user_added, b,
                        err) ||
        !wait_for_store(b, err)) {
        return false;
    }
    for (size_t i = 0; i < b->count; i++) {
        bool page = (i + 1) % ENROLLED_AT_ONCE == 0 || i + 1 == b->count;
        if (!enrol(b, i, err) || (page && !wait_for_store(b, err))) {
            return false;
        }
    }
    return true;
}

bool bench_site_open(bench_site *b, const char *path, size_t workers, size_t approvers, error *err) {
    *b = (bench_site){.count = workers};
    memset(&b->keys, 3, sizeof b->keys);
    model = (session_model){.name = bench_site_model(), .context = 4096, .profile = "exact-2"};
    b->sessions = memory_allocate_zeroed(workers, sizeof *b->sessions);
    if (b->sessions == NULL) {
        return error_memory(err);
    }
    if (!start_pool(b, path, err) || !add_workers(b, err)) {
        return false;
    }
    for (size_t i = 0; i < workers; i++) {
        if (!connect(b, i, approvers, err)) {
            return false;
        }
    }
    return true;
}

void bench_site_close(bench_site *b) {
    pool *p = &b->pool;
    proof_stop(p);
    store_close(p->store);
    dispatch_free(p->dispatch);
    fleet_free(p->fleet);
    ev_loop_free(p->loop);
    pool_settings_free(&p->settings);
    memory_free(b->sessions);
}

const fleet_worker *bench_site_worker(const bench_site *b, size_t worker) {
    return b->sessions[worker].worker;
}

bool bench_site_receipt(const bench_site *b, size_t worker, receipt *fields, error *err) {
    const fleet_worker *who = bench_site_worker(b, worker);
    *fields = (receipt){.version = RECEIPT_VERSION,
                        .temperature = 0.7F,
                        .top_p = 0.9F,
                        .max_tokens = 64,
                        .seed = 7,
                        .prompt_tokens = 64,
                        .completion_tokens = 64,
                        .finish = RECEIPT_FINISH_STOP,
                        .started_ms = 1700000000000,
                        .finished_ms = 1700000005000};
    memcpy(fields->worker_id, who->id, sizeof fields->worker_id);
    return session_describe_model(&b->sessions[worker], bench_site_model(), fields, err);
}
