#include "proof/notices.h"

#include "base/log.h"
#include "base/memory.h"
#include "os/clock.h"

#include <stdio.h>

enum { NOTICES_MAX = 10000 /* untold, in memory */, OF_USER_MAX = 100 /* of these */ };

typedef struct notice {
    list_node node; /* in proof.notices, oldest first */
    uint64_t id;
    uint64_t user_id;
    char text[STORE_NOTICE_MAX + 1];
} notice;

/* When room is short, whoever doesn't ask any more leaves some to the others. */
static bool has_many(const proof *f, uint64_t user_id) {
    size_t count = 0;
    for (const list_node *node = f->notices.next; node != &f->notices && count < OF_USER_MAX;
         node = node->next) {
        count += LIST_ENTRY(node, const notice, node)->user_id == user_id;
    }
    return count == OF_USER_MAX;
}

static bool remember(proof *f, uint64_t id, uint64_t user_id, slice text, error *err) {
    bool full =
        f->notice_count >= NOTICES_MAX || (f->notice_count >= NOTICES_MAX / 2 && has_many(f, user_id));
    if (full) {
        return error_set(
            err, ERROR_LIMIT,
            "too many notices wait to be told: the next start tells of it, and the admin sees it "
            "(cellule admin verification wrong)");
    }
    notice *n = memory_allocate_zeroed(1, sizeof *n);
    if (n == NULL) {
        return error_memory(err);
    }
    n->id = id;
    n->user_id = user_id;
    snprintf(n->text, sizeof n->text, "%.*s", SLICE_FORMAT(text));
    list_append(&f->notices, &n->node);
    f->notice_count++;
    return true;
}

bool notices_add_stored(proof *f, const store_notice *stored, error *err) {
    return remember(f, stored->id, stored->user_id, stored->text, err);
}

static void forget(proof *f, notice *n) {
    list_remove(&n->node);
    memory_free(n);
    f->notice_count--;
}

void notices_free(proof *f) {
    while (!list_is_empty(&f->notices)) {
        forget(f, LIST_ENTRY(list_first(&f->notices), notice, node));
    }
}

static void text_of(const uint8_t job_id[STORE_JOB_ID_SIZE], char text[STORE_NOTICE_MAX + 1]) {
    char job_hex[2 * STORE_JOB_ID_SIZE + 1];
    hex_encode(slice_of(job_id, STORE_JOB_ID_SIZE), job_hex);
    snprintf(text, STORE_NOTICE_MAX + 1,
             "answer %s was wrong; its worker is shut out; ask again and do not rely on it", job_hex);
}

typedef struct storing {
    pool *pool;
    uint64_t user_id;
    char text[STORE_NOTICE_MAX + 1];
} storing;

static void added(void *context, uint64_t id, const error *failure) {
    storing *s = context;
    error err = {0};
    proof *f = s->pool->proof;
    if (failure == NULL && f != NULL && !remember(f, id, s->user_id, slice_of_text(s->text), &err)) {
        failure = &err;
    }
    if (failure != NULL && failure->code != ERROR_CONFLICT) {
        log_error("a user may not be told of a wrong answer", LOG_U64("user", s->user_id),
                  LOG_CAUSE(failure));
    }
    memory_free(s);
}

void notices_add(proof *f, uint64_t user_id, const uint8_t job_id[STORE_JOB_ID_SIZE],
                 const uint8_t worker_id[STORE_WORKER_ID_SIZE]) {
    error err = {0};
    storing *s = memory_allocate_zeroed(1, sizeof *s);
    if (s == NULL) {
        log_error("a user may not be told of a wrong answer", LOG_U64("user", user_id));
        return;
    }
    s->pool = f->pool;
    s->user_id = user_id;
    text_of(job_id, s->text);
    store_notice row = {.user_id = user_id, .text = slice_of_text(s->text), .created_ms = clock_unix_ms()};
    memcpy(row.job_id, job_id, sizeof row.job_id);
    memcpy(row.worker_id, worker_id, sizeof row.worker_id);
    if (!store_notice_add(f->pool->store, &row, added, s, &err)) {
        added(s, 0, &err);
    }
}

static void told(void *context, const error *failure) {
    (void)context;
    if (failure != NULL) {
        log_warning("a notice will be told again", LOG_CAUSE(failure));
    }
}

bool proof_take_notice(pool *p, uint64_t user_id, char text[PROOF_NOTICE_SIZE]) {
    proof *f = p->proof;
    error err = {0};
    for (list_node *node = f->notices.next; node != &f->notices; node = node->next) {
        notice *n = LIST_ENTRY(node, notice, node);
        if (n->user_id == user_id) {
            snprintf(text, PROOF_NOTICE_SIZE, "%s", n->text);
            if (!store_notice_told(p->store, n->id, clock_unix_ms(), told, NULL, &err)) {
                told(NULL, &err);
            }
            forget(f, n);
            return true;
        }
    }
    return false;
}
