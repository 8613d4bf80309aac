#include "job_internal.h"

#include "answer.h"
#include "base/log.h"
#include "dispatch/job.h"
#include "embedding.h"
#include "embeddings.h"
#include "hold/frames.h"
#include "hold/required.h"
#include "memory/lesson.h"
#include "memory/reading.h"
#include "os/clock.h"
#include "proof/proof.h"
#include "reply.h"

/* Every way in which a question ends without its answer. */

enum { EVENT_LIMIT = 65536 };

void job_end_with_error(job *j, unsigned status, const char *code, const char *message) {
    http_request *request = j->request;
    bool head_sent = j->head_sent;
    size_t frame = j->required == NULL ? 0 : required_frame_size(j->required);
    j->work.pool->counters.answer_failures++;
    j->failed = true;
    log_warning("answer failed", LOG_TEXT("job", j->work.id_hex), LOG_TEXT("code", code));
    job_release(j);
    if (!head_sent) {
        reply_error(request, status, NULL, code, "%s", message);
        return;
    }
    buffer events = buffer_make(EVENT_LIMIT);
    answer_write_failure(status, code, message, &events);
    if (frame > 0) {
        frames_pad_events(&events, frame);
    }
    if (buffer_failed(&events) || !http_stream_write(request, buffer_slice(&events))) {
        http_stream_abort(request);
    } else {
        http_stream_end(request);
    }
    buffer_free(&events);
}

void job_end_for_memory(job *j) {
    if (http_request_is_cut(j->request)) {
        return;
    }
    job_end_with_error(j, 503, "memory", "the pool is out of memory; ask again");
}

void job_end_unstored(job *j, const error *failure) {
    log_error("receipt not stored", LOG_TEXT("job", j->work.id_hex), LOG_CAUSE(failure));
    job_end_with_error(j, 503, "receipt_not_stored",
                       "the answer's receipt could not be stored, so the answer is not complete; ask again");
}

void job_end_not_kept(job *j, const error *failure) {
    if (failure->code == ERROR_NOT_FOUND) {
        job_end_with_error(j, 404, "conversation_not_found",
                           "the conversation was deleted while it was answered, so the answer isn't kept and "
                           "not complete; ask again, without that conversation");
        return;
    }
    log_error("answer not kept", LOG_TEXT("job", j->work.id_hex), LOG_CAUSE(failure));
    job_end_with_error(j, 503, "not_kept",
                       "the answer could not be kept as you asked, so it is not complete; ask again");
}

void job_refusal(const job *j, unsigned *status, const char **code, const char **text) {
    *status = j->input_refused ? 400 : 502;
    *code = j->input_refused ? "bad_input" : "refused_by_worker";
    *text = j->input_refused || j->refusal[0] != '\0' ? j->refusal : "the worker can't answer this";
}

void job_failed(work *w, dispatch_failure reason) {
    job *j = (job *)(void *)w; /* its first member */
    j->handle = NULL;
    switch (reason) {
    case DISPATCH_NO_WORKER:
        job_end_with_error(j, 503, "no_worker", "the last worker with this model has left; ask again later");
        return;
    case DISPATCH_QUEUE_DEADLINE:
        if (proof_is_all_in_quarantine(w->pool, w->model)) {
            job_end_with_error(j, 503, "workers_in_quarantine", proof_quarantine_text);
            return;
        }
        job_end_with_error(j, 503, "queue_deadline", "no worker became free in time; ask again later");
        return;
    case DISPATCH_JOB_DEADLINE:
        job_end_with_error(j, 504, "job_deadline", "the answer took too long; ask for a shorter one");
        return;
    case DISPATCH_TOO_MANY_TRIES:
        job_end_with_error(j, 503, "worker_failed",
                           "several workers failed one after the other; ask again later");
        return;
    case DISPATCH_NOT_RESUMABLE:
        job_end_with_error(
            j, 503, "worker_lost",
            "the worker was lost in mid-answer and no other can go on with the same bits; ask again");
        return;
    case DISPATCH_LOST:
        job_end_with_error(j, 503, "worker_lost", "the worker was lost; ask again");
        return;
    case DISPATCH_REFUSED:
        break;
    }
    unsigned status = 0;
    const char *code = NULL;
    const char *text = NULL;
    job_refusal(j, &status, &code, &text);
    job_end_with_error(j, status, code, text);
}

/* Ending one job can end any other: its cancel may find the worker's connection full, and what that worker
 * loses may find no other. So what is to end is set apart first, and taken from there while there is some. */
static void end_all(list_node *ending, unsigned status, const char *code, const char *message) {
    while (!list_is_empty(ending)) {
        job_end_with_error(LIST_ENTRY(list_first(ending), job, node), status, code, message);
    }
}

static void end_selected(pool *p, bool (*selected)(job *j, const void *by), const void *by, unsigned status,
                         const char *code, const char *message) {
    list_node ending;
    list_init(&ending);
    for (list_node *node = p->jobs.next, *next = NULL; node != &p->jobs; node = next) {
        next = node->next;
        if (selected(LIST_ENTRY(node, job, node), by)) {
            list_remove(node);
            list_append(&ending, node);
        }
    }
    end_all(&ending, status, code, message);
}

typedef struct revoked {
    uint64_t user_id;
    uint64_t key_id;
} revoked;

static bool is_revoked(job *j, const void *by) {
    const revoked *gone = by;
    return j->user_id == gone->user_id && (gone->key_id == 0 || j->key_id == gone->key_id);
}

static const char revoked_text[] = "this key was revoked";

void job_end_revoked(pool *p, uint64_t user_id, uint64_t key_id) {
    revoked gone = {user_id, key_id};
    end_selected(p, is_revoked, &gone, 401, "key_revoked", revoked_text);
    readings_end(p, &(readings_of){.user_id = user_id, .key_id = key_id}, 401, "key_revoked", revoked_text);
    lessons_end(p, &(lessons_of){.user_id = user_id, .key_id = key_id}, 401, "key_revoked", revoked_text);
    embeddings_end(p, &(embeddings_of){.user_id = user_id, .key_id = key_id}, 401, "key_revoked",
                   revoked_text);
}

void job_end_all_revoked(pool *p) {
    end_all(&p->jobs, 401, "key_revoked", revoked_text);
    readings_end(p, &(readings_of){0}, 401, "key_revoked", revoked_text);
    lessons_end(p, &(lessons_of){0}, 401, "key_revoked", revoked_text);
    embeddings_end(p, &(embeddings_of){0}, 401, "key_revoked", revoked_text);
}

static const char session_ended_text[] = "this session has ended";

static bool is_of_login(job *j, const void *by) {
    return j->login == *(const uint64_t *)by;
}

void job_end_login(pool *p, uint64_t login) {
    end_selected(p, is_of_login, &login, 401, "session_ended", session_ended_text);
    readings_end(p, &(readings_of){.login = login}, 401, "session_ended", session_ended_text);
    lessons_end(p, &(lessons_of){.login = login}, 401, "session_ended", session_ended_text);
    embeddings_end(p, &(embeddings_of){.login = login}, 401, "session_ended", session_ended_text);
}

static void check_expiry(void *context) {
    job *j = context;
    if (clock_unix_ms() < j->expires_ms) { /* a date: the clock was set back, or runs slower */
        job_watch_expiry(j);
    } else if (j->login != 0) {
        job_end_with_error(j, 401, "session_ended", session_ended_text);
    } else {
        job_end_with_error(j, 401, "key_expired", "this key has expired; ask the admin for a new one");
    }
}

void job_watch_expiry(job *j) {
    uint64_t now = clock_unix_ms();
    ev_timer_init(&j->expiry_timer, check_expiry, j);
    if (j->expires_ms != 0) {
        ev_timer_start(j->work.pool->loop, &j->expiry_timer, j->expires_ms > now ? j->expires_ms - now : 0);
    }
}

static const char stopping_text[] = "the pool is stopping; ask again in a moment";

static bool is_queued(job *j, const void *by) {
    (void)by;
    return j->required != NULL ? required_waits(j->required)
                               : j->handle != NULL && dispatch_job_position(j->handle) > 0;
}

void job_end_queued(pool *p) {
    end_selected(p, is_queued, NULL, 503, "pool_stopping", stopping_text);
    lessons_end(p, &(lessons_of){.waiting = true}, 503, "pool_stopping", stopping_text);
    embeddings_end(p, &(embeddings_of){.waiting = true}, 503, "pool_stopping", stopping_text);
}

void job_end_all(pool *p) {
    end_all(&p->jobs, 503, "pool_stopping", stopping_text);
    lessons_end(p, &(lessons_of){0}, 503, "pool_stopping", stopping_text);
    embeddings_end(p, &(embeddings_of){0}, 503, "pool_stopping", stopping_text);
    embedding_end_all(p, &(embedding_failure){503, "pool_stopping", stopping_text});
}
