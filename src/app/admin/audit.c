#include "audit_export.h"
#include "call.h"
#include "codec/base64.h"
#include "codec/json_writer.h"
#include "ledger/audit_entry.h"
#include "ledger/merkle.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

enum { PATH_SIZE = 512, ENTRIES_SHOWN = 50, TIME_SIZE = 32, WHO_DIGITS = 8, JSON_LIMIT = 16384 };

/* What a verb needs: a pool, its checkpoint. */
typedef struct audit_session {
    api *pool;
    audit_head head;
    bool json;
} audit_session;

typedef bool audit_verb(audit_session *s, void *context, error *err);

static int run(const char *program, const admin_options *options, audit_verb *act, void *context) {
    error err = {0};
    audit_session s = {.json = options->json};
    s.pool = api_open(&options->pool, &err);
    bool done = s.pool != NULL && audit_head_get(s.pool, &s.head, &err) && act(&s, context, &err);
    buffer_free(&s.head.note);
    api_close(s.pool);
    return done ? 0 : options_fail(program, &err);
}

static const char *format_time(uint64_t unix_ms, char text[TIME_SIZE]) {
    struct tm parts;
    time_t seconds = (time_t)(unix_ms / 1000);
    if (gmtime_r(&seconds, &parts) == NULL || strftime(text, TIME_SIZE, "%Y-%m-%d %H:%M:%S", &parts) == 0) {
        snprintf(text, TIME_SIZE, "%" PRIu64, unix_ms);
    }
    return text;
}

/* The first digits tell entries of one person from another's. */
static const char *format_person(const audit_person *person, char text[HASH_HEX_SIZE]) {
    hex_encode(slice_of(person->hash, sizeof person->hash), text);
    text[person->known ? WHO_DIGITS : 1] = '\0';
    if (!person->known) {
        text[0] = '-';
    }
    return text;
}

static bool print_entry(void *context, uint64_t index, slice bytes, error *err) {
    char time[TIME_SIZE];
    char who[HASH_HEX_SIZE];
    audit_entry e;
    if (*(bool *)context) {
        printf("%.*s\n", SLICE_FORMAT(bytes));
        return true;
    }
    if (!audit_entry_parse(bytes, &e, err)) {
        return error_context(err, "entry %" PRIu64, index);
    }
    printf("%-8" PRIu64 " %-19s %-8s %-18s %-8s %-16s %s%s%s\n", index, format_time(e.at_ms, time),
           audit_outcome_word(e.outcome), e.action, format_person(&e.actor, who), e.role, e.target,
           e.detail[0] == '\0' ? "" : " | ", e.detail);
    return true;
}

static bool list_entries(audit_session *s, void *context, error *err) {
    uint64_t from = *(const uint64_t *)context;
    uint64_t size = s->head.checkpoint.size;
    if (from == UINT64_MAX) {
        from = size > ENTRIES_SHOWN ? size - ENTRIES_SHOWN : 0;
    }
    if (!s->json) {
        printf("%-8s %-19s %-8s %-18s %-8s %-16s %s\n", "ENTRY", "TIME (UTC)", "OUTCOME", "ACTION", "WHO",
               "ROLE", "WHAT");
    }
    return audit_get_range(s->pool, from, size, print_entry, &s->json, err);
}

static int audit_list(int argc, char **argv) {
    admin_options options = {0};
    uint64_t from = UINT64_MAX;
    const option_row rows[] = {
        ADMIN_OPTION_ROWS(&options),
        {"from", OPTION_U64, &from, "N", "from entry N on; else the last 50", 0, (uint64_t)1 << 48},
    };
    const option_table table = {.usage = "cellule admin audit list [options]",
                                .summary =
                                    "Lists entries of the audit log. WHO is the beginning of a salted hash.",
                                .rows = rows,
                                .row_count = sizeof rows / sizeof rows[0]};
    int status = 0;
    return options_parse(&table, argc, argv, NULL, &status)
               ? run("cellule admin audit list", &options, list_entries, &from)
               : status;
}

static bool read_proof(const json_value *answer, merkle_proof *proof, error *err) {
    const json_value *hashes = json_find(answer, "hashes");
    proof->count = json_count(hashes);
    bool good = proof->count <= MERKLE_PROOF_MAX;
    for (size_t i = 0; good && i < proof->count; i++) {
        good = base64url_decode_exact(json_text_of(json_at(hashes, i)), proof->hashes[i], HASH_SIZE);
    }
    return good || error_set(err, ERROR_CORRUPT, "the pool's proof is none");
}

typedef struct showing {
    audit_session *session;
} showing;

static bool show_entry(void *context, uint64_t index, slice bytes, error *err) {
    audit_session *s = ((showing *)context)->session;
    const checkpoint *c = &s->head.checkpoint;
    char path[PATH_SIZE];
    uint8_t leaf[HASH_SIZE];
    merkle_proof proof;
    api_answer answer = {0};
    snprintf(path, sizeof path, "/v1/audit/proof/inclusion?index=%" PRIu64 "&size=%" PRIu64, index, c->size);
    bool good = api_call(s->pool, "GET", path, (slice){NULL, 0}, &answer, err) &&
                read_proof(answer.json, &proof, err) && merkle_leaf_hash(bytes, leaf, err) &&
                merkle_verify_inclusion(leaf, index, c->size, c->root, &proof, err);
    json_free(answer.json);
    if (good) {
        printf("%.*s\n", SLICE_FORMAT(bytes));
        if (!s->json) {
            printf("entry %" PRIu64 " is proved to be in the log of %" PRIu64
                   " entries that the pool signed\n",
                   index, c->size);
        }
    }
    return good;
}

static bool show(audit_session *s, void *context, error *err) {
    const char *word = *(const char *const *)context;
    uint64_t index = 0;
    if (!slice_to_u64(slice_of_text(word), &index) || index >= s->head.checkpoint.size) {
        return error_set(err, ERROR_INVALID, "the log has entries 0 to %" PRIu64,
                         s->head.checkpoint.size - 1);
    }
    return audit_get_range(s->pool, index, index + 1, show_entry, &(showing){s}, err);
}

/* A verb with a word that is only passed on. */
static int run_with_word(const char *program, const char *usage, const char *summary, audit_verb *act,
                         int argc, char **argv) {
    admin_options options = {0};
    const option_row rows[] = {ADMIN_OPTION_ROWS(&options)};
    const option_table table = {.usage = usage,
                                .summary = summary,
                                .rows = rows,
                                .row_count = sizeof rows / sizeof rows[0],
                                .takes_word = true};
    const char *word = NULL;
    int status = 0;
    if (!options_parse(&table, argc, argv, &word, &status)) {
        return status;
    }
    return run(program, &options, act, &word);
}

static int audit_show(int argc, char **argv) {
    return run_with_word("cellule admin audit show", "cellule admin audit show [options] ENTRY",
                         "Shows one entry, and checks the proof that it is in the log that the pool signed.",
                         show, argc, argv);
}

static bool export_log(audit_session *s, void *context, error *err) {
    const char *folder = *(const char *const *)context;
    if (!audit_export(s->pool, &s->head, folder, err)) {
        return false;
    }
    const char *pool_id = s->head.checkpoint.origin + strlen("cellule/");
    if (!s->json) {
        printf("%" PRIu64 " entries in %s; check them anywhere: cellule verify audit --pool-id %s %s\n",
               s->head.checkpoint.size, folder, pool_id, folder);
        return true;
    }
    buffer text = buffer_make(JSON_LIMIT);
    json_writer w = json_writer_make(&text);
    json_write_object_begin(&w);
    json_add_text(&w, "folder", slice_of_text(folder));
    json_add_u64(&w, "size", s->head.checkpoint.size);
    json_add_text(&w, "pool_id", slice_of_text(pool_id));
    json_write_object_end(&w);
    bool written = !buffer_failed(&text) || error_memory(err);
    if (written) {
        printf("%.*s\n", SLICE_FORMAT(buffer_slice(&text)));
    }
    buffer_free(&text);
    return written;
}

static int audit_export_main(int argc, char **argv) {
    return run_with_word("cellule admin audit export", "cellule admin audit export [options] DIR",
                         "Writes the whole log to a folder, as C2SP tlog-tiles, for cellule verify audit.",
                         export_log, argc, argv);
}

static void print_checkpoint(const json_value *answer) {
    printf("%.*skey: %.*s\n", SLICE_FORMAT(admin_text(answer, "note")),
           SLICE_FORMAT(admin_text(answer, "key")));
}

static const admin_request requests[] = {
    {"checkpoint", NULL, "Shows what the pool last signed of its log, and the key.", "GET",
     "/v1/audit/checkpoint", "", print_checkpoint, NULL},
    {"erase-person", "NAME",
     "Deletes the salt of a person's hashes: the entries so far tell nothing of them.", "POST",
     "/v1/audit/persons/", "/erase", admin_print_done, NULL},
};

static int run_request(int argc, char **argv) {
    return admin_run_request("cellule admin audit", requests, sizeof requests / sizeof requests[0], argc,
                             argv);
}

int admin_audit_main(int argc, char **argv) {
    static const verb verbs[] = {
        {"list", audit_list, "list entries"},
        {"show", audit_show, "show an entry and check its proof"},
        {"checkpoint", run_request, "show what the pool last signed"},
        {"export", audit_export_main, "write the log to a folder"},
        {"erase-person", run_request, "have the log tell nothing of a person any more"},
    };
    return options_run_verb("cellule admin audit", verbs, sizeof verbs / sizeof verbs[0], argc, argv);
}
