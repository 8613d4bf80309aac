#ifndef FAULTS_SITE_H
#define FAULTS_SITE_H

#include "fault_control.h"
#include "wire.h"

#include "crypto/sign.h"
#include "ledger/receipt.h"

#include <sys/types.h>

/* A real site for tests: made by `pool init`, served by `pool run` in another process (this program, run
 * again). Clients are here, over TLS. Everything fails the test when it can't go on. */
typedef struct site {
    wire wire;
    char folder[64];
    char log[96]; /* what the pool writes */
    pid_t pool;
    uint16_t port;
    net_tls *tls; /* of clients: pins the CA, so the pool's whole chain is needed */
    uint8_t ca_pin[NET_TLS_PIN_SIZE];
    uint8_t pool_id[HASH_SIZE];
    char admin_key[64];
} site;

void site_make(site *s);
void site_serve(site *s);
/* One more line of its settings, before it is served. */
void site_add_setting(site *s, const char *line);
void folder_remove(const char *folder);
/* SIGTERM, and the pool must end well: no leak, no report of a sanitizer. */
void site_stop(site *s);
/* Ends what is left of it, without asking how. */
void site_destroy(site *s);
void site_show_log(const site *s);
/* How often the text stands in the log. */
size_t site_count_logged(const site *s, const char *text);
/* Fails the test if the pool has ended. */
void site_expect_alive(const site *s);

/* Runs this program with those arguments (NULL at the end), output to `log`; returns at once. */
pid_t program_start(const char *const *arguments, const char *log);
/* Whether a leak fails the programs started from now on (it does at first). OpenSSL 3.0 itself leaks when
 * memory is out while it is first set up. */
void program_count_leaks(bool count);
/* The exit status, or 256 and the signal. */
int program_wait(pid_t process);
int program_wait_for(pid_t process, int milliseconds);

/* One answer. */
typedef struct reply {
    bool cut; /* the connection ended before the answer did, or there was none */
    unsigned status;
    buffer body;
    char job[33]; /* X-Cellule-Job */
} reply;

typedef struct client {
    site *site;
    wire_client wire;
    bool connected;   /* `wire` is to be freed */
    const char *mode; /* X-Cellule-Verify of its questions, or NULL */
    reply reply;
} client;

/* Connects if needed; false if the pool hung up. */
bool client_connect(client *c);
void client_disconnect(client *c);
/* Sends; `key` may be NULL, `body` may be NULL. False if there is no connection any more. */
bool client_send(client *c, const char *method, const char *path, const char *key, const char *body);
/* Waits for the answer, which is in c->reply until the next call. Fails the test after 10 s. */
const reply *client_wait(client *c);
/* Both. A connection that is gone gives a reply that says so. */
const reply *client_ask(client *c, const char *method, const char *path, const char *key, const char *body);
void client_free(client *c);

/* The text of a member of the answer's JSON object; fails the test if there is none. */
void reply_text(const reply *r, const char *name, char *text, size_t size);
bool reply_has(const reply *r, const char *text);

#endif
