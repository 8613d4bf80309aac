#include "memory/conversations.h"

#include "base/memory.h"
#include "codec/json.h"
#include "crypto/hash.h"
#include "memory/gate.h"
#include "memory/reading.h"
#include "memory/walk.h"
#include "reply.h"

/* Words in what is kept. Nothing of it lies anywhere but sealed, so that it is all opened and looked through,
 * beside the loop, from the newest conversation on. */

enum { FOUND_DEFAULT = 20, FOUND_MAX = 100, EXCERPT_MAX = 200, BODY_DEPTH = 4, BODY_VALUES = 16 };

typedef struct search {
    reading reading;
    pool *pool;
    http_request *request;
    walk *walk;
    uint8_t query[CONVERSATION_QUERY_MAX];
    size_t query_length;
    size_t limit;
    size_t count;
    bool matched; /* in the conversation that was read last */
    reply_json answer;
} search;

static void free_search(void *context) {
    search *s = context;
    buffer_wipe(&s->answer.body);
    memory_free(s);
}

static void client_left(void *context) {
    search *s = context;
    s->request = NULL;
    walk_cancel(s->walk, free_search);
}

static slice excerpt_of(slice text) {
    size_t length = 0;
    while (length < text.length) {
        size_t next = slice_utf8_length(slice_after(text, length));
        if (next == 0 || length + next > EXCERPT_MAX) {
            break;
        }
        length += next;
    }
    return slice_part(text, 0, length);
}

static void add_found(search *s, const walk_page *page, const uint8_t *turn_id, slice text) {
    json_writer *w = &s->answer.w;
    char id[2 * STORE_CONVERSATION_ID_SIZE + 1];
    hex_encode(slice_of(page->id, sizeof page->id), id);
    json_write_object_begin(w);
    json_add_text(w, "id", slice_of_text(id));
    json_add_text(w, "title", page->title);
    json_add_u64(w, "changed_ms", page->changed_ms);
    if (turn_id != NULL) {
        hex_encode(slice_of(turn_id, STORE_JOB_ID_SIZE), id);
        json_add_text(w, "turn", slice_of_text(id));
        json_add_text(w, "excerpt", excerpt_of(text));
    }
    json_write_object_end(w);
    s->matched = true;
    s->count++;
}

static bool look_at(search *s, const walk_page *page, size_t i) {
    slice query = slice_of(s->query, s->query_length);
    const conversation_turn *turn = &page->turns[i];
    for (size_t m = 0; m < turn->message_count; m++) {
        if (conversation_matches(turn->messages[m].content, query)) {
            add_found(s, page, page->turn_ids[i], turn->messages[m].content);
            return true;
        }
    }
    if (conversation_matches(turn->answer, query)) {
        add_found(s, page, page->turn_ids[i], turn->answer);
        return true;
    }
    return false;
}

static bool read_page(void *context, const walk_page *page, error *err) {
    search *s = context;
    s->matched = false;
    if (page->begins && conversation_matches(page->title, slice_of(s->query, s->query_length))) {
        add_found(s, page, NULL, page->title);
    }
    for (size_t i = 0; i < page->count && !s->matched; i++) {
        s->matched = look_at(s, page, i);
    }
    return !buffer_failed(&s->answer.body) || error_memory(err);
}

static walk_next next(void *context) {
    const search *s = context;
    if (s->count >= s->limit) {
        return WALK_END;
    }
    return s->matched ? WALK_LEAVE : WALK_ON;
}

static void done(void *context, const error *failure) {
    search *s = context;
    http_request *request = s->request;
    reading_stop(&s->reading);
    if (failure != NULL) {
        free_search(s);
        reply_failure(request, failure);
        return;
    }
    reply_list_end(&s->answer, request, s->count >= s->limit);
    memory_free(s);
}

static const walk_kind search_kind = {.read = read_page, .next = next, .done = done};

/* On failure `*param` names the member at fault, or is NULL. */
static bool read_query(pool *p, http_request *request, search *s, const char **param, error *err) {
    slice query = {0};
    uint64_t limit = 0;
    json_value *root = json_parse(
        http_request_body(request),
        (json_limits){.size = p->settings.body_limit, .depth = BODY_DEPTH, .values = BODY_VALUES}, err);
    *param = root == NULL ? NULL : "query";
    bool read = root != NULL && json_get_text(root, "query", &query, err) &&
                (conversation_query_is_valid(query) ||
                 error_set(err, ERROR_INVALID, "query: must be 1 to %d words in at most %d bytes",
                           (int)CONVERSATION_QUERY_WORDS_MAX, (int)CONVERSATION_QUERY_MAX));
    if (read) {
        *param = "limit";
        read = json_get_u64_or(root, "limit", 1, FOUND_MAX, FOUND_DEFAULT, &limit, err);
    }
    if (read) {
        memcpy(s->query, query.data, query.length);
        s->query_length = query.length;
        s->limit = (size_t)limit;
    }
    json_free(root);
    return read;
}

static void begin(pool *p, http_request *request, const account *who, slice segment, open_vault *v) {
    error err = {0};
    const char *param = NULL;
    (void)segment;
    search *s = memory_allocate_zeroed(1, sizeof *s);
    if (s == NULL) {
        reply_out_of_memory(request);
        return;
    }
    s->pool = p;
    s->request = request;
    if (!read_query(p, request, s, &param, &err)) {
        memory_free(s);
        reply_unreadable(request, param, &err);
        return;
    }
    reply_list_begin(&s->answer, "found");
    if (v == NULL) {
        reply_list_end(&s->answer, request, false);
        memory_free(s);
        return;
    }
    bool started = reading_start(p, &s->reading, request, who, client_left, s, &err);
    s->walk = started ? walk_start(p, v, NULL, &search_kind, s, &err) : NULL;
    if (s->walk == NULL) {
        reading_stop(&s->reading);
        free_search(s);
        reply_failure(request, &err);
    }
}

void conversations_search(pool *p, http_request *request, const account *who, slice segment) {
    memory_enter(p, request, who, segment, MEMORY_IF_ANY, begin);
}
