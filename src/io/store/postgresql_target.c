#include "postgresql_target.h"

#include "base/memory.h"
#include "net/egress.h"
#include "os/file.h"

#include <arpa/inet.h>
#include <limits.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

/* OPTIONS: of libpq's, which knows about forty. */
enum { OPTIONS = 64, ADDRESSES = 4, NAME_SIZE = 256, DEFAULT_PORT = 5432 };

typedef struct option {
    char *name;
    char *value;
} option;

struct postgresql_target {
    size_t count;
    option options[OPTIONS];
    bool local;
    uint16_t port;
    char name[NAME_SIZE];
    bool kept;
};

static option *find(postgresql_target *t, const char *name) {
    for (size_t i = 0; i < t->count; i++) {
        if (strcmp(t->options[i].name, name) == 0) {
            return &t->options[i];
        }
    }
    return NULL;
}

static const char *value_of(const postgresql_target *t, const char *name) {
    for (size_t i = 0; i < t->count; i++) {
        if (strcmp(t->options[i].name, name) == 0) {
            return t->options[i].value;
        }
    }
    return NULL;
}

static void wipe_and_free(char *text) {
    if (text != NULL) {
        explicit_bzero(text, strlen(text));
        memory_free(text);
    }
}

static bool set(postgresql_target *t, const char *name, const char *value, error *err) {
    option *o = find(t, name);
    char *copy = memory_copy_string(value);
    if (copy == NULL) {
        return error_memory(err);
    }
    if (o != NULL) {
        wipe_and_free(o->value);
        o->value = copy;
        return true;
    }
    char *own = t->count == OPTIONS ? NULL : memory_copy_string(name);
    if (own == NULL) {
        wipe_and_free(copy);
        return error_memory(err);
    }
    t->options[t->count++] = (option){own, copy};
    return true;
}

static bool set_default(postgresql_target *t, const char *name, const char *value, error *err) {
    return value_of(t, name) != NULL || set(t, name, value, err);
}

static bool take(postgresql_target *t, const PQconninfoOption *given, error *err) {
    for (; given->keyword != NULL; given++) {
        if (given->val != NULL && given->val[0] != '\0' && !set(t, given->keyword, given->val, err)) {
            return false;
        }
    }
    return true;
}

/* The words of libpq may show a part of the URL, and that a password. */
static bool take_url(postgresql_target *t, const char *url, error *err) {
    char *why = NULL;
    PQconninfoOption *given = PQconninfoParse(url, &why);
    PQfreemem(why);
    if (given == NULL) {
        return error_set(
            err, ERROR_INVALID,
            "the database's URL isn't of the form postgresql://user@host:port/name?option=value");
    }
    bool taken = take(t, given, err);
    PQconninfoFree(given);
    return taken;
}

/* What would lead elsewhere than the URL says. */
static bool check_environment(const postgresql_target *t, error *err) {
    static const char *const variables[] = {"PGHOSTADDR", "PGSERVICE", "PGSERVICEFILE"};
    for (size_t i = 0; i < sizeof variables / sizeof variables[0]; i++) {
        const char *value = getenv(variables[i]);
        if (value != NULL && value[0] != '\0') {
            return error_set(err, ERROR_INVALID, "unset %s: the URL alone says where the database is",
                             variables[i]);
        }
    }
    return (value_of(t, "service") == NULL && value_of(t, "hostaddr") == NULL) ||
           error_set(err, ERROR_INVALID, "name the database by host in its URL, not by service or hostaddr");
}

static bool set_port(postgresql_target *t, error *err) {
    const char *given = value_of(t, "port");
    const char *usual = getenv("PGPORT");
    uint64_t port = DEFAULT_PORT;
    const char *text = given != NULL ? given : usual != NULL && usual[0] != '\0' ? usual : NULL;
    if (text != NULL && (!slice_to_u64(slice_of_text(text), &port) || port == 0 || port > UINT16_MAX)) {
        return error_set(err, ERROR_INVALID, "the database's port is 1 to 65535");
    }
    char number[8];
    t->port = (uint16_t)port;
    snprintf(number, sizeof number, "%u", t->port);
    return set(t, "port", number, err);
}

static bool set_host(postgresql_target *t, error *err) {
    const char *usual = getenv("PGHOST");
    const char *sockets = file_exists("/var/run/postgresql") ? "/var/run/postgresql" : "/tmp";
    if (!set_default(t, "host", usual != NULL && usual[0] != '\0' ? usual : sockets, err)) {
        return false;
    }
    const char *host = value_of(t, "host");
    t->local = host[0] == '/' || host[0] == '@';
    return strchr(host, ',') == NULL ||
           error_set(err, ERROR_INVALID, "the database's URL names several hosts; name one");
}

static bool settle(postgresql_target *t, error *err) {
    if (!check_environment(t, err) || !set_host(t, err) || !set_port(t, err) ||
        !set(t, "client_encoding", "UTF8", err) || !set_default(t, "application_name", "cellule", err) ||
        !set_default(t, "gssencmode", "disable", err) || !set_default(t, "keepalives_idle", "10", err) ||
        !set_default(t, "keepalives_interval", "5", err) || !set_default(t, "keepalives_count", "3", err) ||
        !set_default(t, "tcp_user_timeout", "20000", err)) {
        return false;
    }
    const char *database = value_of(t, "dbname");
    snprintf(t->name, sizeof t->name, "%s/%s", value_of(t, "host"), database == NULL ? "" : database);
    return true;
}

postgresql_target *postgresql_target_parse(const char *url, error *err) {
    postgresql_target *t = memory_allocate_zeroed(1, sizeof *t);
    if (t == NULL) {
        error_memory(err);
        return NULL;
    }
    if (!take_url(t, url, err) || !settle(t, err)) {
        postgresql_target_free(t);
        return NULL;
    }
    return t;
}

void postgresql_target_free(postgresql_target *t) {
    if (t == NULL) {
        return;
    }
    for (size_t i = 0; i < t->count; i++) {
        memory_free(t->options[i].name);
        wipe_and_free(t->options[i].value);
    }
    memory_free(t);
}

const char *postgresql_target_host(const postgresql_target *t, uint16_t *port) {
    *port = t->port;
    return t->local ? NULL : value_of(t, "host");
}

const char *postgresql_target_name(const postgresql_target *t) {
    return t->name;
}

size_t postgresql_target_files(const postgresql_target *t, const char **files, size_t limit) {
    static const char *const names[] = {"sslrootcert", "sslcert", "sslkey", "sslcrl"};
    size_t count = 0;
    for (size_t i = 0; i < sizeof names / sizeof names[0] && count < limit; i++) {
        const char *path = value_of(t, names[i]);
        if (path != NULL && path[0] == '/') {
            files[count++] = path;
        }
    }
    return count;
}

static bool is_loopback(const struct sockaddr_storage *address) {
    if (address->ss_family == AF_INET) {
        const struct sockaddr_in *v4 = (const struct sockaddr_in *)address;
        return (ntohl(v4->sin_addr.s_addr) >> 24) == 127;
    }
    return IN6_IS_ADDR_LOOPBACK(&((const struct sockaddr_in6 *)address)->sin6_addr);
}

static bool append_number(const struct sockaddr_storage *address, char *list, size_t size) {
    char text[INET6_ADDRSTRLEN];
    const void *number = address->ss_family == AF_INET
                             ? (const void *)&((const struct sockaddr_in *)address)->sin_addr
                             : (const void *)&((const struct sockaddr_in6 *)address)->sin6_addr;
    size_t length = strlen(list);
    int added = inet_ntop(address->ss_family, number, text, sizeof text) == NULL
                    ? -1
                    : snprintf(list + length, size - length, "%s%s", length == 0 ? "" : ",", text);
    return added > 0 && (size_t)added < size - length;
}

/* Where to dial, as libpq takes it: as many names as addresses. */
typedef struct places {
    char numbers[ADDRESSES * (INET6_ADDRSTRLEN + 1)];
    char hosts[ADDRESSES * (NET_EGRESS_HOST_MAX + 1)];
    bool loopback;
} places;

static bool find_places(const postgresql_target *t, places *found, error *err) {
    struct sockaddr_storage addresses[ADDRESSES];
    const char *host = value_of(t, "host");
    size_t count = net_egress_look_up(host, t->port, addresses, ADDRESSES, err);
    found->loopback = true;
    for (size_t i = 0; i < count; i++) {
        size_t length = strlen(found->hosts);
        size_t room = sizeof found->hosts - length;
        int added = snprintf(found->hosts + length, room, "%s%s", i == 0 ? "" : ",", host);
        if (!append_number(&addresses[i], found->numbers, sizeof found->numbers) || added < 0 ||
            (size_t)added >= room) {
            return error_set(err, ERROR_INVALID, "the database's host has too long a name");
        }
        found->loopback = found->loopback && is_loopback(&addresses[i]);
    }
    return count > 0;
}

static size_t list(const postgresql_target *t, const char **names, const char **values) {
    for (size_t i = 0; i < t->count; i++) {
        names[i] = t->options[i].name;
        values[i] = t->options[i].value;
    }
    return t->count;
}

PGconn *postgresql_target_dial(postgresql_target *t, error *err) {
    places found = {.loopback = true};
    const char *names[OPTIONS + 4];
    const char *values[OPTIONS + 4];
    size_t count = list(t, names, values);
    if (!t->local) {
        if (!find_places(t, &found, err)) {
            return NULL;
        }
        for (size_t i = 0; i < count; i++) {
            values[i] = strcmp(names[i], "host") == 0 ? found.hosts : values[i];
        }
        names[count] = "hostaddr";
        values[count++] = found.numbers;
    }
    if (!found.loopback && value_of(t, "sslmode") == NULL) {
        names[count] = "sslmode";
        values[count++] = "verify-full";
    }
    names[count] = values[count] = NULL;
    PGconn *connection = PQconnectStartParams(names, values, 0);
    if (connection == NULL) {
        error_memory(err);
    }
    return connection;
}

/* Where libpq would look by itself. */
static bool keep_file(postgresql_target *t, const char *option_name, const char *file, error *err) {
    char path[PATH_MAX];
    const char *home = getenv("HOME");
    if (home == NULL || value_of(t, option_name) != NULL ||
        snprintf(path, sizeof path, "%s/.postgresql/%s", home, file) >= (int)sizeof path) {
        return true;
    }
    return !file_exists(path) || set(t, option_name, path, err);
}

bool postgresql_target_keep(postgresql_target *t, PGconn *made, error *err) {
    const char *password = PQpass(made);
    if (t->kept) {
        return true;
    }
    t->kept = set(t, "user", PQuser(made), err) && set(t, "dbname", PQdb(made), err) &&
              (password == NULL || password[0] == '\0' || set(t, "password", password, err)) &&
              (PQsslInUse(made) == 0 || (keep_file(t, "sslrootcert", "root.crt", err) &&
                                         keep_file(t, "sslcert", "postgresql.crt", err) &&
                                         keep_file(t, "sslkey", "postgresql.key", err)));
    return t->kept;
}
