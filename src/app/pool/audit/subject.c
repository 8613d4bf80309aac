#include "audit/subject.h"

#include "crypto/hash.h"
#include "proof/blacklist.h"
#include "verify/policy.h"

#include <stdio.h>

enum { BODY_DEPTH = 4, BODY_VALUES = 64, ID_LENGTH = 32 };

static bool is_number(slice text) {
    uint64_t number = 0;
    return slice_to_u64(text, &number);
}

static bool is_id(slice text) {
    uint8_t bytes[HASH_SIZE];
    return (text.length == ID_LENGTH || text.length == 2 * HASH_SIZE) &&
           hex_decode(text, bytes, text.length / 2);
}

static bool is_secret_kind(slice text) {
    static const char *const kinds[] = {"ca", "server", "session", "database"};
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        if (slice_equal_text(text, kinds[i])) {
            return true;
        }
    }
    return false;
}

/* What names nothing here may be anything, a name too, and is left out. */
static void write_path(const audit_act *act, slice segment, audit_about *about) {
    const char *star = strchr(act->pattern, '*');
    if (star == NULL || !(is_number(segment) || is_id(segment) || is_secret_kind(segment))) {
        snprintf(about->target, sizeof about->target, "%s %s", act->method, act->pattern);
        return;
    }
    snprintf(about->target, sizeof about->target, "%s %.*s%.*s%s", act->method, (int)(star - act->pattern),
             act->pattern, SLICE_FORMAT(segment), star + 1);
}

static slice text_in(const audit_about *about, const char *name) {
    slice text = {NULL, 0};
    error err = {0};
    return about->body != NULL && json_kind_of(about->body) == JSON_KIND_OBJECT &&
                   json_get_text(about->body, name, &text, &err)
               ? text
               : (slice){NULL, 0};
}

static void read_body(const pool *p, const http_request *request, audit_about *about) {
    error err = {0};
    about->body = json_parse(
        http_request_body(request),
        (json_limits){.size = p->settings.body_limit, .depth = BODY_DEPTH, .values = BODY_VALUES}, &err);
}

static void add(audit_about *about, const char *word, slice value) {
    size_t length = strlen(about->target);
    snprintf(about->target + length, sizeof about->target - length, " %s %.*s", word, SLICE_FORMAT(value));
}

static bool is_role(slice text) {
    auth_role role = AUTH_EMPLOYEE;
    return auth_role_parse(text, &role);
}

static bool is_mode(slice text) {
    verify_mode mode = VERIFY_OFF;
    return verify_mode_parse(text, &mode);
}

static bool is_guilty(slice text) {
    return slice_equal_text(text, "worker") || slice_equal_text(text, "verifier") ||
           slice_equal_text(text, "nobody");
}

/* How much the act gives or takes: without these one can't tell an admin's key from an employee's. */
static void add_words(audit_about *about) {
    static const struct {
        const char *name;
        bool (*is_known)(slice text);
    } words[] = {{"role", is_role}, {"verify", is_mode}, {"guilty", is_guilty}};
    static const char *const flags[] = {"contractor", "referee", "at_once", "finish"};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        slice text = text_in(about, words[i].name);
        if (words[i].is_known(text)) {
            add(about, words[i].name, text);
        }
    }
    for (size_t i = 0; i < sizeof flags / sizeof flags[0]; i++) {
        bool set = false;
        error err = {0};
        if (about->body != NULL && json_kind_of(about->body) == JSON_KIND_OBJECT &&
            json_get_bool(about->body, flags[i], &set, &err) && set) {
            add(about, flags[i], SLICE_LITERAL("true"));
        }
    }
}

static void add_listed(audit_about *about) {
    slice kind = text_in(about, "kind");
    slice value = text_in(about, "value");
    if (slice_equal_text(kind, "owner")) {
        about->person = value;
    } else if (slice_equal_text(kind, "worker") && blacklist_is_valid(kind, value)) {
        add(about, "worker", value);
    } else if (slice_equal_text(kind, "machine") && blacklist_is_valid(kind, value)) {
        add(about, "machine", value);
    }
}

static void add_body(audit_about *about, audit_subject subject) {
    slice digest = text_in(about, "hash");
    switch (subject) {
    case AUDIT_OF_NAME:
        about->person = text_in(about, "name");
        add_words(about);
        return;
    case AUDIT_OF_OWNER:
        about->person = text_in(about, "owner");
        add_words(about);
        return;
    case AUDIT_OF_WORDS:
        add_words(about);
        return;
    case AUDIT_OF_HASH:
        if (is_id(digest)) {
            add(about, "sha256", digest);
        }
        return;
    case AUDIT_OF_LISTED:
        add_listed(about);
        return;
    case AUDIT_OF_NOTHING:
    case AUDIT_OF_SEGMENT:
    case AUDIT_OF_PERSON:
        return;
    }
}

void audit_describe(const pool *p, const http_request *request, const audit_act *act, audit_about *about) {
    *about = (audit_about){.body = NULL};
    bool is_person = act->subject == AUDIT_OF_PERSON;
    write_path(act, is_person ? (slice){NULL, 0} : act->segment, about);
    if (is_person) {
        about->person = act->segment;
    } else if (act->subject != AUDIT_OF_NOTHING && act->subject != AUDIT_OF_SEGMENT) {
        read_body(p, request, about);
        add_body(about, act->subject);
    }
}

void audit_describe_path(const audit_act *act, audit_about *about) {
    *about = (audit_about){.body = NULL};
    write_path(act, (slice){NULL, 0}, about);
}

void audit_about_free(audit_about *about) {
    json_free(about->body);
    about->body = NULL;
}
