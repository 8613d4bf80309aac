/* What the worker's agent does about its pool's audit log: asks, keeps, doubts, raises the alarm. */
#include "agent.h"

#include "codec/base64.h"
#include "crypto/start.h"
#include "os/file.h"
#include "worker_job.h"

#include "unit.h"

#include <stdlib.h>
#include <unistd.h>

enum { LOG_ENTRIES = 200 };

static agent here;
static sign_key *pool_key;
static char folder[64];
static merkle_edge edge;
static error err;

/* What the agent says to the pool, which is this test. */
static size_t questions;
static uint64_t asked_from;
static size_t beats;
static size_t refused_jobs;
static size_t closed;

bool agent_send(agent *a, const proto_message *message) {
    (void)a;
    if (message->type == PROTO_LOG_ASK) {
        questions++;
        asked_from = message->log_ask.from;
    } else if (message->type == PROTO_FAIL) {
        refused_jobs++;
    }
    return true;
}

void agent_beat(agent *a) {
    (void)a;
    beats++;
}

void agent_check_stopped(agent *a) {
    (void)a;
}

void link_close(agent *a, unsigned code, const char *reason) {
    (void)code;
    (void)reason;
    closed++;
    link_log_closed(a);
}

static bool no_tile(void *context, unsigned level, uint64_t index, const uint8_t hashes[MERKLE_TILE_SIZE],
                    error *e) {
    (void)context;
    (void)level;
    (void)index;
    (void)hashes;
    return error_set(e, ERROR_INTERNAL, "the test's log has no full tile");
}

/* The note of a log whose entries are numbers, which say `other` from the `fork`th on. */
static slice note_of(uint64_t size, uint64_t fork, unsigned other, char text[PROTO_CHECKPOINT_MAX]) {
    note_key named = {.kind = NOTE_ED25519};
    checkpoint c = {.size = size};
    memset(&edge, 0, sizeof edge);
    for (uint64_t i = 0; i < size; i++) {
        uint8_t leaf[HASH_SIZE];
        uint64_t entry[] = {i, i < fork ? 0 : other};
        assert_true(merkle_leaf_hash(slice_of(entry, sizeof entry), leaf, &err));
        assert_true(merkle_append(&edge, leaf, no_tile, NULL, &err));
    }
    snprintf(c.origin, sizeof c.origin, "cellule/");
    hex_encode(slice_of(here.home.pool_id, HASH_SIZE), c.origin + strlen(c.origin));
    memcpy(named.name, c.origin, sizeof named.name);
    memcpy(named.public_key, sign_key_public(pool_key), SIGN_PUBLIC_SIZE);
    assert_true(merkle_root(&edge, c.root, &err));
    buffer body = buffer_make(PROTO_CHECKPOINT_MAX);
    buffer whole = buffer_make(PROTO_CHECKPOINT_MAX);
    assert_true(checkpoint_write(&c, &body, &err));
    buffer_append(&whole, buffer_slice(&body));
    buffer_append_byte(&whole, '\n');
    assert_true(note_sign(buffer_slice(&body), &named, pool_key, 0, &whole, &err));
    slice made = slice_of(text, buffer_length(&whole));
    memcpy(text, buffer_slice(&whole).data, made.length);
    buffer_free(&body);
    buffer_free(&whole);
    return made;
}

static bool read_tile(void *context, unsigned level, uint64_t index, size_t count, uint8_t *hashes,
                      error *e) {
    (void)context;
    (void)index;
    (void)e;
    assert_int_equal(level, 0);
    memcpy(hashes, edge.tiles[0], count * HASH_SIZE);
    return true;
}

static bool welcome(uint64_t size, uint64_t fork) {
    char text[PROTO_CHECKPOINT_MAX];
    proto_welcome message = {.checkpoint = note_of(size, fork, 1, text)};
    return link_log_welcome(&here, &message);
}

static void prove(uint64_t from, uint64_t size, uint64_t fork) {
    char text[PROTO_CHECKPOINT_MAX];
    char hashes[PROTO_HASHES_MAX + 1];
    merkle_proof proof;
    proto_log_proof message = {.from = from, .checkpoint = note_of(size, fork, 1, text)};
    assert_true(merkle_prove_consistency(from, size, read_tile, NULL, &proof, &err));
    base64url_encode(slice_of(proof.hashes[0], proof.count * HASH_SIZE), hashes);
    message.hashes = slice_of_text(hashes);
    link_log_proof(&here, &message);
}

static void path_of(bool forked, char path[HOME_PATH_SIZE]) {
    assert_true(worker_home_checkpoint_path(folder, &here.home, forked, path, &err));
}

static void stop_loop(void *context) {
    ev_loop_stop(context);
}

/* Until what is being kept is on the disk. */
static void wait_for_the_disk(void) {
    while (here.log_keeping) {
        ev_timer timer;
        ev_timer_init(&timer, stop_loop, here.loop);
        ev_timer_start(here.loop, &timer, 1);
        ev_loop_run(here.loop);
    }
}

static int set_up(void **state) {
    (void)state;
    here = (agent){.state_folder = folder, .engine_ready = true, .slots = 1};
    list_init(&here.jobs);
    questions = beats = refused_jobs = closed = 0;
    pool_key = sign_key_generate(&err);
    here.loop = ev_loop_new(&err);
    snprintf(folder, sizeof folder, "/tmp/cellule-link-XXXXXX");
    return pool_key != NULL && here.loop != NULL && mkdtemp(folder) != NULL &&
                   succession_begin(sign_key_public(pool_key), &here.keys.known, &err) &&
                   memcpy(here.home.pool_id, here.keys.known.pool_id, HASH_SIZE) != NULL &&
                   link_log_load(&here, &err)
               ? 0
               : -1;
}

static int tear_down(void **state) {
    char path[HOME_PATH_SIZE];
    (void)state;
    wait_for_the_disk();
    log_watch_free(&here.log);
    ev_loop_free(here.loop);
    sign_key_free(pool_key);
    path_of(false, path);
    unlink(path);
    path_of(true, path);
    unlink(path);
    return rmdir(folder);
}

static void test_what_it_believes_it_keeps(void **state) {
    (void)state;
    assert_true(welcome(10, LOG_ENTRIES));
    wait_for_the_disk();
    assert_int_equal(questions, 0);
    log_watch_free(&here.log);
    assert_true(link_log_load(&here, &err));
    assert_int_equal(here.log.known.size, 10);
    assert_true(welcome(50, LOG_ENTRIES));
    assert_int_equal(questions, 1);
    assert_int_equal(asked_from, 10);
    prove(10, 50, LOG_ENTRIES);
    wait_for_the_disk();
    log_watch_free(&here.log);
    assert_true(link_log_load(&here, &err));
    assert_int_equal(here.log.known.size, 50);
    assert_false(here.stopping);
}

static void test_what_was_kept_and_is_damaged_is_said(void **state) {
    char path[HOME_PATH_SIZE];
    (void)state;
    path_of(false, path);
    assert_true(file_write_atomic(path, SLICE_LITERAL("no note"), 0600, &err));
    log_watch_free(&here.log);
    assert_false(link_log_load(&here, &err));
    assert_non_null(strstr(err.text, path));
}

static void test_a_rewritten_log_is_an_alarm_and_its_proof_is_kept(void **state) {
    char path[HOME_PATH_SIZE];
    (void)state;
    assert_true(welcome(100, LOG_ENTRIES));
    assert_true(welcome(150, 60));
    prove(100, 150, 60);
    assert_true(here.stopping);
    assert_int_equal(here.exit_status, WORKER_EXIT_FORKED);
    path_of(true, path);
    assert_true(file_exists(path));
    assert_int_equal(here.log.known.size, 100);
}

static void test_a_log_that_is_shorter_or_gone_is_an_alarm(void **state) {
    (void)state;
    assert_true(welcome(100, LOG_ENTRIES));
    assert_false(welcome(99, LOG_ENTRIES));
    assert_true(here.stopping);
    here.stopping = false;
    assert_false(link_log_welcome(&here, &(proto_welcome){.lease_ms = 1}));
    assert_true(here.stopping);
}

static void start_job(void) {
    worker_job_start(&here, &(proto_job){.kind = PROTO_GENERATE});
}

static void test_a_pool_that_keeps_silent_gets_no_answers(void **state) {
    (void)state;
    assert_true(welcome(10, LOG_ENTRIES));
    assert_true(welcome(50, 5));
    assert_int_equal(questions, 1);
    link_log_closed(&here);
    assert_true(here.log_doubted);
    start_job();
    assert_int_equal(refused_jobs, 1);
    assert_true(welcome(50, 5)); /* and again */
    assert_int_equal(questions, 2);
    assert_true(here.log_doubted);
    start_job();
    assert_int_equal(refused_jobs, 2);
    link_log_closed(&here);
    assert_int_equal(beats, 0);
    assert_true(welcome(50, LOG_ENTRIES)); /* the honest one */
    prove(10, 50, LOG_ENTRIES);
    assert_false(here.log_doubted);
    assert_int_equal(beats, 1); /* the pool hears at once that it serves */
    link_log_closed(&here);
    assert_false(here.log_doubted);
    assert_int_equal(closed, 0);
}

#define LINK_TEST(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

static int start(void **state) {
    (void)state;
    return crypto_start(&err) ? 0 : -1;
}

static int stop(void **state) {
    (void)state;
    crypto_stop();
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        LINK_TEST(test_what_it_believes_it_keeps),
        LINK_TEST(test_what_was_kept_and_is_damaged_is_said),
        LINK_TEST(test_a_rewritten_log_is_an_alarm_and_its_proof_is_kept),
        LINK_TEST(test_a_log_that_is_shorter_or_gone_is_an_alarm),
        LINK_TEST(test_a_pool_that_keeps_silent_gets_no_answers),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
