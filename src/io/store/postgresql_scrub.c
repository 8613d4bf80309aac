#include "base/log.h"
#include "postgresql.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A deleted or replaced row stays in its table's file until the table is written anew. That it is to be
 * stands in the database from the transaction that wipes until it is done. */

enum { SMALL = 64 * 1024 * 1024, LOCK_WAIT_MS = 10 };

typedef struct scrubbed {
    const char *size;
    const char *rewrite;
    const char *vacuum;
} scrubbed;

#define SCRUBBED(table)                                                                                      \
    {                                                                                                        \
        "SELECT pg_total_relation_size(CAST('" table "' AS regclass))", "VACUUM (FULL, VERBOSE) " table,     \
            "VACUUM " table                                                                                  \
    }

static const scrubbed tables[] = {
    SCRUBBED("vault_wraps"), SCRUBBED("recovery_shares"),    SCRUBBED("session_keys"),
    SCRUBBED("audit_salts"), SCRUBBED("receipts"),           SCRUBBED("conversation_heads"),
    SCRUBBED("facts"),       SCRUBBED("inference_payloads"), SCRUBBED("kept_answers")};

/* "3 dead row versions cannot be removed yet", in the server's language: another's old snapshot still sees
 * them. */
void postgresql_take_report(postgresql *p, const PGresult *notice) {
    const char *detail = PQresultErrorField(notice, PG_DIAG_MESSAGE_DETAIL);
    if (detail != NULL) {
        p->dead_rows += strtoull(detail + strcspn(detail, "0123456789"), NULL, 10);
    }
}

/* VACUUM FULL writes the table anew and gives the old file back; where that would be long, dead rows are at
 * least given free to be written over. */
static bool scrub_table(postgresql *p, const scrubbed *table, error *err) {
    uint64_t size = 0;
    if (!database_read_number(&p->base, table->size, &size, err)) {
        return false;
    }
    if (size >= SMALL) {
        return postgresql_execute(&p->base, table->vacuum, err);
    }
    p->dead_rows = 0;
    return postgresql_execute(&p->base, table->rewrite, err) &&
           (p->dead_rows == 0 ||
            error_set(err, ERROR_TIMEOUT,
                      "another program reads an old state of the database; it is tried again"));
}

static bool wait_for_locks(postgresql *p, uint32_t most_ms, error *err) {
    char sql[64];
    snprintf(sql, sizeof sql, "SET lock_timeout = %u", most_ms);
    return postgresql_execute(&p->base, sql, err);
}

/* Who holds a table locked, as a backup does, puts it off and holds nobody up. */
static bool scrub_all(postgresql *p, error *err) {
    bool good = wait_for_locks(p, LOCK_WAIT_MS, err);
    for (size_t i = 0; good && i < sizeof tables / sizeof tables[0]; i++) {
        good = scrub_table(p, &tables[i], err);
    }
    error failure;
    if (!postgresql_recover(p, &failure) || !wait_for_locks(p, p->lock_wait_ms, &failure)) {
        *err = good ? failure : *err;
        return false;
    }
    return good;
}

bool postgresql_scrub(database *d, error *err) {
    postgresql *p = postgresql_of(d);
    if (!postgresql_ensure(p, err) || !scrub_all(p, err) ||
        !postgresql_execute(d, "DELETE FROM meta WHERE key = 'wiped'", err)) {
        return false;
    }
    d->wiped = false;
    p->wipe_noted = false;
    return true;
}

bool postgresql_note_wipe(postgresql *p, error *err) {
    return postgresql_send_plain(
        p, "INSERT INTO meta (key, value) VALUES ('wiped', '') ON CONFLICT (key) DO NOTHING", err);
}

bool postgresql_remember_wipe(postgresql *p, error *err) {
    uint64_t noted = 0;
    if (p->stamped &&
        !database_read_number(&p->base, "SELECT count(*) FROM meta WHERE key = 'wiped'", &noted, err)) {
        return false;
    }
    p->wipe_noted = noted > 0;
    p->base.wiped = noted > 0;
    return true;
}

void postgresql_scrub_last(postgresql *p) {
    error err;
    if (p->connection != NULL && p->stamped && p->base.wiped && !postgresql_scrub(&p->base, &err)) {
        log_warning("what was wiped is still in the database's tables until the next start", LOG_CAUSE(&err));
    }
}
