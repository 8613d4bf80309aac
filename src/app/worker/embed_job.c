#include "worker_job_internal.h"

#include "base/memory.h"
#include "proto/vector.h"

enum { VECTORS_LIMIT = PROTO_MESSAGE_MAX };

typedef struct embed_job {
    worker_job base;
    buffer bytes; /* of the texts */
    slice texts[PROTO_TEXTS_MAX];
    size_t count;
    size_t done;    /* texts whose vectors have come */
    buffer vectors; /* as they are sent, one behind the other */
    uint64_t tokens;
} embed_job;

static void release(worker_job *base) {
    embed_job *j = (embed_job *)(void *)base;
    buffer_wipe(&j->bytes);
    buffer_wipe(&j->vectors);
    memory_free(j);
}

static bool keep_texts(embed_job *j, const proto_job *wanted) {
    size_t at[PROTO_TEXTS_MAX];
    j->bytes = buffer_make(PROTO_TEXTS_SIZE_MAX);
    for (size_t i = 0; i < wanted->text_count; i++) {
        at[i] = buffer_length(&j->bytes);
        buffer_append(&j->bytes, wanted->texts[i]);
    }
    for (size_t i = 0; i < wanted->text_count; i++) {
        j->texts[i] = slice_part(buffer_slice(&j->bytes), at[i], wanted->texts[i].length);
    }
    j->count = wanted->text_count;
    return !buffer_failed(&j->bytes);
}

worker_job *embed_job_new(agent *a, const proto_job *wanted, error *err) {
    embed_job *j = memory_allocate_zeroed(1, sizeof *j);
    if (j == NULL) {
        error_memory(err);
        return NULL;
    }
    j->vectors = buffer_make(VECTORS_LIMIT);
    if (!keep_texts(j, wanted)) {
        buffer_wipe(&j->bytes);
        memory_free(j);
        error_memory(err);
        return NULL;
    }
    worker_job_begin(&j->base, a, wanted, release);
    return &j->base;
}

bool embed_job_send(worker_job *base) {
    const embed_job *j = (const embed_job *)(const void *)base;
    pipe_message message = {.type = PIPE_EMBED, .text = j->texts[j->done]};
    memcpy(message.job, base->id, sizeof message.job);
    return backend_send(base->agent->engine, &message);
}

static void send_embedded(embed_job *j) {
    agent *a = j->base.agent;
    slice vectors[PROTO_TEXTS_MAX];
    size_t length = buffer_length(&j->vectors) / j->count; /* all have the same */
    for (size_t i = 0; i < j->count; i++) {
        vectors[i] = slice_part(buffer_slice(&j->vectors), i * length, length);
    }
    proto_message message = {.type = PROTO_EMBEDDED,
                             .embedded = {.prompt_tokens = (uint32_t)j->tokens,
                                          .dimension = a->dimension,
                                          .vectors = vectors,
                                          .vector_count = j->count}};
    memcpy(message.embedded.id, j->base.id, sizeof message.embedded.id);
    (void)!agent_send(a, &message);
    worker_job_free(&j->base);
    agent_check_stopped(a);
}

void embed_job_embedded(agent *a, const uint8_t id[PIPE_JOB_SIZE], const pipe_embedded *embedded) {
    embed_job *j = (embed_job *)(void *)worker_job_find(a, id, PROTO_EMBED);
    if (j == NULL) {
        return;
    }
    j->base.finished = true; /* until it has the next text */
    if (embedded->count != a->dimension ||
        !proto_vector_append(embedded->values, embedded->count, &j->vectors)) {
        worker_job_give_up(&j->base, PROTO_FAIL_ENGINE,
                           SLICE_LITERAL("the engine's vector isn't one, or there is no memory for it"),
                           true);
        return;
    }
    j->tokens += embedded->usage.prompt_tokens;
    j->done++;
    if (j->done == j->count) {
        send_embedded(j);
    } else if (embed_job_send(&j->base)) {
        j->base.finished = false;
    } else {
        worker_job_give_up(&j->base, PROTO_FAIL_ENGINE, SLICE_LITERAL("the engine takes no jobs"), true);
    }
}
