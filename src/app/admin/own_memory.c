#include "admin/admin.h"
#include "base/buffer.h"
#include "call.h"
#include "client/client_file.h"
#include "codec/json_writer.h"
#include "crypto/secret.h"
#include "own_fact.h"

#include <stdio.h>

/* `cellule memory`: which keys open what one keeps at the pool, and who else may help to. */

enum { BODY_LIMIT = 1024 };

/* POST {"key"} with the key of a file; NULL: without one. */
static int send_key(const admin_options *options, admin_call *call, const char *key_file) {
    char key[CLIENT_KEY_SIZE] = "";
    error err = {0};
    if (key_file != NULL && !client_read_key(key_file, key, &err)) {
        return options_fail(call->program, &err);
    }
    buffer body = buffer_make(BODY_LIMIT);
    (void)!buffer_reserve(&body, BODY_LIMIT); /* no copy stays behind */
    json_writer w = json_writer_make(&body);
    json_write_object_begin(&w);
    if (key_file != NULL) {
        json_add_text(&w, "key", slice_of_text(key));
    }
    json_write_object_end(&w);
    call->method = "POST";
    call->written = &body;
    int status = admin_run(options, call);
    buffer_wipe(&body);
    secret_wipe(key, sizeof key);
    return status;
}

static int memory_unlock(int argc, char **argv) {
    admin_options options = {0};
    const char *key_file = NULL;
    const option_row rows[] = {
        ADMIN_OPTION_ROWS(&options),
        {"key-file", OPTION_REQUIRED, &key_file, "FILE",
         "a key of yours, alone in a file of mode 0600; \"-\": standard input", 0, 0},
    };
    const option_table table = {
        .usage = "cellule memory unlock --key-file FILE [options]",
        .summary = "Opens what you keep at the pool, for the session or the key that asks, with one of your "
                   "keys: also with\none that was revoked, if nothing else opens it.",
        .rows = rows,
        .row_count = sizeof rows / sizeof rows[0]};
    int status = 0;
    if (!options_parse(&table, argc, argv, NULL, &status)) {
        return status;
    }
    admin_call call = {
        .program = "cellule memory unlock", .path = "/v1/memory/unlock", .print = admin_print_done};
    return send_key(&options, &call, key_file);
}

static int memory_key_add(int argc, char **argv) {
    admin_options options = {0};
    const char *key_file = NULL;
    const option_row rows[] = {
        ADMIN_OPTION_ROWS(&options),
        {"key-file", OPTION_TEXT, &key_file, "FILE",
         "the key, alone in a file of mode 0600; \"-\": standard input; else the one that asks", 0, 0},
    };
    const option_table table = {.usage = "cellule memory key add [options]",
                                .summary = "Has another key of yours open what you keep at the pool.",
                                .rows = rows,
                                .row_count = sizeof rows / sizeof rows[0]};
    int status = 0;
    if (!options_parse(&table, argc, argv, NULL, &status)) {
        return status;
    }
    admin_call call = {
        .program = "cellule memory key add", .path = "/v1/memory/keys", .print = admin_print_done};
    return send_key(&options, &call, key_file);
}

static const admin_request key_requests[] = {
    {"remove", "KEY_ID", "Has a key open what you keep no more; never the last one.", "DELETE",
     "/v1/memory/keys/", "", admin_print_done, NULL},
};

static void print_status(const json_value *answer) {
    const json_value *embedding = json_find(answer, "embedding");
    slice model = admin_text(embedding, "model");
    printf("%llu facts", (unsigned long long)admin_number(answer, "facts"));
    if (model.length > 0) {
        printf("; %llu of them can be searched, with %.*s",
               (unsigned long long)admin_number(embedding, "done"), SLICE_FORMAT(model));
    }
    printf("\n");
}

static const admin_request requests[] = {
    {"status", NULL,
     "Says how many facts the pool remembers for you, and how many of them can be searched, and with what.",
     "GET", "/v1/memory", "", print_status, NULL},
    {"lock", NULL, "Closes what you keep at the pool again, for the session or the key that asks.", "POST",
     "/v1/memory/lock", "", admin_print_done, NULL},
};

static void print_request(const json_value *request) {
    char day[32];
    printf("asked for on %s: %llu of %llu shares are there\ncode: %.*s\nRead the code to the officers, in "
           "person or "
           "where they know your voice.\n",
           admin_date(admin_number(request, "asked_ms"), day),
           (unsigned long long)admin_number(request, "given"),
           (unsigned long long)admin_number(request, "needed"), SLICE_FORMAT(admin_text(request, "code")));
}

static void print_recovery(const json_value *answer) {
    const json_value *officers = json_find(answer, "officers");
    const json_value *request = json_find(answer, "request");
    if (!admin_flag(answer, "on")) {
        printf("off: what you keep opens with your own keys alone\n");
        return;
    }
    printf("%llu of these officers together can open what you keep for a new key of yours:",
           (unsigned long long)admin_number(answer, "needed"));
    for (size_t i = 0; i < json_count(officers); i++) {
        slice name = json_text_of(json_at(officers, i));
        printf("%s %.*s", i == 0 ? "" : ",", SLICE_FORMAT(name));
    }
    printf("\n%s\n",
           admin_flag(answer, "covered")
               ? "What you keep is covered."
               : "What you keep isn't covered: it is from when you next use it with a key that opens it.");
    if (json_kind_of(request) == JSON_KIND_OBJECT) {
        print_request(request);
    }
}

static const admin_request recovery_requests[] = {
    {"status", NULL,
     "Says whether officers can help who has lost all keys, who they are, and what was asked for.", "GET",
     "/v1/memory/recovery", "", print_recovery, NULL},
    {"ask", NULL,
     "Asks the officers to open what you keep for the key that asks, and prints the code to read to them.",
     "POST", "/v1/memory/recovery", "", print_request, NULL},
};

static int run_recovery(int argc, char **argv) {
    return admin_run_request("cellule memory recovery", recovery_requests,
                             sizeof recovery_requests / sizeof recovery_requests[0], argc, argv);
}

static int memory_recovery(int argc, char **argv) {
    static const verb verbs[] = {
        {"status", run_recovery, "say who can help, and how far it is"},
        {"ask", run_recovery, "ask them to"},
    };
    return options_run_verb("cellule memory recovery", verbs, sizeof verbs / sizeof verbs[0], argc, argv);
}

static int memory_key_remove(int argc, char **argv) {
    return admin_run_request("cellule memory key", key_requests, 1, argc, argv);
}

static int run_request(int argc, char **argv) {
    return admin_run_request("cellule memory", requests, sizeof requests / sizeof requests[0], argc, argv);
}

static int memory_key(int argc, char **argv) {
    static const verb verbs[] = {
        {"add", memory_key_add, "have another key open it"},
        {"remove", memory_key_remove, "have a key open it no more"},
    };
    return options_run_verb("cellule memory key", verbs, sizeof verbs / sizeof verbs[0], argc, argv);
}

int memory_main(int argc, char **argv) {
    static const verb verbs[] = {
        {"status", run_request, "say how much it is"},
        {"unlock", memory_unlock, "open it, with one of your keys"},
        {"lock", run_request, "close it again"},
        {"key", memory_key, "which keys open it"},
        {"fact", own_fact_main, "what the pool remembers for you: list, find, add, change, forget"},
        {"recovery", memory_recovery, "have officers open it, after all keys were lost"},
    };
    return options_run_verb("cellule memory", verbs, sizeof verbs / sizeof verbs[0], argc, argv);
}
