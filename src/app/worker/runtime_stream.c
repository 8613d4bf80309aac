#include "runtime_stream.h"

enum { EVENT_DEPTH = 32 };

runtime_stream runtime_stream_make(uint32_t max_tokens) {
    return (runtime_stream){.reader = sse_reader_make(RUNTIME_EVENT_MAX),
                            .events_max = 2 * (uint64_t)max_tokens + RUNTIME_EVENTS_SPARE};
}

void runtime_stream_free(runtime_stream *s) {
    sse_reader_free(&s->reader);
    json_free(s->root);
    s->root = NULL;
    s->choice = NULL;
}

static runtime_event bad(error *err, const char *what) {
    error_set(err, ERROR_IO, "the runtime %s", what);
    return RUNTIME_BAD;
}

/* A count that can't be read is not told. */
static void take_usage(runtime_stream *s, const json_value *usage) {
    uint64_t prompt = 0;
    uint64_t completion = 0;
    if (json_to_u64(json_find(usage, "prompt_tokens"), 0, RUNTIME_TOKENS_MAX, &prompt) &&
        json_to_u64(json_find(usage, "completion_tokens"), 0, RUNTIME_TOKENS_MAX, &completion)) {
        s->has_usage = true;
        s->prompt_tokens = (uint32_t)prompt;
        s->completion_tokens = (uint32_t)completion;
    }
}

/* One answer is asked for: the first choice, which older servers don't number. */
static const json_value *first_choice(const json_value *root) {
    const json_value *choices = json_find(root, "choices");
    for (size_t i = 0; i < json_count(choices); i++) {
        const json_value *choice = json_at(choices, i);
        const json_value *index = json_find(choice, "index");
        uint64_t number = 0;
        if (index == NULL || (json_to_u64(index, 0, UINT32_MAX, &number) && number == 0)) {
            return choice;
        }
    }
    return NULL;
}

static bool take_finish(runtime_stream *s, slice reason) {
    if (slice_equal_text(reason, "stop")) {
        s->finish = ENGINE_STOP;
    } else if (slice_equal_text(reason, "length")) {
        s->finish = ENGINE_LENGTH;
    } else {
        return false;
    }
    s->has_finish = true;
    return true;
}

static bool thinks(const json_value *delta) {
    return json_text_of(json_find(delta, "reasoning_content")).length > 0 ||
           json_text_of(json_find(delta, "reasoning")).length > 0;
}

static runtime_event take_choice(runtime_stream *s, const json_value *choice, slice *text, error *err) {
    const json_value *delta = json_find(choice, "delta");
    slice reason = json_text_of(json_find(choice, "finish_reason"));
    bool was_finished = s->has_finish;
    *text = json_text_of(json_find(delta, "content"));
    if (reason.length > 0 && !take_finish(s, reason)) {
        return bad(err, "ended the answer for a reason that isn't stop or length");
    }
    if (text->length > 0) {
        return was_finished ? bad(err, "went on after the end of the answer") : RUNTIME_TEXT;
    }
    return thinks(delta) ? RUNTIME_HIDDEN : RUNTIME_MORE;
}

/* RUNTIME_MORE: nothing of note. */
static runtime_event take_event(runtime_stream *s, slice data, slice *text, error *err) {
    error cause;
    if (slice_equal_text(slice_trim(data), "[DONE]")) {
        s->is_done = s->has_finish;
        return s->is_done ? RUNTIME_DONE : bad(err, "ended the stream without a finish reason");
    }
    if (++s->events > s->events_max) {
        return bad(err, "sends more events than the answer can have tokens");
    }
    json_free(s->root);
    s->choice = NULL;
    s->root = json_parse(data, (json_limits){RUNTIME_EVENT_MAX, EVENT_DEPTH, RUNTIME_VALUES_MAX}, &cause);
    if (s->root == NULL && cause.code == ERROR_MEMORY) {
        error_memory(err);
        return RUNTIME_BAD;
    }
    if (json_kind_of(s->root) != JSON_KIND_OBJECT) {
        return bad(err, "sent an event that isn't a JSON object");
    }
    if (json_kind_of(json_find(s->root, "error")) != JSON_KIND_NULL) {
        return bad(err, "reported an error of its own");
    }
    take_usage(s, json_find(s->root, "usage"));
    s->choice = first_choice(s->root);
    return take_choice(s, s->choice, text, err);
}

runtime_event runtime_stream_next(runtime_stream *s, slice *input, slice *text, error *err) {
    *text = (slice){0};
    while (!s->is_done) {
        error cause;
        slice data = {0};
        size_t consumed = 0;
        sse_kind kind = sse_reader_feed(&s->reader, *input, &consumed, &data, &cause);
        *input = slice_after(*input, consumed);
        if (kind == SSE_MORE) {
            return RUNTIME_MORE;
        }
        if (kind == SSE_BAD && cause.code == ERROR_MEMORY) {
            error_memory(err);
            return RUNTIME_BAD;
        }
        if (kind == SSE_BAD) {
            return bad(err, "sent an event that is too large");
        }
        runtime_event event = kind == SSE_DATA ? take_event(s, data, text, err) : RUNTIME_MORE;
        if (event != RUNTIME_MORE) {
            return event;
        }
    }
    *input = (slice){0};
    return RUNTIME_MORE;
}
