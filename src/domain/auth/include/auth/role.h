#ifndef AUTH_ROLE_H
#define AUTH_ROLE_H

#include "base/error.h"
#include "base/slice.h"

/* Who may do what: one table, deny by default. Role, name in the database, the API and the CLI. */
#define AUTH_ROLES(X)                                                                                        \
    X(AUTH_EMPLOYEE, "employee")                                                                             \
    X(AUTH_WORKER_OWNER, "worker_owner")                                                                     \
    X(AUTH_IT_ADMIN, "it_admin")                                                                             \
    X(AUTH_SECURITY_OFFICER, "security_officer")

typedef enum auth_role {
#define X(role, name) role,
    AUTH_ROLES(X)
#undef X
        AUTH_ROLE_COUNT
} auth_role;

/* Action, name for logs, roles. "Own" actions are about things that belong to the caller: whoever asks checks
 * that first. */
#define AUTH_EVERYBODY                                                                                       \
    (AUTH_EMPLOYEE_BIT | AUTH_WORKER_OWNER_BIT | AUTH_IT_ADMIN_BIT | AUTH_SECURITY_OFFICER_BIT)
#define AUTH_ACTIONS(X)                                                                                      \
    X(AUTH_ASK, "ask", AUTH_EVERYBODY)                                                                       \
    X(AUTH_MODELS_LIST, "models_list", AUTH_EVERYBODY)                                                       \
    X(AUTH_RECEIPT_READ_OWN, "receipt_read_own", AUTH_EVERYBODY)                                             \
    X(AUTH_USER_ADD, "user_add", AUTH_IT_ADMIN_BIT)                                                          \
    X(AUTH_USER_LIST, "user_list", AUTH_IT_ADMIN_BIT | AUTH_SECURITY_OFFICER_BIT)                            \
    X(AUTH_USER_DISABLE, "user_disable", AUTH_IT_ADMIN_BIT | AUTH_SECURITY_OFFICER_BIT)                      \
    X(AUTH_KEY_ADD, "key_add", AUTH_IT_ADMIN_BIT)                                                            \
    X(AUTH_KEY_LIST, "key_list", AUTH_IT_ADMIN_BIT | AUTH_SECURITY_OFFICER_BIT)                              \
    X(AUTH_KEY_REVOKE, "key_revoke", AUTH_IT_ADMIN_BIT | AUTH_SECURITY_OFFICER_BIT)                          \
    X(AUTH_WORKER_TOKEN_ADD, "worker_token_add", AUTH_IT_ADMIN_BIT)                                          \
    X(AUTH_ENROLMENT_REQUEST, "enrolment_request", AUTH_WORKER_OWNER_BIT | AUTH_IT_ADMIN_BIT)                \
    X(AUTH_APPROVAL_LIST, "approval_list", AUTH_IT_ADMIN_BIT | AUTH_SECURITY_OFFICER_BIT)                    \
    X(AUTH_APPROVAL_DECIDE, "approval_decide", AUTH_IT_ADMIN_BIT | AUTH_SECURITY_OFFICER_BIT)                \
    X(AUTH_RECOVERY_LIST, "recovery_list", AUTH_SECURITY_OFFICER_BIT)                                        \
    X(AUTH_RECOVERY_DECIDE, "recovery_decide", AUTH_SECURITY_OFFICER_BIT)                                    \
    X(AUTH_WORKER_LIST, "worker_list", AUTH_IT_ADMIN_BIT | AUTH_SECURITY_OFFICER_BIT)                        \
    X(AUTH_WORKER_REVOKE, "worker_revoke", AUTH_IT_ADMIN_BIT | AUTH_SECURITY_OFFICER_BIT)                    \
    X(AUTH_WORKER_ROTATE, "worker_rotate", AUTH_IT_ADMIN_BIT | AUTH_SECURITY_OFFICER_BIT)                    \
    X(AUTH_EVERYTHING_REVOKE, "everything_revoke", AUTH_IT_ADMIN_BIT | AUTH_SECURITY_OFFICER_BIT)            \
    X(AUTH_SECRET_LIST, "secret_list", AUTH_IT_ADMIN_BIT | AUTH_SECURITY_OFFICER_BIT)                        \
    X(AUTH_SECRET_ROTATE, "secret_rotate", AUTH_IT_ADMIN_BIT | AUTH_SECURITY_OFFICER_BIT)                    \
    X(AUTH_PROOF_READ, "proof_read", AUTH_IT_ADMIN_BIT | AUTH_SECURITY_OFFICER_BIT)                          \
    X(AUTH_WORKER_CLEAR, "worker_clear", AUTH_IT_ADMIN_BIT | AUTH_SECURITY_OFFICER_BIT)                      \
    X(AUTH_BLACKLIST_CHANGE, "blacklist_change", AUTH_IT_ADMIN_BIT | AUTH_SECURITY_OFFICER_BIT)              \
    X(AUTH_METRICS_READ, "metrics_read", AUTH_IT_ADMIN_BIT | AUTH_SECURITY_OFFICER_BIT)                      \
    X(AUTH_LOG_VERIFY, "log_verify", AUTH_EVERYBODY)                                                         \
    X(AUTH_AUDIT_READ, "audit_read", AUTH_IT_ADMIN_BIT | AUTH_SECURITY_OFFICER_BIT)                          \
    X(AUTH_PERSON_ERASE, "person_erase", AUTH_SECURITY_OFFICER_BIT)                                          \
    X(AUTH_SESSION_OWN, "session_own", AUTH_EVERYBODY)                                                       \
    X(AUTH_MEMORY_OWN, "memory_own", AUTH_EVERYBODY)                                                         \
    X(AUTH_PRIVACY_ERASE_OWN, "privacy_erase_own", AUTH_EVERYBODY)                                           \
    X(AUTH_PRIVACY_ERASE, "privacy_erase", AUTH_SECURITY_OFFICER_BIT)                                        \
    X(AUTH_PRIVACY_READ, "privacy_read", AUTH_IT_ADMIN_BIT | AUTH_SECURITY_OFFICER_BIT)                      \
    X(AUTH_KEY_LIST_OWN, "key_list_own", AUTH_EVERYBODY)                                                     \
    X(AUTH_KEY_OWN, "key_own", AUTH_EVERYBODY)                                                               \
    X(AUTH_SESSION_LIST, "session_list", AUTH_IT_ADMIN_BIT | AUTH_SECURITY_OFFICER_BIT)                      \
    X(AUTH_SESSION_END, "session_end", AUTH_IT_ADMIN_BIT | AUTH_SECURITY_OFFICER_BIT)                        \
    X(AUTH_SESSION_KEY_ROTATE, "session_key_rotate", AUTH_IT_ADMIN_BIT | AUTH_SECURITY_OFFICER_BIT)

typedef enum auth_action {
#define X(action, name, roles) action,
    AUTH_ACTIONS(X)
#undef X
        AUTH_ACTION_COUNT
} auth_action;

/* False for anything outside the table. */
MUST_CHECK bool auth_allowed(auth_role role, auth_action action);

/* Whether refusals of it go into the audit log: of all but what anybody does for themselves. Making and
 * revoking keys of one's own, and erasing what one keeps, is nevertheless. True for anything outside the
 * table. */
bool auth_is_privileged(auth_action action);
/* Whether doing it does: of the privileged all but reading the figures, which monitors do each few seconds,
 * and must be able to when the log can't be written. */
bool auth_is_entered(auth_action action);

/* The names above. Parsing is exact. */
MUST_CHECK bool auth_role_parse(slice name, auth_role *role);
const char *auth_role_name(auth_role role);
const char *auth_action_name(auth_action action);

#endif
