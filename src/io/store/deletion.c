#include "deletion.h"

#include "store/conversations.h"
#include "store/facts.h"

enum { STEP_BYTES = 8 * 1024 * 1024 };

/* Rows are measured from the first on, without reading them, until the step is spent; what was measured goes.
 */

deletion deletion_of(database *d, uint64_t user_id) {
    return (deletion){d, user_id, STORE_LIST_MAX, STEP_BYTES};
}

bool deletion_is_spent(const deletion *step) {
    return step->rows_left == 0 || step->bytes_left == 0;
}

static void note(deletion *step, uint64_t bytes) {
    step->rows_left--;
    step->bytes_left -= bytes < step->bytes_left ? bytes : step->bytes_left;
}

static void start_measuring_turns(query *q, const deletion *step, const uint8_t *conversation) {
    if (conversation != NULL) {
        query_start(q, step->database,
                    "SELECT number, length(sealed) FROM turns WHERE user_id = ? AND conversation = ? "
                    "ORDER BY number LIMIT ?");
        query_u64(q, step->user_id);
        query_bytes(q, conversation, STORE_CONVERSATION_ID_SIZE);
    } else {
        query_start(q, step->database,
                    "SELECT number, length(sealed) FROM turns WHERE user_id = ? ORDER BY number LIMIT ?");
        query_u64(q, step->user_id);
    }
    query_u64(q, step->rows_left);
}

static bool measure_turns(deletion *step, const uint8_t *conversation, uint64_t *last, error *err) {
    query q;
    start_measuring_turns(&q, step, conversation);
    while (!deletion_is_spent(step)) {
        bool row = false;
        if (!query_row(&q, &row, err)) {
            return false;
        }
        if (!row) {
            break;
        }
        *last = query_read_u64(&q);
        note(step, query_read_u64(&q));
        if (!query_columns_fit(&q, err)) {
            return false;
        }
    }
    database_end_queries(step->database);
    return true;
}

bool deletion_of_turns(deletion *step, const uint8_t *conversation, error *err) {
    uint64_t last = 0;
    query q;
    if (!measure_turns(step, conversation, &last, err)) {
        return false;
    }
    if (conversation != NULL) {
        query_start(&q, step->database,
                    "DELETE FROM turns WHERE user_id = ? AND conversation = ? AND number <= ?");
        query_u64(&q, step->user_id);
        query_bytes(&q, conversation, STORE_CONVERSATION_ID_SIZE);
    } else {
        query_start(&q, step->database, "DELETE FROM turns WHERE user_id = ? AND number <= ?");
        query_u64(&q, step->user_id);
    }
    query_u64(&q, last);
    return last == 0 || query_run(&q, err);
}

static bool measure_facts(deletion *step, uint8_t last[STORE_FACT_ID_SIZE], bool *any, error *err) {
    query q;
    query_start(&q, step->database,
                "SELECT id, length(sealed) FROM facts WHERE user_id = ? ORDER BY id LIMIT ?");
    query_u64(&q, step->user_id);
    query_u64(&q, step->rows_left);
    while (!deletion_is_spent(step)) {
        bool row = false;
        if (!query_row(&q, &row, err)) {
            return false;
        }
        if (!row) {
            break;
        }
        *any = true;
        query_read_bytes(&q, last, STORE_FACT_ID_SIZE);
        note(step, query_read_u64(&q));
        if (!query_columns_fit(&q, err)) {
            return false;
        }
    }
    database_end_queries(step->database);
    return true;
}

bool facts_count_fewer(database *d, uint64_t user_id, uint64_t count, error *err) {
    query q;
    query_start(&q, d, "UPDATE vaults SET facts = facts - ? WHERE user_id = ?");
    query_u64(&q, count);
    query_u64(&q, user_id);
    return query_run(&q, err);
}

bool deletion_of_facts(deletion *step, error *err) {
    uint8_t last[STORE_FACT_ID_SIZE] = {0};
    bool any = false;
    query q;
    if (!measure_facts(step, last, &any, err)) {
        return false;
    }
    if (!any) {
        return true;
    }
    query_start(&q, step->database, "DELETE FROM facts WHERE user_id = ? AND id <= ?");
    query_u64(&q, step->user_id);
    query_bytes(&q, last, sizeof last);
    database_note_wipe(step->database);
    return query_run(&q, err) &&
           facts_count_fewer(step->database, step->user_id, database_changes(step->database), err);
}
