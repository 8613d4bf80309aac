#include "ledger/merkle.h"

#include "crypto/start.h"

#include "unit.h"

#include <stdlib.h>

static int start(void **state) {
    error err;
    (void)state;
    return crypto_start(&err) ? 0 : -1;
}

static int stop(void **state) {
    (void)state;
    crypto_stop();
    return 0;
}

/* The leaves and roots that the implementations of RFC 6962 are compared by. */
static const char *const known_leaves[] = {
    "", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"};
static const char *const known_roots[] = {"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
                                          "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
                                          "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
                                          "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
                                          "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
                                          "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
                                          "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
                                          "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
                                          "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328"};

/* A log in memory: every leaf hash, the tiles that were written, and the edge. */
typedef struct test_log {
    merkle_edge edge;
    size_t leaf_count;
    uint8_t (*leaves)[HASH_SIZE];
    size_t tile_count;
    struct kept_tile {
        unsigned level;
        uint64_t index;
        uint8_t hashes[MERKLE_TILE_SIZE];
    } * tiles;
    size_t reads;
    bool refuses;
} test_log;

static bool keep_tile(void *context, unsigned level, uint64_t index, const uint8_t hashes[MERKLE_TILE_SIZE],
                      error *err) {
    test_log *log = context;
    if (log->refuses) {
        return error_set(err, ERROR_IO, "no disk");
    }
    struct kept_tile *grown = realloc(log->tiles, (log->tile_count + 1) * sizeof *grown);
    assert_non_null(grown);
    log->tiles = grown;
    grown[log->tile_count].level = level;
    grown[log->tile_count].index = index;
    memcpy(grown[log->tile_count].hashes, hashes, MERKLE_TILE_SIZE);
    log->tile_count++;
    return true;
}

static bool find_tile(void *context, unsigned level, uint64_t index, size_t count, uint8_t *hashes,
                      error *err) {
    test_log *log = context;
    log->reads++;
    assert_true(level < MERKLE_LEVELS && count >= 1 && count <= MERKLE_TILE_WIDTH);
    if (log->refuses) {
        return error_set(err, ERROR_IO, "no disk");
    }
    for (size_t i = 0; i < log->tile_count; i++) {
        if (log->tiles[i].level == level && log->tiles[i].index == index) {
            memcpy(hashes, log->tiles[i].hashes, count * HASH_SIZE);
            return true;
        }
    }
    uint64_t growing = log->edge.size >> (8 * (level + 1));
    uint64_t held = (log->edge.size >> (8 * level)) % MERKLE_TILE_WIDTH;
    if (index != growing || count > held) {
        fail_msg("a tile that nobody wrote: level %u, index %zu, %zu hashes", level, (size_t)index, count);
    }
    memcpy(hashes, log->edge.tiles[level], count * HASH_SIZE);
    return true;
}

static test_log *log_new(size_t entries) {
    error err;
    test_log *log = calloc(1, sizeof *log);
    assert_non_null(log);
    log->leaves = calloc(entries + 1, HASH_SIZE);
    assert_non_null(log->leaves);
    for (size_t i = 0; i < entries; i++) {
        assert_true(merkle_leaf_hash(slice_of(&i, sizeof i), log->leaves[i], &err));
        assert_true(merkle_append(&log->edge, log->leaves[i], keep_tile, log, &err));
    }
    log->leaf_count = entries;
    return log;
}

static void log_free(test_log *log) {
    free(log->leaves);
    free(log->tiles);
    free(log);
}

/* MTH of RFC 9162 §2.1.1, as it is written there. */
static void tree_hash(uint8_t (*leaves)[HASH_SIZE], size_t count, uint8_t root[HASH_SIZE]) {
    error err;
    uint8_t left[HASH_SIZE];
    uint8_t right[HASH_SIZE];
    size_t split = 1;
    if (count == 0) {
        assert_true(hash_sha256((slice){NULL, 0}, root, &err));
        return;
    }
    if (count == 1) {
        memcpy(root, leaves[0], HASH_SIZE);
        return;
    }
    while (split * 2 < count) {
        split *= 2;
    }
    tree_hash(leaves, split, left);
    tree_hash(leaves + split, count - split, right);
    assert_true(merkle_node_hash(left, right, root, &err));
}

static void test_roots_are_those_that_other_implementations_give(void **state) {
    error err;
    merkle_edge edge = {0};
    (void)state;
    for (size_t i = 0;; i++) {
        uint8_t root[HASH_SIZE];
        char text[HASH_HEX_SIZE];
        assert_true(merkle_root(&edge, root, &err));
        hex_encode(slice_of(root, sizeof root), text);
        assert_string_equal(text, known_roots[i]);
        if (i == sizeof known_leaves / sizeof known_leaves[0]) {
            break;
        }
        uint8_t entry[16];
        uint8_t leaf[HASH_SIZE];
        size_t length = strlen(known_leaves[i]) / 2;
        assert_true(hex_decode(slice_of_text(known_leaves[i]), entry, length));
        assert_true(merkle_leaf_hash(slice_of(entry, length), leaf, &err));
        assert_true(merkle_append(&edge, leaf, keep_tile, NULL, &err));
    }
}

static void test_long_entries_hash_like_short_ones(void **state) {
    static uint8_t bytes[1 + 5000];
    (void)state;
    for (size_t length = 4090; length < 4100; length++) {
        error err;
        uint8_t leaf[HASH_SIZE];
        uint8_t expected[HASH_SIZE];
        memset(bytes + 1, 'x', length);
        assert_true(merkle_leaf_hash(slice_of(bytes + 1, length), leaf, &err));
        assert_true(hash_sha256(slice_of(bytes, length + 1), expected, &err));
        assert_memory_equal(leaf, expected, HASH_SIZE);
    }
}

static void test_the_root_is_the_rfcs_for_every_size(void **state) {
    enum { MOST = 700 };
    error err;
    test_log *log = log_new(0);
    uint8_t(*leaves)[HASH_SIZE] = calloc(MOST, HASH_SIZE);
    assert_non_null(leaves);
    (void)state;
    for (size_t size = 0; size < MOST; size++) {
        uint8_t root[HASH_SIZE];
        uint8_t expected[HASH_SIZE];
        tree_hash(leaves, size, expected);
        assert_true(merkle_root(&log->edge, root, &err));
        assert_memory_equal(root, expected, HASH_SIZE);
        assert_true(merkle_leaf_hash(slice_of(&size, sizeof size), leaves[size], &err));
        assert_true(merkle_append(&log->edge, leaves[size], keep_tile, log, &err));
    }
    assert_int_equal(log->tile_count, 2);
    free(leaves);
    log_free(log);
}

static const size_t sizes[] = {1, 2, 3, 4, 5, 7, 8, 9, 31, 64, 100, 255, 256, 257, 511, 512, 513, 1000};

static void test_every_entry_is_proved_included_and_in_no_other_place(void **state) {
    test_log *log = log_new(1000);
    (void)state;
    for (size_t s = 0; s < sizeof sizes / sizeof sizes[0]; s++) {
        error err;
        uint8_t root[HASH_SIZE];
        size_t size = sizes[s];
        tree_hash(log->leaves, size, root);
        for (size_t index = 0; index < size; index += 1 + index / 64) {
            merkle_proof proof;
            assert_true(merkle_prove_inclusion(index, size, find_tile, log, &proof, &err));
            assert_true(merkle_verify_inclusion(log->leaves[index], index, size, root, &proof, &err));
            assert_false(
                merkle_verify_inclusion(log->leaves[(index + 1) % 1000], index, size, root, &proof, &err));
            assert_int_equal(err.code, ERROR_CORRUPT);
            if (size > 1) {
                assert_false(merkle_verify_inclusion(log->leaves[index], (index + 1) % size, size, root,
                                                     &proof, &err));
            }
        }
    }
    log_free(log);
}

static void test_every_size_is_proved_the_beginning_of_every_larger_one(void **state) {
    test_log *log = log_new(600);
    (void)state;
    for (size_t size = 1; size <= 600; size += size < 40 ? 1 : 37) {
        uint8_t root[HASH_SIZE];
        tree_hash(log->leaves, size, root);
        for (size_t old_size = 0; old_size <= size; old_size += old_size < 40 ? 1 : 19) {
            error err;
            merkle_proof proof;
            uint8_t old_root[HASH_SIZE];
            tree_hash(log->leaves, old_size, old_root);
            assert_true(merkle_prove_consistency(old_size, size, find_tile, log, &proof, &err));
            assert_true(merkle_verify_consistency(old_size, old_root, size, root, &proof, &err));
            old_root[7] ^= 1;
            assert_false(merkle_verify_consistency(old_size, old_root, size, root, &proof, &err));
            assert_int_equal(err.code, ERROR_CORRUPT);
        }
    }
    log_free(log);
}

static void test_a_proof_with_anything_changed_is_refused(void **state) {
    error err;
    test_log *log = log_new(1000);
    uint8_t root[HASH_SIZE];
    uint8_t old_root[HASH_SIZE];
    merkle_proof included;
    merkle_proof consistent;
    (void)state;
    tree_hash(log->leaves, 1000, root);
    tree_hash(log->leaves, 333, old_root);
    assert_true(merkle_prove_inclusion(700, 1000, find_tile, log, &included, &err));
    assert_true(merkle_prove_consistency(333, 1000, find_tile, log, &consistent, &err));
    for (size_t i = 0; i < included.count; i++) {
        merkle_proof changed = included;
        changed.hashes[i][i % HASH_SIZE] ^= 0x80;
        assert_false(merkle_verify_inclusion(log->leaves[700], 700, 1000, root, &changed, &err));
    }
    for (size_t i = 0; i < consistent.count; i++) {
        merkle_proof changed = consistent;
        changed.hashes[i][i % HASH_SIZE] ^= 0x80;
        assert_false(merkle_verify_consistency(333, old_root, 1000, root, &changed, &err));
    }
    for (size_t lack = 0; lack <= 2; lack += 2) { /* a hash too many, one too few */
        merkle_proof changed = included;
        changed.count = changed.count + 1 - lack;
        assert_false(merkle_verify_inclusion(log->leaves[700], 700, 1000, root, &changed, &err));
        changed = consistent;
        changed.count = changed.count + 1 - lack;
        assert_false(merkle_verify_consistency(333, old_root, 1000, root, &changed, &err));
    }
    included.count = MERKLE_PROOF_MAX + 1;
    assert_false(merkle_verify_inclusion(log->leaves[700], 700, 1000, root, &included, &err));
    consistent.count = MERKLE_PROOF_MAX + 1;
    assert_false(merkle_verify_consistency(333, old_root, 1000, root, &consistent, &err));
    log_free(log);
}

static void test_what_is_beyond_the_log_cannot_be_proved(void **state) {
    error err;
    merkle_proof proof = {0};
    uint8_t root[HASH_SIZE] = {0};
    (void)state;
    assert_false(merkle_prove_inclusion(5, 5, find_tile, NULL, &proof, &err));
    assert_int_equal(err.code, ERROR_INVALID);
    assert_false(merkle_prove_inclusion(0, UINT64_MAX, find_tile, NULL, &proof, &err));
    assert_false(merkle_prove_consistency(6, 5, find_tile, NULL, &proof, &err));
    assert_false(merkle_prove_consistency(1, UINT64_MAX, find_tile, NULL, &proof, &err));
    assert_false(merkle_verify_inclusion(root, 5, 5, root, &proof, &err));
    assert_false(merkle_verify_inclusion(root, 0, UINT64_MAX, root, &proof, &err));
    assert_false(merkle_verify_consistency(6, root, 5, root, &proof, &err));
    assert_false(merkle_verify_consistency(1, root, UINT64_MAX, root, &proof, &err));
}

static void test_a_large_log_is_proved_from_a_few_tiles(void **state) {
    enum { ENTRIES = 70000 };
    error err;
    test_log *log = log_new(ENTRIES);
    uint8_t root[HASH_SIZE];
    uint8_t edge_root[HASH_SIZE];
    merkle_proof proof;
    (void)state;
    tree_hash(log->leaves, ENTRIES, root);
    assert_true(merkle_root(&log->edge, edge_root, &err));
    assert_memory_equal(edge_root, root, HASH_SIZE);
    log->reads = 0;
    assert_true(merkle_prove_inclusion(4711, ENTRIES, find_tile, log, &proof, &err));
    assert_true(merkle_verify_inclusion(log->leaves[4711], 4711, ENTRIES, root, &proof, &err));
    assert_true(proof.count <= 17);
    assert_true(log->reads <= 6);
    uint8_t old_root[HASH_SIZE];
    tree_hash(log->leaves, 65537, old_root);
    assert_true(merkle_prove_consistency(65537, ENTRIES, find_tile, log, &proof, &err));
    assert_true(merkle_verify_consistency(65537, old_root, ENTRIES, root, &proof, &err));
    log_free(log);
}

/* Reads only what was listed. */
typedef struct listed {
    test_log *log;
    merkle_tile_id tiles[MERKLE_PROOF_TILES_MAX];
    size_t count;
} listed;

static bool read_listed(void *context, unsigned level, uint64_t index, size_t count, uint8_t *hashes,
                        error *err) {
    const listed *l = context;
    for (size_t i = 0; i < l->count; i++) {
        if (l->tiles[i].level == level && l->tiles[i].index == index) {
            assert_int_equal(l->tiles[i].count, count);
            return find_tile(l->log, level, index, count, hashes, err);
        }
    }
    fail_msg("tile %u/%zu was not listed", level, (size_t)index);
    return false;
}

static void test_the_tiles_that_a_proof_reads_are_known_before(void **state) {
    enum { ENTRIES = 66000 };
    error err;
    merkle_proof proof;
    listed l = {.log = log_new(ENTRIES)};
    (void)state;
    for (uint64_t index = 0; index < ENTRIES; index += 1 + index / 3) {
        assert_true(merkle_inclusion_tiles(index, ENTRIES, l.tiles, &l.count, &err));
        assert_true(merkle_prove_inclusion(index, ENTRIES, read_listed, &l, &proof, &err));
        assert_true(merkle_consistency_tiles(index, ENTRIES, l.tiles, &l.count, &err));
        assert_true(merkle_prove_consistency(index, ENTRIES, read_listed, &l, &proof, &err));
    }
    assert_false(merkle_inclusion_tiles(5, 5, l.tiles, &l.count, &err));
    assert_false(merkle_consistency_tiles(6, 5, l.tiles, &l.count, &err));
    /* The largest log there can be. */
    assert_true(merkle_inclusion_tiles(0x123456789ABC, MERKLE_SIZE_MAX - 1, l.tiles, &l.count, &err));
    assert_true(l.count > MERKLE_LEVELS);
    assert_true(merkle_consistency_tiles(0x123456789ABC, MERKLE_SIZE_MAX - 1, l.tiles, &l.count, &err));
    assert_true(merkle_consistency_tiles(MERKLE_SIZE_MAX - 1, MERKLE_SIZE_MAX, l.tiles, &l.count, &err));
    log_free(l.log);
}

/* As a store keeps them: full tiles, and the last entries. */
static bool find_kept(void *context, unsigned level, uint64_t index, size_t count, uint8_t *hashes,
                      error *err) {
    test_log *log = context;
    if (count == MERKLE_TILE_WIDTH) {
        return find_tile(log, level, index, count, hashes, err);
    }
    assert_int_equal(level, 0);
    memcpy(hashes, log->leaves[index * MERKLE_TILE_WIDTH], count * HASH_SIZE);
    return true;
}

static void test_the_edge_is_read_back_from_what_is_kept(void **state) {
    static const size_t ends[] = {0, 1, 255, 256, 257, 511, 512, 1000, 65535, 65536, 65537, 66000};
    error err;
    static merkle_edge edge;
    (void)state;
    for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++) {
        uint8_t root[HASH_SIZE];
        uint8_t wanted[HASH_SIZE];
        uint8_t leaf[HASH_SIZE] = {7};
        test_log *log = log_new(ends[i]);
        assert_true(merkle_read_edge(&edge, ends[i], find_kept, log, &err));
        assert_int_equal(edge.size, ends[i]);
        assert_true(merkle_root(&edge, root, &err));
        assert_true(merkle_root(&log->edge, wanted, &err));
        assert_memory_equal(root, wanted, HASH_SIZE);
        assert_true(merkle_append(&edge, leaf, keep_tile, log, &err)); /* and it goes on alike */
        assert_true(merkle_append(&log->edge, leaf, keep_tile, log, &err));
        assert_true(merkle_root(&edge, root, &err));
        assert_true(merkle_root(&log->edge, wanted, &err));
        assert_memory_equal(root, wanted, HASH_SIZE);
        log->refuses = true;
        assert_true(ends[i] < MERKLE_TILE_WIDTH || !merkle_read_edge(&edge, ends[i], find_kept, log, &err));
        log_free(log);
    }
    assert_false(merkle_read_edge(&edge, MERKLE_SIZE_MAX, find_kept, NULL, &err));
    assert_int_equal(err.code, ERROR_LIMIT);
}

static void test_a_failure_leaves_the_log_as_it_was(void **state) {
    error err;
    uint8_t before[HASH_SIZE];
    uint8_t after[HASH_SIZE];
    uint8_t leaf[HASH_SIZE] = {1};
    merkle_proof proof;
    test_log *log = log_new(255);
    (void)state;
    assert_true(merkle_root(&log->edge, before, &err));
    log->refuses = true;
    assert_false(merkle_append(&log->edge, leaf, keep_tile, log, &err));
    assert_int_equal(err.code, ERROR_IO);
    assert_int_equal(log->edge.size, 255);
    assert_true(merkle_root(&log->edge, after, &err));
    assert_memory_equal(before, after, HASH_SIZE);
    assert_false(merkle_prove_inclusion(3, 255, find_tile, log, &proof, &err));
    assert_int_equal(err.code, ERROR_IO);
    assert_int_equal(proof.count, 0);
    log->edge.size = MERKLE_SIZE_MAX;
    assert_false(merkle_append(&log->edge, leaf, keep_tile, log, &err));
    assert_int_equal(err.code, ERROR_LIMIT);
    log_free(log);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_roots_are_those_that_other_implementations_give),
        cmocka_unit_test(test_long_entries_hash_like_short_ones),
        cmocka_unit_test(test_the_root_is_the_rfcs_for_every_size),
        cmocka_unit_test(test_every_entry_is_proved_included_and_in_no_other_place),
        cmocka_unit_test(test_every_size_is_proved_the_beginning_of_every_larger_one),
        cmocka_unit_test(test_a_proof_with_anything_changed_is_refused),
        cmocka_unit_test(test_what_is_beyond_the_log_cannot_be_proved),
        cmocka_unit_test(test_a_large_log_is_proved_from_a_few_tiles),
        cmocka_unit_test(test_the_tiles_that_a_proof_reads_are_known_before),
        cmocka_unit_test(test_the_edge_is_read_back_from_what_is_kept),
        cmocka_unit_test(test_a_failure_leaves_the_log_as_it_was),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
