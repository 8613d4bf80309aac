#include "memory/learn.h"

#include "base/memory.h"
#include "codec/json.h"
#include "crypto/hash.h"
#include "memory/fact_find.h"
#include "memory/facts.h"
#include "memory/lesson.h"
#include "memory/reading.h"
#include "memory/recalled.h"
#include "memory/walk.h"
#include "reply.h"
#include "sso/identify.h"

/* The conversation is read ─> a model lists facts ─> each is looked for and, if it is new, added. The client
 * may leave at any time: then what is under way is ended, and what was added stays. */

enum {
    TEXT_MAX = 24 * 1024, /* of the conversation: its end */
    SAID_MAX = 4096,      /* of what the user said at a time, in bytes */
    ANSWERED_MAX = 1024,  /* of an answer */
    BODY_DEPTH = 4,
    BODY_VALUES = 16
};

/* From here on a fact says the same as one that is there. */
static const float plain_same = 0.85F;
static const float model_same = 0.95F;

typedef struct learning {
    reading reading; /* while the conversation is read */
    pool *pool;
    http_request *request; /* NULL: the client has left */
    open_vault *vault;
    uint8_t conversation[RECORD_ID_SIZE];
    char model[PROTO_NAME_MAX + 1];
    bool model_given;
    walk *walk;
    lesson *lesson;
    buffer text;   /* of the conversation */
    buffer answer; /* of the model */
    slice rest;    /* of that */
    slice line;    /* that is being added */
    size_t lines;
    fact_search *search;
    reply_json reply;
} learning;

static void free_learning(void *context) {
    learning *l = context;
    keyring_give_back(l->vault);
    buffer_wipe(&l->text);
    buffer_wipe(&l->answer);
    buffer_wipe(&l->reply.body);
    memory_free(l);
}

static void client_left(void *context) {
    learning *l = context;
    l->request = NULL;
    if (l->walk != NULL) {
        walk_cancel(l->walk, free_learning);
    } else if (l->lesson != NULL) {
        lesson_cancel(l->lesson);
        free_learning(l);
    } else if (l->search != NULL) {
        fact_search_cancel(l->search);
        free_learning(l);
    } /* else a fact is being written, which ends soon */
}

static http_request *end(learning *l) {
    http_request *request = l->request;
    if (request != NULL) {
        http_request_on_closed(request, NULL, NULL);
    }
    free_learning(l);
    return request;
}

static void end_with_error(learning *l, const error *failure) {
    error copy = *failure;
    http_request *request = end(l);
    if (request != NULL) {
        reply_failure(request, &copy);
    }
}

/* -- what was learnt is added -- */

static void next_line(learning *l);

static void added(void *context, const uint8_t id[RECORD_ID_SIZE], uint64_t created_ms,
                  const error *failure) {
    learning *l = context;
    if (l->request == NULL) {
        free_learning(l);
        return;
    }
    if (failure != NULL) {
        end_with_error(l, failure);
        return;
    }
    const fact f = {.created_ms = created_ms,
                    .text = l->line,
                    .source = slice_of(l->conversation, sizeof l->conversation)};
    json_write_object_begin(&l->reply.w);
    fact_write_json(&l->reply.w, id, &f);
    json_write_object_end(&l->reply.w);
    next_line(l);
}

static void looked(void *context, const found_fact *found, size_t count, const error *failure) {
    learning *l = context;
    error err = {0};
    l->search = NULL;
    if (failure != NULL) {
        end_with_error(l, failure);
        return;
    }
    if (count > 0 && found[0].score >= (found[0].by_model ? model_same : plain_same)) {
        next_line(l);
        return;
    }
    const new_fact f = {.text = l->line, .source = slice_of(l->conversation, sizeof l->conversation)};
    if (!fact_write(l->pool, l->vault, &f, added, l, &err)) {
        end_with_error(l, &err);
    }
}

static void next_line(learning *l) {
    error err = {0};
    if (l->lines++ == LEARNED_LINES_MAX || !learned_next(&l->rest, &l->line)) {
        http_request_on_closed(l->request, NULL, NULL);
        reply_list_end(&l->reply, l->request, false);
        l->reply.body = buffer_make(0); /* it was given back */
        free_learning(l);
        return;
    }
    l->search = fact_search_start(l->pool, l->vault, l->line, 1, looked, l, &err);
    if (l->search == NULL) {
        end_with_error(l, &err);
    }
}

/* -- the model is asked -- */

static void answered(void *context, slice answer, const lesson_failure *failure) {
    learning *l = context;
    error err = {0};
    l->lesson = NULL;
    if (failure != NULL) {
        lesson_failure copy = *failure;
        reply_error(end(l), copy.status, NULL, copy.code, "%s", copy.text);
        return;
    }
    l->answer = buffer_make(LESSON_ANSWER_MAX);
    if (!buffer_append(&l->answer, answer)) {
        error_memory(&err);
        end_with_error(l, &err);
        return;
    }
    l->rest = buffer_slice(&l->answer);
    reply_list_begin(&l->reply, "facts");
    next_line(l);
}

static void refuse(learning *l, const error *failure) {
    error copy = *failure;
    http_request *request = end(l);
    if (copy.code == ERROR_NOT_FOUND) {
        reply_error(request, 404, "model", "model_not_found",
                    "no connected worker has the model that is to read it; name another with \"model\"");
    } else if (copy.code == ERROR_LIMIT) {
        reply_error(request, 429, NULL, "queue_full", "%s", copy.text);
    } else {
        reply_failure(request, &copy);
    }
}

static void ask_model(learning *l, const account *who) {
    error err = {0};
    buffer prompt = buffer_make(LESSON_PROMPT_MAX);
    l->lesson =
        learned_ask(buffer_slice(&l->text), &prompt)
            ? lesson_start(l->pool, who, slice_of_text(l->model), buffer_slice(&prompt), answered, l, &err)
            : NULL;
    if (l->lesson == NULL && err.code == ERROR_NONE) {
        error_memory(&err);
    }
    buffer_wipe(&prompt);
    if (l->lesson == NULL) {
        refuse(l, &err);
    }
}

/* -- the conversation is read -- */

static void append_cut(buffer *out, const char *who, slice said, size_t most) {
    size_t length = said.length < most ? said.length : most;
    while (length > 0 && length < said.length && (said.data[length] & 0xC0) == 0x80) {
        length--;
    }
    buffer_append_text(out, who);
    buffer_append(out, slice_part(said, 0, length));
    buffer_append_byte(out, '\n');
}

/* Of a long conversation the end counts. */
static void keep_end_of(buffer *text) {
    if (buffer_length(text) > TEXT_MAX) {
        slice all = buffer_slice(text);
        size_t cut = all.length - TEXT_MAX;
        size_t line = slice_find(slice_after(all, cut), '\n');
        buffer_consume(text, line == SIZE_MAX ? all.length : cut + line + 1);
    }
}

/* In a thread. */
static bool read_page(void *context, const walk_page *page, error *err) {
    learning *l = context;
    for (size_t i = 0; i < page->count; i++) {
        const conversation_turn *turn = &page->turns[i];
        for (size_t m = 0; m < turn->message_count; m++) {
            if (slice_equal_text(turn->messages[m].role, "user")) {
                append_cut(&l->text, "user: ", turn->messages[m].content, SAID_MAX);
                keep_end_of(&l->text);
            }
        }
        append_cut(&l->text, "assistant: ", turn->answer, ANSWERED_MAX);
        keep_end_of(&l->text);
        if (!l->model_given && turn->model.length < sizeof l->model) {
            memcpy(l->model, turn->model.data, turn->model.length);
            l->model[turn->model.length] = '\0';
        }
    }
    return !buffer_failed(&l->text) || error_memory(err);
}

static walk_next go_on(void *context) {
    (void)context;
    return WALK_ON;
}

static void all_read(void *context, const error *failure) {
    learning *l = context;
    error err = {0};
    l->walk = NULL;
    reading_stop(&l->reading);
    http_request_on_closed(l->request, client_left, l);
    const account *who = failure == NULL ? identify(l->pool, l->request, &err) : NULL;
    if (failure != NULL && failure->code == ERROR_NOT_FOUND) {
        memory_not_found(end(l), "conversation");
    } else if (failure != NULL) {
        end_with_error(l, failure);
    } else if (who == NULL) {
        memory_refuse_caller(end(l), &err);
    } else {
        ask_model(l, who);
    }
}

static const walk_kind learn_kind = {.read = read_page, .next = go_on, .done = all_read};

static bool read_wish(learning *l, http_request *request, error *err) {
    slice id = {0};
    slice model = {0};
    json_value *root = json_parse(
        http_request_body(request),
        (json_limits){.size = l->pool->settings.body_limit, .depth = BODY_DEPTH, .values = BODY_VALUES}, err);
    bool read = root != NULL && json_get_text(root, "conversation", &id, err) &&
                (hex_decode(id, l->conversation, sizeof l->conversation) ||
                 error_set(err, ERROR_INVALID, "conversation: the id of one of your conversations")) &&
                json_get_text_or(root, "model", (slice){0}, &model, err) &&
                (model.length < sizeof l->model ||
                 error_set(err, ERROR_INVALID, "model: a name of up to %d bytes", (int)PROTO_NAME_MAX));
    if (read && model.length > 0) {
        memcpy(l->model, model.data, model.length);
        l->model_given = true;
    }
    json_free(root);
    return read;
}

static void begin(pool *p, http_request *request, const account *who, slice segment, open_vault *v) {
    error err = {0};
    (void)segment;
    if (v == NULL) {
        memory_not_found(request, "conversation");
        return;
    }
    learning *l = memory_allocate_zeroed(1, sizeof *l);
    if (l == NULL) {
        reply_out_of_memory(request);
        return;
    }
    *l = (learning){.pool = p, .request = request, .vault = v, .text = buffer_make(2 * TEXT_MAX)};
    keyring_hold(v);
    if (!read_wish(l, request, &err)) {
        free_learning(l);
        reply_unreadable(request, NULL, &err);
        return;
    }
    bool started = reading_start(p, &l->reading, request, who, client_left, l, &err);
    l->walk = started ? walk_start(p, v, l->conversation, &learn_kind, l, &err) : NULL;
    if (l->walk == NULL) {
        reading_stop(&l->reading);
        free_learning(l);
        reply_failure(request, &err);
    }
}

void memory_learn(pool *p, http_request *request, const account *who, slice segment) {
    if (p->draining) {
        reply_error(request, 503, NULL, "pool_stopping", "the pool is stopping; ask again in a moment");
        return;
    }
    memory_enter(p, request, who, segment, MEMORY_IF_ANY, begin);
}
