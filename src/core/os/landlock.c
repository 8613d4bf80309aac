#include "sandbox_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* The kernel's interface (landlock(7)), spelled out: a header that is older than the kernel knows less. */
enum { CALL_CREATE = 444, CALL_ADD = 445, CALL_RESTRICT = 446, VERSION_QUESTION = 1 };
enum { RULE_PATH = 1, RULE_PORT = 2 };

static const uint64_t fs_execute = 1U << 0, fs_write_file = 1U << 1, fs_read_file = 1U << 2,
                      fs_read_folder = 1U << 3, fs_remove_file = 1U << 5, fs_make_file = 1U << 8,
                      fs_truncate = 1U << 14;
static const uint64_t net_connect_tcp = 1U << 1, net_all = 3;

/* Rights to files that each version knows, from the first on. */
static const uint64_t known_rights[] = {(1U << 13) - 1, (1U << 14) - 1, (1U << 15) - 1, (1U << 15) - 1,
                                        (1U << 16) - 1};
enum { VERSIONS_KNOWN = sizeof known_rights / sizeof known_rights[0], VERSION_PORTS = 4, VERSION_SCOPES = 6 };

typedef struct ruleset_attributes {
    uint64_t fs;
    uint64_t net;
    uint64_t scoped; /* no abstract sockets of others, no signals to others */
} ruleset_attributes;

typedef struct path_rule {
    uint64_t allowed;
    int32_t folder;
} __attribute__((packed)) path_rule;

typedef struct port_rule {
    uint64_t allowed;
    uint64_t port;
} port_rule;

static uint64_t rights_of(unsigned rights, bool is_folder, uint64_t known) {
    uint64_t allowed = (rights & (SANDBOX_READ | SANDBOX_START)) != 0 ? fs_read_file : 0;
    allowed |= (rights & SANDBOX_START) != 0 ? fs_execute : 0;
    allowed |= (rights & SANDBOX_WRITE) != 0 ? fs_write_file | fs_truncate : 0;
    if (is_folder) {
        allowed |= (rights & SANDBOX_READ) != 0 ? fs_read_folder : 0;
        allowed |= (rights & SANDBOX_WRITE) != 0 ? fs_make_file | fs_remove_file : 0;
    }
    return allowed & known;
}

static bool add_place(int ruleset, const sandbox_place *place, uint64_t known, error *err) {
    struct stat status;
    int at = open(place->path, O_PATH | O_CLOEXEC);
    if (at < 0) {
        return errno == ENOENT || errno == ENOTDIR || errno == EACCES ||
               error_set_errno(err, ERROR_IO, errno, "looking at %s", place->path);
    }
    path_rule rule = {.folder = at};
    bool added = fstat(at, &status) == 0;
    if (added) {
        rule.allowed = rights_of(place->rights, S_ISDIR(status.st_mode), known);
        added = rule.allowed == 0 || syscall(CALL_ADD, ruleset, RULE_PATH, &rule, 0) == 0;
    }
    if (!added) {
        error_set_errno(err, ERROR_IO, errno, "limiting this process to %s", place->path);
    }
    close(at);
    return added;
}

static bool add_ports(int ruleset, const sandbox_profile *profile, error *err) {
    for (size_t i = 0; profile->ports != NULL && i < profile->port_count; i++) {
        port_rule rule = {.allowed = net_connect_tcp, .port = profile->ports[i]};
        if (syscall(CALL_ADD, ruleset, RULE_PORT, &rule, 0) != 0) {
            return error_set_errno(err, ERROR_IO, errno, "limiting this process to some ports");
        }
    }
    return true;
}

static bool fill_and_enter(int ruleset, const sandbox_profile *profile, const ruleset_attributes *handled,
                           error *err) {
    for (size_t i = 0; i < profile->place_count; i++) {
        if (!add_place(ruleset, &profile->places[i], handled->fs, err)) {
            return false;
        }
    }
    if ((handled->net & net_connect_tcp) != 0 && !add_ports(ruleset, profile, err)) {
        return false;
    }
    return (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && syscall(CALL_RESTRICT, ruleset, 0) == 0) ||
           error_set_errno(err, ERROR_IO, errno, "limiting this process to its files");
}

bool sandbox_limit_files(const sandbox_profile *profile, sandbox_walls *walls, error *err) {
    long version = syscall(CALL_CREATE, NULL, 0, VERSION_QUESTION);
    if (version < 1) {
        return true; /* not built in, or not switched on */
    }
    ruleset_attributes handled = {
        .fs = known_rights[(version < VERSIONS_KNOWN ? version : (long)VERSIONS_KNOWN) - 1]};
    bool any_port = profile->ports == NULL && (profile->rights & SANDBOX_CONNECT) != 0;
    if (version >= VERSION_PORTS) {
        handled.net = any_port ? net_all & ~net_connect_tcp : net_all;
    }
    handled.scoped = version >= VERSION_SCOPES ? 3 : 0;
    int ruleset = (int)syscall(CALL_CREATE, &handled, sizeof handled, 0);
    if (ruleset < 0) {
        return error_set_errno(err, ERROR_IO, errno, "making a Landlock ruleset");
    }
    bool entered = fill_and_enter(ruleset, profile, &handled, err);
    close(ruleset);
    walls->files = entered;
    walls->ports = entered && version >= VERSION_PORTS;
    return entered;
}
