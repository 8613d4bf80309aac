#include "route_table.h"

#include "admin_users.h"
#include "admin_workers.h"
#include "audit/api.h"
#include "chat.h"
#include "enrol/approvals.h"
#include "enrol/certificates.h"
#include "enrol/enrolments.h"
#include "enrol/tokens.h"
#include "memory/conversations.h"
#include "memory/gate.h"
#include "memory/keys.h"
#include "observe.h"
#include "own_keys.h"
#include "privacy/api.h"
#include "privacy/everything.h"
#include "proof/admin.h"
#include "receipts.h"
#include "rekey/rekey.h"
#include "revoke/admin.h"
#include "secrets/secrets.h"
#include "session.h"
#include "sso/backchannel.h"
#include "sso/browser.h"
#include "sso/device.h"
#include "sso/scim.h"
#include "sso/session_api.h"

/* What strangers may call carries its own proof, or tells nothing that a stranger may not know. */
#define OPEN(method, path, handler, help)                                                                    \
    { method, path, help, AUTH_ACTION_COUNT, AUDIT_OF_NOTHING, NULL, handler }
#define ROUTE(method, path, action, subject, handler, help)                                                  \
    { method, path, help, action, subject, handler, NULL }

const route route_table[] = {
    OPEN("GET", "/healthz", observe_health, "the loop runs"),
    OPEN("GET", "/readyz", observe_ready, "it can take requests"),
    OPEN("GET", "/v1/pool", observe_pool, "the pool's id and public key"),
    OPEN("GET", "/v1/pool/keys", observe_keys,
         "all keys that the pool has had, each named by the one before"),
    OPEN("GET", "/v1/release", observe_release, "the program that the pool runs, and its signed manifest"),
    OPEN("GET", "/v1/worker", session_accept, "workers connect here (WebSocket)"),
    OPEN("POST", "/v1/worker/enrol", admin_enrol, "a machine enrols, with a join token"),
    OPEN("POST", "/v1/worker/certificate", certificate_request, "a worker gets its TLS certificate"),
    OPEN("GET", "/.well-known/jwks.json", session_api_keys, "the keys that session tokens are verified with"),
    OPEN("POST", "/auth/token", session_api_token, "new session tokens for a refresh token"),
    OPEN("GET", "/auth/login", browser_login, "send a browser to the identity provider"),
    OPEN("GET", "/auth/callback", browser_callback, "where the identity provider sends it back"),
    OPEN("POST", "/auth/refresh", browser_refresh, "new cookies for a browser that is logged in"),
    OPEN("POST", "/auth/logout", browser_logout, "end a browser's session"),
    OPEN("POST", "/auth/backchannel-logout", backchannel_logout,
         "an identity provider says whose session has ended with it"),
    OPEN("POST", "/auth/device", device_authorize, "begin a login by single sign-on from a program"),
    OPEN("GET", "/scim/v2/Users", scim_list,
         "an identity provider lists those it knows here, with its SCIM token"),
    OPEN("GET", "/scim/v2/Users/*", scim_get, "one of them"),
    OPEN("PATCH", "/scim/v2/Users/*", scim_patch, "it says whether somebody is active"),
    OPEN("PUT", "/scim/v2/Users/*", scim_put, "the same"),
    OPEN("DELETE", "/scim/v2/Users/*", scim_delete, "it shuts somebody out"),
    ROUTE("POST", "/v1/session", AUTH_SESSION_OWN, AUDIT_OF_NOTHING, session_api_make,
          "make a session with a key"),
    ROUTE("GET", "/v1/session", AUTH_SESSION_OWN, AUDIT_OF_NOTHING, session_api_show, "who asks"),
    ROUTE("POST", "/v1/session/end", AUTH_SESSION_OWN, AUDIT_OF_NOTHING, session_api_leave,
          "end the session that asks"),
    ROUTE("GET", "/v1/keys", AUTH_KEY_LIST_OWN, AUDIT_OF_NOTHING, own_key_list, "list one's own keys"),
    ROUTE("POST", "/v1/keys", AUTH_KEY_OWN, AUDIT_OF_NOTHING, own_key_add, "make a further key of one's own"),
    ROUTE("POST", "/v1/keys/*/revoke", AUTH_KEY_OWN, AUDIT_OF_SEGMENT, own_key_revoke,
          "revoke another of one's own keys"),
    ROUTE("POST", "/v1/chat/completions", AUTH_ASK, AUDIT_OF_NOTHING, chat_completions, "ask a question"),
    ROUTE("GET", "/v1/models", AUTH_MODELS_LIST, AUDIT_OF_NOTHING, observe_models,
          "the models that can be asked"),
    ROUTE("GET", "/v1/models/*", AUTH_MODELS_LIST, AUDIT_OF_SEGMENT, observe_model, "one of these models"),
    ROUTE("GET", "/v1/receipts/*", AUTH_RECEIPT_READ_OWN, AUDIT_OF_SEGMENT, receipts_get,
          "the receipt of one's own answer"),
    ROUTE("POST", "/v1/memory/unlock", AUTH_MEMORY_OWN, AUDIT_OF_NOTHING, memory_unlock,
          "open what one keeps, with one of one's keys"),
    ROUTE("POST", "/v1/memory/lock", AUTH_MEMORY_OWN, AUDIT_OF_NOTHING, memory_lock, "close it again"),
    ROUTE("POST", "/v1/memory/keys", AUTH_MEMORY_OWN, AUDIT_OF_NOTHING, memory_key_add,
          "have another of one's keys open it"),
    ROUTE("DELETE", "/v1/memory/keys/*", AUTH_MEMORY_OWN, AUDIT_OF_SEGMENT, memory_key_remove,
          "have a key open it no more"),
    ROUTE("GET", "/v1/conversations", AUTH_MEMORY_OWN, AUDIT_OF_NOTHING, conversations_list,
          "list the conversations that one keeps"),
    ROUTE("POST", "/v1/conversations/search", AUTH_MEMORY_OWN, AUDIT_OF_NOTHING, conversations_search,
          "look for words in them"),
    ROUTE("GET", "/v1/conversations/*/export", AUTH_MEMORY_OWN, AUDIT_OF_SEGMENT, conversation_export,
          "one of them as a file"),
    ROUTE("GET", "/v1/conversations/*", AUTH_MEMORY_OWN, AUDIT_OF_SEGMENT, conversation_show,
          "read one of them"),
    ROUTE("POST", "/v1/conversations/*", AUTH_MEMORY_OWN, AUDIT_OF_SEGMENT, conversation_rename, "rename it"),
    ROUTE("DELETE", "/v1/conversations/*", AUTH_MEMORY_OWN, AUDIT_OF_SEGMENT, conversation_delete,
          "delete it"),
    ROUTE("GET", "/v1/privacy/export", AUTH_MEMORY_OWN, AUDIT_OF_NOTHING, privacy_export,
          "all that is kept of oneself, as one file"),
    ROUTE("POST", "/v1/privacy/erase", AUTH_PRIVACY_ERASE_OWN, AUDIT_OF_NOTHING, privacy_erase,
          "erase all that one keeps"),
    ROUTE("GET", "/metrics", AUTH_METRICS_READ, AUDIT_OF_NOTHING, observe_metrics, "figures for Prometheus"),
    ROUTE("GET", "/v1/admin/status", AUTH_METRICS_READ, AUDIT_OF_NOTHING, observe_status, "how the pool is"),
    ROUTE("POST", "/v1/admin/users", AUTH_USER_ADD, AUDIT_OF_NAME, admin_user_add,
          "add a user with a first key"),
    ROUTE("GET", "/v1/admin/users", AUTH_USER_LIST, AUDIT_OF_NOTHING, admin_user_list, "list users"),
    ROUTE("POST", "/v1/admin/users/*/disable", AUTH_USER_DISABLE, AUDIT_OF_PERSON, admin_user_disable,
          "shut a user out, with all keys"),
    ROUTE("POST", "/v1/admin/users/*/erase", AUTH_PRIVACY_ERASE, AUDIT_OF_PERSON, admin_user_erase,
          "erase all that a user keeps, at that person's request"),
    ROUTE("GET", "/v1/admin/privacy", AUTH_PRIVACY_READ, AUDIT_OF_NOTHING, admin_privacy,
          "how much users keep, in figures, and for how long"),
    ROUTE("POST", "/v1/admin/users/*/keys", AUTH_KEY_ADD, AUDIT_OF_PERSON, admin_key_add,
          "give a user a further key"),
    ROUTE("GET", "/v1/admin/users/*/keys", AUTH_KEY_LIST, AUDIT_OF_PERSON, admin_key_list,
          "list a user's keys"),
    ROUTE("POST", "/v1/admin/keys/*/revoke", AUTH_KEY_REVOKE, AUDIT_OF_SEGMENT, admin_key_revoke,
          "revoke one key"),
    ROUTE("POST", "/v1/admin/keys/*/verify", AUTH_KEY_ADD, AUDIT_OF_WORDS, admin_key_set_verify,
          "say how a key's answers are checked"),
    ROUTE("GET", "/v1/admin/users/*/sessions", AUTH_SESSION_LIST, AUDIT_OF_PERSON, session_api_list,
          "list a user's sessions"),
    ROUTE("POST", "/v1/admin/sessions/*/end", AUTH_SESSION_END, AUDIT_OF_SEGMENT, session_api_end,
          "end a session"),
    ROUTE("POST", "/v1/admin/session-keys/rotate", AUTH_SESSION_KEY_ROTATE, AUDIT_OF_WORDS,
          session_api_rotate_key, "change the key that signs session tokens"),
    ROUTE("POST", "/v1/admin/join-tokens", AUTH_WORKER_TOKEN_ADD, AUDIT_OF_OWNER, admin_join_token_add,
          "make a join token"),
    ROUTE("POST", "/v1/enrolments", AUTH_ENROLMENT_REQUEST, AUDIT_OF_OWNER, enrolment_request,
          "ask that a machine be enrolled"),
    ROUTE("GET", "/v1/enrolments", AUTH_ENROLMENT_REQUEST, AUDIT_OF_NOTHING, approvals_list_own,
          "list one's own requests"),
    ROUTE("POST", "/v1/enrolments/*/token", AUTH_ENROLMENT_REQUEST, AUDIT_OF_SEGMENT, enrolment_token,
          "get the join token of one's approved request, once"),
    ROUTE("GET", "/v1/admin/approvals", AUTH_APPROVAL_LIST, AUDIT_OF_NOTHING, approvals_list,
          "list what was asked for and who approved it"),
    ROUTE("GET", "/v1/admin/approvals/*", AUTH_APPROVAL_LIST, AUDIT_OF_SEGMENT, approvals_get,
          "one request, exactly as it was written"),
    ROUTE("POST", "/v1/admin/approvals/*/approve", AUTH_APPROVAL_DECIDE, AUDIT_OF_HASH, approvals_approve,
          "approve another person's request"),
    ROUTE("POST", "/v1/admin/approvals/*/refuse", AUTH_APPROVAL_DECIDE, AUDIT_OF_SEGMENT, approvals_refuse,
          "refuse a request"),
    ROUTE("GET", "/v1/admin/workers", AUTH_WORKER_LIST, AUDIT_OF_NOTHING, admin_worker_list, "list workers"),
    ROUTE("POST", "/v1/admin/workers/*/revoke", AUTH_WORKER_REVOKE, AUDIT_OF_SEGMENT, admin_worker_revoke,
          "shut a worker out"),
    ROUTE("POST", "/v1/admin/workers/rotate", AUTH_WORKER_ROTATE, AUDIT_OF_NOTHING, admin_rotate_all,
          "have all workers exchange their keys"),
    ROUTE("GET", "/v1/admin/workers/rotate", AUTH_WORKER_LIST, AUDIT_OF_NOTHING, admin_rotation,
          "how far that is"),
    ROUTE("POST", "/v1/admin/workers/*/rotate", AUTH_WORKER_ROTATE, AUDIT_OF_SEGMENT, admin_rotate,
          "have one worker exchange its key"),
    ROUTE("POST", "/v1/admin/revoke/owner", AUTH_WORKER_REVOKE, AUDIT_OF_OWNER, admin_owner_revoke,
          "shut all workers of an owner out"),
    ROUTE("POST", "/v1/admin/revoke/everything", AUTH_EVERYTHING_REVOKE, AUDIT_OF_NOTHING,
          admin_everything_revoke, "shut everybody out, with a way back"),
    ROUTE("GET", "/v1/admin/secrets", AUTH_SECRET_LIST, AUDIT_OF_NOTHING, admin_secrets,
          "the pool's certificates, and who knows them"),
    ROUTE("POST", "/v1/admin/secrets/*/rotate", AUTH_SECRET_ROTATE, AUDIT_OF_WORDS, admin_secret_rotate,
          "exchange one of the pool's own secrets"),
    ROUTE("GET", "/v1/admin/standings", AUTH_PROOF_READ, AUDIT_OF_NOTHING, admin_standing_list,
          "what the pool thinks of its workers"),
    ROUTE("GET", "/v1/admin/workers/*/standing", AUTH_PROOF_READ, AUDIT_OF_SEGMENT, admin_standing_get,
          "what it thinks of one worker"),
    ROUTE("GET", "/v1/admin/workers/*/evidence", AUTH_PROOF_READ, AUDIT_OF_SEGMENT, admin_evidence_get,
          "the evidence of a conviction"),
    ROUTE("POST", "/v1/admin/workers/*/clear", AUTH_WORKER_CLEAR, AUDIT_OF_SEGMENT, admin_worker_clear,
          "let a worker begin anew"),
    ROUTE("GET", "/v1/admin/blacklist", AUTH_PROOF_READ, AUDIT_OF_NOTHING, admin_blacklist_get,
          "who may not serve: the blacklist"),
    ROUTE("POST", "/v1/admin/blacklist", AUTH_BLACKLIST_CHANGE, AUDIT_OF_LISTED, admin_blacklist_add,
          "put a worker, owner or machine on the blacklist"),
    ROUTE("POST", "/v1/admin/blacklist/remove", AUTH_BLACKLIST_CHANGE, AUDIT_OF_LISTED,
          admin_blacklist_remove, "take one off the blacklist"),
    ROUTE("GET", "/v1/admin/verifications", AUTH_PROOF_READ, AUDIT_OF_NOTHING, admin_verification_list,
          "the newest checks of answers"),
    ROUTE("GET", "/v1/admin/disputes", AUTH_PROOF_READ, AUDIT_OF_NOTHING, admin_dispute_list,
          "checks that a person has to decide"),
    ROUTE("GET", "/v1/admin/verifications/*", AUTH_PROOF_READ, AUDIT_OF_SEGMENT, admin_verification_get,
          "one check"),
    ROUTE("POST", "/v1/admin/verifications/*/decide", AUTH_WORKER_CLEAR, AUDIT_OF_WORDS,
          admin_verification_decide, "settle a dispute"),
    ROUTE("POST", "/v1/admin/verifications/*/judge", AUTH_WORKER_CLEAR, AUDIT_OF_SEGMENT,
          admin_verification_judge, "give a dispute to referees once more"),
    ROUTE("GET", "/v1/admin/honeytokens", AUTH_PROOF_READ, AUDIT_OF_NOTHING, admin_honeytoken_list,
          "markers, and where they were seen"),
    ROUTE("POST", "/v1/admin/honeytokens/check", AUTH_PROOF_READ, AUDIT_OF_NOTHING, admin_honeytoken_check,
          "look for markers in a text"),
    ROUTE("GET", "/v1/admin/notices", AUTH_PROOF_READ, AUDIT_OF_NOTHING, admin_notice_list,
          "answers that were found wrong"),
    ROUTE("GET", "/v1/audit/checkpoint", AUTH_LOG_VERIFY, AUDIT_OF_NOTHING, audit_get_checkpoint,
          "the audit log's signed state"),
    ROUTE("GET", "/v1/audit/proof/inclusion", AUTH_LOG_VERIFY, AUDIT_OF_NOTHING, audit_get_inclusion,
          "a proof that an entry is in the audit log"),
    ROUTE("GET", "/v1/audit/proof/consistency", AUTH_LOG_VERIFY, AUDIT_OF_NOTHING, audit_get_consistency,
          "a proof that the audit log only grew"),
    ROUTE("GET", "/v1/audit/entries", AUTH_AUDIT_READ, AUDIT_OF_NOTHING, audit_get_entries,
          "read the audit log"),
    ROUTE("POST", "/v1/audit/persons/*/erase", AUTH_PERSON_ERASE, AUDIT_OF_PERSON, audit_post_erase,
          "have the audit log tell nothing of a person any more"),
};

const size_t route_count = sizeof route_table / sizeof route_table[0];
