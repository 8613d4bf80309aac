#include "deletion.h"
#include "request.h"
#include "store/conversations.h"
#include "store/vaults.h"

/* A vault's end, and what vaults hold. */

typedef struct vault_erase {
    request base;
    uint64_t user_id;
    bool more;
    store_vault_erased *done;
    void *context;
} vault_erase;

static bool check_vault(const vault_erase *r, database *d, error *err) {
    query q;
    bool row = false;
    query_start(&q, d, "SELECT 1 FROM vaults WHERE user_id = ?");
    query_u64(&q, r->user_id);
    return query_row(&q, &row, err) &&
           (row || error_set(err, ERROR_NOT_FOUND, "nothing is kept for this user"));
}

static bool delete_shares(const vault_erase *r, database *d, error *err) {
    query q;
    query_start(&q, d, "DELETE FROM recovery_shares WHERE user_id = ?");
    query_u64(&q, r->user_id);
    return query_run(&q, err);
}

/* At most STORE_WRAPS_OF_USER_MAX, and the few shares: without them all else is noise. */
static bool delete_wraps(const vault_erase *r, database *d, error *err) {
    query q;
    query_start(&q, d, "DELETE FROM vault_wraps WHERE user_id = ?");
    query_u64(&q, r->user_id);
    database_note_wipe(d);
    return query_run(&q, err) && delete_shares(r, d, err);
}

/* `q` deletes at most as many rows as its last parameter says, which is given here. */
static bool delete_some(query *q, deletion *step, error *err) {
    query_u64(q, step->user_id);
    query_u64(q, step->user_id);
    query_u64(q, step->rows_left);
    if (!query_run(q, err)) {
        return false;
    }
    uint64_t deleted = database_changes(step->database);
    step->rows_left -= deleted < step->rows_left ? deleted : step->rows_left;
    return true;
}

static bool delete_heads(deletion *step, error *err) {
    query q;
    query_start(&q, step->database,
                "DELETE FROM conversation_heads WHERE user_id = ? AND id IN "
                "(SELECT id FROM conversation_heads WHERE user_id = ? ORDER BY id LIMIT ?)");
    return delete_some(&q, step, err);
}

static bool delete_turns(deletion *step, error *err) {
    return deletion_of_turns(step, NULL, err);
}

static bool delete_conversations(deletion *step, error *err) {
    query q;
    query_start(&q, step->database,
                "DELETE FROM conversations WHERE user_id = ? AND id IN "
                "(SELECT id FROM conversations WHERE user_id = ? ORDER BY id LIMIT ?)");
    return delete_some(&q, step, err);
}

static bool delete_vault(deletion *step, error *err) {
    query q;
    query_start(&q, step->database, "DELETE FROM vaults WHERE user_id = ?");
    query_u64(&q, step->user_id);
    return query_run(&q, err);
}

static bool vault_erase_run(request *base, database *d, error *err) {
    /* In the order in which rows refer to each other. */
    static bool (*const kinds[])(deletion *, error *) = {delete_heads, deletion_of_facts, delete_turns,
                                                         delete_conversations, delete_vault};
    vault_erase *r = (vault_erase *)base;
    if (!check_vault(r, d, err) || !delete_wraps(r, d, err)) {
        return false;
    }
    deletion step = deletion_of(d, r->user_id);
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        if (deletion_is_spent(&step)) {
            r->more = true;
            return true;
        }
        if (!kinds[i](&step, err)) {
            return false;
        }
    }
    return true;
}

static void vault_erase_answer(request *base, const error *failure) {
    const vault_erase *r = (const vault_erase *)base;
    r->done(r->context, failure == NULL && r->more, failure);
}

static const operation vault_erase_operation = {DATABASE_WRITE_SYNCED, vault_erase_run, vault_erase_answer};

bool store_vault_erase(store *s, uint64_t user_id, store_vault_erased *done, void *context, error *err) {
    vault_erase *r = request_new(&vault_erase_operation, sizeof *r, err);
    if (r == NULL) {
        return false;
    }
    r->user_id = user_id;
    r->done = done;
    r->context = context;
    return request_submit(s, &r->base, err);
}

typedef struct vaults_erasing {
    request base;
    size_t limit;
    void *users;
    size_t count;
    store_vaults_listed *done;
    void *context;
} vaults_erasing;

static bool vaults_erasing_run(request *base, database *d, error *err) {
    vaults_erasing *r = (vaults_erasing *)base;
    query q;
    query_start(&q, d,
                "SELECT user_id FROM vaults WHERE NOT EXISTS "
                "(SELECT 1 FROM vault_wraps WHERE vault_wraps.user_id = vaults.user_id) "
                "ORDER BY user_id LIMIT ?");
    query_u64(&q, r->limit);
    for (bool row = true; query_row(&q, &row, err);) {
        if (!row) {
            return true;
        }
        uint64_t *user_id = request_add_row(base, &r->users, &r->count, sizeof *user_id, err);
        if (user_id == NULL) {
            return false;
        }
        *user_id = query_read_u64(&q);
        if (!query_columns_fit(&q, err)) {
            return false;
        }
    }
    return false;
}

static void vaults_erasing_answer(request *base, const error *failure) {
    const vaults_erasing *r = (const vaults_erasing *)base;
    r->done(r->context, failure == NULL ? r->users : NULL, failure == NULL ? r->count : 0, failure);
}

static const operation vaults_erasing_operation = {DATABASE_READ, vaults_erasing_run, vaults_erasing_answer};

bool store_vaults_erasing(store *s, size_t limit, store_vaults_listed *done, void *context, error *err) {
    if (!request_check_list(limit, err)) {
        return false;
    }
    vaults_erasing *r = request_new(&vaults_erasing_operation, sizeof *r, err);
    if (r == NULL) {
        return false;
    }
    r->limit = limit;
    r->done = done;
    r->context = context;
    return request_submit(s, &r->base, err);
}

typedef struct vaults_count {
    request base;
    uint64_t after;
    size_t limit;
    void *users;
    size_t count;
    store_vaults_counted *done;
    void *context;
} vaults_count;

static bool list_vaults(vaults_count *r, database *d, error *err) {
    query q;
    query_start(&q, d,
                "SELECT vaults.user_id, name, "
                "(SELECT count(*) FROM vault_wraps WHERE vault_wraps.user_id = vaults.user_id) "
                "FROM vaults JOIN users ON users.id = vaults.user_id WHERE vaults.user_id > ? "
                "ORDER BY vaults.user_id LIMIT ?");
    query_u64(&q, r->after);
    query_u64(&q, r->limit);
    for (bool row = true; query_row(&q, &row, err);) {
        if (!row) {
            return true;
        }
        store_vault_figures *user = request_add_row(&r->base, &r->users, &r->count, sizeof *user, err);
        if (user == NULL) {
            return false;
        }
        user->user_id = query_read_u64(&q);
        user->user_name = query_read_slice(&q, r->base.memory);
        user->wraps = query_read_u64(&q);
        if (!query_columns_fit(&q, err)) {
            return false;
        }
    }
    return false;
}

/* A conversation that is being deleted counts no more (conversations_ending.c). */
static bool count_conversations(store_vault_figures *user, database *d, error *err) {
    query q;
    bool row = false;
    query_start(&q, d,
                "SELECT count(*), CAST(coalesce(sum(turns), 0) AS BIGINT), "
                "CAST(coalesce(sum(bytes), 0) AS BIGINT) "
                "FROM conversations WHERE user_id = ? AND changed_ms > 0");
    query_u64(&q, user->user_id);
    if (!query_row(&q, &row, err)) {
        return false;
    }
    user->conversations = query_read_u64(&q);
    user->turns = query_read_u64(&q);
    user->bytes = query_read_u64(&q);
    return query_columns_fit(&q, err);
}

static bool count_facts(store_vault_figures *user, database *d, error *err) {
    query q;
    bool row = false;
    query_start(&q, d,
                "SELECT count(*), CAST(coalesce(sum(length(sealed)), 0) AS BIGINT) FROM facts "
                "WHERE user_id = ?");
    query_u64(&q, user->user_id);
    if (!query_row(&q, &row, err)) {
        return false;
    }
    user->facts = query_read_u64(&q);
    user->bytes += query_read_u64(&q);
    return query_columns_fit(&q, err);
}

static bool vaults_count_run(request *base, database *d, error *err) {
    vaults_count *r = (vaults_count *)base;
    if (!list_vaults(r, d, err)) {
        return false;
    }
    store_vault_figures *users = r->users;
    for (size_t i = 0; i < r->count; i++) {
        if (!count_conversations(&users[i], d, err) || !count_facts(&users[i], d, err)) {
            return false;
        }
    }
    return true;
}

static void vaults_count_answer(request *base, const error *failure) {
    const vaults_count *r = (const vaults_count *)base;
    r->done(r->context, failure == NULL ? r->users : NULL, failure == NULL ? r->count : 0, failure);
}

static const operation vaults_count_operation = {DATABASE_READ, vaults_count_run, vaults_count_answer};

bool store_vaults_count(store *s, uint64_t after, size_t limit, store_vaults_counted *done, void *context,
                        error *err) {
    if (!request_check_list(limit, err)) {
        return false;
    }
    vaults_count *r = request_new(&vaults_count_operation, sizeof *r, err);
    if (r == NULL) {
        return false;
    }
    r->after = after;
    r->limit = limit;
    r->done = done;
    r->context = context;
    return request_submit(s, &r->base, err);
}
