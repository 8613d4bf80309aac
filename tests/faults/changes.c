#include "faults.h"
#include "scenarios.h"

#include "ledger/succession.h"

#include <signal.h>
#include <stdlib.h>

static void be_connected(bench *b) {
    assert_true(client_connect(&b->client));
}

static void hang_up(bench *b) {
    client_disconnect(&b->client);
}

/* --- users and keys --- */

/* How often the text stands in the answer. */
static size_t count(const reply *r, const char *text) {
    slice rest = buffer_slice(&r->body);
    size_t found = 0;
    for (size_t at = 0; (at = slice_find_slice(rest, slice_of_text(text))) != SIZE_MAX; found++) {
        rest = slice_after(rest, at + strlen(text));
    }
    return found;
}

static void act_user_add(bench *b) {
    snprintf(b->text, sizeof b->text, "{\"name\":\"%s\"}", b->name);
    const reply *r = client_ask(&b->client, "POST", "/v1/admin/users", b->site.admin_key, b->text);
    b->result = judge_json(r, 201);
    if (b->result == OUTCOME_DONE) {
        reply_text(r, "key", b->key, sizeof b->key);
    }
}

static size_t count_keys(bench *b) {
    snprintf(b->path, sizeof b->path, "/v1/admin/users/%s/keys", b->name);
    return count(bench_ask(b, "GET", b->path, b->site.admin_key, NULL, 200), "\"id\":");
}

static void check_user_added(bench *b) {
    snprintf(b->text, sizeof b->text, "\"%s\"", b->name);
    bool there = reply_has(bench_ask(b, "GET", "/v1/admin/users", b->site.admin_key, NULL, 200), b->text);
    if (there) {
        assert_int_equal(count_keys(b), 1);
    }
    if (b->result != OUTCOME_CUT) {
        assert_int_equal(there, b->result == OUTCOME_DONE);
    }
    if (b->result == OUTCOME_DONE) {
        bench_ask(b, "GET", "/v1/models", b->key, NULL, 200);
    }
}

void a_user_is_added(void **state) {
    static const scenario what = {be_connected, act_user_add, check_user_added, 300, 320};
    bench_run(*state, 1, &what);
}

static void make_user(bench *b) {
    snprintf(b->text, sizeof b->text, "{\"name\":\"%s\"}", b->name);
    reply_text(bench_ask(b, "POST", "/v1/admin/users", b->site.admin_key, b->text, 201), "key", b->key,
               sizeof b->key);
    be_connected(b);
}

static void act_key_add(bench *b) {
    snprintf(b->path, sizeof b->path, "/v1/admin/users/%s/keys", b->name);
    const reply *r = client_ask(&b->client, "POST", b->path, b->site.admin_key, NULL);
    b->result = judge_json(r, 201);
    if (b->result == OUTCOME_DONE) {
        reply_text(r, "key", b->key, sizeof b->key);
    }
}

static void check_key_added(bench *b) {
    size_t keys = count_keys(b);
    if (b->result != OUTCOME_CUT) {
        assert_int_equal(keys, b->result == OUTCOME_DONE ? 2 : 1);
    }
    bench_ask(b, "GET", "/v1/models", b->key, NULL, 200);
}

void a_key_is_added(void **state) {
    static const scenario what = {make_user, act_key_add, check_key_added, 300, 320};
    bench_run(*state, 1, &what);
}

static void find_key(bench *b) {
    make_user(b);
    snprintf(b->path, sizeof b->path, "/v1/admin/users/%s/keys", b->name);
    const reply *r = bench_ask(b, "GET", b->path, b->site.admin_key, NULL, 200);
    size_t at = slice_find_slice(buffer_slice(&r->body), SLICE_LITERAL("\"id\":"));
    assert_true(at != SIZE_MAX);
    snprintf(b->path, sizeof b->path, "/v1/admin/keys/%d/revoke",
             atoi((const char *)buffer_slice(&r->body).data + at + 5));
}

static void act_revoke(bench *b) {
    b->result = judge_json(client_ask(&b->client, "POST", b->path, b->site.admin_key, NULL), 200);
}

/* What the database says must hold in memory too. Until it says so the key may be shut out already. */
static void check_revoked(bench *b) {
    snprintf(b->path, sizeof b->path, "/v1/admin/users/%s/keys", b->name);
    bool valid = reply_has(bench_ask(b, "GET", b->path, b->site.admin_key, NULL, 200), "\"revoked_ms\":0");
    if (!valid) {
        bench_ask(b, "GET", "/v1/models", b->key, NULL, 401);
    }
    if (b->result != OUTCOME_CUT) {
        assert_int_equal(valid, b->result == OUTCOME_REFUSED);
    }
}

void a_key_is_revoked(void **state) {
    static const scenario what = {find_key, act_revoke, check_revoked, 300, 320};
    bench_run(*state, 1, &what);
}

static void act_own_key_add(bench *b) {
    const reply *r = client_ask(&b->client, "POST", "/v1/keys", b->key, "{}");
    b->result = judge_json(r, 201);
    if (b->result == OUTCOME_DONE) {
        reply_text(r, "key", b->token, sizeof b->token);
    }
}

/* One that its user didn't get is revoked again. */
static void check_own_key_added(bench *b) {
    snprintf(b->path, sizeof b->path, "/v1/admin/users/%s/keys", b->name);
    size_t live = count(bench_ask(b, "GET", b->path, b->site.admin_key, NULL, 200), "\"revoked_ms\":0");
    if (b->result != OUTCOME_CUT) {
        assert_int_equal(live, b->result == OUTCOME_DONE ? 2 : 1);
    }
    bench_ask(b, "GET", "/v1/models", b->key, NULL, 200);
    if (b->result == OUTCOME_DONE) {
        bench_ask(b, "GET", "/v1/models", b->token, NULL, 200);
    }
}

/* Of one who keeps nothing: stretching a token allocates a million times. */
void a_key_is_made_by_its_user(void **state) {
    static const scenario what = {make_user, act_own_key_add, check_own_key_added, 300, 320};
    bench_run(*state, 1, &what);
}

/* --- machines --- */

static void act_join_token(bench *b) {
    const reply *r =
        client_ask(&b->client, "POST", "/v1/admin/join-tokens", b->site.admin_key, "{\"owner\":\"test\"}");
    b->token[0] = '\0';
    if (judge_json(r, 201) == OUTCOME_DONE) {
        reply_text(r, "token", b->token, sizeof b->token);
    }
}

/* A token that was given out works. */
static void check_join_token(bench *b) {
    honest_worker machine;
    if (b->token[0] != '\0') {
        honest_worker_make(&machine, &b->site, &b->vanish);
        honest_worker_write_enrolment(&machine, b->token, b->text, sizeof b->text);
        bench_ask(b, "POST", "/v1/worker/enrol", NULL, b->text, 201);
        honest_worker_free(&machine);
    }
}

void a_join_token_is_made(void **state) {
    static const scenario what = {be_connected, act_join_token, check_join_token, 300, 320};
    bench_run(*state, 1, &what);
}

static void get_join_token(bench *b) {
    reply_text(bench_ask(b, "POST", "/v1/admin/join-tokens", b->site.admin_key, "{\"owner\":\"test\"}", 201),
               "token", b->token, sizeof b->token);
    honest_worker_make(&b->workers[1], &b->site, &b->vanish);
    honest_worker_write_enrolment(&b->workers[1], b->token, b->text, sizeof b->text);
    be_connected(b);
}

static void act_enrol(bench *b) {
    b->result = judge_json(client_ask(&b->client, "POST", "/v1/worker/enrol", NULL, b->text), 201);
}

static bool second_serves(void *context) {
    return ((bench *)context)->workers[1].serving;
}

/* Refused: the token is as good as before. Cut: the machine is enrolled, or can be. Then it serves. */
static void check_enrolled(bench *b) {
    char id[2 * PROTO_ID_SIZE + 1];
    hex_encode(slice_of(b->workers[1].id, sizeof b->workers[1].id), id);
    bool there = reply_has(bench_ask(b, "GET", "/v1/admin/workers", b->site.admin_key, NULL, 200), id);
    if (b->result != OUTCOME_CUT) {
        assert_int_equal(there, b->result == OUTCOME_DONE);
    }
    if (!there) {
        bench_ask(b, "POST", "/v1/worker/enrol", NULL, b->text, 201);
    }
    honest_worker_go(&b->workers[1]);
    wire_run_until(&b->site.wire, second_serves, b);
    assert_int_equal(b->workers[1].blamed, 0);
    honest_worker_free(&b->workers[1]);
}

void a_machine_is_enrolled(void **state) {
    static const scenario what = {get_join_token, act_enrol, check_enrolled, 300, 320};
    bench_run(*state, 1, &what);
}

static void send_worker_away(bench *b) {
    honest_worker_leave(&b->workers[0]);
}

static void act_worker_connects(bench *b) {
    honest_worker_go(&b->workers[0]);
    wire_run_until(&b->site.wire, bench_workers_serve, b);
}

void a_worker_connects(void **state) {
    static const scenario what = {send_worker_away, act_worker_connects, NULL, 100, 250};
    bench_run(*state, 1, &what);
}

/* --- the pool's key --- */

static void act_succeed(bench *b) {
    b->result = judge_json(
        client_ask(&b->client, "POST", "/v1/admin/secrets/pool/rotate", b->site.admin_key, NULL), 200);
}

/* Whichever key it has: it signs, and the next worker is welcome. */
static void check_succeeded(bench *b) {
    const reply *r = bench_ask(b, "GET", "/v1/pool/keys", NULL, NULL, 200);
    size_t steps = count(r, "\"former_signature\":");
    if (b->result != OUTCOME_CUT) {
        assert_int_equal(steps, b->seen + (b->result == OUTCOME_DONE));
    }
    b->seen = steps;
}

void the_pool_s_key_is_exchanged(void **state) {
    static const scenario what = {be_connected, act_succeed, check_succeeded, 20, SUCCESSION_MAX / 2};
    bench_run(*state, 1, &what);
}

/* --- the process --- */

/* Of the outcome; a word may be lost for want of memory. */
static size_t count_words(const bench *b) {
    return site_count_logged(&b->site, "reloaded") + site_count_logged(&b->site, "log lines dropped");
}

static bool has_reloaded(void *context) {
    bench *b = context;
    return count_words(b) > b->seen;
}

static void count_reloads(bench *b) {
    b->seen = count_words(b);
    hang_up(b);
}

static void act_reload(bench *b) {
    (void)kill(b->site.pool, SIGHUP);
    wire_run_until(&b->site.wire, has_reloaded, b);
}

void the_pool_reloads(void **state) {
    static const scenario what = {count_reloads, act_reload, be_connected, 100, 250};
    bench_run(*state, 1, &what);
}
