#include "base/memory.h"
#include "crypto/secret.h"
#include "providers_internal.h"
#include "yaml.h"

#include <stdio.h>

enum {
    RULES_MAX = 64,
    TEXT_MAX = 512,
    SECRET_MAX = 512,
    SCIM_TOKEN_MIN = 32,
    CA_LIMIT = 256 * 1024,
    TEXTS_LIMIT = 256 * 1024
};

/* sso.yaml, as it is read. */
typedef struct file_rule {
    char *group;
    char *role;
} file_rule;

typedef struct file_provider {
    char *name;
    char *issuer;
    char *client_id;
    char *client_secret_file;
    char *ca_file;
    char *scim_token_file;
    char *algorithms;
    char *scopes;
    char *name_claim;
    char *groups_claim;
    char *default_role;
    file_rule *roles;
    unsigned roles_count;
} file_provider;

typedef struct file_content {
    file_provider *providers;
    unsigned providers_count;
} file_content;

static const cyaml_schema_field_t rule_fields[] = {
    CYAML_FIELD_STRING_PTR("group", CYAML_FLAG_POINTER, file_rule, group, 1, TEXT_MAX),
    CYAML_FIELD_STRING_PTR("role", CYAML_FLAG_POINTER, file_rule, role, 1, TEXT_MAX), CYAML_FIELD_END};

static const cyaml_schema_value_t rule_schema = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, file_rule, rule_fields)};

#define TEXT_FIELD(name, flags)                                                                              \
    CYAML_FIELD_STRING_PTR(#name, CYAML_FLAG_POINTER | (flags), file_provider, name, 1, TEXT_MAX)

static const cyaml_schema_field_t provider_fields[] = {
    TEXT_FIELD(name, 0),
    TEXT_FIELD(issuer, 0),
    TEXT_FIELD(client_id, 0),
    TEXT_FIELD(client_secret_file, CYAML_FLAG_OPTIONAL),
    TEXT_FIELD(ca_file, CYAML_FLAG_OPTIONAL),
    TEXT_FIELD(scim_token_file, CYAML_FLAG_OPTIONAL),
    TEXT_FIELD(algorithms, CYAML_FLAG_OPTIONAL),
    TEXT_FIELD(scopes, CYAML_FLAG_OPTIONAL),
    TEXT_FIELD(name_claim, CYAML_FLAG_OPTIONAL),
    TEXT_FIELD(groups_claim, CYAML_FLAG_OPTIONAL),
    TEXT_FIELD(default_role, CYAML_FLAG_OPTIONAL),
    CYAML_FIELD_SEQUENCE("roles", CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL, file_provider, roles,
                         &rule_schema, 0, RULES_MAX),
    CYAML_FIELD_END};

static const cyaml_schema_value_t provider_schema = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, file_provider, provider_fields)};

static const cyaml_schema_field_t content_fields[] = {
    CYAML_FIELD_SEQUENCE("providers", CYAML_FLAG_POINTER, file_content, providers, &provider_schema, 1,
                         PROVIDERS_MAX),
    CYAML_FIELD_END};

static const cyaml_schema_value_t schema = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_POINTER, file_content, content_fields)};

static bool keep_text(provider *one, const char *text, const char *initial, slice *kept, error *err) {
    return arena_copy(one->texts, slice_of_text(text == NULL ? initial : text), kept) || error_memory(err);
}

static bool read_algorithms(provider *one, const char *text, error *err) {
    static const public_key_algorithm all[] = {PUBLIC_KEY_EDDSA, PUBLIC_KEY_ES256, PUBLIC_KEY_RS256};
    slice rest = slice_of_text(text == NULL ? "EdDSA, ES256, RS256" : text);
    while (rest.length > 0) {
        size_t end = slice_find(rest, ',');
        slice word = slice_trim(slice_part(rest, 0, end));
        unsigned bit = 0;
        for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
            bit |= slice_equal_text(word, auth_jws_algorithm_name(all[i])) ? AUTH_ALGORITHM_BIT(all[i]) : 0;
        }
        if (bit == 0) {
            return error_set(err, ERROR_INVALID, "algorithms: \"%.*s\" is not one of EdDSA, ES256, RS256",
                             SLICE_FORMAT(word));
        }
        one->algorithms |= bit;
        rest = end == SIZE_MAX ? (slice){NULL, 0} : slice_after(rest, end + 1);
    }
    return true;
}

static bool read_role(const char *text, auth_role *role, error *err) {
    return auth_role_parse(slice_of_text(text), role) ||
           error_set(err, ERROR_INVALID,
                     "\"%s\" is not one of employee, worker_owner, it_admin, security_officer", text);
}

static bool read_rules(provider *one, const file_provider *from, error *err) {
    auth_oidc_rule *rules = arena_allocate_array(one->texts, RULES_MAX, sizeof *rules);
    one->client.default_role = AUTH_ROLE_COUNT;
    if (rules == NULL) {
        return error_memory(err);
    }
    for (unsigned i = 0; i < from->roles_count; i++) {
        if (!keep_text(one, from->roles[i].group, "", &rules[i].group, err) ||
            !read_role(from->roles[i].role, &rules[i].role, err)) {
            return error_context(err, "roles");
        }
    }
    one->client.rules = rules;
    one->client.rule_count = from->roles_count;
    return from->default_role == NULL || read_role(from->default_role, &one->client.default_role, err) ||
           error_context(err, "default_role");
}

/* A path that isn't absolute is in the site's folder. */
static bool make_path(const char *folder, const char *name, char path[SITE_PATH_SIZE], error *err) {
    int length = name[0] == '/' ? snprintf(path, SITE_PATH_SIZE, "%s", name)
                                : snprintf(path, SITE_PATH_SIZE, "%s/%s", folder, name);
    return (length > 0 && length < SITE_PATH_SIZE) || error_set(err, ERROR_LIMIT, "the path is too long");
}

/* The file's text without blanks at its end, in `content`. */
static bool read_secret_file(const char *folder, const char *name, size_t least, buffer *content,
                             slice *secret, error *err) {
    char path[SITE_PATH_SIZE];
    if (!make_path(folder, name, path, err) || !file_read_private(path, content, err)) {
        return false;
    }
    *secret = buffer_slice(content);
    while (secret->length > 0 && secret->data[secret->length - 1] <= ' ') {
        secret->length--;
    }
    return secret->length >= least ||
           error_set(err, ERROR_INVALID, "%s must have %zu characters at least", path, least);
}

/* RFC 6750 §2.1 has no blanks in a token. */
static bool is_one_word(slice token) {
    for (size_t i = 0; i < token.length; i++) {
        if (token.data[i] <= ' ' || token.data[i] >= 0x7F) {
            return false;
        }
    }
    return true;
}

/* A token that others make: long enough that nobody finds it by trying. */
static bool read_scim_token(provider *one, const char *folder, const char *name, error *err) {
    buffer content = buffer_make(SECRET_MAX);
    slice token;
    if (name == NULL) {
        return true;
    }
    one->has_scim = read_secret_file(folder, name, SCIM_TOKEN_MIN, &content, &token, err) &&
                    (is_one_word(token) || error_set(err, ERROR_INVALID, "%s must be one word", name)) &&
                    hash_sha256(token, one->scim_hash, err);
    buffer_wipe(&content);
    return one->has_scim || error_context(err, "scim_token_file");
}

static bool read_secret(provider *one, const char *folder, const char *name, error *err) {
    buffer content = buffer_make(SECRET_MAX);
    slice secret = {NULL, 0};
    if (name == NULL) {
        return true;
    }
    bool read = read_secret_file(folder, name, 1, &content, &secret, err);
    one->secret = read ? secret_allocate(secret.length + 1, err) : NULL;
    if (one->secret != NULL) {
        memcpy(one->secret, secret.data, secret.length);
    }
    buffer_wipe(&content);
    return one->secret != NULL || error_context(err, "client_secret_file");
}

static bool read_ca(provider *one, const char *folder, const char *name, error *err) {
    char path[SITE_PATH_SIZE];
    return name == NULL || (make_path(folder, name, path, err) && file_read_all(path, &one->ca_pem, err)) ||
           error_context(err, "ca_file");
}

static bool is_provider_name(const char *name) {
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyz0123456789-";
    size_t length = strlen(name);
    return length > 0 && length <= PROVIDER_NAME_MAX && strspn(name, allowed) == length;
}

static bool read_provider(provider *one, const file_provider *from, const char *folder, error *err) {
    slice scopes;
    if (!is_provider_name(from->name)) {
        return error_set(err, ERROR_INVALID, "name: 1 to %d of a-z, 0-9 and '-', not \"%s\"",
                         PROVIDER_NAME_MAX, from->name);
    }
    snprintf(one->name, sizeof one->name, "%s", from->name);
    if (!auth_oidc_url_is_safe(slice_of_text(from->issuer)) || strchr(from->issuer, '?') != NULL) {
        return error_set(err, ERROR_INVALID, "issuer: \"%s\" is not an https address", from->issuer);
    }
    one->texts = arena_new(TEXTS_LIMIT);
    if (one->texts == NULL) {
        return error_memory(err);
    }
    if (!keep_text(one, from->scopes, "openid profile email groups", &scopes, err)) {
        return false;
    }
    one->scopes = arena_copy_text(one->texts, scopes);
    if (one->scopes == NULL) {
        return error_memory(err);
    }
    return keep_text(one, from->issuer, "", &one->client.issuer, err) &&
           keep_text(one, from->client_id, "", &one->client.client_id, err) &&
           keep_text(one, from->name_claim, "preferred_username", &one->client.name_claim, err) &&
           keep_text(one, from->groups_claim, "groups", &one->client.groups_claim, err) &&
           read_algorithms(one, from->algorithms, err) && read_rules(one, from, err) &&
           read_secret(one, folder, from->client_secret_file, err) &&
           read_scim_token(one, folder, from->scim_token_file, err) &&
           read_ca(one, folder, from->ca_file, err);
}

void provider_clear(provider *one) {
    secret_free(one->secret);
    buffer_free(&one->ca_pem);
    arena_free(one->texts);
    arena_free(one->published);
    auth_jwks_free(one->keys);
}

static bool is_new(const providers *all, const provider *one) {
    for (size_t i = 0; i < all->count; i++) {
        slice other = all->list[i].client.issuer;
        if (strcmp(all->list[i].name, one->name) == 0 ||
            (other.data != NULL && slice_equal(one->client.issuer, other))) {
            return false;
        }
    }
    return true;
}

static bool take_content(providers *all, const file_content *content, const char *folder, error *err) {
    for (unsigned i = 0; i < content->providers_count; i++) {
        provider *one = &all->list[all->count];
        *one = (provider){.ca_pem = buffer_make(CA_LIMIT), .all = all};
        list_init(&one->waiting);
        bool good = read_provider(one, &content->providers[i], folder, err) ||
                    error_context(err, "provider %u", i + 1);
        good = good &&
               (is_new(all, one) ||
                error_set(err, ERROR_INVALID, "provider %u: its name or issuer is there already", i + 1));
        if (!good) {
            provider_clear(one);
            return false;
        }
        all->count++;
    }
    return true;
}

bool providers_read(providers *all, const char *folder, const char *path, error *err) {
    file_content *content = NULL;
    if (!yaml_file_load(path, &schema, (void **)&content, err)) {
        return false;
    }
    bool taken = content == NULL || take_content(all, content, folder, err) || error_context(err, "%s", path);
    yaml_file_free(&schema, content);
    return taken;
}
