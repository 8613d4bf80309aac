#ifndef NET_INTERNAL_H
#define NET_INTERNAL_H

#include "base/buffer.h"
#include "net/net.h"

#include <netinet/in.h>
#include <openssl/ssl.h>
#include <sys/socket.h>

enum { SCRATCH_SIZE = 65536, ADDRESSES_TRIED = 8, HOST_SIZE = 256 };

enum { TLS_NAME_SIZE = 256 };

struct net_tls {
    size_t references;
    SSL_CTX *context;
    bool is_server;
    uint8_t pin[NET_TLS_PIN_SIZE];
    X509 *client_authority; /* server: clients are asked for its certificates; NULL: for none */
    SSL_SESSION *session;   /* client: the last one a server gave, for coming back cheaply; NULL: none */
    char session_name[TLS_NAME_SIZE]; /* the host that it is of */
};

typedef union net_address {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
} net_address;

struct net {
    ev_loop *loop;
    net_config config;
    list_node streams;
    list_node listeners;
    size_t stream_count;
    size_t accepted_count;
    list_node dirty; /* streams with output to send at the end of the turn */
    ev_deferred flush;
    list_node handshakes; /* streams that can take a further handshake step */
    list_node arrivals;   /* streams that can take the first one */
    size_t handshakes_begun;
    uint64_t arrival_at; /* when the latest arrival beyond HANDSHAKES_AT_ONCE was let in */
    ev_timer handshake_turn;
    uint8_t scratch[SCRATCH_SIZE]; /* what every read goes into: a stream holds no read buffer of its own */
};

struct net_listener {
    list_node node;
    net *owner;
    int descriptor;
    ev_watch *watch;
    ev_timer pause; /* while no descriptor is free */
    net_tls *tls;
    uint16_t port;
    void (*on_accept)(void *context, net_stream *stream);
    void *context;
};

/* What one attempt at input or output came to. */
typedef enum transfer {
    TRANSFER_DONE,
    TRANSFER_WANT_READ,
    TRANSFER_WANT_WRITE,
    TRANSFER_END,
    TRANSFER_FAILED
} transfer;

/* Plain or TLS. `read` and `write` move at most `length` bytes and set *moved when done. */
typedef struct transport {
    transfer (*read)(net_stream *stream, uint8_t *bytes, size_t length, size_t *moved);
    transfer (*write)(net_stream *stream, slice bytes, size_t *moved);
    bool (*holds_input)(const net_stream *stream); /* bytes that the descriptor won't tell about */
    void (*say_goodbye)(net_stream *stream);
} transport;

extern const transport transport_plain;
extern const transport transport_tls;

typedef enum stream_state {
    STREAM_LOOKING_UP,
    STREAM_CONNECTING,
    STREAM_HANDSHAKING,
    STREAM_OPEN,
    STREAM_CLOSING,   /* sends what is queued */
    STREAM_LINGERING, /* all sent and told; takes what the peer still sends, so that it isn't reset */
    STREAM_CLOSED     /* on_closed is still to be told */
} stream_state;

typedef struct lookup lookup;

/* What only net_connect needs. */
typedef struct connecting {
    net_address addresses[ADDRESSES_TRIED];
    size_t count;
    size_t next;
    lookup *lookup; /* under way, or NULL */
    ev_deferred start;
    char host[HOST_SIZE];
} connecting;

struct net_stream {
    list_node node;
    list_node queued; /* in the owner's `dirty`, `handshakes` or `arrivals` */
    net *owner;
    const transport *transport;
    const net_stream_handlers *handlers;
    void *context;
    ev_watch *watch;
    SSL *ssl;
    net_tls *tls;
    net_listener *listener; /* until on_accept */
    connecting *connecting; /* until connected */
    error *cause;           /* until told */
    buffer output;
    uint64_t last_progress;
    ev_timer timer;
    ev_deferred again; /* more to read, or on_closed to tell */
    int descriptor;
    stream_state state;
    net_address peer;
    bool accepted;
    bool handshake_begun;
    bool reading_paused;
    bool input_ended;
    bool end_told;
    bool output_waits;     /* for the descriptor */
    bool wants_drained;    /* tell on_drained even if it never waited */
    bool read_wants_write; /* TLS has to send before it can read on */
};

/* Adds a stream for `descriptor` (-1: none yet; closed on failure). NULL if memory is out. */
net_stream *stream_new(net *n, int descriptor, error *err);
/* Takes over a descriptor that was not there before. */
MUST_CHECK bool stream_set_descriptor(net_stream *stream, int descriptor, error *err);
/* Closes it, so that another may be tried. */
void stream_drop_descriptor(net_stream *stream);
MUST_CHECK bool stream_set_tls(net_stream *stream, net_tls *tls, const char *server_name, error *err);
/* Connected (and accepted or connecting): handshake if TLS, else open. */
void stream_begin(net_stream *stream);
/* Ready for use: tells whoever waited for it. */
void stream_opened(net_stream *stream);
/* Lets go of everything now; on_closed is told in this turn. `cause` may be NULL. */
void stream_finish(net_stream *stream, const error *cause);
void stream_fail(net_stream *stream, error_code code, const char *text);
/* As stream_finish, but tells and frees at once. */
void stream_destroy(net_stream *stream);
/* What to wait for, from the state. */
void stream_watch(net_stream *stream);
void stream_flush(net_stream *stream);

void handshake_ready(net_stream *stream);
void handshake_over(net_stream *stream);
void run_handshakes(void *argument);

void connect_next(net_stream *stream);
void connect_finished(net_stream *stream);
void connecting_free(net_stream *stream);

void listener_accept_again(net *n);

/* Puts OpenSSL's latest error behind `what`. Always false. */
bool tls_error(error *err, const char *what);
void tls_clear_errors(void);
SSL *tls_new_session(net_tls *tls, int descriptor, const char *server_name, error *err);
net_tls *tls_hold(net_tls *tls);

#endif
