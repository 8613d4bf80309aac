#include "../samples.h"

#include "audit/audit_internal.h"
#include "crypto/start.h"
#include "os/random.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* How fast the pool's own audit log is: bench_audit FOLDER ENTRIES LOG_SIZE. Writes ENTRIES entries, each
 * durable before it is told, with as many waiting as the pool allows; as many bytes in batches of that size
 * by write and fdatasync alone; loads and checks them anew; then proves entries of a log of LOG_SIZE whose
 * tiles alone are in a database. The folder must be empty. Prints one JSON object. */
enum { PROOFS = 2000, PERSONS = 50, NS = 1000000000 };

typedef struct bench {
    pool pool;
    size_t wanted;
    size_t begun;
    size_t done;
    size_t proof_hashes;
    uint64_t proof_started_ns;
    samples proofs;
    bool consistency;
    uint64_t random;
    error failure;
} bench;

static uint64_t next_random(bench *b) {
    b->random = b->random * 6364136223846793005U + 1442695040888963407U;
    return b->random >> 20;
}

static void fail(bench *b, const error *failure) {
    if (b->failure.code == ERROR_NONE) {
        b->failure = *failure;
    }
    ev_loop_stop(b->pool.loop);
}

/* Kibibytes of this process. */
static uint64_t resident_kib(void) {
    char line[256];
    uint64_t kib = 0;
    FILE *status = fopen("/proc/self/status", "r");
    while (status != NULL && fgets(line, sizeof line, status) != NULL) {
        if (strncmp(line, "VmRSS:", 6) == 0) {
            kib = strtoull(line + 6, NULL, 10);
            break;
        }
    }
    if (status != NULL) {
        fclose(status);
    }
    return kib;
}

static void write_more(bench *b);

static void entry_written(void *context, const error *failure) {
    bench *b = context;
    if (failure != NULL) {
        fail(b, failure);
        return;
    }
    b->done++;
    if (b->done == b->wanted) {
        ev_loop_stop(b->pool.loop);
    } else if (b->begun - b->done < AUDIT_WAITING_MAX - AUDIT_BATCH_MAX) {
        write_more(b);
    }
}

static void write_more(bench *b) {
    error err = {0};
    while (b->begun < b->wanted && b->begun - b->done < AUDIT_WAITING_MAX - AUDIT_BATCH_MAX) {
        char actor[32];
        char id[AUDIT_ID_SIZE];
        snprintf(actor, sizeof actor, "user%u", (unsigned)(b->begun % PERSONS));
        audit_record record = {
            .outcome = AUDIT_ALLOWED,
            .action = "worker_revoke",
            .actor = slice_of_text(actor),
            .role = "it_admin",
            .target = SLICE_LITERAL("POST /v1/admin/workers/0123456789abcdef0123456789abcdef/revoke"),
            .address = SLICE_LITERAL("10.1.2.3"),
            .request = id};
        b->begun++;
        if (!audit_make_id(id, &err) || !audit_write(&b->pool, &record, entry_written, b, &err)) {
            fail(b, &err);
            return;
        }
    }
}

/* The same bytes in as many syncs, and nothing else. */
static double raw_seconds(const char *folder, size_t bytes, size_t syncs) {
    char path[4096];
    size_t each = bytes / syncs + 1;
    uint8_t *block = calloc(1, each);
    snprintf(path, sizeof path, "%s/raw", folder);
    int file = open(path, O_CREAT | O_WRONLY | O_APPEND | O_CLOEXEC, 0600);
    uint64_t start = bench_now_ns();
    for (size_t i = 0; block != NULL && file >= 0 && i < syncs; i++) {
        if (write(file, block, each) != (ssize_t)each || fdatasync(file) != 0) {
            break;
        }
    }
    double seconds = (double)(bench_now_ns() - start) / NS;
    close(file);
    unlink(path);
    free(block);
    return seconds;
}

static bool open_pool(bench *b, const char *folder, error *err) {
    pool *p = &b->pool;
    snprintf(p->site.folder, sizeof p->site.folder, "%s", folder);
    p->site.key = sign_key_generate(err);
    if (p->site.key == NULL || !succession_begin(sign_key_public(p->site.key), &p->site.keys, err) ||
        !random_bytes(p->map_seed, sizeof p->map_seed, err)) {
        return false;
    }
    memcpy(p->site.pool_id, p->site.keys.pool_id, HASH_SIZE);
    hex_encode(slice_of(p->site.pool_id, HASH_SIZE), p->site.pool_id_hex);
    p->loop = ev_loop_new(err);
    return p->loop != NULL;
}

/* Checks what is there, which is timed, and goes on with a store on the loop. */
static bool load(bench *b, double *seconds, error *err) {
    pool *p = &b->pool;
    char path[SITE_PATH_SIZE];
    if (!site_path(p->site.folder, SITE_DATABASE, path, err)) {
        return false;
    }
    store *database = store_open(&(store_options){.path = path}, err);
    uint64_t start = bench_now_ns();
    bool loaded = database != NULL && audit_load(p, database, UINT64_MAX, err);
    *seconds = (double)(bench_now_ns() - start) / NS;
    store_close(database);
    p->store = loaded ? store_open(&(store_options){.path = path, .loop = p->loop}, err) : NULL;
    if (p->store == NULL) {
        return false;
    }
    audit_start(p);
    return true;
}

static void close_log(bench *b) {
    store_settle(b->pool.store);
    audit_stop(&b->pool);
    store_close(b->pool.store);
    b->pool.store = NULL;
}

/* A log of so many entries whose tiles lie in the database; what the entries were doesn't matter. */
static void tile_stored(void *context, const error *failure) {
    if (failure != NULL) {
        ((bench *)context)->failure = *failure;
    }
}

typedef struct building {
    bench *bench;
    store *database;
    store_audit_tile tiles[STORE_AUDIT_TILES_MAX];
    uint8_t hashes[STORE_AUDIT_TILES_MAX][MERKLE_TILE_SIZE];
    size_t count;
    uint64_t batches;
} building;

static bool store_tiles(building *g, error *err) {
    slice entry = SLICE_LITERAL("{}");
    store_audit_batch batch = {.first = ((uint64_t)1 << 40) + g->batches++,
                               .entries = &entry,
                               .entry_count = 1,
                               .tiles = g->tiles,
                               .tile_count = g->count,
                               .note = SLICE_LITERAL("note")};
    g->count = 0;
    return store_audit_append(g->database, &batch, tile_stored, g->bench, err) &&
           g->bench->failure.code == ERROR_NONE;
}

static bool store_tile(void *context, unsigned level, uint64_t index, const uint8_t hashes[MERKLE_TILE_SIZE],
                       error *err) {
    building *g = context;
    memcpy(g->hashes[g->count], hashes, MERKLE_TILE_SIZE);
    g->tiles[g->count] = (store_audit_tile){level, index, g->hashes[g->count]};
    g->count++;
    return g->count < STORE_AUDIT_TILES_MAX || store_tiles(g, err);
}

static bool build(bench *b, uint64_t size, error *err) {
    char path[SITE_PATH_SIZE];
    building *g = calloc(1, sizeof *g);
    bool built = g != NULL && site_path(b->pool.site.folder, SITE_DATABASE, path, err);
    if (built) {
        g->bench = b;
        g->database = store_open(&(store_options){.path = path}, err);
        built = g->database != NULL;
    }
    for (uint64_t i = 0; built && i < size; i++) {
        uint8_t leaf[HASH_SIZE] = {0};
        memcpy(leaf, &i, sizeof i);
        built = merkle_append(&b->pool.audit->durable, leaf, store_tile, g, err);
    }
    built = built && (g->count == 0 || store_tiles(g, err));
    if (g != NULL) {
        store_close(g->database);
    }
    free(g);
    return built;
}

static void prove_next(bench *b);

static void proved(void *context, const merkle_proof *proof, const error *failure) {
    bench *b = context;
    if (failure != NULL) {
        fail(b, failure);
        return;
    }
    if (!samples_add(&b->proofs, (bench_now_ns() - b->proof_started_ns) / 1000)) {
        ev_loop_stop(b->pool.loop);
        return;
    }
    b->proof_hashes = proof->count > b->proof_hashes ? proof->count : b->proof_hashes;
    b->done++;
    if (b->done == PROOFS) {
        ev_loop_stop(b->pool.loop);
    } else {
        prove_next(b);
    }
}

static void prove_next(bench *b) {
    uint64_t size = audit_size(b->pool.audit);
    uint64_t place = next_random(b) % (size - 1) + 1;
    error err = {0};
    b->proof_started_ns = bench_now_ns();
    bool begun = b->consistency ? audit_prove_consistency(&b->pool, place, size, proved, b, &err)
                                : audit_prove_inclusion(&b->pool, place, size, proved, b, &err);
    if (!begun) {
        fail(b, &err);
    }
}

static bool bench_writing(bench *b, const char *folder, size_t entries, error *err) {
    double ignored = 0;
    double checking = 0;
    store_statistics before;
    store_statistics after;
    if (!load(b, &ignored, err)) {
        return false;
    }
    uint64_t small = resident_kib();
    b->wanted = entries;
    store_stats(b->pool.store, &before);
    uint64_t start = bench_now_ns();
    write_more(b);
    if (b->failure.code == ERROR_NONE) {
        ev_loop_run(b->pool.loop);
    }
    double seconds = (double)(bench_now_ns() - start) / NS;
    store_stats(b->pool.store, &after);
    uint64_t large = resident_kib();
    size_t syncs = (size_t)(after.synced_commits - before.synced_commits);
    size_t bytes = b->done == 0 ? 0 : entries * b->pool.audit->entry_ends[0];
    close_log(b);
    if (b->failure.code != ERROR_NONE || syncs == 0) {
        return false;
    }
    double raw = raw_seconds(folder, bytes, syncs);
    if (!load(b, &checking, err)) {
        return false;
    }
    printf(
        "\"entries\":%zu,\"per_second\":%.0f,\"raw_per_second\":%.0f,\"syncs\":%zu,\"check_per_second\":%.0f,"
        "\"resident_before_kib\":%llu,\"resident_after_kib\":%llu,",
        entries, (double)entries / seconds, (double)entries / raw, syncs, (double)entries / checking,
        (unsigned long long)small, (unsigned long long)large);
    close_log(b);
    return true;
}

static bool bench_proofs(bench *b, bool consistency, const char *name) {
    b->consistency = consistency;
    b->done = 0;
    b->proof_hashes = 0;
    b->proofs = (samples){0};
    prove_next(b);
    if (b->failure.code == ERROR_NONE) {
        ev_loop_run(b->pool.loop);
    }
    printf("\"%s_p50_us\":%u,\"%s_p99_us\":%u,\"%s_bytes\":%zu%s", name, samples_percentile(&b->proofs, 0.5),
           name, samples_percentile(&b->proofs, 0.99), name, b->proof_hashes * HASH_SIZE,
           consistency ? "}\n" : ",");
    samples_free(&b->proofs);
    return b->failure.code == ERROR_NONE;
}

int main(int argc, char **argv) {
    static bench b;
    error err = {0};
    double ignored = 0;
    if (argc != 4) {
        fprintf(stderr, "usage: bench_audit FOLDER ENTRIES LOG_SIZE\n");
        return 2;
    }
    char second[4000];
    snprintf(second, sizeof second, "%s", argv[1]);
    putchar('{');
    bool good = crypto_start(&err) && open_pool(&b, second, &err) &&
                bench_writing(&b, second, strtoull(argv[2], NULL, 10), &err);
    if (good) { /* the second log in the same folder, afresh */
        char path[SITE_PATH_SIZE];
        good = site_path(second, SITE_DATABASE, path, &err) && unlink(path) == 0 &&
               site_path(second, SITE_AUDIT, path, &err) && unlink(path) == 0 && load(&b, &ignored, &err);
    }
    if (good) {
        store_close(b.pool.store);
        b.pool.store = NULL;
        char path[SITE_PATH_SIZE];
        good = build(&b, strtoull(argv[3], NULL, 10), &err) && site_path(second, SITE_DATABASE, path, &err);
        b.pool.store = good ? store_open(&(store_options){.path = path, .loop = b.pool.loop}, &err) : NULL;
        good = b.pool.store != NULL && bench_proofs(&b, false, "inclusion") &&
               bench_proofs(&b, true, "consistency");
    }
    if (!good) {
        fprintf(stderr, "bench_audit: %s\n", b.failure.code != ERROR_NONE ? b.failure.text : err.text);
    }
    store_close(b.pool.store);
    return good ? 0 : 1;
}
