#include "faults.h"

#include "codec/json.h"
#include "os/random.h"

#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>

enum { SETTLE_MS = 10000, MISSES = 3, QUIET_MS = 3, LONG_QUESTION = 6000 /* several blocks of memory */ };

/* --- judging --- */

static void fail_with(const reply *r, const char *what) {
    fail_msg("%s: status %u, %s: %.*s", what, r->status, r->cut ? "cut" : "whole",
             SLICE_FORMAT(buffer_slice(&r->body)));
}

static void expect_json(const reply *r) {
    error err;
    json_value *root = json_parse(buffer_slice(&r->body), (json_limits){.size = SIZE_MAX, .depth = 8}, &err);
    if (root == NULL) {
        fail_with(r, "not JSON");
    }
    json_free(root);
}

outcome judge_json(const reply *r, unsigned expected_status) {
    if (r->cut) {
        return OUTCOME_CUT;
    }
    expect_json(r);
    if (r->status == expected_status) {
        return OUTCOME_DONE;
    }
    if (r->status < 500 || !reply_has(r, "\"error\"")) {
        fail_with(r, "the client is blamed, or misled");
    }
    return OUTCOME_REFUSED;
}

outcome judge_chat(bench *b, const reply *r) {
    outcome result = judge_json(r, 200);
    snprintf(b->text, sizeof b->text, "\"content\":\"%s\"", b->answer);
    if (result == OUTCOME_DONE && !reply_has(r, b->text)) {
        fail_with(r, "a wrong answer");
    }
    return result;
}

/* The text of a stream's events, put together. */
static void join_events(const reply *r, char *text, size_t size) {
    static const char mark[] = "\"delta\":{\"content\":\"";
    slice rest = buffer_slice(&r->body);
    size_t length = 0;
    for (size_t at = 0; (at = slice_find_slice(rest, slice_of_text(mark))) != SIZE_MAX;) {
        rest = slice_after(rest, at + sizeof mark - 1);
        slice piece = slice_part(rest, 0, slice_find(rest, '"'));
        assert_true(length + piece.length < size);
        memcpy(text + length, piece.data, piece.length);
        length += piece.length;
    }
    text[length] = '\0';
}

outcome judge_stream(bench *b, const reply *r) {
    char text[sizeof b->answer];
    if (r->status != 0 && r->status != 200) {
        return judge_json(r, 200);
    }
    bool done = reply_has(r, "data: [DONE]\n\n");
    bool failed = reply_has(r, "data: {\"error\":");
    join_events(r, text, sizeof text);
    if (strncmp(text, b->answer, strlen(text)) != 0 || (done && strcmp(text, b->answer) != 0)) {
        fail_with(r, "a wrong answer");
    }
    if ((done && failed) || (!done && !failed && !r->cut)) {
        fail_with(r, "a failure that looks like an end");
    }
    return done ? OUTCOME_DONE : failed ? OUTCOME_REFUSED : OUTCOME_CUT;
}

/* --- without faults --- */

const reply *bench_ask(bench *b, const char *method, const char *path, const char *key, const char *body,
                       unsigned status) {
    const reply *r = client_ask(&b->control, method, path, key, body);
    if (r->cut || r->status != status) {
        fprintf(stderr, "# %s %s\n", method, path);
        fail_with(r, "without a fault");
    }
    return r;
}

void bench_expect_receipt(bench *b, const char *job) {
    char path[96];
    signed_receipt entry;
    succession keys;
    uint8_t digest[HASH_SIZE];
    error err = {0};
    snprintf(path, sizeof path, "/v1/receipts/%s", job);
    const reply *r = bench_ask(b, "GET", path, b->site.admin_key, NULL, 200);
    if (!receipt_read_json(buffer_slice(&r->body), &entry, &err)) {
        fail_msg("%s", err.text);
    }
    r = bench_ask(b, "GET", "/v1/pool/keys", NULL, NULL, 200);
    if (!succession_read_json(buffer_slice(&r->body), b->site.pool_id, &keys, &err) ||
        !receipt_verify(&entry, b->site.pool_id, &keys, &err) ||
        !receipt_hash_answer(entry.salt, slice_of_text(b->answer), digest, &err)) {
        fail_msg("%s", err.text);
    }
    assert_memory_equal(digest, entry.fields.answer_hash, sizeof digest);
}

const char *bench_question(bench *b, bool stream) {
    snprintf(b->question, sizeof b->question,
             "{\"model\":\"%s\",\"stream\":%s,\"temperature\":%g,\"max_tokens\":8,"
             "\"messages\":[{\"role\":\"user\",\"content\":\"How do I add a worker?%*s\"}]}",
             b->model, stream ? "true" : "false", b->temperature, b->agent > 0 ? 0 : LONG_QUESTION, "");
    return b->question;
}

void bench_enrol(bench *b, honest_worker *w) {
    char token[512];
    char wish[96];
    snprintf(wish, sizeof wish, "{\"owner\":\"test%td\",\"referee\":%s,\"tiers\":\"%s\"}",
             b->proves ? w - b->workers : 0, b->runtimes && w > b->workers ? "true" : "false",
             b->tiers ? "lent" : "");
    reply_text(bench_ask(b, "POST", "/v1/admin/join-tokens", b->site.admin_key, wish, 201), "token", token,
               sizeof token);
    honest_worker_write_enrolment(w, token, b->text, sizeof b->text);
    bench_ask(b, "POST", "/v1/worker/enrol", NULL, b->text, 201);
}

bool bench_workers_serve(void *context) {
    bench *b = context;
    for (size_t i = 0; i < b->worker_count; i++) {
        if (!b->workers[i].serving) {
            return false;
        }
    }
    return true;
}

static uint64_t metric(const reply *r, const char *name) {
    char line[96];
    snprintf(line, sizeof line, "\ncellule_%s ", name);
    size_t at = slice_find_slice(buffer_slice(&r->body), slice_of_text(line));
    assert_true(at != SIZE_MAX);
    return strtoull((const char *)buffer_slice(&r->body).data + at + strlen(line), NULL, 10);
}

static bool is_settled(bench *b, const reply *r) {
    uint64_t workers = b->worker_count + (b->agent > 0 ? 1 : 0);
    uint64_t connections = workers + 1 + (b->client.connected && !b->client.wire.closed ? 1 : 0);
    return metric(r, "slots_busy") == 0 && metric(r, "jobs_running") == 0 && metric(r, "jobs_queued") == 0 &&
           metric(r, "workers_connected") == workers && metric(r, "http_connections") == connections;
}

/* Every slot and connection comes back, and the next question is answered. */
void bench_expect_recovery(bench *b) {
    char job[33];
    wire_run_until(&b->site.wire, bench_workers_serve, b);
    uint64_t deadline = ev_now_ms(b->site.wire.loop) + SETTLE_MS;
    const reply *r = bench_ask(b, "GET", "/metrics", b->site.admin_key, NULL, 200);
    while (!is_settled(b, r)) {
        if (ev_now_ms(b->site.wire.loop) > deadline) {
            fail_with(r, "something is held for ever");
        }
        wire_run_for(&b->site.wire, 2);
        r = bench_ask(b, "GET", "/metrics", b->site.admin_key, NULL, 200);
    }
    r = bench_ask(b, "POST", CHAT_PATH, b->site.admin_key, bench_question(b, false), 200);
    assert_int_equal(judge_chat(b, r), OUTCOME_DONE);
    snprintf(job, sizeof job, "%s", r->job);
    bench_expect_receipt(b, job);
    for (size_t i = 0; i < b->worker_count; i++) {
        if (b->workers[i].blamed > 0) {
            fail_msg("an honest worker was blamed: %s", b->workers[i].blame);
        }
    }
}

/* --- the rounds --- */

void bench_make(bench *b) {
    static fault_control *control;
    const char *seed = getenv("CELLULE_FAULTS_SEED");
    error err;
    *b = (bench){.control = {.site = &b->site},
                 .client = {.site = &b->site},
                 .model = WORKER_MODEL,
                 .answer = WORKER_ANSWER,
                 .runtimes = b->runtimes,
                 .temperature = b->temperature};
    control = control == NULL ? fault_control_make() : control;
    fault_control_give(control);
    b->faults = control;
    site_make(&b->site);
    assert_true(random_bytes(&b->seed, sizeof b->seed, &err));
    b->seed = seed != NULL ? strtoull(seed, NULL, 10) : b->seed % 1000000;
}

static void start(bench *b, size_t worker_count) {
    b->worker_count = worker_count;
    site_serve(&b->site);
    for (size_t i = 0; i < worker_count; i++) {
        honest_worker_make(&b->workers[i], &b->site, &b->vanish);
        b->workers[i].profile = b->runtimes ? worker_runtime_profile : worker_profile;
        bench_enrol(b, &b->workers[i]);
        honest_worker_go(&b->workers[i]);
    }
    wire_run_until(&b->site.wire, bench_workers_serve, b);
    bench_expect_recovery(b);
}

/* Threads of the pool may go on after the answer: waits until nothing has been allocated for a moment. */
static void let_it_rest(bench *b) {
    uint64_t calls = UINT64_MAX;
    while (calls != b->faults->points[FAULT_MEMORY].calls) {
        calls = b->faults->points[FAULT_MEMORY].calls;
        wire_run_for(&b->site.wire, QUIET_MS);
    }
}

/* One round; true if the fault came. */
static bool run_round(bench *b, const scenario *what, int64_t n) {
    snprintf(b->name, sizeof b->name, "round-%" PRIu64, b->round++);
    if (what->prepare != NULL) {
        what->prepare(b);
    }
    fault_control_arm(b->faults, FAULT_MEMORY, n);
    what->act(b);
    let_it_rest(b);
    b->calls = b->faults->points[FAULT_MEMORY].calls;
    bool reached = fault_control_disarm(b->faults, FAULT_MEMORY);
    site_expect_alive(&b->site);
    if (what->check != NULL) {
        what->check(b);
    }
    bench_expect_recovery(b);
    return reached;
}

void bench_run_rounds(bench *b, const scenario *what) {
    size_t points = 0;
    size_t misses = 0;
    (void)run_round(b, what, INT64_MAX); /* the first time does what later ones needn't */
    (void)run_round(b, what, INT64_MAX);
    uint64_t total = b->calls;
    uint64_t behind = total > what->dense ? total - what->dense : 0;
    uint64_t step = behind / (what->budget - what->dense + 1) + 1;
    step += step % 2 == 0;
    uint64_t first = what->dense + b->seed % step;
    for (uint64_t n = 0; misses < MISSES; n = n + 1 < what->dense ? n + 1 : n < first ? first : n + step) {
        b->at = n;
        bool reached = run_round(b, what, (int64_t)n);
        points += reached;
        misses = reached ? 0 : misses + 1;
    }
    printf("# %zu of about %" PRIu64 " allocations failed in turn\n", points, total);
}

void bench_run(bench *b, size_t worker_count, const scenario *what) {
    bench_make(b);
    start(b, worker_count);
    bench_run_rounds(b, what);
    bench_end(b);
}

void bench_run_proof(bench *b, const char *mode, const scenario *what) {
    bench_make(b);
    b->proves = true;
    b->client.mode = mode;
    b->control.mode = mode;
    site_add_setting(&b->site, "check_delay_ms: 0");
    site_add_setting(&b->site, "verify_tiers: lent=required");
    start(b, sizeof b->workers / sizeof b->workers[0]);
    bench_run_rounds(b, what);
    bench_end(b);
}

void bench_run_tiers(bench *b, const scenario *what) {
    b->tiers = true;
    bench_run_proof(b, NULL, what);
}

void bench_run_runtimes(bench *b, double temperature, const scenario *what) {
    b->runtimes = true;
    b->temperature = temperature;
    bench_run_proof(b, "every", what);
}

void bench_end(bench *b) {
    client_free(&b->client);
    client_free(&b->control);
    for (size_t i = 0; i < b->worker_count; i++) {
        honest_worker_free(&b->workers[i]);
    }
    if (b->site.pool > 0) {
        site_stop(&b->site);
    }
    b->finished = true;
}

void bench_destroy(bench *b) {
    if (b->agent > 0) {
        (void)kill(b->agent, SIGKILL);
        (void)program_wait(b->agent);
    }
    if (!b->finished) {
        fprintf(stderr, "# failed with CELLULE_FAULTS_SEED=%" PRIu64 " at allocation %" PRIu64 "; the log:\n",
                b->seed, b->at);
        site_show_log(&b->site);
    }
    site_destroy(&b->site);
}
