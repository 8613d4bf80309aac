/* What a worker remembers of its pool's audit log. */
#include "log_watch.h"

#include "codec/base64.h"
#include "crypto/start.h"

#include "unit.h"

enum { ENTRIES = 600 };

static sign_key *key;
static sign_key *later; /* follows it */
static sign_key *stranger;
static succession first;  /* `key` alone */
static succession second; /* then `later` */
static const succession *keys;
static uint8_t pool_id[HASH_SIZE];
static char origin[NOTE_NAME_MAX + 1];
static log_watch watch;
static error err;

/* Two logs that are alike up to their 300th entry. */
typedef struct history {
    uint8_t leaves[ENTRIES][HASH_SIZE];
} history;
static history honest;
static history other;

static void fill(history *h, const char *word, size_t from) {
    for (size_t i = 0; i < ENTRIES; i++) {
        char text[32];
        snprintf(text, sizeof text, "%s %zu", i < from ? "entry" : word, i);
        assert_true(merkle_leaf_hash(slice_of_text(text), h->leaves[i], &err));
    }
}

static int start(void **state) {
    (void)state;
    if (!crypto_start(&err)) {
        return -1;
    }
    key = sign_key_generate(&err);
    later = sign_key_generate(&err);
    stranger = sign_key_generate(&err);
    assert_true(key != NULL && later != NULL && stranger != NULL);
    assert_true(succession_begin(sign_key_public(key), &first, &err));
    second = first;
    assert_true(succession_append(&second, key, later, 1, &err));
    memcpy(pool_id, first.pool_id, sizeof pool_id);
    char hex[HASH_HEX_SIZE];
    hex_encode(slice_of(pool_id, sizeof pool_id), hex);
    snprintf(origin, sizeof origin, "cellule/%s", hex);
    fill(&honest, "entry", 0);
    fill(&other, "another", 300);
    return 0;
}

static int stop(void **state) {
    (void)state;
    sign_key_free(key);
    sign_key_free(later);
    sign_key_free(stranger);
    crypto_stop();
    return 0;
}

static int set_up(void **state) {
    (void)state;
    log_watch_init(&watch);
    keys = &first;
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    log_watch_free(&watch);
    return 0;
}

static bool no_tile(void *context, unsigned level, uint64_t index, const uint8_t hashes[MERKLE_TILE_SIZE],
                    error *e) {
    (void)context;
    (void)level;
    (void)index;
    (void)hashes;
    (void)e;
    return true;
}

/* The signed checkpoint of a log's first entries. */
static slice note_of(const history *h, uint64_t size, const sign_key *by, const char *name) {
    static char texts[4][PROTO_CHECKPOINT_MAX];
    static unsigned turn;
    static merkle_edge edge;
    memset(&edge, 0, sizeof edge);
    for (uint64_t i = 0; i < size; i++) {
        assert_true(merkle_append(&edge, h->leaves[i], no_tile, NULL, &err));
    }
    checkpoint c = {.size = size};
    snprintf(c.origin, sizeof c.origin, "%s", name);
    assert_true(merkle_root(&edge, c.root, &err));
    buffer text = buffer_make(PROTO_CHECKPOINT_MAX);
    buffer whole = buffer_make(PROTO_CHECKPOINT_MAX);
    assert_true(checkpoint_write(&c, &text, &err));
    buffer_append(&whole, buffer_slice(&text));
    buffer_append_byte(&whole, '\n');
    note_key named = {.kind = NOTE_ED25519};
    snprintf(named.name, sizeof named.name, "%s", name);
    memcpy(named.public_key, sign_key_public(by), SIGN_PUBLIC_SIZE);
    assert_true(note_sign(buffer_slice(&text), &named, by, 0, &whole, &err));
    char *place = texts[turn++ % 4];
    size_t length = buffer_length(&whole);
    assert_true(length <= PROTO_CHECKPOINT_MAX);
    memcpy(place, buffer_slice(&whole).data, length);
    buffer_free(&text);
    buffer_free(&whole);
    return slice_of(place, length);
}

static log_verdict welcome(slice shown) {
    err = (error){0};
    return log_watch_welcome(&watch, keys, shown, &err);
}

/* Signs for the pool now. */
static const sign_key *signer(void) {
    return keys == &first ? key : later;
}

static log_verdict welcome_of(const history *h, uint64_t size) {
    return welcome(note_of(h, size, signer(), origin));
}

/* Tiles of a log, out of its leaves. */
static bool read_tile(void *context, unsigned level, uint64_t index, size_t count, uint8_t *hashes,
                      error *e) {
    const history *h = context;
    assert_true(level < 2);
    for (size_t i = 0; i < count; i++) {
        uint64_t place = index * MERKLE_TILE_WIDTH + i;
        if (level == 0) {
            memcpy(hashes + i * HASH_SIZE, h->leaves[place], HASH_SIZE);
            continue;
        }
        static merkle_edge edge;
        memset(&edge, 0, sizeof edge);
        for (uint64_t k = 0; k < MERKLE_TILE_WIDTH; k++) {
            if (!merkle_append(&edge, h->leaves[place * MERKLE_TILE_WIDTH + k], no_tile, NULL, e)) {
                return false;
            }
        }
        if (!merkle_root(&edge, hashes + i * HASH_SIZE, e)) {
            return false;
        }
    }
    return true;
}

static log_verdict proof_by(const sign_key *by, history *h, uint64_t from, uint64_t size) {
    static char hashes[PROTO_HASHES_MAX + 1];
    merkle_proof proof;
    assert_true(merkle_prove_consistency(from, size, read_tile, h, &proof, &err));
    base64url_encode(slice_of(proof.hashes[0], proof.count * HASH_SIZE), hashes);
    proto_log_proof message = {
        .from = from, .checkpoint = note_of(h, size, by, origin), .hashes = slice_of_text(hashes)};
    err = (error){0};
    return log_watch_proof(&watch, keys, &message, &err);
}

static log_verdict proof_of(history *h, uint64_t from, uint64_t size) {
    return proof_by(signer(), h, from, size);
}

static void test_the_first_checkpoint_is_believed_and_the_next_is_proved(void **state) {
    (void)state;
    assert_int_equal(welcome_of(&honest, 200), LOG_BELIEVED);
    assert_int_equal(watch.known.size, 200);
    assert_int_equal(welcome_of(&honest, 200), LOG_UNCHANGED);
    assert_int_equal(welcome_of(&honest, 500), LOG_GREW);
    assert_int_equal(watch.known.size, 200);
    assert_int_equal(proof_of(&honest, 200, 520), LOG_BELIEVED); /* it has grown since */
    assert_int_equal(watch.known.size, 520);
    assert_int_equal(proof_of(&honest, 520, 520), LOG_UNCHANGED);
    assert_int_equal(proof_of(&honest, 520, 600), LOG_BELIEVED);
}

static void test_a_forked_log_is_an_alarm(void **state) {
    (void)state;
    assert_int_equal(welcome_of(&honest, 400), LOG_BELIEVED);
    assert_int_equal(welcome_of(&other, 400), LOG_FORKED);
    assert_true(buffer_length(&watch.forked) > 0);
    assert_int_equal(welcome_of(&other, 500), LOG_GREW);
    assert_int_equal(proof_of(&other, 400, 500), LOG_FORKED);
    assert_int_equal(watch.known.size, 400);
    assert_int_equal(welcome_of(&honest, 500), LOG_GREW); /* what it remembers is still the honest one */
    assert_int_equal(proof_of(&honest, 400, 500), LOG_BELIEVED);
}

static void test_logs_that_are_alike_so_far_are_one(void **state) {
    (void)state;
    assert_int_equal(welcome_of(&honest, 300), LOG_BELIEVED);
    assert_int_equal(welcome_of(&other, 300), LOG_UNCHANGED);
    assert_int_equal(welcome_of(&other, 500), LOG_GREW);
    assert_int_equal(proof_of(&other, 300, 500), LOG_BELIEVED);
}

static void test_a_log_that_was_put_back_is_an_alarm(void **state) {
    (void)state;
    assert_int_equal(welcome_of(&honest, 400), LOG_BELIEVED);
    assert_int_equal(welcome_of(&honest, 399), LOG_FORKED);
    assert_int_equal(welcome((slice){NULL, 0}), LOG_FORKED);
    assert_int_equal(welcome_of(&honest, 500), LOG_GREW);
    assert_int_equal(proof_of(&honest, 400, 450), LOG_FORKED); /* shorter than it said */
    assert_int_equal(welcome_of(&honest, 499), LOG_FORKED);
    assert_int_equal(welcome_of(&honest, 500), LOG_GREW);
}

static void test_what_others_signed_is_an_alarm(void **state) {
    (void)state;
    assert_int_equal(welcome(note_of(&honest, 10, stranger, origin)), LOG_FORKED);
    assert_int_equal(welcome(note_of(&honest, 10, key, "cellule/another")), LOG_FORKED);
    assert_int_equal(welcome(SLICE_LITERAL("no note")), LOG_FORKED);
    assert_int_equal(watch.known.size, 0);
}

static void test_a_log_goes_on_under_the_next_key(void **state) {
    (void)state;
    assert_int_equal(welcome_of(&honest, 200), LOG_BELIEVED);
    assert_int_equal(welcome_of(&honest, 300), LOG_GREW);
    keys = &second; /* between the question and its answer */
    assert_int_equal(proof_of(&honest, 200, 300), LOG_BELIEVED);
    assert_int_equal(welcome_of(&honest, 300), LOG_UNCHANGED);
    assert_int_equal(welcome_of(&honest, 500), LOG_GREW);
    assert_int_equal(proof_of(&honest, 300, 500), LOG_BELIEVED);
}

static void test_what_was_kept_counts_under_any_key_that_the_pool_has_had(void **state) {
    (void)state;
    assert_int_equal(welcome_of(&honest, 200), LOG_BELIEVED);
    keys = &second;
    assert_int_equal(welcome_of(&honest, 200), LOG_UNCHANGED);
    assert_int_equal(welcome_of(&honest, 500), LOG_GREW);
    assert_int_equal(proof_of(&other, 200, 500), LOG_BELIEVED); /* alike up to the 300th */
    assert_int_equal(welcome_of(&honest, 500), LOG_FORKED);
    slice strange = note_of(&honest, 200, stranger, origin);
    log_watch_free(&watch);
    log_watch_init(&watch);
    assert_true(log_watch_restore(&watch, strange, &err));
    assert_int_equal(welcome_of(&honest, 200), LOG_FORKED);
}

static void test_who_has_only_a_former_key_cant_go_on_with_the_log(void **state) {
    (void)state;
    assert_int_equal(welcome_of(&honest, 200), LOG_BELIEVED);
    keys = &second;
    assert_int_equal(welcome(note_of(&honest, 200, key, origin)), LOG_FORKED);
    assert_int_equal(welcome(note_of(&honest, 500, key, origin)), LOG_FORKED);
    assert_int_equal(welcome_of(&honest, 500), LOG_GREW);
    assert_int_equal(proof_by(key, &honest, 200, 500), LOG_FORKED);
    assert_int_equal(watch.known.size, 200);
    assert_int_equal(proof_of(&honest, 200, 500), LOG_BELIEVED);
}

static void test_a_key_that_the_pool_hasnt_named_yet_signs_nothing(void **state) {
    (void)state;
    assert_int_equal(welcome(note_of(&honest, 200, later, origin)), LOG_FORKED);
    assert_int_equal(watch.known.size, 0);
}

static void test_a_proof_that_nobody_asked_for_or_that_is_none_is_an_alarm(void **state) {
    (void)state;
    assert_int_equal(welcome_of(&honest, 200), LOG_BELIEVED);
    assert_int_equal(welcome_of(&honest, 500), LOG_GREW);
    assert_int_equal(proof_of(&honest, 100, 500), LOG_FORKED);
    proto_log_proof message = {.from = 200, .checkpoint = note_of(&honest, 500, key, origin)};
    assert_int_equal(log_watch_proof(&watch, keys, &message, &err), LOG_FORKED);
    message.hashes = SLICE_LITERAL("AAAA");
    assert_int_equal(log_watch_proof(&watch, keys, &message, &err), LOG_FORKED);
    message.hashes = SLICE_LITERAL("+");
    assert_int_equal(log_watch_proof(&watch, keys, &message, &err), LOG_FORKED);
    assert_int_equal(watch.known.size, 200);
}

static void test_a_proof_of_a_log_that_isnt_shown_is_an_alarm(void **state) {
    (void)state;
    assert_int_equal(welcome((slice){NULL, 0}), LOG_UNCHANGED);
    proto_log_proof message = {.from = 0, .checkpoint = note_of(&honest, 10, key, origin)};
    assert_int_equal(log_watch_proof(&watch, keys, &message, &err), LOG_FORKED);
    assert_int_equal(watch.known.size, 0);
}

static void test_what_was_kept_counts_after_a_restart(void **state) {
    (void)state;
    char kept[PROTO_CHECKPOINT_MAX];
    assert_int_equal(welcome_of(&honest, 400), LOG_BELIEVED);
    size_t length = buffer_length(&watch.note);
    memcpy(kept, buffer_slice(&watch.note).data, length);
    log_watch_free(&watch);
    log_watch_init(&watch);
    assert_true(log_watch_restore(&watch, slice_of(kept, length), &err));
    assert_int_equal(watch.known.size, 400);
    assert_int_equal(welcome_of(&honest, 200), LOG_FORKED);
    assert_int_equal(welcome_of(&honest, 400), LOG_UNCHANGED);
    kept[length / 2] = '\n';
    assert_false(log_watch_restore(&watch, slice_of(kept, length), &err));
}

/* What was kept is of the former key, so every key is tried. */
static void test_no_memory_is_no_alarm(void **state) {
    (void)state;
    bool reached = true;
    for (int nth = 0; reached; nth++) {
        log_watch_free(&watch);
        log_watch_init(&watch);
        keys = &first;
        slice shown = note_of(&honest, 10, key, origin);
        slice next = note_of(&honest, 20, later, origin);
        fault_fail_nth(nth);
        log_verdict verdict = welcome(shown);
        keys = &second;
        log_verdict after = verdict == LOG_BELIEVED ? welcome(next) : LOG_UNKNOWN;
        reached = fault_stop();
        assert_true(verdict == LOG_UNKNOWN || verdict == LOG_BELIEVED);
        assert_int_equal(watch.known.size, verdict == LOG_BELIEVED ? 10 : 0);
        assert_true(after == LOG_UNKNOWN || after == LOG_GREW);
        assert_int_equal(after == LOG_GREW, !reached);
    }
}

#define WATCH_TEST(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        WATCH_TEST(test_the_first_checkpoint_is_believed_and_the_next_is_proved),
        WATCH_TEST(test_a_forked_log_is_an_alarm),
        WATCH_TEST(test_logs_that_are_alike_so_far_are_one),
        WATCH_TEST(test_a_log_that_was_put_back_is_an_alarm),
        WATCH_TEST(test_what_others_signed_is_an_alarm),
        WATCH_TEST(test_a_log_goes_on_under_the_next_key),
        WATCH_TEST(test_what_was_kept_counts_under_any_key_that_the_pool_has_had),
        WATCH_TEST(test_who_has_only_a_former_key_cant_go_on_with_the_log),
        WATCH_TEST(test_a_key_that_the_pool_hasnt_named_yet_signs_nothing),
        WATCH_TEST(test_a_proof_that_nobody_asked_for_or_that_is_none_is_an_alarm),
        WATCH_TEST(test_a_proof_of_a_log_that_isnt_shown_is_an_alarm),
        WATCH_TEST(test_what_was_kept_counts_after_a_restart),
        WATCH_TEST(test_no_memory_is_no_alarm),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
