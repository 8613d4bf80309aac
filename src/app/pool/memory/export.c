#include "memory/conversations.h"

#include "base/memory.h"
#include "codec/form.h"
#include "crypto/hash.h"
#include "memory/gate.h"
#include "memory/sending.h"
#include "memory/task.h"
#include "memory/walk.h"
#include "reply.h"

/* One conversation, whole, as it is read: a page is sent when the client has taken most of the one before. */

typedef struct export {
    sending out;
    walk *walk;
    bool markdown;
    bool written; /* a turn before this one */
}
export;

static void free_export(void *context) {
    export *e = context;
    sending_wipe(&e->out);
    memory_free(e);
}

static void client_left(void *context) {
    export *e = context;
    walk_cancel(e->walk, free_export);
}

static void write_beginning(export *e, const walk_page *page) {
    if (e->markdown) {
        conversation_write_markdown_title(page->title, &e->out.page);
        return;
    }
    char id[2 * STORE_CONVERSATION_ID_SIZE + 1];
    json_writer w = json_writer_make(&e->out.page);
    hex_encode(slice_of(page->id, sizeof page->id), id);
    json_write_object_begin(&w);
    json_add_text(&w, "object", SLICE_LITERAL("cellule.conversation"));
    json_add_text(&w, "id", slice_of_text(id));
    json_add_text(&w, "title", page->title);
    json_add_u64(&w, "changed_ms", page->changed_ms);
    buffer_append_text(&e->out.page, ",\"turns\":[");
}

static bool read_page(void *context, const walk_page *page, error *err) {
    export *e = context;
    if (page->begins) {
        write_beginning(e, page);
    }
    for (size_t i = 0; i < page->count; i++) {
        if (e->markdown) {
            conversation_write_markdown(&page->turns[i], &e->out.page);
        } else {
            buffer_append_text(&e->out.page, e->written ? "," : "");
            conversation_write_json(page->turn_ids[i], &page->turns[i], &e->out.page);
        }
        e->written = true;
    }
    if (page->ends && !e->markdown) {
        buffer_append_text(&e->out.page, "]}\n");
    }
    return !buffer_failed(&e->out.page) || error_memory(err);
}

static walk_next next(void *context) {
    export *e = context;
    return sending_go(&e->out) ? WALK_ON : WALK_WAIT;
}

static void page_is_out(void *context) {
    export *e = context;
    walk_resume(e->walk);
}

static void done(void *context, const error *failure) {
    export *e = context;
    sending_end(&e->out, failure, "conversation");
    free_export(e);
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
    e->markdown = markdown;
    e->out = (sending){.pool = p,
                       .request = request,
                       .media_type = markdown ? SLICE_LITERAL("text/markdown; charset=utf-8")
                                              : SLICE_LITERAL("application/json"),
                       .disposition = markdown ? SLICE_LITERAL("attachment; filename=\"conversation.md\"")
                                               : SLICE_LITERAL("attachment; filename=\"conversation.json\""),
                       .go_on = page_is_out,
                       .context = e};
    bool started = sending_start(&e->out, who, client_left, &err);
    e->walk = started ? walk_start(p, v, id, &export_kind, e, &err) : NULL;
    if (e->walk == NULL) {
        sending_end(&e->out, &err, "conversation");
        free_export(e);
    }
}

void conversation_export(pool *p, http_request *request, const account *who, slice id) {
    memory_enter(p, request, who, id, MEMORY_IF_ANY, begin);
}
