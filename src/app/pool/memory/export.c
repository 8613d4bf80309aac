#include "memory/conversations.h"

#include "base/memory.h"
#include "codec/form.h"
#include "crypto/hash.h"
#include "memory/gate.h"
#include "memory/task.h"
#include "memory/walk.h"
#include "reply.h"

/* One conversation, whole, as it is read: a page is sent when the client has taken most of the one before. */

enum { PAGE_LIMIT = 32 * 1024 * 1024, BEHIND_BYTES = 256 * 1024 };

typedef struct export {
    pool *pool;
    http_request *request;
    walk *walk;
    bool markdown;
    bool begun;   /* the head is out */
    bool written; /* a turn before this one */
    bool waits;
    buffer page;
}
export;

static void free_export(void *context) {
    export *e = context;
    buffer_wipe(&e->page);
    memory_free(e);
}

static void client_left(void *context) {
    export *e = context;
    walk_cancel(e->walk, free_export);
}

static void write_beginning(export *e, const walk_page *page) {
    if (e->markdown) {
        buffer_append_text(&e->page, "# ");
        buffer_append(&e->page, page->title);
        buffer_append_text(&e->page, "\n\n");
        return;
    }
    char id[2 * STORE_CONVERSATION_ID_SIZE + 1];
    json_writer w = json_writer_make(&e->page);
    hex_encode(slice_of(page->id, sizeof page->id), id);
    json_write_object_begin(&w);
    json_add_text(&w, "object", SLICE_LITERAL("cellule.conversation"));
    json_add_text(&w, "id", slice_of_text(id));
    json_add_text(&w, "title", page->title);
    json_add_u64(&w, "changed_ms", page->changed_ms);
    buffer_append_text(&e->page, ",\"turns\":[");
}

static bool read_page(void *context, const walk_page *page, error *err) {
    export *e = context;
    if (page->begins) {
        write_beginning(e, page);
    }
    for (size_t i = 0; i < page->count; i++) {
        if (e->markdown) {
            conversation_write_markdown(&page->turns[i], &e->page);
        } else {
            buffer_append_text(&e->page, e->written ? "," : "");
            conversation_write_json(page->turn_ids[i], &page->turns[i], &e->page);
        }
        e->written = true;
    }
    if (page->ends && !e->markdown) {
        buffer_append_text(&e->page, "]}\n");
    }
    return !buffer_failed(&e->page) || error_memory(err);
}

static bool send_head(export *e) {
    const http_header headers[] = {
        {SLICE_LITERAL("Content-Type"),
         e->markdown ? SLICE_LITERAL("text/markdown; charset=utf-8") : SLICE_LITERAL("application/json")},
        {SLICE_LITERAL("Content-Disposition"),
         e->markdown ? SLICE_LITERAL("attachment; filename=\"conversation.md\"")
                     : SLICE_LITERAL("attachment; filename=\"conversation.json\"")},
        {SLICE_LITERAL("Cache-Control"), SLICE_LITERAL("no-store")}};
    e->begun = true;
    return http_stream_begin(e->request, 200, headers, sizeof headers / sizeof headers[0]);
}

/* A page may be larger than what may wait for a client: piece by piece then. */
static walk_next send_some(export *e) {
    while (buffer_length(&e->page) > 0) {
        slice piece = slice_part(buffer_slice(&e->page), 0, BEHIND_BYTES);
        if (http_stream_pending(e->request) > BEHIND_BYTES) {
            e->waits = true;
            return WALK_WAIT;
        }
        if (!http_stream_write(e->request, piece)) {
            e->waits = true;
            return WALK_WAIT; /* cut: on_closed follows; or behind: on_drained does */
        }
        buffer_consume(&e->page, piece.length);
    }
    buffer_wipe(&e->page);
    return WALK_ON;
}

static walk_next next(void *context) {
    export *e = context;
    if (!e->begun && !send_head(e)) {
        e->waits = true;
        return WALK_WAIT;
    }
    return send_some(e);
}

static void drained(void *context, http_request *request) {
    export *e = context;
    (void)request;
    if (e->waits) {
        e->waits = false;
        if (send_some(e) == WALK_ON) {
            walk_resume(e->walk);
        }
    }
}

static void done(void *context, const error *failure) {
    export *e = context;
    http_request *request = e->request;
    bool begun = e->begun;
    http_request_on_closed(request, NULL, NULL);
    http_request_on_drained(request, NULL, NULL);
    free_export(e);
    if (failure == NULL) {
        http_stream_end(request);
    } else if (begun) {
        http_stream_abort(request);
    } else if (failure->code == ERROR_NOT_FOUND) {
        memory_not_found(request, "conversation");
    } else {
        reply_failure(request, failure);
    }
}

static const walk_kind export_kind = {.read = read_page, .next = next, .done = done};

static bool read_format(http_request *request, bool *markdown) {
    slice format;
    error err = {0};
    if (!form_get(http_request_query(request), "format", http_request_arena(request), &format, &err) ||
        !(format.length == 0 || slice_equal_text(format, "json") || slice_equal_text(format, "markdown"))) {
        reply_error(request, 400, "format", NULL, "format: json or markdown");
        return false;
    }
    *markdown = slice_equal_text(format, "markdown");
    return true;
}

static void begin(pool *p, http_request *request, const account *who, slice segment, open_vault *v) {
    error err = {0};
    uint8_t id[RECORD_ID_SIZE];
    bool markdown = false;
    (void)who;
    if (!read_format(request, &markdown) || !memory_read_id(request, segment, "conversation", id)) {
        return;
    }
    if (v == NULL) {
        memory_not_found(request, "conversation");
        return;
    }
    export *e = memory_allocate_zeroed(1, sizeof *e);
    if (e == NULL) {
        reply_out_of_memory(request);
        return;
    }
    *e = (export){.pool = p, .request = request, .markdown = markdown, .page = buffer_make(PAGE_LIMIT)};
    e->walk = walk_start(p, v, id, &export_kind, e, &err);
    if (e->walk == NULL) {
        free_export(e);
        reply_failure(request, &err);
        return;
    }
    http_request_on_closed(request, client_left, e);
    http_request_on_drained(request, drained, e);
}

void conversation_export(pool *p, http_request *request, const account *who, slice id) {
    memory_enter(p, request, who, id, MEMORY_IF_ANY, begin);
}
