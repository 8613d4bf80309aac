#include "faults.h"
#include "scenarios.h"

/* What the pool remembers for a user: the admin's own facts, so that one key is stretched for all rounds. */

static const char facts_path[] = "/v1/memory/facts";
static const char known[] = "My heron is called Ardea";

static void add_known(bench *b) {
    if (b->seen == 0) {
        snprintf(b->text, sizeof b->text, "{\"text\":\"%s\"}", known);
        bench_ask(b, "POST", facts_path, b->site.admin_key, b->text, 200);
        b->seen = 1;
    }
    assert_true(client_connect(&b->client));
}

static const reply *search(bench *b) {
    snprintf(b->text, sizeof b->text, "{\"query\":\"%s\",\"limit\":1}", known);
    return bench_ask(b, "POST", "/v1/memory/search", b->site.admin_key, b->text, 200);
}

/* Whatever has failed, what was acknowledged is found. */
static void check_known(bench *b) {
    assert_true(reply_has(search(b), known));
}

static void act_add(bench *b) {
    snprintf(b->text, sizeof b->text, "{\"text\":\"Number %s\"}", b->name);
    const reply *r = client_ask(&b->client, "POST", facts_path, b->site.admin_key, b->text);
    b->result = judge_json(r, 200);
    b->job[0] = '\0';
    if (b->result == OUTCOME_DONE) {
        reply_text(r, "id", b->job, sizeof b->job);
    }
}

static void check_added(bench *b) {
    check_known(b);
    if (b->result == OUTCOME_DONE) {
        snprintf(b->path, sizeof b->path, "%s/%s", facts_path, b->job);
        bench_ask(b, "GET", b->path, b->site.admin_key, NULL, 200);
        bench_ask(b, "DELETE", b->path, b->site.admin_key, NULL, 200);
        bench_ask(b, "GET", b->path, b->site.admin_key, NULL, 404);
    }
}

void a_fact_is_added(void **state) {
    static const scenario what = {add_known, act_add, check_added, 120, 140};
    bench_run(*state, 1, &what);
}

static void add_one(bench *b) {
    add_known(b);
    snprintf(b->text, sizeof b->text, "{\"text\":\"Number %s\"}", b->name);
    reply_text(bench_ask(b, "POST", facts_path, b->site.admin_key, b->text, 200), "id", b->job,
               sizeof b->job);
    snprintf(b->path, sizeof b->path, "%s/%s", facts_path, b->job);
}

static void act_edit(bench *b) {
    snprintf(b->text, sizeof b->text, "{\"text\":\"Edited %s\"}", b->name);
    b->result = judge_json(client_ask(&b->client, "POST", b->path, b->site.admin_key, b->text), 200);
}

static void check_edited(bench *b) {
    snprintf(b->text, sizeof b->text, "Edited %s", b->name);
    bool edited = reply_has(bench_ask(b, "GET", b->path, b->site.admin_key, NULL, 200), b->text);
    assert_true(edited || b->result != OUTCOME_DONE);
    bench_ask(b, "DELETE", b->path, b->site.admin_key, NULL, 200);
    check_known(b);
}

void a_fact_is_edited(void **state) {
    static const scenario what = {add_one, act_edit, check_edited, 120, 140};
    bench_run(*state, 1, &what);
}

static void act_forget(bench *b) {
    b->result = judge_json(client_ask(&b->client, "DELETE", b->path, b->site.admin_key, NULL), 200);
}

static void check_forgotten(bench *b) {
    bool there = reply_has(bench_ask(b, "GET", facts_path, b->site.admin_key, NULL, 200), b->job);
    assert_false(there && b->result == OUTCOME_DONE);
    if (there) {
        bench_ask(b, "DELETE", b->path, b->site.admin_key, NULL, 200);
    }
    check_known(b);
}

void a_fact_is_forgotten(void **state) {
    static const scenario what = {add_one, act_forget, check_forgotten, 100, 120};
    bench_run(*state, 1, &what);
}

static void act_search(bench *b) {
    snprintf(b->text, sizeof b->text, "{\"query\":\"%s\",\"limit\":1}", known);
    const reply *r = client_ask(&b->client, "POST", "/v1/memory/search", b->site.admin_key, b->text);
    b->result = judge_json(r, 200);
    assert_true(b->result != OUTCOME_DONE || reply_has(r, known));
}

void facts_are_searched(void **state) {
    static const scenario what = {add_known, act_search, check_known, 120, 140};
    bench_run(*state, 1, &what);
}

/* Each round stretches the key, and reads what there is. */
static void lock(bench *b) {
    add_known(b);
    bench_ask(b, "POST", "/v1/memory/lock", b->site.admin_key, NULL, 200);
}

void facts_are_read_and_searched(void **state) {
    static const scenario what = {lock, act_search, check_known, 24, 48};
    bench_run(*state, 1, &what);
}

static void act_list(bench *b) {
    const reply *r = client_ask(&b->client, "GET", facts_path, b->site.admin_key, NULL);
    b->result = judge_json(r, 200);
    assert_true(b->result != OUTCOME_DONE || reply_has(r, known));
}

void facts_are_listed(void **state) {
    static const scenario what = {add_known, act_list, check_known, 120, 140};
    bench_run(*state, 1, &what);
}

/* Of the one that there is. */
static void find_conversation(bench *b) {
    const reply *r = bench_ask(b, "GET", "/v1/conversations", b->site.admin_key, NULL, 200);
    slice body = buffer_slice(&r->body);
    size_t at = slice_find_slice(body, SLICE_LITERAL("\"id\":\""));
    assert_true(at != SIZE_MAX && body.length - at > 6 + sizeof b->job);
    snprintf(b->job, sizeof b->job, "%.*s", SLICE_FORMAT(slice_part(body, at + 6, sizeof b->job - 1)));
}

static void keep_conversation(bench *b) {
    add_known(b);
    if (b->seen == 1) {
        snprintf(
            b->text, sizeof b->text,
            "{\"model\":\"%s\",\"store\":true,\"messages\":[{\"role\":\"user\",\"content\":\"I am Ana\"}]}",
            b->model);
        bench_ask(b, "POST", CHAT_PATH, b->site.admin_key, b->text, 200);
        find_conversation(b);
        b->seen = 2;
    }
    snprintf(b->text, sizeof b->text, "{\"conversation\":\"%s\"}", b->job);
}

static void act_learn(bench *b) {
    b->result =
        judge_json(client_ask(&b->client, "POST", "/v1/memory/learn", b->site.admin_key, b->text), 200);
}

void a_conversation_is_learnt_from(void **state) {
    static const scenario what = {keep_conversation, act_learn, check_known, 200, 220};
    bench_run(*state, 1, &what);
}
