#include "../samples.h"
#include "bare.h"

#include "crypto/hash.h"
#include "crypto/start.h"
#include "ev/loop.h"
#include "memory/conversation.h"
#include "os/random.h"
#include "store/conversations.h"
#include "store/server.h"
#include "store/users.h"
#include "store/vaults.h"

#include <stdio.h>
#include <stdlib.h>

/* What keeping a turn costs, sealed and stored: bench_turns DATABASE TURNS RECORDS. Keeps TURNS of them,
 * UNDER_WAY at once, in conversations drawn at random; then inserts as many rows of the same bytes into the
 * same table, in transactions of the same size, with the database's library alone. Then fills the database up
 * to RECORDS turns and measures how long it takes until a list of conversations, and a turn, are there and
 * opened. The database is a file that isn't there yet, or the URL of one that is empty. Prints one JSON
 * object. */
enum {
    USERS = 100,
    CONVERSATIONS = 100, /* of each */
    UNDER_WAY = 256,
    QUESTION_BYTES = 300,
    ANSWER_BYTES = 650,
    LISTED = 20,
    READS = 500,
    NS = 1000000000
};

typedef struct bench {
    ev_loop *loop;
    store *store;
    const char *path;
    uint64_t users[USERS];
    uint8_t keys[USERS][RECORD_KEY_SIZE];
    uint8_t ids[USERS][CONVERSATIONS][RECORD_ID_SIZE];
    uint64_t random;
    uint64_t number; /* of the last turn, for its id */
    size_t wanted, begun, done;
    uint64_t waits_since_ns;
    samples lists, reads;
    arena *opened;
    bool failed;
    error failure;
} bench;

static void fail(bench *b, const error *failure) {
    if (!b->failed) {
        b->failed = true;
        b->failure = *failure;
    }
    ev_loop_stop(b->loop);
}

static uint64_t next_random(bench *b) {
    b->random = b->random * 6364136223846793005U + 1442695040888963407U;
    return b->random >> 33;
}

static void noted(void *context, const error *failure) {
    if (failure != NULL) {
        fail(context, failure);
    }
}

static void user_added(void *context, const store_loaded_key *key, const error *failure) {
    bench *b = context;
    if (failure != NULL) {
        fail(b, failure);
        return;
    }
    b->users[b->done++] = key->user_id;
}

/* The key of a conversation's turns is its user's here: what is measured doesn't depend on it. */
static bool seal_turn(const bench *b, size_t user, const uint8_t id[STORE_JOB_ID_SIZE], buffer *sealed,
                      error *err) {
    static char question[QUESTION_BYTES + 1];
    static char answer[ANSWER_BYTES + 1];
    if (question[0] == '\0') {
        memset(question, 'q', QUESTION_BYTES);
        memset(answer, 'a', ANSWER_BYTES);
    }
    const conversation_message message = {SLICE_LITERAL("user"), slice_of(question, QUESTION_BYTES)};
    conversation_turn turn = {.created_ms = 1700000000000,
                              .model = SLICE_LITERAL("qwen2.5-0.5b-instruct"),
                              .messages = &message,
                              .message_count = 1,
                              .answer = slice_of(answer, ANSWER_BYTES)};
    return conversation_seal_turn(b->keys[user], b->users[user], id, &turn, sealed, err);
}

static bool add_turn(bench *b, size_t user, size_t conversation, slice head, store_done *done, error *err) {
    buffer sealed = buffer_make(1 << 20);
    store_new_turn row = {.user_id = b->users[user], .created_ms = 1700000000000, .head = head};
    uint64_t number = ++b->number;
    memcpy(row.id, &number, sizeof number);
    memcpy(row.conversation, b->ids[user][conversation], sizeof row.conversation);
    bool added = seal_turn(b, user, row.id, &sealed, err);
    row.sealed = buffer_slice(&sealed);
    added = added && store_turn_add(b->store, &row, done, b, err);
    buffer_free(&sealed);
    return added;
}

static bool add_conversation(bench *b, size_t user, size_t conversation, error *err) {
    buffer head = buffer_make(STORE_HEAD_MAX);
    conversation_head content = {.title = SLICE_LITERAL("What is to be kept of this?")};
    memcpy(content.key, b->keys[user], sizeof content.key);
    bool added = random_bytes(b->ids[user][conversation], RECORD_ID_SIZE, err) &&
                 conversation_seal_head(b->keys[user], b->users[user], b->ids[user][conversation],
                                        1700000000000, &content, &head, err) &&
                 add_turn(b, user, conversation, buffer_slice(&head), noted, err);
    buffer_free(&head);
    return added;
}

static bool add_user(bench *b, size_t user, error *err) {
    char name[32];
    uint8_t salt[STORE_VAULT_SALT_SIZE] = {1};
    store_new_key key = {.created_ms = 1};
    snprintf(name, sizeof name, "user%zu", user);
    store_wrap wrap = {.kind = SLICE_LITERAL("none"), .cost = 1, .wrapped = SLICE_LITERAL("none")};
    bool added =
        random_bytes(key.token_hash, sizeof key.token_hash, err) &&
        random_bytes(b->keys[user], sizeof b->keys[user], err) &&
        store_user_add(b->store, slice_of_text(name), SLICE_LITERAL("employee"), &key, user_added, b, err);
    wrap.key_id = user + 1;
    added = added && !b->failed && store_vault_add(b->store, b->users[user], salt, 1, &wrap, noted, b, err);
    for (size_t i = 0; added && i < CONVERSATIONS; i++) {
        added = add_conversation(b, user, i, err);
    }
    return added && !b->failed;
}

static bool prepare(bench *b, error *err) {
    b->store = store_open(&(store_options){.path = b->path}, err);
    for (size_t i = 0; i < USERS; i++) {
        if (b->store == NULL || !add_user(b, i, err)) {
            return false;
        }
    }
    return store_start(b->store, b->loop, err);
}

static void keep_more(bench *b);

static void kept(void *context, const error *failure) {
    bench *b = context;
    if (failure != NULL) {
        fail(b, failure);
        return;
    }
    if (++b->done == b->wanted) {
        ev_loop_stop(b->loop);
    } else {
        keep_more(b);
    }
}

static void keep_more(bench *b) {
    error err = {0};
    while (b->begun < b->wanted && b->begun - b->done < UNDER_WAY) {
        uint64_t drawn = next_random(b);
        b->begun++;
        if (!add_turn(b, drawn % USERS, drawn / USERS % CONVERSATIONS, (slice){0}, kept, &err)) {
            fail(b, &err);
            return;
        }
    }
}

static bool keep_turns(bench *b, size_t count) {
    b->begun = 0;
    b->done = 0;
    b->wanted = count;
    keep_more(b);
    if (!b->failed && count > 0) {
        ev_loop_run(b->loop);
    }
    return !b->failed;
}

/* Seconds; 0: it failed. */
static double insert_bare(bench *b, size_t count, size_t batch) {
    buffer sealed = buffer_make(1 << 20);
    error err = {0};
    bare_row *rows = calloc(count, sizeof *rows);
    double seconds = 0;
    if (rows != NULL && seal_turn(b, 0, rows[0].id, &sealed, &err)) {
        for (size_t i = 0; i < count; i++) {
            uint64_t drawn = next_random(b);
            rows[i].user_id = b->users[drawn % USERS];
            rows[i].conversation = b->ids[drawn % USERS][drawn / USERS % CONVERSATIONS];
            memcpy(rows[i].id, &i, sizeof i);
        }
        bare_rows all = {rows, count, batch, buffer_slice(&sealed)};
        seconds = store_path_is_server(b->path) ? bare_insert_postgresql(b->path, &all)
                                                : bare_insert_sqlite(b->path, &all);
    }
    free(rows);
    buffer_free(&sealed);
    return seconds;
}

static bool reopen(bench *b, error *err) {
    b->store = store_open(&(store_options){.path = b->path, .loop = b->loop}, err);
    return b->store != NULL;
}

static void read_next(bench *b);

static void turn_read(void *context, const store_turn *turns, size_t count, const error *failure) {
    bench *b = context;
    error err = {0};
    conversation_turn turn;
    size_t user = b->done % USERS;
    if (failure != NULL || count == 0 ||
        !conversation_open_turn(b->keys[user], b->users[user], turns[0].id, turns[0].sealed, b->opened, &turn,
                                &err) ||
        !samples_add(&b->reads, (bench_now_ns() - b->waits_since_ns) / 1000)) {
        fail(b, failure != NULL ? failure : &err);
        return;
    }
    b->done++;
    read_next(b);
}

static void listed(void *context, const store_conversation *rows, size_t count, const error *failure) {
    bench *b = context;
    error err = {0};
    size_t user = b->done % USERS;
    conversation_head head;
    arena_reset(b->opened);
    for (size_t i = 0; failure == NULL && i < count; i++) {
        if (!conversation_open_head(b->keys[user], b->users[user], rows[i].id, rows[i].head, b->opened, &head,
                                    &err)) {
            failure = &err;
        }
    }
    if (failure != NULL || !samples_add(&b->lists, (bench_now_ns() - b->waits_since_ns) / 1000)) {
        fail(b, failure == NULL ? &err : failure);
        return;
    }
    b->waits_since_ns = bench_now_ns();
    if (!store_turn_list(b->store, b->users[user], rows[count - 1].id, 0, 1, turn_read, b, &err)) {
        fail(b, &err);
    }
}

static void read_next(bench *b) {
    error err = {0};
    if (b->done == READS) {
        ev_loop_stop(b->loop);
        return;
    }
    b->waits_since_ns = bench_now_ns();
    if (!store_conversation_list(b->store, b->users[b->done % USERS], 0, LISTED, listed, b, &err)) {
        fail(b, &err);
    }
}

static bool measure_reads(bench *b) {
    b->done = 0;
    b->opened = arena_new(16 * 1024 * 1024);
    if (b->opened == NULL) {
        return error_memory(&b->failure);
    }
    read_next(b);
    ev_loop_run(b->loop);
    arena_free(b->opened);
    return !b->failed;
}

static bool run(bench *b, size_t turns, size_t records, error *err) {
    store_statistics before;
    store_statistics after;
    if (!prepare(b, err)) {
        return false;
    }
    store_stats(b->store, &before);
    uint64_t start = bench_now_ns();
    uint64_t processor = bench_processor_ns();
    if (!keep_turns(b, turns)) {
        return false;
    }
    double seconds = (double)(bench_now_ns() - start) / NS;
    double used = (double)(bench_processor_ns() - processor) / NS;
    store_stats(b->store, &after);
    size_t commits = (size_t)(after.commits - before.commits);
    size_t batch = turns / (commits == 0 ? 1 : commits) + 1;
    store_close(b->store);
    b->store = NULL;
    double bare = insert_bare(b, turns, batch);
    if (bare == 0) {
        return error_set(err, ERROR_IO, "the bare rows weren't inserted");
    }
    size_t there = 2 * turns;
    if (!reopen(b, err) || (records > there && !keep_turns(b, records - there)) || !measure_reads(b)) {
        return false;
    }
    printf("{\"turns\":%zu,\"batch\":%zu,\"turns_per_second\":%.0f,\"cpu_us\":%.2f,\"bare_per_second\":%.0f,"
           "\"records\":%zu,\"list_p50_us\":%u,\"list_p99_us\":%u,\"read_p50_us\":%u,\"read_p99_us\":%u}\n",
           turns, batch, (double)turns / seconds, used * 1e6 / (double)turns, (double)turns / bare,
           records > there ? records : there, samples_percentile(&b->lists, 0.5),
           samples_percentile(&b->lists, 0.99), samples_percentile(&b->reads, 0.5),
           samples_percentile(&b->reads, 0.99));
    return true;
}

int main(int argc, char **argv) {
    error err = {0};
    bench *b = calloc(1, sizeof *b);
    if (argc != 4 || b == NULL) {
        fprintf(stderr, "usage: bench_turns DATABASE TURNS RECORDS\n");
        free(b);
        return 2;
    }
    b->path = argv[1];
    b->random = 1;
    bool done = crypto_start(&err);
    b->loop = done ? ev_loop_new(&err) : NULL;
    done = b->loop != NULL && run(b, strtoull(argv[2], NULL, 10), strtoull(argv[3], NULL, 10), &err);
    if (!done) {
        fprintf(stderr, "bench_turns: %s\n", b->failed ? b->failure.text : err.text);
    }
    store_close(b->store);
    ev_loop_free(b->loop);
    samples_free(&b->lists);
    samples_free(&b->reads);
    free(b);
    crypto_stop();
    return done ? 0 : 1;
}
