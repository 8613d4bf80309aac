#include "auth/role.h"

enum {
    AUTH_EMPLOYEE_BIT = 1 << AUTH_EMPLOYEE,
    AUTH_WORKER_OWNER_BIT = 1 << AUTH_WORKER_OWNER,
    AUTH_IT_ADMIN_BIT = 1 << AUTH_IT_ADMIN,
    AUTH_SECURITY_OFFICER_BIT = 1 << AUTH_SECURITY_OFFICER
};

static const struct {
    const char *name;
    unsigned roles;
} actions[] = {
#define X(action, text, bits) [action] = {text, bits},
    AUTH_ACTIONS(X)
#undef X
};

static const char *const roles[] = {
#define X(role, text) [role] = text,
    AUTH_ROLES(X)
#undef X
};

bool auth_allowed(auth_role role, auth_action action) {
    return (unsigned)role < AUTH_ROLE_COUNT && (unsigned)action < AUTH_ACTION_COUNT &&
           (actions[action].roles & 1U << role) != 0;
}

bool auth_is_privileged(auth_action action) {
    return action != AUTH_ASK && action != AUTH_MODELS_LIST && action != AUTH_RECEIPT_READ_OWN &&
           action != AUTH_LOG_VERIFY && action != AUTH_SESSION_OWN && action != AUTH_MEMORY_OWN &&
           action != AUTH_KEY_LIST_OWN;
}

bool auth_is_entered(auth_action action) {
    return auth_is_privileged(action) && action != AUTH_METRICS_READ;
}

bool auth_role_parse(slice name, auth_role *role) {
    for (unsigned i = 0; i < AUTH_ROLE_COUNT; i++) {
        if (slice_equal_text(name, roles[i])) {
            *role = (auth_role)i;
            return true;
        }
    }
    *role = AUTH_ROLE_COUNT;
    return false;
}

const char *auth_role_name(auth_role role) {
    return (unsigned)role < AUTH_ROLE_COUNT ? roles[role] : "unknown";
}

const char *auth_action_name(auth_action action) {
    return (unsigned)action < AUTH_ACTION_COUNT ? actions[action].name : "unknown";
}
