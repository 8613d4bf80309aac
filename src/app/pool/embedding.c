#include "embedding.h"

#include "base/memory.h"
#include "dispatch/job.h"
#include "job.h"
#include "proof/policy.h"
#include "proof/proof.h"
#include "proto/vector.h"
#include "session.h"

#include <stdio.h>

/* More tokens than any vocabulary makes of a byte (a character may stand for a dozen), and of a text beside.
 */
enum { TOKENS_PER_BYTE = 16, TOKENS_PER_TEXT = 64, REFUSAL_SIZE = 256 };

struct embedding {
    work work;      /* first */
    list_node node; /* in pool.embeddings */
    dispatch_job *handle;
    embedding_done *done;
    void *context;
    char model[PROTO_NAME_MAX + 1];
    buffer bytes; /* of the texts */
    slice texts[PROTO_TEXTS_MAX];
    size_t count;
    buffer values; /* float[] */
    uint32_t dimension;
    uint64_t tokens;
    uint8_t digest[PROTO_DIGEST_SIZE];
    bool input_refused;
    char refusal[REFUSAL_SIZE]; /* what the worker said when it gave the job up */
};

static embedding *embedding_of(work *w) {
    return (embedding *)(void *)w; /* its first member */
}

static void embedding_free(embedding *e) {
    list_remove(&e->node);
    buffer_wipe(&e->bytes);
    buffer_wipe(&e->values);
    memory_free(e);
}

static void fail(embedding *e, const embedding_failure *failure) {
    list_remove(&e->node); /* first: `done` may look through the list */
    e->done(e->context, NULL, failure);
    embedding_free(e);
}

static void let_go(embedding *e) {
    pool *p = e->work.pool;
    dispatch_job *handle = e->handle;
    e->handle = NULL;
    if (handle != NULL) {
        dispatch_job_cancel(handle, ev_now_ms(p->loop));
        pool_arm_dispatch(p);
    }
}

void embedding_cancel(embedding *e) {
    list_remove(&e->node);
    let_go(e);
    embedding_free(e);
}

void embedding_end_all(pool *p, const embedding_failure *failure) {
    while (!list_is_empty(&p->embeddings)) {
        embedding *e = LIST_ENTRY(list_first(&p->embeddings), embedding, node);
        list_remove(&e->node);
        let_go(e);
        fail(e, failure);
    }
}

bool embedding_waits(const embedding *e) {
    return e->handle != NULL && dispatch_job_position(e->handle) > 0;
}

static void describe(const work *w, proto_message *message) {
    const embedding *e = (const embedding *)(const void *)w;
    message->job.kind = PROTO_EMBED;
    message->job.texts = e->texts;
    message->job.text_count = e->count;
    message->job.deadline_ms = session_deadline(w->pool->settings.job_deadline_ms);
}

static bool keep_vectors(embedding *e, const proto_embedded *embedded, error *err) {
    size_t size = embedded->dimension * sizeof(float);
    buffer_clear(&e->values);
    for (size_t i = 0; i < embedded->vector_count; i++) {
        float *place = (float *)(void *)buffer_reserve(&e->values, size);
        if (place == NULL) {
            return error_memory(err);
        }
        if (!proto_vector_read(embedded->vectors[i], place, embedded->dimension)) {
            return error_set(err, ERROR_INVALID, "a vector that isn't one");
        }
        buffer_commit(&e->values, size);
    }
    e->dimension = embedded->dimension;
    e->tokens = embedded->prompt_tokens;
    return true;
}

static bool check_embedded(work *w, const session *s, const proto_embedded *embedded, error *err) {
    embedding *e = embedding_of(w);
    receipt offered = {0};
    if (embedded->vector_count != e->count) {
        return error_set(err, ERROR_INVALID, "another number of vectors than of texts");
    }
    if (embedded->dimension != session_dimension(s, w->model)) {
        return error_set(err, ERROR_INVALID, "vectors of another dimension than the worker offered");
    }
    if (embedded->prompt_tokens > buffer_length(&e->bytes) * TOKENS_PER_BYTE + e->count * TOKENS_PER_TEXT) {
        return error_set(err, ERROR_INVALID, "the count of the texts' tokens can't be true");
    }
    if (!session_describe_model(s, w->model, &offered, err)) {
        return false;
    }
    memcpy(e->digest, offered.model_digest, sizeof e->digest);
    return keep_vectors(e, embedded, err);
}

static void embedded(work *w, bool kept) {
    static const embedding_failure memory = {503, "memory", "the pool is out of memory; ask again"};
    embedding *e = embedding_of(w);
    e->handle = NULL;
    if (!kept) {
        fail(e, &memory);
        return;
    }
    embedding_answer answer = {.values = (const float *)(const void *)e->values.bytes,
                               .count = e->count,
                               .dimension = e->dimension,
                               .tokens = e->tokens};
    memcpy(answer.digest, e->digest, sizeof answer.digest);
    list_remove(&e->node);
    e->done(e->context, &answer, NULL);
    embedding_free(e);
}

static void gave_up(work *w, const fleet_worker *worker, const proto_fail *told) {
    embedding *e = embedding_of(w);
    (void)worker;
    e->input_refused = slice_equal_text(told->code, PROTO_FAIL_INPUT);
    snprintf(e->refusal, sizeof e->refusal, "%.*s",
             SLICE_FORMAT(slice_part(told->text, 0, sizeof e->refusal - 1)));
}

static void failed(work *w, dispatch_failure reason) {
    static const embedding_failure failures[DISPATCH_FAILURES] = {
        [DISPATCH_NO_WORKER] = {503, "no_worker",
                                "the last worker with this model has left; ask again later"},
        [DISPATCH_QUEUE_DEADLINE] = {503, "queue_deadline", "no worker became free in time; ask again later"},
        [DISPATCH_JOB_DEADLINE] = {504, "job_deadline", "the vectors took too long; ask with fewer texts"},
        [DISPATCH_TOO_MANY_TRIES] = {503, "worker_failed",
                                     "several workers failed one after the other; ask again later"},
        [DISPATCH_NOT_RESUMABLE] = {503, "worker_lost", "the worker was lost; ask again"},
        [DISPATCH_LOST] = {503, "worker_lost", "the worker was lost; ask again"},
        [DISPATCH_REFUSED] = {502, "refused_by_worker", "the worker can't embed this"}};
    embedding *e = embedding_of(w);
    embedding_failure failure = failures[reason];
    e->handle = NULL;
    if (reason == DISPATCH_REFUSED && e->input_refused) {
        failure = (embedding_failure){400, "bad_input", e->refusal};
    } else if (reason == DISPATCH_REFUSED && e->refusal[0] != '\0') {
        failure.text = e->refusal;
    }
    fail(e, &failure);
}

static const work_kind embedding_kind = {.name = "embedding",
                                         .describe = describe,
                                         .check_embedded = check_embedded,
                                         .embedded = embedded,
                                         .gave_up = gave_up,
                                         .failed = failed};

size_t embedding_fits(const slice *texts, size_t count) {
    size_t fits = 0;
    size_t size = 0;
    while (fits < count && fits < PROTO_TEXTS_MAX) {
        slice text = texts[fits];
        if (text.length == 0 || text.length > PROTO_TEXT_SIZE_MAX || !slice_is_utf8(text) ||
            slice_find(text, 0) != SIZE_MAX || text.length > PROTO_TEXTS_SIZE_MAX - size) {
            break;
        }
        size += text.length;
        fits++;
    }
    return fits;
}

static bool keep_texts(embedding *e, const embedding_wish *wish) {
    size_t at[PROTO_TEXTS_MAX];
    e->bytes = buffer_make(PROTO_TEXTS_SIZE_MAX);
    e->values = buffer_make((size_t)PROTO_TEXTS_MAX * PROTO_DIMENSION_MAX * sizeof(float));
    for (size_t i = 0; i < wish->count; i++) {
        at[i] = buffer_length(&e->bytes);
        buffer_append(&e->bytes, wish->texts[i]);
    }
    for (size_t i = 0; i < wish->count; i++) {
        e->texts[i] = slice_part(buffer_slice(&e->bytes), at[i], wish->texts[i].length);
    }
    e->count = wish->count;
    return !buffer_failed(&e->bytes);
}

static embedding *embedding_new(pool *p, const embedding_wish *wish, error *err) {
    dispatch_id id;
    embedding *e = memory_allocate_zeroed(1, sizeof *e);
    if (e == NULL) {
        error_memory(err);
        return NULL;
    }
    list_init(&e->node);
    if (!job_draw_id(&id, err)) {
        embedding_free(e);
        return NULL;
    }
    e->work = (work){.kind = &embedding_kind, .pool = p, .id = id};
    hex_encode(slice_of(id.bytes, sizeof id.bytes), e->work.id_hex);
    memcpy(e->model, wish->model.data, wish->model.length); /* check_wish: it fits */
    e->work.model = slice_of_text(e->model);
    e->done = wish->done;
    e->context = wish->context;
    if (!keep_texts(e, wish)) {
        error_memory(err);
        embedding_free(e);
        return NULL;
    }
    return e;
}

/* What is said to come from such a worker only when it is proved doesn't come from it at all. */
static bool allows(void *asked, void *asking) {
    const work *w = asked;
    return proof_mode_of_worker(w->pool, session_worker(asking)) < VERIFY_PROVED;
}

static bool check_wish(const pool *p, const embedding_wish *wish, error *err) {
    if (wish->count == 0 || embedding_fits(wish->texts, wish->count) != wish->count) {
        return error_set(err, ERROR_INVALID, "the texts are empty, too long or too many for one job");
    }
    if (wish->model.length > PROTO_NAME_MAX) {
        return error_set(err, ERROR_NOT_FOUND, "no worker has a model with such a long name");
    }
    return policy_of_model(&p->settings, wish->model) < VERIFY_PROVED ||
           error_set(err, ERROR_UNSUPPORTED,
                     "this site gives out only what is proved, and embeddings aren't checked yet");
}

embedding *embedding_ask(pool *p, const embedding_wish *wish, error *err) {
    embedding *e = check_wish(p, wish, err) ? embedding_new(p, wish, err) : NULL;
    if (e == NULL) {
        return NULL;
    }
    const dispatch_spec spec = {.id = e->work.id,
                                .user = wish->user_id,
                                .model = e->work.model,
                                .kind = DISPATCH_EMBED,
                                .context = &e->work,
                                .allows = p->settings.verify_tiers[0] == '\0' ? NULL : allows};
    e->handle = dispatch_submit(p->dispatch, &spec, ev_now_ms(p->loop), err);
    pool_arm_dispatch(p);
    if (e->handle == NULL) {
        embedding_free(e);
        return NULL;
    }
    list_append(&p->embeddings, &e->node);
    return e;
}
