/* What the worker's agent does about its pool's keys: keeps them before it uses them, raises the alarm. */
#include "agent.h"

#include "codec/json.h"
#include "crypto/start.h"
#include "os/file.h"

#include "unit.h"

#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { KEY_COUNT = 4 };

static agent here;
static sign_key *signers[KEY_COUNT];
static char folder[64];
static size_t closed;
static error err;

bool agent_send(agent *a, const proto_message *message) {
    (void)a;
    (void)message;
    return true;
}

void agent_beat(agent *a) {
    (void)a;
}

void agent_check_stopped(agent *a) {
    (void)a;
}

void link_close(agent *a, unsigned code, const char *reason) {
    (void)a;
    (void)reason;
    assert_int_equal(code, PROTO_CLOSE_INTERNAL);
    closed++;
}

/* Of keys by their numbers, as "01": the first is signers[0], then comes signers[1]. */
static slice text_of(const char *numbers) {
    static char text[SUCCESSION_JSON_LIMIT];
    succession s;
    buffer json = buffer_make(sizeof text);
    assert_true(succession_begin(sign_key_public(signers[numbers[0] - '0']), &s, &err));
    for (size_t i = 1; numbers[i] != '\0'; i++) {
        assert_true(succession_append(&s, signers[numbers[i - 1] - '0'], signers[numbers[i] - '0'], i, &err));
    }
    assert_true(succession_write_json(&s, &json, &err));
    size_t length = buffer_length(&json);
    memcpy(text, buffer_slice(&json).data, length);
    buffer_free(&json);
    return slice_of(text, length);
}

static bool show(const char *numbers) {
    return link_keys_take(&here, text_of(numbers));
}

static void path_of(bool forked, char path[HOME_PATH_SIZE]) {
    assert_true(worker_home_keys_path(folder, &here.home, forked, path, &err));
}

static bool is_on_the_disk(bool forked, const char *numbers) {
    char path[HOME_PATH_SIZE];
    buffer content = buffer_make(SUCCESSION_JSON_LIMIT);
    path_of(forked, path);
    bool same = file_exists(path) && file_read_all(path, &content, &err) &&
                slice_equal(buffer_slice(&content), text_of(numbers));
    buffer_free(&content);
    return same;
}

/* As after a restart. */
static bool load(void) {
    key_watch_free(&here.keys);
    here.stopping = false;
    return link_keys_load(&here, &err);
}

static int set_up(void **state) {
    (void)state;
    here = (agent){.state_folder = folder};
    list_init(&here.jobs);
    closed = 0;
    snprintf(folder, sizeof folder, "/tmp/cellule-keys-XXXXXX");
    return mkdtemp(folder) != NULL &&
                   hash_sha256(slice_of(sign_key_public(signers[0]), SIGN_PUBLIC_SIZE), here.home.pool_id,
                               &err) &&
                   link_keys_load(&here, &err)
               ? 0
               : -1;
}

static int tear_down(void **state) {
    char path[HOME_PATH_SIZE];
    (void)state;
    key_watch_free(&here.keys);
    path_of(false, path);
    unlink(path);
    path_of(true, path);
    unlink(path);
    return rmdir(folder);
}

static void test_the_keys_of_the_first_welcome_are_kept(void **state) {
    char path[HOME_PATH_SIZE];
    struct stat file;
    (void)state;
    assert_true(show("01"));
    assert_true(is_on_the_disk(false, "01"));
    path_of(false, path);
    assert_int_equal(stat(path, &file), 0);
    assert_int_equal(file.st_mode & 0777, 0600);
    assert_true(load());
    assert_int_equal(here.keys.known.count, 1);
    assert_true(show("01"));
    assert_true(show("0123"));
    assert_true(is_on_the_disk(false, "0123"));
    assert_false(here.stopping);
}

static void test_what_was_kept_is_held_against_the_pool_after_a_restart(void **state) {
    (void)state;
    assert_true(show("012"));
    assert_true(load());
    assert_false(show("01"));
    assert_true(here.stopping);
    assert_int_equal(here.exit_status, WORKER_EXIT_FORKED);
    assert_true(is_on_the_disk(false, "012"));
    assert_true(is_on_the_disk(true, "01"));
    assert_true(load());
    assert_false(show("013"));
    assert_true(here.stopping);
    assert_true(is_on_the_disk(true, "013"));
    assert_true(is_on_the_disk(false, "012"));
    assert_int_equal(closed, 0);
}

static void test_what_is_no_chain_ends_the_worker_and_isnt_kept(void **state) {
    char path[HOME_PATH_SIZE];
    (void)state;
    assert_false(link_keys_take(&here, SLICE_LITERAL("{\"pool\":\"mine\"}")));
    assert_true(here.stopping);
    assert_int_equal(here.exit_status, WORKER_EXIT_FORKED);
    path_of(true, path);
    assert_false(file_exists(path));
    path_of(false, path);
    assert_false(file_exists(path));
}

static void test_keys_that_cant_be_kept_arent_used(void **state) {
    (void)state;
    assert_true(show("0"));
    bool reached = true;
    for (int nth = 0; reached; nth++) {
        fault_fail_nth_at("write", nth);
        bool taken = show("01");
        reached = fault_stop();
        assert_int_equal(taken, !reached);
        assert_int_equal(here.keys.known.count, taken ? 1 : 0);
        assert_int_equal(closed, taken ? (size_t)nth : (size_t)nth + 1);
    }
    assert_true(is_on_the_disk(false, "01"));
    assert_false(here.stopping); /* no fault of the pool's: it dials again */
}

static void test_no_memory_ends_the_session_and_is_no_alarm(void **state) {
    static char first[SUCCESSION_JSON_LIMIT];
    static char next[SUCCESSION_JSON_LIMIT];
    slice text = text_of("0");
    size_t first_length = text.length;
    memcpy(first, text.data, text.length);
    text = text_of("012");
    memcpy(next, text.data, text.length);
    bool reached = true;
    (void)state;
    for (int nth = 0; reached; nth++) {
        char path[HOME_PATH_SIZE];
        path_of(false, path);
        unlink(path);
        assert_true(load());
        closed = 0;
        fault_fail_nth(nth);
        bool known = link_keys_take(&here, slice_of(first, first_length));
        bool taken = known && link_keys_take(&here, slice_of(next, text.length));
        reached = fault_stop();
        assert_true(taken || reached);
        assert_int_equal(closed, taken ? 0 : 1);
        assert_false(here.stopping);
        assert_int_equal(here.keys.known.count, taken ? 2 : 0);
        assert_true(!known || is_on_the_disk(false, taken ? "012" : "0"));
    }
}

static void test_what_was_kept_and_is_damaged_is_said(void **state) {
    char path[HOME_PATH_SIZE];
    (void)state;
    path_of(false, path);
    assert_true(file_write_atomic(path, SLICE_LITERAL("no keys"), 0600, &err));
    assert_false(load());
    assert_non_null(strstr(err.text, path));
    assert_true(file_write_atomic(path, text_of("12"), 0600, &err)); /* another pool's */
    assert_false(load());
    assert_int_equal(err.code, ERROR_CORRUPT);
    slice text = text_of("012");
    assert_true(file_write_atomic(path, slice_part(text, 0, text.length - 1), 0600, &err));
    assert_false(load());
}

#define LINK_TEST(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

static int start(void **state) {
    (void)state;
    if (!crypto_start(&err)) {
        return -1;
    }
    json_start(1);
    for (size_t i = 0; i < KEY_COUNT; i++) {
        const uint8_t seed[SIGN_SEED_SIZE] = {(uint8_t)(i + 1)};
        signers[i] = sign_key_from_seed(seed, &err);
        assert_non_null(signers[i]);
    }
    return 0;
}

static int stop(void **state) {
    (void)state;
    for (size_t i = 0; i < KEY_COUNT; i++) {
        sign_key_free(signers[i]);
    }
    crypto_stop();
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        LINK_TEST(test_the_keys_of_the_first_welcome_are_kept),
        LINK_TEST(test_what_was_kept_is_held_against_the_pool_after_a_restart),
        LINK_TEST(test_what_is_no_chain_ends_the_worker_and_isnt_kept),
        LINK_TEST(test_keys_that_cant_be_kept_arent_used),
        LINK_TEST(test_no_memory_ends_the_session_and_is_no_alarm),
        LINK_TEST(test_what_was_kept_and_is_damaged_is_said),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
