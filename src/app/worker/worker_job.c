#include "worker_job_internal.h"

#include "base/memory.h"

static worker_job *find(agent *a, const uint8_t id[PROTO_ID_SIZE]) {
    for (list_node *node = a->jobs.next; node != &a->jobs; node = node->next) {
        worker_job *j = LIST_ENTRY(node, worker_job, node);
        if (memcmp(j->id, id, PROTO_ID_SIZE) == 0) {
            return j;
        }
    }
    return NULL;
}

worker_job *worker_job_find(agent *a, const uint8_t id[PROTO_ID_SIZE], proto_kind kind) {
    worker_job *j = find(a, id);
    return j != NULL && j->kind == kind ? j : NULL;
}

void worker_job_free(worker_job *j) {
    ev_timer_stop(&j->deadline_timer);
    list_remove(&j->node);
    j->agent->job_count--;
    j->release(j);
}

static void cancel_in_engine(worker_job *j) {
    pipe_message cancel = {.type = PIPE_CANCEL};
    memcpy(cancel.job, j->id, sizeof cancel.job);
    if (!j->finished && j->agent->engine_ready) {
        (void)!backend_send(j->agent->engine, &cancel);
    }
}

static void send_fail(agent *a, const uint8_t id[PROTO_ID_SIZE], const char *code, slice text,
                      bool retryable) {
    proto_message fail = {.type = PROTO_FAIL,
                          .fail = {.code = slice_of_text(code),
                                   .text = slice_part(text, 0, PROTO_TEXT_MAX),
                                   .retryable = retryable}};
    memcpy(fail.fail.id, id, PROTO_ID_SIZE);
    (void)!agent_send(a, &fail);
}

void worker_job_give_up(worker_job *j, const char *code, slice text, bool retryable) {
    agent *a = j->agent;
    cancel_in_engine(j);
    send_fail(a, j->id, code, text, retryable);
    worker_job_free(j);
    agent_check_stopped(a);
}

static void deadline_passed(void *context) {
    worker_job_give_up(context, PROTO_FAIL_DEADLINE, SLICE_LITERAL("the job's deadline has passed"), false);
}

void worker_job_begin(worker_job *j, agent *a, const proto_job *wanted, void (*release)(worker_job *self)) {
    j->agent = a;
    j->kind = wanted->kind;
    j->release = release;
    j->key = a->home.key;
    memcpy(j->id, wanted->id, sizeof j->id);
    ev_timer_init(&j->deadline_timer, deadline_passed, j);
    ev_timer_start(a->loop, &j->deadline_timer, wanted->deadline_ms);
    list_append(&a->jobs, &j->node);
    a->job_count++;
}

bool agent_is_exact(const agent *a) {
    return slice_starts_with(slice_of_text(a->profile), SLICE_LITERAL("exact-"));
}

/* The protocol names no user whose jobs might share beginnings: no salt. An exact engine's logprobs are in
 * its commitment, and asked for by nobody. */
static void describe(const worker_job *j, const proto_job *wanted, const engine_message *messages,
                     pipe_generate *g) {
    *g = (pipe_generate){.messages = messages,
                         .message_count = wanted->message_count,
                         .parameters = {.temperature = wanted->temperature,
                                        .top_p = wanted->top_p,
                                        .repetition_penalty = 1,
                                        .max_tokens = wanted->max_tokens,
                                        .with_logprob = wanted->logprobs && !agent_is_exact(j->agent),
                                        .stop_count = wanted->stop_count},
                         .seed = wanted->seed};
    memcpy(g->parameters.stops, wanted->stop, sizeof wanted->stop);
    memcpy(g->nonce, wanted->nonce, sizeof g->nonce);
}

static bool send_messages(worker_job *j, const proto_job *wanted) {
    pipe_message message = {.type = j->kind == PROTO_SCORE ? PIPE_SCORE : PIPE_GENERATE};
    engine_message *messages = memory_allocate_zeroed(wanted->message_count, sizeof *messages);
    if (messages == NULL) {
        return false;
    }
    for (size_t i = 0; i < wanted->message_count; i++) {
        messages[i].role = wanted->messages[i].role;
        messages[i].content = wanted->messages[i].content;
    }
    memcpy(message.job, wanted->id, sizeof message.job);
    describe(j, wanted, messages, j->kind == PROTO_SCORE ? &message.score.claim : &message.generate);
    bool sent = (j->kind != PROTO_SCORE || score_job_describe(j, wanted, &message.score)) &&
                backend_send(j->agent->engine, &message);
    memory_free(messages);
    return sent;
}

static bool send_to_engine(worker_job *j, const proto_job *wanted) {
    return j->kind == PROTO_EMBED ? embed_job_send(j) : send_messages(j, wanted);
}

static bool does(const agent *a, proto_kind kind) {
    switch (kind) {
    case PROTO_SCORE:
        return a->can_generate && agent_is_exact(a);
    case PROTO_EMBED:
        return a->dimension > 0;
    default:
        return a->can_generate;
    }
}

static worker_job *job_new(agent *a, const proto_job *wanted, error *err) {
    switch (wanted->kind) {
    case PROTO_SCORE:
        return score_job_new(a, wanted, err);
    case PROTO_EMBED:
        return embed_job_new(a, wanted, err);
    default:
        return generate_job_new(a, wanted, err);
    }
}

void worker_job_start(agent *a, const proto_job *wanted) {
    error err = {0};
    if (a->stopping || !a->engine_ready || a->log_doubted || a->job_count >= a->slots) {
        send_fail(a, wanted->id, PROTO_FAIL_BUSY, SLICE_LITERAL("no free slot"), true);
    } else if (!slice_equal_text(wanted->model, a->model_name) ||
               memcmp(wanted->digest, a->model_digest, sizeof a->model_digest) != 0) {
        send_fail(a, wanted->id, PROTO_FAIL_MODEL, SLICE_LITERAL("this worker has another model"), true);
    } else if (!does(a, wanted->kind)) {
        send_fail(a, wanted->id, PROTO_OTHER, SLICE_LITERAL("this worker doesn't do such jobs"), true);
    } else {
        worker_job *j = job_new(a, wanted, &err);
        if (j == NULL) {
            send_fail(a, wanted->id, PROTO_OTHER, slice_of_text(err.text), true);
        } else if (!send_to_engine(j, wanted)) {
            worker_job_give_up(j, PROTO_FAIL_ENGINE, SLICE_LITERAL("the engine takes no jobs"), true);
        }
    }
}

void worker_job_cancel(agent *a, const uint8_t id[PROTO_ID_SIZE]) {
    worker_job *j = find(a, id);
    if (j != NULL) {
        worker_job_give_up(j, PROTO_FAIL_CANCELLED, SLICE_LITERAL("cancelled"), true);
    }
}

void worker_job_fail(agent *a, const uint8_t id[PIPE_JOB_SIZE], const pipe_fail *fail) {
    worker_job *j = find(a, id);
    if (j != NULL) {
        j->finished = true;
        worker_job_give_up(j,
                           fail->code == ERROR_LIMIT || fail->code == ERROR_INVALID ? PROTO_FAIL_INPUT
                                                                                    : PROTO_FAIL_ENGINE,
                           fail->text, fail->retryable);
    }
}

void worker_job_fail_all(agent *a, const char *reason) {
    while (!list_is_empty(&a->jobs)) {
        worker_job *j = LIST_ENTRY(a->jobs.next, worker_job, node);
        j->finished = true;
        worker_job_give_up(j, PROTO_FAIL_ENGINE, slice_of_text(reason), true);
    }
}

void worker_job_drop_all(agent *a) {
    while (!list_is_empty(&a->jobs)) {
        worker_job *j = LIST_ENTRY(a->jobs.next, worker_job, node);
        cancel_in_engine(j);
        worker_job_free(j);
    }
    agent_check_stopped(a);
}

size_t worker_job_append_text(buffer *out, slice text) {
    static const char replacement[] = "\xEF\xBF\xBD";
    size_t before = buffer_length(out);
    while (text.length > 0) {
        size_t nul = slice_find(text, 0);
        buffer_append(out, slice_part(text, 0, nul));
        if (nul == SIZE_MAX) {
            break;
        }
        buffer_append_text(out, replacement);
        text = slice_after(text, nul + 1);
    }
    return buffer_length(out) - before;
}
