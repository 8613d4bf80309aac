#include "memory/keep.h"

#include "base/log.h"
#include "base/memory.h"
#include "crypto/hash.h"
#include "crypto/secret.h"
#include "job.h"
#include "memory/gate.h"
#include "os/clock.h"
#include "os/random.h"
#include "reply.h"
#include "sso/identify.h"
#include "store/conversations.h"

enum { SEALED_LIMIT = STORE_TURN_MAX, SEEN_LIMIT = 16 * 1024 * 1024 };

/* A question to the store, which may outlive the request. */
typedef struct asking {
    keepsake *owner; /* NULL: it has ended */
    open_vault *vault;
} asking;

struct keepsake {
    pool *pool;
    http_request *request;
    chat_request chat;
    verify_mode mode;
    uint64_t user_id;
    uint8_t id[RECORD_ID_SIZE]; /* of the conversation */
    char id_hex[KEEP_ID_HEX_SIZE];
    bool is_new;
    uint8_t *key; /* of its turns; a slot */
    buffer head;  /* sealed, where it is new */
    buffer seen;  /* keep_saw */
    asking *asking;
    vault_tie tie; /* while the key is there */
    bool given;    /* to the store */
    bool failed;
    error failure;
};

static void forget_asking(keepsake *k) {
    if (k->asking != NULL) {
        k->asking->owner = NULL;
        k->asking = NULL;
    }
}

static void release(keepsake *k) {
    forget_asking(k);
    keyring_untie(&k->tie);
    slots_give(keyring_slots(k->pool->keyring), k->key);
    k->key = NULL;
    buffer_free(&k->head);
    buffer_wipe(&k->seen);
}

static asking *ask(keepsake *k, open_vault *v, error *err) {
    asking *a = memory_allocate(sizeof *a);
    if (a == NULL) {
        error_memory(err);
        return NULL;
    }
    *a = (asking){.owner = k, .vault = v};
    if (v != NULL) {
        keyring_hold(v);
    }
    k->asking = a;
    return a;
}

/* The keep that asked, if it is still there. */
static keepsake *answered(asking *a) {
    keepsake *k = a->owner;
    if (k != NULL) {
        k->asking = NULL;
    }
    return k;
}

static void free_asking(asking *a) {
    if (a->vault != NULL) {
        keyring_give_back(a->vault);
    }
    memory_free(a);
}

static const conversation_message *messages_of(const chat_request *chat) {
    _Static_assert(sizeof(receipt_message) == sizeof(conversation_message), "alike");
    return (const conversation_message *)(const void *)chat->sent;
}

static conversation_turn turn_of(const chat_request *chat, uint64_t created_ms) {
    const conversation_message *messages = messages_of(chat);
    size_t first = conversation_first_new(messages, chat->sent_count);
    return (conversation_turn){.created_ms = created_ms,
                               .model = chat->model,
                               .messages = messages + first,
                               .message_count = chat->sent_count - first,
                               .facts = chat->facts};
}

static void refuse(keepsake *k, const error *failure) {
    http_request *request = k->request;
    release(k);
    if (failure->code == ERROR_NOT_FOUND) {
        reply_error(request, 404, "X-Cellule-Conversation", "conversation_not_found",
                    "you have no such conversation; GET /v1/conversations lists those you have");
    } else {
        reply_failure(request, failure);
    }
}

/* The head is sealed at once: the vault may be locked by the time the answer ends. A conversation that begins
 * has all of the request's messages in its first turn. */
static bool begin_new(keepsake *k, const open_vault *v, error *err) {
    uint64_t now = clock_unix_ms();
    conversation_turn first = {.messages = messages_of(&k->chat), .message_count = k->chat.sent_count};
    conversation_head head = {.title = conversation_first_title(&first)};
    if (!random_bytes(k->id, sizeof k->id, err) || !random_bytes(k->key, RECORD_KEY_SIZE, err)) {
        return false;
    }
    memcpy(head.key, k->key, sizeof head.key);
    k->head = buffer_make(STORE_HEAD_MAX);
    bool sealed = conversation_seal_head(v->data_key, k->user_id, k->id, now, &head, &k->head, err);
    secret_wipe(head.key, sizeof head.key);
    return sealed;
}

static bool take_key(keepsake *k, const open_vault *v, slice sealed, error *err) {
    arena *memory = arena_new(STORE_HEAD_MAX * 4);
    conversation_head head = {0};
    bool opened = memory != NULL
                      ? conversation_open_head(v->data_key, k->user_id, k->id, sealed, memory, &head, err)
                      : error_memory(err);
    if (opened) {
        memcpy(k->key, head.key, RECORD_KEY_SIZE);
    }
    secret_wipe(head.key, sizeof head.key);
    if (memory != NULL) {
        arena_wipe(memory);
    }
    arena_free(memory);
    return opened;
}

static void start_job(keepsake *k, const account *who) {
    hex_encode(slice_of(k->id, sizeof k->id), k->id_hex);
    job_start(k->pool, k->request, who, &k->chat, k->mode, k);
}

static void client_left(void *context) {
    release(context);
}

static void head_found(void *context, const store_conversation *found, const error *failure) {
    asking *a = context;
    keepsake *k = answered(a);
    error err = {0};
    if (k == NULL) {
        free_asking(a);
        return;
    }
    http_request_on_closed(k->request, NULL, NULL);
    const account *who = identify(k->pool, k->request, &err);
    if (failure == NULL && who != NULL && take_key(k, a->vault, found->head, &err)) {
        start_job(k, who);
    } else if (failure != NULL || who != NULL) {
        refuse(k, failure != NULL ? failure : &err);
    } else {
        release(k);
        memory_refuse_caller(k->request, &err);
    }
    free_asking(a);
}

static void find_head(keepsake *k, open_vault *v) {
    error err = {0};
    asking *a = ask(k, v, &err);
    if (a != NULL && store_conversation_get(k->pool->store, k->user_id, k->id, head_found, a, &err)) {
        http_request_on_closed(k->request, client_left, k);
        return;
    }
    if (a != NULL) {
        k->asking = NULL;
        free_asking(a);
    }
    refuse(k, &err);
}

static void opened(void *context, const account *who, open_vault *v) {
    keepsake *k = context;
    error err = {0};
    keyring_tie(k->pool->keyring, &k->tie, k->user_id);
    k->key = v == NULL ? NULL : slots_take(keyring_slots(k->pool->keyring), &err);
    if (v == NULL) {
        error_set(&err, ERROR_NOT_FOUND, "no vault");
    }
    if (k->key == NULL) {
        refuse(k, &err);
    } else if (!k->is_new) {
        find_head(k, v);
    } else if (begin_new(k, v, &err)) {
        start_job(k, who);
    } else {
        refuse(k, &err);
    }
}

static bool read_wish(const http_request *request, const chat_request *chat, keepsake *k, bool *wanted,
                      error *err) {
    slice field;
    *wanted = chat->store;
    k->is_new = true;
    if (!http_request_header(request, "x-cellule-conversation", &field)) {
        return true;
    }
    if (chat->dismiss) {
        return error_set(
            err, ERROR_INVALID,
            "\"store\" is false, so that nothing is kept, and X-Cellule-Conversation has it kept: "
            "leave one of them out");
    }
    *wanted = true;
    k->is_new = slice_equal_text(field, "new");
    return k->is_new || hex_decode(field, k->id, sizeof k->id) ||
           error_set(
               err, ERROR_INVALID,
               "X-Cellule-Conversation is \"new\", or the id of one of your conversations (32 hexadecimal "
               "digits)");
}

void keep_start(pool *p, http_request *request, const account *who, const chat_request *chat,
                verify_mode mode) {
    error err = {0};
    bool wanted = false;
    keepsake *k = arena_allocate(http_request_arena(request), sizeof *k);
    if (k == NULL) {
        reply_out_of_memory(request);
        return;
    }
    *k = (keepsake){.pool = p,
                    .request = request,
                    .chat = *chat,
                    .mode = mode,
                    .user_id = who->user_id,
                    .head = buffer_make(0),
                    .seen = buffer_make(SEEN_LIMIT)};
    if (!read_wish(request, chat, k, &wanted, &err)) {
        reply_error(request, 400, "X-Cellule-Conversation", NULL, "%s", err.text);
    } else if (!wanted) {
        job_start(p, request, who, chat, mode, NULL);
    } else {
        memory_open(p, request, who, k->is_new ? MEMORY_MADE : MEMORY_IF_ANY, opened, k);
    }
}

slice keep_conversation(const keepsake *k) {
    return slice_of_text(k->id_hex);
}

void keep_saw(keepsake *k, slice text) {
    buffer_append(&k->seen, text); /* beyond its limit the answer itself fails */
}

static void stored(void *context, const error *failure) {
    asking *a = context;
    keepsake *k = answered(a);
    if (k != NULL && failure != NULL) {
        k->failed = true;
        k->failure = *failure;
    } else if (failure != NULL) {
        log_error("a turn of a conversation was not kept", LOG_CAUSE(failure));
    }
    free_asking(a);
}

static bool give(keepsake *k, const job *j, const conversation_turn *turn, error *err) {
    buffer sealed = buffer_make(SEALED_LIMIT);
    store_new_turn row = {
        .user_id = k->user_id, .created_ms = turn->created_ms, .head = buffer_slice(&k->head)};
    memcpy(row.conversation, k->id, sizeof row.conversation);
    memcpy(row.id, j->work.id.bytes, sizeof row.id);
    asking *a = NULL;
    bool done =
        (!k->tie.erased ||
         error_set(err, ERROR_CONFLICT, "what you keep was erased meanwhile, so that this isn't kept")) &&
        conversation_seal_turn(k->key, k->user_id, row.id, turn, &sealed, err);
    row.sealed = buffer_slice(&sealed);
    a = done ? ask(k, NULL, err) : NULL;
    done = a != NULL && store_turn_add(k->pool->store, &row, stored, a, err);
    if (a != NULL && !done) {
        k->asking = NULL;
        free_asking(a);
    }
    buffer_free(&sealed);
    k->given = k->given || done;
    return done;
}

static conversation_turn whole_turn(const keepsake *k, const job *j) {
    conversation_turn turn = turn_of(&k->chat, j->created_ms);
    if (k->is_new) {
        turn.messages = messages_of(&k->chat);
        turn.message_count = k->chat.sent_count;
    }
    return turn;
}

bool keep_answer(keepsake *k, const job *j, slice text, bool at_limit, error *err) {
    conversation_turn turn = whole_turn(k, j);
    turn.answer = text;
    turn.end = at_limit ? CONVERSATION_LENGTH : CONVERSATION_COMPLETE;
    return give(k, j, &turn, err) || error_context(err, "keeping the answer");
}

bool keep_is_kept(const keepsake *k, error *err) {
    if (k->failed) {
        *err = k->failure;
    }
    return !k->failed;
}

void keep_drop(keepsake *k) {
    release(k);
}

/* Where the answer is held back, only what was released has gone out; else all that came. */
static slice what_was_seen(const keepsake *k, const job *j) {
    if (buffer_length(&k->seen) > 0) {
        return buffer_slice(&k->seen);
    }
    return j->started && !j->hold ? buffer_slice(&j->text) : (slice){0};
}

void keep_end(keepsake *k, const job *j) {
    error err = {0};
    slice seen = what_was_seen(k, j);
    if (!k->given && seen.length > 0) {
        conversation_turn turn = whole_turn(k, j);
        turn.answer = seen;
        turn.end = j->failed ? CONVERSATION_FAILED : CONVERSATION_CUT;
        if (!give(k, j, &turn, &err)) {
            log_error("an answer that was cut off was not kept", LOG_TEXT("job", j->work.id_hex),
                      LOG_CAUSE(&err));
        }
    }
    release(k);
}
