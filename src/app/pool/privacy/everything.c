#include "base/memory.h"
#include "crypto/hash.h"
#include "everything_internal.h"
#include "memory/gate.h"
#include "os/clock.h"
#include "reply.h"
#include "store/users.h"

#include <stdio.h>

/* A part after the other, a page after the other:
 *
 *   ask the store, or walk ──> write, beside the loop where it is to be decrypted ──> send ──> ask
 *
 * While the client is behind nothing is asked. */

enum { TURN_LIMIT = 64 * 1024 * 1024, FACTS_MEMORY = 64 * 1024 * 1024 };

static void free_all(void *context) {
    everything *e = context;
    if (e->vault != NULL) {
        keyring_give_back(e->vault);
    }
    if (e->opened != NULL) {
        arena_wipe(e->opened);
    }
    arena_free(e->opened);
    arena_free(e->sealed);
    sending_wipe(&e->out);
    memory_free(e);
}

static void client_left(void *context) {
    everything *e = context;
    e->gone = true;
    if (e->walk != NULL) {
        walk_cancel(e->walk, free_all);
    } else if (!e->busy) {
        free_all(e);
    }
}

static void end(everything *e, const error *failure) {
    sending_end(&e->out, failure, "user");
    free_all(e);
}

bool everything_came(everything *e, const error *failure) {
    e->busy = false;
    if (e->gone) {
        free_all(e);
        return false;
    }
    if (failure != NULL) {
        end(e, failure);
        return false;
    }
    return true;
}

/* What the document says to be all must not be what an erasing has left. */
static bool check_vault(const everything *e, error *err) {
    return e->vault == NULL || !e->vault->erased ||
           error_set(err, ERROR_CONFLICT, "what you keep was erased meanwhile; ask again for what there is");
}

static void user_found(void *context, const store_user *user, const error *failure) {
    everything *e = context;
    if (!everything_came(e, failure)) {
        return;
    }
    json_writer *w = &e->w;
    json_write_object_begin(w);
    json_add_text(w, "object", SLICE_LITERAL("cellule.privacy.export"));
    json_add_u64(w, "made_ms", clock_unix_ms());
    json_write_key(w, "user");
    json_write_object_begin(w);
    json_add_u64(w, "id", user->id);
    json_add_text(w, "name", user->name);
    json_add_text(w, "role", user->role);
    json_add_u64(w, "created_ms", user->created_ms);
    json_write_object_end(w);
    everything_send(e, true);
}

static void end_conversation(everything *e, bool whole) {
    if (e->in_conversation) {
        json_write_array_end(&e->w);
        json_add_bool(&e->w, "whole", whole);
        json_write_object_end(&e->w);
        e->in_conversation = false;
    }
}

/* One that was open still was deleted while it was read. */
static void begin_conversation(everything *e, const walk_page *page) {
    char id[2 * STORE_CONVERSATION_ID_SIZE + 1];
    end_conversation(e, false);
    hex_encode(slice_of(page->id, sizeof page->id), id);
    json_write_object_begin(&e->w);
    json_add_text(&e->w, "id", slice_of_text(id));
    json_add_text(&e->w, "title", page->title);
    json_add_u64(&e->w, "changed_ms", page->changed_ms);
    json_write_key(&e->w, "turns");
    json_write_array_begin(&e->w);
    e->in_conversation = true;
}

static bool read_page(void *context, const walk_page *page, error *err) {
    everything *e = context;
    bool whole = true;
    if (page->begins) {
        begin_conversation(e, page);
    }
    for (size_t i = 0; whole && i < page->count; i++) {
        buffer turn = buffer_make(TURN_LIMIT);
        conversation_write_json(page->turn_ids[i], &page->turns[i], &turn);
        json_write_raw(&e->w, buffer_slice(&turn));
        whole = !buffer_failed(&turn);
        buffer_wipe(&turn);
    }
    if (page->ends) {
        end_conversation(e, true);
    }
    return (whole && !buffer_failed(&e->out.page)) || error_memory(err);
}

static walk_next next(void *context) {
    everything *e = context;
    return sending_go(&e->out) ? WALK_ON : WALK_WAIT;
}

static void walked(void *context, const error *failure) {
    everything *e = context;
    e->walk = NULL;
    if (everything_came(e, failure)) {
        end_conversation(e, false);
        everything_send(e, true);
    }
}

static const walk_kind everything_kind = {.read = read_page, .next = next, .done = walked};

static bool ask_conversations(everything *e, error *err) {
    if (e->vault != NULL) {
        e->walk = walk_start(e->pool, e->vault, NULL, &everything_kind, e, err);
    }
    return e->vault == NULL || e->walk != NULL;
}

static const char *name_of(unsigned part) {
    switch (part) {
    case PART_CONVERSATIONS:
        return "conversations";
    case PART_FACTS:
        return "facts";
    case PART_KEYS:
        return "keys";
    default:
        return everything_name_of_rows(part);
    }
}

static void begin_part(everything *e) {
    if (e->begun || e->part == PART_USER || e->part >= PART_END) {
        return;
    }
    e->begun = true;
    memset(&e->place, 0, sizeof e->place);
    json_write_key(&e->w, name_of(e->part));
    json_write_array_begin(&e->w);
}

static void end_part(everything *e) {
    if (e->begun) {
        json_write_array_end(&e->w);
    }
    e->begun = false;
    e->part++;
}

static bool ask(everything *e, error *err) {
    switch (e->part) {
    case PART_USER:
        return store_user_get(e->pool->store, slice_of_text(e->user_name), user_found, e, err);
    case PART_CONVERSATIONS:
        return ask_conversations(e, err);
    case PART_FACTS:
        return everything_ask_facts(e, err);
    case PART_KEYS:
        return everything_ask_keys(e, err);
    default:
        return everything_ask_rows(e, err);
    }
}

static bool is_empty(const everything *e) {
    return e->vault == NULL && (e->part == PART_CONVERSATIONS || e->part == PART_FACTS);
}

static void step(void *context) {
    everything *e = context;
    error err = {0};
    begin_part(e);
    while (is_empty(e)) {
        end_part(e);
        begin_part(e);
    }
    if (e->part > PART_END) {
        end(e, NULL);
        return;
    }
    if (e->part == PART_END) {
        json_add_bool(&e->w, "complete", true);
        json_write_object_end(&e->w);
        everything_send(e, true);
        return;
    }
    e->busy = ask(e, &err);
    if (!e->busy) {
        end(e, &err);
    }
}

void everything_send(everything *e, bool over) {
    error err = {0};
    if (over) {
        end_part(e);
    }
    if (buffer_failed(&e->out.page)) {
        error_memory(&err);
        end(e, &err);
    } else if (!check_vault(e, &err)) {
        end(e, &err);
    } else if (sending_go(&e->out)) {
        step(e);
    }
}

/* The client has taken a page that had to wait. */
static void page_is_out(void *context) {
    everything *e = context;
    if (e->walk != NULL) {
        walk_resume(e->walk);
    } else {
        step(e);
    }
}

static bool make_parts(everything *e, error *err) {
    e->sealed = arena_new(FACTS_MEMORY);
    e->opened = arena_new(FACTS_MEMORY);
    return (e->sealed != NULL && e->opened != NULL) || error_memory(err);
}

static void begin(pool *p, http_request *request, const account *who, slice segment, open_vault *v) {
    error err = {0};
    (void)segment;
    everything *e = memory_allocate_zeroed(1, sizeof *e);
    if (e == NULL) {
        reply_out_of_memory(request);
        return;
    }
    e->pool = p;
    e->user_id = who->user_id;
    snprintf(e->user_name, sizeof e->user_name, "%s", who->user_name);
    e->out = (sending){.pool = p,
                       .request = request,
                       .media_type = SLICE_LITERAL("application/json"),
                       .disposition = SLICE_LITERAL("attachment; filename=\"cellule.json\""),
                       .go_on = page_is_out,
                       .context = e};
    e->w = json_writer_make(&e->out.page);
    if (v != NULL) {
        keyring_hold(v);
        e->vault = v;
    }
    if (!make_parts(e, &err) || !sending_start(&e->out, who, client_left, &err)) {
        end(e, &err);
        return;
    }
    step(e);
}

void privacy_export(pool *p, http_request *request, const account *who, slice segment) {
    memory_enter(p, request, who, segment, MEMORY_IF_ANY, begin);
}
