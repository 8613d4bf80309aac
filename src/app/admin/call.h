#ifndef ADMIN_CALL_H
#define ADMIN_CALL_H

#include "client/api.h"

/* What the admin verbs share: one request to the pool, one answer printed. */

/* Options of every verb; each adds its own. */
typedef struct admin_options {
    api_options pool;
    bool json;
} admin_options;

#define ADMIN_OPTION_ROWS(o)                                                                                 \
    API_OPTION_ROWS(&(o)->pool), {                                                                           \
        "json", OPTION_FLAG, &(o)->json, NULL, "print the pool's answer as JSON", 0, 0                       \
    }

#define ADMIN_AFTER_ROW(target)                                                                              \
    { "after", OPTION_U64, target, "N", "go on behind a page, with the number at its end", 0, INT64_MAX }

/* One verb: how to call it, what to ask the pool, how to print the answer. */
typedef struct admin_call {
    const char *program; /* "cellule admin user add" */
    const char *method;
    const char *path;
    slice body;
    const buffer *written; /* the body, where it isn't a constant; one that became too long isn't sent */
    void (*print)(const json_value *answer);
    const char *list; /* NULL, or which of the answer's arrays --after goes on in, by the number "id" */
} admin_call;

/* Makes the call and prints the answer, or says why not. Returns the exit code. */
MUST_CHECK int admin_run(const admin_options *options, const admin_call *call);

/* A whole verb as data: its only word, if it takes one, goes into the path: prefix WORD suffix. */
typedef struct admin_request {
    const char *verb; /* "list" */
    const char *word; /* "NAME", for the usage; NULL: it takes none */
    const char *summary;
    const char *method;
    const char *prefix;
    const char *suffix;
    void (*print)(const json_value *answer);
    /* NULL, or the answer's array that it lists page by page, of members that have a number each ("id"): it
     * takes --after, and says how to go on. */
    const char *list;
} admin_request;

/* Runs the request whose verb is argv[0]; `program` is what comes before it: "cellule admin user". Returns
 * the exit code. */
MUST_CHECK int admin_run_request(const char *program, const admin_request *requests, size_t count, int argc,
                                 char **argv);

/* A segment of a path: names and ids need no escape, so whatever would is refused before it is sent, with a
 * sentence on standard error. */
MUST_CHECK bool admin_word_is_plain(const char *program, const char *word);

/* Members of an answer; empty, 0 or false where they are missing. */
slice admin_text(const json_value *object, const char *name);
uint64_t admin_number(const json_value *object, const char *name);
bool admin_flag(const json_value *object, const char *name);
/* "2026-03-01", or "-" for 0. Returns `out`. */
const char *admin_date(uint64_t unix_ms, char out[32]);
void admin_print_done(const json_value *answer);
/* Of revoking a key: which others went with it. */
void admin_print_revoked(const json_value *answer);
void admin_print_json(const json_value *answer);

/* A column of a table: the member of each element that stands in it. */
typedef enum admin_cell { ADMIN_TEXT, ADMIN_NUMBER, ADMIN_DATE } admin_cell;
typedef struct admin_column {
    const char *title;
    const char *member;
    int width;
    admin_cell cell;
} admin_column;
/* A head, and a line for each element of the answer's array `list`. */
void admin_print_table(const json_value *answer, const char *list, const admin_column *columns, size_t count);

/* The verbs' own files. */
int admin_user_main(int argc, char **argv);
int admin_worker_main(int argc, char **argv);
int admin_verification_main(int argc, char **argv);
int admin_honeytoken_main(int argc, char **argv);
int admin_gdpr_main(int argc, char **argv);
int admin_audit_main(int argc, char **argv);
int admin_database_main(int argc, char **argv);
int admin_session_main(int argc, char **argv);
int admin_revoke_main(int argc, char **argv);
int admin_secrets_main(int argc, char **argv);
int admin_enrolment_main(int argc, char **argv);
int admin_approval_main(int argc, char **argv);
int admin_recovery_main(int argc, char **argv);
int admin_recovery_key_main(int argc, char **argv);
/* A verb of `recovery` (recovery_approve.c). */
int admin_recovery_approve(int argc, char **argv);
/* `worker token` and `enrolment request`: both say of a machine what it is to be (machine.c). */
typedef struct admin_machine_call {
    const char *program; /* "cellule admin worker token" */
    const char *summary;
    const char *path;
    void (*print)(const json_value *answer);
} admin_machine_call;
MUST_CHECK int admin_run_machine(const admin_machine_call *call, int argc, char **argv);
void admin_print_join_token(const json_value *answer);

/* Verbs of `worker` (proof.c). */
int admin_worker_standing(int argc, char **argv);
int admin_worker_evidence(int argc, char **argv);
int admin_worker_blacklist(int argc, char **argv);
/* And in rotate.c. */
int admin_worker_rotate(int argc, char **argv);
int admin_worker_rotation(int argc, char **argv);

#endif
