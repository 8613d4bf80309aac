#include "faults.h"
#include "scenarios.h"

/* Logins of the pool's own, over HTTP. */

static void add_user(bench *b) {
    snprintf(b->text, sizeof b->text, "{\"name\":\"%s\"}", b->name);
    reply_text(bench_ask(b, "POST", "/v1/admin/users", b->site.admin_key, b->text, 201), "key", b->key,
               sizeof b->key);
    assert_true(client_connect(&b->client));
}

static void take_tokens(bench *b, const reply *r) {
    reply_text(r, "access_token", b->token, sizeof b->token);
    reply_text(r, "refresh_token", b->refresh, sizeof b->refresh);
}

static void act_session(bench *b) {
    const reply *r = client_ask(&b->client, "POST", "/v1/session", b->key, NULL);
    b->result = judge_json(r, 201);
    if (b->result == OUTCOME_DONE) {
        take_tokens(b, r);
    }
}

/* Refused: nobody has tokens of it, if there is any. */
static void check_session(bench *b) {
    if (b->result == OUTCOME_DONE) {
        bench_ask(b, "GET", "/v1/models", b->token, NULL, 200);
    }
}

void a_session_is_made(void **state) {
    static const scenario what = {add_user, act_session, check_session, 250, 270};
    bench_run(*state, 1, &what);
}

static void make_session(bench *b) {
    add_user(b);
    take_tokens(b, bench_ask(b, "POST", "/v1/session", b->key, NULL, 201));
    snprintf(b->text, sizeof b->text, "grant_type=refresh_token&refresh_token=%s", b->refresh);
}

static void act_refresh(bench *b) {
    const reply *r = client_ask(&b->client, "POST", "/auth/token", NULL, b->text);
    b->result = judge_json(r, 200);
    if (b->result == OUTCOME_DONE) {
        take_tokens(b, r);
    }
}

/* Refused: the token is as good as before. */
static void check_refresh(bench *b) {
    if (b->result == OUTCOME_REFUSED) {
        take_tokens(b, bench_ask(b, "POST", "/auth/token", NULL, b->text, 200));
    }
    if (b->result != OUTCOME_CUT) {
        bench_ask(b, "GET", "/v1/models", b->token, NULL, 200);
    }
}

void a_session_is_refreshed(void **state) {
    static const scenario what = {make_session, act_refresh, check_refresh, 250, 270};
    bench_run(*state, 1, &what);
}

static void act_leave(bench *b) {
    b->result = judge_json(client_ask(&b->client, "POST", "/v1/session/end", b->token, NULL), 200);
}

static void check_left(bench *b) {
    if (b->result == OUTCOME_DONE) {
        bench_ask(b, "GET", "/v1/models", b->token, NULL, 401);
    }
}

void a_session_is_ended(void **state) {
    static const scenario what = {make_session, act_leave, check_left, 250, 270};
    bench_run(*state, 1, &what);
}
