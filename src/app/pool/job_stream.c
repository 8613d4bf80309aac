#include "job_internal.h"

#include "answer.h"
#include "dispatch/job.h"
#include "memory/keep.h"
#include "proof/proof.h"

/* What a streamed answer sends while it is made, and how it waits for a client that is slow. */

enum {
    EVENT_LIMIT = 4 * 1024 * 1024,
    BEHIND_BYTES = 16384, /* queued for the client: from here on it counts as behind */
    FIRST_NEWS_MS = 1000,
    NEWS_MS = 10000,
    STALL_CHECK_MS = 20
};

size_t job_head_fields(job *j, slice media_type, job_head *head) {
    size_t count = 0;
    head->fields[count++] = (http_header){SLICE_LITERAL("Content-Type"), media_type};
    head->fields[count++] = (http_header){SLICE_LITERAL("Cache-Control"), SLICE_LITERAL("no-cache")};
    head->fields[count++] = (http_header){SLICE_LITERAL("X-Cellule-Job"), slice_of_text(j->work.id_hex)};
    if (j->keep != NULL) {
        head->fields[count++] =
            (http_header){SLICE_LITERAL("X-Cellule-Conversation"), keep_conversation(j->keep)};
    }
    if (j->chat.facts.length > 0) {
        head->fields[count++] = (http_header){SLICE_LITERAL("X-Cellule-Facts"), j->chat.facts};
    }
    if (proof_take_notice(j->work.pool, j->user_id, head->notice)) {
        head->fields[count++] = (http_header){SLICE_LITERAL("X-Cellule-Notice"), slice_of_text(head->notice)};
    }
    return count;
}

bool job_send_head(job *j) {
    job_head head;
    size_t count = job_head_fields(j, SLICE_LITERAL("text/event-stream"), &head);
    j->head_sent = true;
    return http_stream_begin(j->request, 200, head.fields, count);
}

/* Fails when the client can't take it: then the connection is being cut and client_left follows. */
static bool send_events(job *j, buffer *events) {
    bool sent = !buffer_failed(events) && http_stream_write(j->request, buffer_slice(events));
    buffer_free(events);
    return sent;
}

static void tell_queue_position(void *context) {
    job *j = context;
    size_t position = j->handle == NULL ? 0 : dispatch_job_position(j->handle);
    if (position == 0 && !j->hold) {
        return;
    }
    if (!j->head_sent && !job_send_head(j)) {
        return;
    }
    buffer events = buffer_make(EVENT_LIMIT);
    if (position > 0) {
        buffer_append_format(&events, ": queued %zu\n\n", position);
    } else {
        buffer_append_text(&events, ": held back until it is proved\n\n");
    }
    if (send_events(j, &events)) {
        ev_timer_start(j->work.pool->loop, &j->queue_timer, NEWS_MS);
    }
}

void job_stream_prepare(job *j) {
    ev_timer_init(&j->queue_timer, tell_queue_position, j);
}

void job_stream_expect_news(job *j) {
    if (j->chat.stream && (j->hold || dispatch_job_position(j->handle) > 0)) {
        ev_timer_start(j->work.pool->loop, &j->queue_timer, FIRST_NEWS_MS);
    }
}

bool job_stream_text(job *j, slice text) {
    if (!j->chat.stream || text.length == 0 || j->hold) {
        return true;
    }
    if (!j->head_sent && !job_send_head(j)) {
        return false;
    }
    buffer events = buffer_make(EVENT_LIMIT);
    if (!j->started) {
        /* The worker was lost a moment ago: what it said is forgotten, and another begins anew. */
        if (!dispatch_job_started(j->handle)) {
            return true;
        }
        j->started = true;
        j->chunk_prefix = answer_chunk_prefix(j);
        if (j->chunk_prefix.length == 0) {
            return false;
        }
        answer_write_role(j->chunk_prefix, &events);
    }
    answer_write_text(j->chunk_prefix, text, &events);
    return send_events(j, &events);
}

void job_tell_consumed(job *j) {
    size_t waiting = j->chat.stream ? http_stream_pending(j->request) : 0;
    list_remove(&j->stalled_node);
    if (waiting > BEHIND_BYTES) {
        list_append(&j->work.pool->stalled, &j->stalled_node);
        if (!ev_timer_is_running(&j->work.pool->stall_timer)) {
            ev_timer_start(j->work.pool->loop, &j->work.pool->stall_timer, STALL_CHECK_MS);
        }
        return;
    }
    dispatch_job_consumed(j->handle, j->token_count, ev_now_ms(j->work.pool->loop));
}

void job_check_stalled(void *context) {
    pool *p = context;
    list_node behind;
    list_init(&behind);
    while (!list_is_empty(&p->stalled)) {
        list_node *node = list_first(&p->stalled);
        list_remove(node);
        list_append(&behind, node);
    }
    while (!list_is_empty(&behind)) {
        job *j = LIST_ENTRY(list_first(&behind), job, stalled_node);
        list_remove(&j->stalled_node);
        if (j->handle != NULL) {
            job_tell_consumed(j);
        }
    }
}

void job_end_stream(job *j, bool whole) {
    http_request *request = j->request;
    job_release(j);
    if (whole) {
        http_stream_end(request);
    } else {
        http_stream_abort(request);
    }
}

void job_stream_finish(job *j) {
    job_end_stream(j, (j->head_sent || job_send_head(j)) &&
                          http_stream_write(j->request, buffer_slice(&j->end)));
}
