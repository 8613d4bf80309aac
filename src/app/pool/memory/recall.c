#include "memory/recall.h"

#include "base/memory.h"
#include "crypto/hash.h"
#include "memory/fact_find.h"
#include "memory/keep.h"
#include "memory/recalled.h"
#include "reply.h"
#include "sso/identify.h"

/* What has less in common with the question isn't given. The embedder that needs no model compares words and
 * their parts, of which related texts share few; models give unrelated texts a good deal in common. */
static const float plain_floor = 0.12F;
static const float model_floor = 0.35F;

enum { MESSAGE_ROOM = 64 * 1024 /* for the facts, in bytes */ };

typedef struct recall {
    pool *pool;
    http_request *request;
    chat_request chat;
    verify_mode mode;
    fact_search *search;
} recall;

static void client_left(void *context) {
    fact_search_cancel(((recall *)context)->search);
}

static void go_on(recall *r) {
    error err = {0};
    const account *who = identify(r->pool, r->request, &err);
    if (who == NULL) {
        memory_refuse_caller(r->request, &err);
    } else {
        keep_start(r->pool, r->request, who, &r->chat, r->mode);
    }
}

/* The ids of what is given, with commas between. */
static bool name_facts(arena *memory, const found_fact *const *given, size_t count, slice *names) {
    size_t each = 2 * RECORD_ID_SIZE + 1;
    char *text = arena_allocate(memory, count * each + 1);
    if (text == NULL) {
        return false;
    }
    for (size_t i = 0; i < count; i++) {
        hex_encode(slice_of(given[i]->id, RECORD_ID_SIZE), text + i * each);
        text[i * each + each - 1] = ',';
    }
    *names = slice_of(text, count * each - 1);
    return true;
}

/* Those that count, in the order of their scores, as far as there is room. */
static size_t choose(const found_fact *found, size_t count, const found_fact *given[RECALL_FACTS_MAX],
                     slice texts[RECALL_FACTS_MAX]) {
    size_t room = RECALL_CHARACTERS_MAX;
    size_t chosen = 0;
    for (size_t i = 0; i < count && chosen < RECALL_FACTS_MAX; i++) {
        size_t characters = recalled_characters(found[i].fact.text);
        if (found[i].score >= (found[i].by_model ? model_floor : plain_floor) && characters <= room) {
            room -= characters;
            texts[chosen] = found[i].fact.text;
            given[chosen++] = &found[i];
        }
    }
    return chosen;
}

/* One system message before all others, which takes up the user's own. */
static bool put_message(recall *r, const slice *texts, size_t count) {
    arena *memory = http_request_arena(r->request);
    const receipt_message *sent = r->chat.messages;
    bool has_system = slice_equal_text(sent[0].role, "system");
    size_t kept = r->chat.message_count - (has_system ? 1 : 0);
    receipt_message *messages = arena_allocate_array(memory, kept + 1, sizeof *messages);
    buffer content = buffer_make(r->pool->settings.body_limit + MESSAGE_ROOM);
    bool done = messages != NULL &&
                recalled_write(texts, count, has_system ? sent[0].content : (slice){0}, &content) &&
                arena_copy(memory, buffer_slice(&content), &messages[0].content);
    buffer_wipe(&content);
    if (done) {
        messages[0].role = SLICE_LITERAL("system");
        if (kept > 0) {
            memcpy(messages + 1, sent + (has_system ? 1 : 0), kept * sizeof *messages);
        }
        r->chat.messages = messages;
        r->chat.message_count = kept + 1;
    }
    return done;
}

static bool give(recall *r, const found_fact *found, size_t count) {
    const found_fact *given[RECALL_FACTS_MAX];
    slice texts[RECALL_FACTS_MAX];
    arena *memory = http_request_arena(r->request);
    size_t chosen = choose(found, count, given, texts);
    return chosen == 0 ||
           (name_facts(memory, given, chosen, &r->chat.facts) && put_message(r, texts, chosen));
}

static void found_facts(void *context, const found_fact *found, size_t count, const error *failure) {
    recall *r = context;
    http_request_on_closed(r->request, NULL, NULL);
    if (failure != NULL) {
        reply_failure(r->request, failure);
    } else if (!give(r, found, count)) {
        reply_out_of_memory(r->request);
    } else {
        go_on(r);
    }
}

static slice last_question(const chat_request *chat) {
    for (size_t i = chat->message_count; i > 0; i--) {
        if (slice_equal_text(chat->messages[i - 1].role, "user")) {
            return chat->messages[i - 1].content;
        }
    }
    return (slice){0};
}

static void opened(void *context, const account *who, open_vault *v) {
    recall *r = context;
    error err = {0};
    slice question = last_question(&r->chat);
    if (v == NULL || question.length == 0) {
        keep_start(r->pool, r->request, who, &r->chat, r->mode);
        return;
    }
    r->search = fact_search_start(r->pool, v, question, RECALL_FACTS_MAX, found_facts, r, &err);
    if (r->search == NULL) {
        reply_failure(r->request, &err);
        return;
    }
    http_request_on_closed(r->request, client_left, r);
}

void recall_start(pool *p, http_request *request, const account *who, chat_request *chat, verify_mode mode) {
    slice field;
    if (!http_request_header(request, "x-cellule-memory", &field)) {
        keep_start(p, request, who, chat, mode);
        return;
    }
    if (!slice_equal_text(field, "use")) {
        reply_error(request, 400, "X-Cellule-Memory", NULL,
                    "X-Cellule-Memory is \"use\", or isn't there: then no facts are given to the model");
        return;
    }
    recall *r = arena_allocate(http_request_arena(request), sizeof *r);
    if (r == NULL) {
        reply_out_of_memory(request);
        return;
    }
    *r = (recall){.pool = p, .request = request, .chat = *chat, .mode = mode};
    memory_open(p, request, who, MEMORY_IF_ANY, opened, r);
}
