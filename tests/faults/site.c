#include "site.h"

#include "codec/http1.h"
#include "codec/json.h"
#include "crypto/start.h"
#include "os/file.h"
#include "os/random.h"

#include <fcntl.h>
#include <ftw.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    START_MS = 20000,
    STOP_MS = 20000,
    POLL_MS = 5,
    LOG_SHOWN = 4000,
    BODY_LIMIT = 4 * 1024 * 1024,
    QUEUE_MS = 1000
};

static void must(bool good, const error *err) {
    if (!good) {
        fail_msg("%s", err->text);
    }
}

/* --- processes --- */

static bool leaks_count = true;

void program_count_leaks(bool count) {
    leaks_count = count;
}

pid_t program_start(const char *const *arguments, const char *log) {
    pid_t process = fork();
    if (process == 0) {
        int out = open(log, O_WRONLY | O_CREAT | O_APPEND, 0600);
        /* Unlike the program's own 1. */
        (void)setenv("ASAN_OPTIONS", leaks_count ? "exitcode=99" : "exitcode=99:detect_leaks=0", 1);
        (void)setenv("UBSAN_OPTIONS", "exitcode=99:print_stacktrace=1", 1);
        if (out >= 0 && dup2(out, 1) >= 0 && dup2(out, 2) >= 0) {
            execv("/proc/self/exe", (char *const *)(uintptr_t)arguments);
        }
        _exit(127);
    }
    assert_true(process > 0);
    return process;
}

static int exit_code(int status) {
    return WIFEXITED(status) ? WEXITSTATUS(status) : 256 + WTERMSIG(status);
}

int program_wait_for(pid_t process, int milliseconds) {
    int status = 0;
    for (int waited = 0; waited < milliseconds; waited += POLL_MS) {
        if (waitpid(process, &status, WNOHANG) == process) {
            return exit_code(status);
        }
        usleep(POLL_MS * 1000);
    }
    (void)kill(process, SIGKILL);
    (void)waitpid(process, &status, 0);
    return exit_code(status);
}

int program_wait(pid_t process) {
    return program_wait_for(process, STOP_MS);
}

void site_show_log(const site *s) {
    buffer text = buffer_make(SIZE_MAX / 2);
    error err;
    if (file_read_all(s->log, &text, &err)) {
        slice all = buffer_slice(&text);
        slice end = slice_after(all, all.length > LOG_SHOWN ? all.length - LOG_SHOWN : 0);
        fprintf(stderr, "%.*s\n", SLICE_FORMAT(end));
    }
    buffer_free(&text);
}

void site_expect_alive(const site *s) {
    int status = 0;
    if (waitpid(s->pool, &status, WNOHANG) != 0) {
        ((site *)(uintptr_t)s)->pool = 0;
        fail_msg("the pool has ended with status %d", exit_code(status));
    }
}

/* --- the site --- */

/* One that is free now. */
static uint16_t find_port(void) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t size = sizeof address;
    int probe = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(probe, (struct sockaddr *)&address, size), 0);
    assert_int_equal(getsockname(probe, (struct sockaddr *)&address, &size), 0);
    close(probe);
    return ntohs(address.sin_port);
}

static void make_folder(site *s) {
    snprintf(s->folder, sizeof s->folder, "/tmp/cellule-faults-XXXXXX");
    assert_non_null(mkdtemp(s->folder));
}

void site_add_setting(site *s, const char *line) {
    char path[128];
    snprintf(path, sizeof path, "%s/pool.yaml", s->folder);
    FILE *settings = fopen(path, "ae");
    assert_non_null(settings);
    fprintf(settings, "%s\n", line);
    assert_int_equal(fclose(settings), 0);
}

static void make_site(site *s) {
    snprintf(s->log, sizeof s->log, "%s/made", s->folder);
    char address[32];
    s->port = find_port();
    snprintf(address, sizeof address, "127.0.0.1:%u", s->port);
    const char *const arguments[] = {"cellule",  "pool",  "init",   "--site", s->folder,
                                     "--listen", address, "--json", NULL};
    assert_int_equal(program_wait(program_start(arguments, s->log)), 0);
    reply made = {.body = buffer_make(BODY_LIMIT)};
    char id[2 * HASH_SIZE + 1];
    char line[64];
    error err;
    must(file_read_all(s->log, &made.body, &err), &err);
    reply_text(&made, "admin_key", s->admin_key, sizeof s->admin_key);
    reply_text(&made, "pool_id", id, sizeof id);
    assert_true(hex_decode(slice_of_text(id), s->pool_id, sizeof s->pool_id));
    reply_text(&made, "ca_pin", id, sizeof id);
    assert_true(hex_decode(slice_of_text(id), s->ca_pin, sizeof s->ca_pin));
    s->tls = net_tls_client_new(&(net_tls_client_options){.pin = s->ca_pin}, &err);
    must(s->tls != NULL, &err);
    buffer_free(&made.body);
    snprintf(line, sizeof line, "queue_deadline_ms: %d", QUEUE_MS);
    site_add_setting(s, line);
}

size_t site_count_logged(const site *s, const char *text) {
    buffer log = buffer_make(BODY_LIMIT);
    error err;
    size_t count = 0;
    if (file_read_all(s->log, &log, &err)) {
        slice rest = buffer_slice(&log);
        for (size_t at = 0; (at = slice_find_slice(rest, slice_of_text(text))) != SIZE_MAX; count++) {
            rest = slice_after(rest, at + strlen(text));
        }
    }
    buffer_free(&log);
    return count;
}

void site_make(site *s) {
    uint64_t seed = 0;
    error err;
    must(crypto_start(&err) && random_bytes(&seed, sizeof seed, &err), &err);
    json_start(seed);
    wire_start(&s->wire);
    make_folder(s);
    make_site(s);
    snprintf(s->log, sizeof s->log, "%s/log", s->folder);
}

void site_serve(site *s) {
    static const char served[] = "event=serving";
    const char *const arguments[] = {"cellule", "pool", "run", "--unconfined", "--site", s->folder, NULL};
    size_t before = site_count_logged(s, served);
    s->pool = program_start(arguments, s->log);
    bool serving = false;
    for (int waited = 0; !serving && waited < START_MS; waited += POLL_MS) {
        usleep(POLL_MS * 1000);
        site_expect_alive(s);
        serving = site_count_logged(s, served) > before;
    }
    assert_true(serving);
}

void site_stop(site *s) {
    pid_t pool = s->pool;
    s->pool = 0;
    (void)kill(pool, SIGTERM);
    int status = program_wait(pool);
    if (status != 0) {
        fail_msg("the pool ended with status %d", status);
    }
}

static int remove_entry(const char *path, const struct stat *status, int kind, struct FTW *place) {
    (void)status;
    (void)kind;
    (void)place;
    return remove(path);
}

void folder_remove(const char *folder) {
    (void)nftw(folder, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
}

void site_destroy(site *s) {
    if (s->pool > 0) {
        (void)kill(s->pool, SIGKILL);
        (void)program_wait(s->pool);
    }
    net_tls_free(s->tls);
    s->tls = NULL;
    wire_stop(&s->wire);
    folder_remove(s->folder);
}

/* --- clients --- */

bool client_connect(client *c) {
    if (c->connected && c->wire.closed) {
        client_disconnect(c);
    }
    if (!c->connected) {
        wire_connect(&c->site->wire, &c->wire, c->site->port, c->site->tls);
        c->connected = true;
        wire_run_until(&c->site->wire, wire_is_settled, &c->wire);
    }
    return !c->wire.closed;
}

void client_disconnect(client *c) {
    if (c->connected) {
        wire_client_free(&c->site->wire, &c->wire);
        c->connected = false;
    }
}

void client_free(client *c) {
    client_disconnect(c);
    buffer_free(&c->reply.body);
}

bool client_send(client *c, const char *method, const char *path, const char *key, const char *body) {
    if (!c->connected || c->wire.closed) {
        return false;
    }
    buffer text = buffer_make(BODY_LIMIT);
    buffer_clear(&c->wire.received);
    buffer_append_format(&text, "%s %s HTTP/1.1\r\nHost: 127.0.0.1\r\n", method, path);
    if (c->mode != NULL && body != NULL) {
        buffer_append_format(&text, "X-Cellule-Verify: %s\r\n", c->mode);
    }
    if (key != NULL) {
        buffer_append_format(&text, "Authorization: Bearer %s\r\n", key);
    }
    buffer_append_format(&text, "Content-Length: %zu\r\n\r\n%s", body == NULL ? 0 : strlen(body),
                         body == NULL ? "" : body);
    assert_false(buffer_failed(&text));
    bool sent = net_stream_write(c->wire.stream, buffer_slice(&text));
    buffer_free(&text);
    return sent;
}

/* Takes the answer apart; true when it is complete. */
static bool read_reply(client *c) {
    static const char job_field[] = "X-Cellule-Job";
    http1_limits limits = http1_limits_default(BODY_LIMIT);
    http1_head head = {0};
    http1_body body = {0};
    slice rest = buffer_slice(&c->wire.received);
    slice job = {0};
    size_t taken = 0;
    error err;
    if (http1_response_parse(rest, &limits, &head, &taken, &err) != HTTP1_DONE) {
        return false;
    }
    c->reply.status = head.status;
    if (http1_find(&head, slice_of_text(job_field), &job)) {
        snprintf(c->reply.job, sizeof c->reply.job, "%.*s", SLICE_FORMAT(job));
    }
    buffer_clear(&c->reply.body);
    http1_body_start(&body, &head, &limits);
    http1_progress progress = HTTP1_MORE;
    while (progress == HTTP1_MORE) {
        slice data = {0};
        rest = slice_after(rest, taken);
        progress = http1_body_decode(&body, rest, &taken, &data, &err);
        buffer_append(&c->reply.body, data);
        if (progress == HTTP1_MORE && taken == 0) {
            break;
        }
    }
    assert_int_not_equal(progress, HTTP1_BAD);
    return progress == HTTP1_DONE;
}

static bool is_answered(void *context) {
    client *c = context;
    return c->wire.closed || read_reply(c);
}

const reply *client_wait(client *c) {
    buffer_free(&c->reply.body);
    c->reply = (reply){.body = buffer_make(BODY_LIMIT)};
    if (!c->connected) {
        c->reply.cut = true;
        return &c->reply;
    }
    wire_run_until(&c->site->wire, is_answered, c);
    c->reply.cut = !read_reply(c);
    return &c->reply;
}

const reply *client_ask(client *c, const char *method, const char *path, const char *key, const char *body) {
    if (client_connect(c)) {
        (void)!client_send(c, method, path, key, body);
    }
    return client_wait(c);
}

void reply_text(const reply *r, const char *name, char *text, size_t size) {
    error err = {0};
    slice value = {0};
    json_value *root =
        json_parse(buffer_slice(&r->body), (json_limits){.size = BODY_LIMIT, .depth = 8}, &err);
    must(root != NULL && json_get_text(root, name, &value, &err) && value.length < size, &err);
    memcpy(text, value.data, value.length);
    text[value.length] = '\0';
    json_free(root);
}

bool reply_has(const reply *r, const char *text) {
    return slice_find_slice(buffer_slice(&r->body), slice_of_text(text)) != SIZE_MAX;
}
