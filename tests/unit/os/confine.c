#include "os/sandbox.h"

#include "unit.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

/* Each test runs a child that gives up its rights and tries one thing; its exit status says how that went. */
enum { DONE = 0, REFUSED = 10, OTHER = 11, NO_WALL = 12 };

static char folder[] = "/tmp/cellule-confine-XXXXXX";
static char inside[64];
static char outside[] = "/tmp/cellule-outside-XXXXXX";
static char secret[64];
static int opened = -1; /* a file that was opened before */
static int listener = -1;
static uint16_t port;

static int outcome(long result) {
    return result >= 0 ? DONE : errno == EPERM || errno == EACCES ? REFUSED : OTHER;
}

static int try_with(const sandbox_profile *profile, int (*attempt)(void)) {
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        error err;
        sandbox_walls walls;
        if (!sandbox_confine(profile, &walls, &err)) {
            _exit(OTHER);
        }
        _exit(walls.calls && walls.files && walls.ports ? attempt() : NO_WALL);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    int said = WIFEXITED(status) ? WEXITSTATUS(status) : OTHER;
    if (said == NO_WALL) {
        print_message("# the kernel lacks seccomp or Landlock 4\n");
        skip();
    }
    return said;
}

static const sandbox_profile nothing = {.rights = 0};

static void refuse(int (*attempt)(void)) {
    assert_int_equal(try_with(&nothing, attempt), REFUSED);
}

static int open_to_read(void) {
    return outcome(open(secret, O_RDONLY));
}

static int open_to_write(void) {
    return outcome(open(inside, O_WRONLY));
}

static int open_by_old_call(void) {
    return outcome(syscall(SYS_openat, AT_FDCWD, "/etc/hostname", O_RDONLY));
}

static int make_file(void) {
    char path[96];
    snprintf(path, sizeof path, "%s/new", folder);
    return outcome(open(path, O_WRONLY | O_CREAT | O_EXCL, 0600));
}

static int remove_file(void) {
    return outcome(unlink(inside));
}

static int rename_file(void) {
    return outcome(rename(inside, secret));
}

static int open_folder(void) {
    return outcome(open(folder, O_RDONLY | O_DIRECTORY));
}

static int map_descriptor_of_self(void) {
    return outcome(open("/proc/self/mem", O_RDWR));
}

static void test_a_process_without_rights_opens_makes_and_removes_no_file(void **state) {
    (void)state;
    refuse(open_to_read);
    refuse(open_to_write);
    refuse(open_by_old_call);
    refuse(make_file);
    refuse(remove_file);
    refuse(rename_file);
    refuse(open_folder);
    refuse(map_descriptor_of_self);
}

static int start_program(void) {
    char *const arguments[] = {(char *)(uintptr_t) "true", NULL};
    return outcome(execve("/bin/true", arguments, arguments + 1));
}

static int start_process(void) {
    return outcome(syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0));
}

static int signal_parent(void) {
    return outcome(kill(getppid(), 0));
}

static int trace_parent(void) {
    return outcome(ptrace(PTRACE_ATTACH, getppid(), NULL, NULL));
}

static int map_executable(void) {
    void *memory = mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return outcome(memory == MAP_FAILED ? -1 : 0);
}

static int show_itself(void) {
    return outcome(prctl(PR_SET_DUMPABLE, 1, 0, 0, 0));
}

static void test_it_starts_no_program_and_touches_no_process(void **state) {
    (void)state;
    refuse(start_program);
    refuse(start_process);
    refuse(signal_parent);
    refuse(trace_parent);
    refuse(map_executable);
    refuse(show_itself);
}

static int open_socket(void) {
    return outcome(socket(AF_INET, SOCK_STREAM, 0));
}

static int open_datagram(void) {
    return outcome(socket(AF_INET6, SOCK_DGRAM, 0));
}

static int open_unix(void) {
    return outcome(socket(AF_UNIX, SOCK_STREAM, 0));
}

static int connect_old_socket(void) {
    struct sockaddr_in to = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr = {htonl(INADDR_LOOPBACK)}};
    return outcome(connect(opened, (struct sockaddr *)&to, sizeof to));
}

static int listen_on(void) {
    return outcome(listen(listener, 1));
}

static int ring(void) {
    return outcome(syscall(425 /* io_uring_setup */, 1, NULL));
}

static void test_it_opens_and_connects_no_socket(void **state) {
    (void)state;
    refuse(open_socket);
    refuse(open_datagram);
    refuse(open_unix);
    refuse(connect_old_socket);
    refuse(listen_on);
    refuse(ring);
}

static int abort_itself(void) {
    abort();
}

static void test_it_can_still_end_itself_with_a_signal(void **state) {
    (void)state;
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        error err;
        sandbox_walls walls;
        (void)signal(SIGABRT, SIG_DFL);
        _exit(sandbox_confine(&nothing, &walls, &err) ? abort_itself() : OTHER);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGABRT);
}

static void *count(void *number) {
    ++*(int *)number;
    return open_to_read() == REFUSED ? number : NULL;
}

static int work_in_threads(void) {
    int number = 0;
    void *result = NULL;
    pthread_t thread;
    for (int i = 0; i < 3; i++) {
        if (pthread_create(&thread, NULL, count, &number) != 0 || pthread_join(thread, &result) != 0 ||
            result != &number) {
            return OTHER;
        }
    }
    return number == 3 ? DONE : OTHER;
}

static void test_threads_can_be_begun_and_have_no_more_rights(void **state) {
    (void)state;
    assert_int_equal(try_with(&nothing, work_in_threads), DONE);
}

static int use_what_is_open(void) {
    char bytes[4] = "";
    int on = 1;
    void *shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, opened, 0);
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_len = 1};
    void *large = malloc(32 * 1024 * 1024);
    bool good = shared != MAP_FAILED && pwrite(opened, "abc", 3, 0) == 3 && pread(opened, bytes, 3, 0) == 3 &&
                memcmp(bytes, "abc", 3) == 0 && fdatasync(opened) == 0 && ftruncate(opened, 5000) == 0 &&
                fcntl(opened, F_SETLK, &lock) == 0 && large != NULL &&
                setsockopt(listener, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on) == 0 &&
                accept4(listener, NULL, NULL, SOCK_CLOEXEC) < 0 && errno == EAGAIN;
    free(large);
    return good ? DONE : OTHER;
}

static void test_what_was_opened_before_still_works(void **state) {
    (void)state;
    assert_int_equal(try_with(&nothing, use_what_is_open), DONE);
}

static const sandbox_place reading_place = {folder, SANDBOX_READ};
static const sandbox_profile reading = {.rights = SANDBOX_READ, .places = &reading_place, .place_count = 1};

static int read_inside(void) {
    return outcome(open(inside, O_RDONLY));
}

static int open_new_description(void) {
    char path[32];
    snprintf(path, sizeof path, "/proc/self/fd/%d", opened);
    return outcome(open(path, O_RDWR));
}

static void test_who_may_read_reads_in_its_places_alone(void **state) {
    (void)state;
    assert_int_equal(try_with(&reading, read_inside), DONE);
    assert_int_equal(try_with(&reading, open_to_read), REFUSED);
    assert_int_equal(try_with(&reading, open_to_write), REFUSED);
    assert_int_equal(try_with(&reading, make_file), REFUSED);
    assert_int_equal(try_with(&reading, remove_file), REFUSED);
    assert_int_equal(try_with(&reading, start_program), REFUSED);
    assert_int_equal(try_with(&reading, open_socket), REFUSED);
    assert_int_equal(try_with(&reading, open_new_description), REFUSED);
}

static const sandbox_place writing_place = {folder, SANDBOX_READ | SANDBOX_WRITE};
static const sandbox_profile writing = {
    .rights = SANDBOX_READ | SANDBOX_WRITE, .places = &writing_place, .place_count = 1};

static int replace_inside(void) {
    char path[96];
    snprintf(path, sizeof path, "%s/new", folder);
    int file = open(path, O_WRONLY | O_CREAT | O_EXCL, 0600);
    return file >= 0 && write(file, "x", 1) == 1 && fsync(file) == 0 && rename(path, inside) == 0 ? DONE
                                                                                                  : OTHER;
}

static int make_outside(void) {
    char path[96];
    snprintf(path, sizeof path, "%s/new", outside);
    return outcome(open(path, O_WRONLY | O_CREAT | O_EXCL, 0600));
}

static int write_secret(void) {
    return outcome(open(secret, O_WRONLY));
}

static void test_who_may_write_writes_in_its_places_alone(void **state) {
    (void)state;
    assert_int_equal(try_with(&writing, replace_inside), DONE);
    assert_int_equal(try_with(&writing, make_outside), REFUSED);
    assert_int_equal(try_with(&writing, write_secret), REFUSED);
    assert_int_equal(try_with(&writing, open_to_read), REFUSED);
    assert_int_equal(try_with(&writing, start_program), REFUSED);
}

static int connect_to(uint16_t number) {
    struct sockaddr_in to = {
        .sin_family = AF_INET, .sin_port = htons(number), .sin_addr = {htonl(INADDR_LOOPBACK)}};
    int one = socket(AF_INET, SOCK_STREAM, 0);
    return one < 0 ? OTHER : outcome(connect(one, (struct sockaddr *)&to, sizeof to));
}

static int connect_to_listener(void) {
    return connect_to(port);
}

static int connect_elsewhere(void) {
    return connect_to(port == 1 ? 2 : 1);
}

static int bind_another(void) {
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    int one = socket(AF_INET, SOCK_STREAM, 0);
    return one < 0 ? OTHER : outcome(bind(one, (struct sockaddr *)&at, sizeof at));
}

static void test_who_may_connect_connects_to_its_ports_alone(void **state) {
    (void)state;
    const sandbox_profile connecting = {.rights = SANDBOX_CONNECT, .ports = &port, .port_count = 1};
    assert_int_equal(try_with(&connecting, connect_to_listener), DONE);
    assert_int_equal(try_with(&connecting, connect_elsewhere), REFUSED);
    assert_int_equal(try_with(&connecting, bind_another), REFUSED);
    assert_int_equal(try_with(&connecting, listen_on), REFUSED);
    assert_int_equal(try_with(&connecting, open_unix), REFUSED);
    assert_int_equal(try_with(&connecting, open_to_read), REFUSED);
    const sandbox_profile anywhere = {.rights = SANDBOX_CONNECT};
    assert_int_equal(try_with(&anywhere, connect_to_listener), DONE);
}

static int open_unix_datagrams(void) {
    return outcome(socket(AF_UNIX, SOCK_DGRAM, 0));
}

static int open_unix_as_libraries_do(void) {
    return outcome(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
}

static int connect_by_path(void) {
    struct sockaddr_un to = {.sun_family = AF_UNIX, .sun_path = "/nonexistent"};
    int one = socket(AF_UNIX, SOCK_STREAM, 0);
    return connect(one, (struct sockaddr *)&to, sizeof to) < 0 && errno == ENOENT ? DONE : OTHER;
}

static void test_who_may_connect_to_unix_sockets_connects_to_no_others(void **state) {
    (void)state;
    const sandbox_profile local = {.rights = SANDBOX_LOCAL};
    assert_int_equal(try_with(&local, open_unix_as_libraries_do), DONE);
    assert_int_equal(try_with(&local, connect_by_path), DONE);
    assert_int_equal(try_with(&local, open_unix_datagrams), REFUSED);
    assert_int_equal(try_with(&local, open_socket), REFUSED);
    assert_int_equal(try_with(&local, open_to_read), REFUSED);
    assert_int_equal(try_with(&local, listen_on), REFUSED);
}

static const sandbox_place program_places[] = {{"/bin/cat", SANDBOX_START},
                                               {"/lib", SANDBOX_READ | SANDBOX_START},
                                               {"/lib64", SANDBOX_READ | SANDBOX_START},
                                               {"/usr/lib", SANDBOX_READ | SANDBOX_START},
                                               {"/etc/ld.so.cache", SANDBOX_READ},
                                               {folder, SANDBOX_READ},
                                               {"/dev/null", SANDBOX_READ | SANDBOX_WRITE}};
static const sandbox_profile starting = {.rights = SANDBOX_START | SANDBOX_READ | SANDBOX_WRITE,
                                         .places = program_places,
                                         .place_count = sizeof program_places / sizeof program_places[0]};

/* Its exit status: 0 if it could read the file. */
static int run_cat(const char *path) {
    char *const arguments[] = {(char *)(uintptr_t) "cat", (char *)(uintptr_t)path, NULL};
    char *const none[] = {NULL};
    pid_t child = fork();
    if (child == 0) {
        int null = open("/dev/null", O_RDWR);
        if (null < 0 || dup2(null, 1) < 0 || dup2(null, 2) < 0) {
            _exit(OTHER);
        }
        execve("/bin/cat", arguments, none);
        _exit(OTHER);
    }
    int status = 0;
    return child < 0 || waitpid(child, &status, 0) != child || !WIFEXITED(status) ? OTHER
                                                                                  : WEXITSTATUS(status);
}

static int cat_inside(void) {
    return run_cat(inside);
}

static int cat_outside(void) {
    return run_cat(secret) == 1 ? REFUSED : OTHER;
}

static void test_who_may_start_programs_starts_those_in_its_places_and_they_get_no_more_rights(void **state) {
    (void)state;
    assert_int_equal(try_with(&starting, cat_inside), DONE);
    assert_int_equal(try_with(&starting, cat_outside), REFUSED);
    assert_int_equal(try_with(&starting, start_program), REFUSED); /* /bin/true */
    assert_int_equal(try_with(&starting, open_socket), REFUSED);
}

static int is_hidden(void) {
    return prctl(PR_GET_DUMPABLE) == 0 ? DONE : OTHER;
}

static void test_no_core_is_dumped(void **state) {
    (void)state;
    const sandbox_profile with_prctl = {.rights = SANDBOX_START};
    assert_int_equal(try_with(&with_prctl, is_hidden), DONE);
}

static void write_file(const char *path) {
    int file = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    assert_true(file >= 0);
    assert_int_equal(write(file, "secret", 6), 6);
    close(file);
}

static int prepare(void **state) {
    (void)state;
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t size = sizeof at;
    assert_non_null(mkdtemp(folder));
    assert_non_null(mkdtemp(outside));
    snprintf(inside, sizeof inside, "%s/file", folder);
    snprintf(secret, sizeof secret, "%s/secret", outside);
    write_file(inside);
    write_file(secret);
    opened = open(inside, O_RDWR | O_CLOEXEC);
    listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    assert_true(opened >= 0 && listener >= 0);
    assert_int_equal(bind(listener, (struct sockaddr *)&at, size), 0);
    assert_int_equal(listen(listener, 64), 0);
    assert_int_equal(getsockname(listener, (struct sockaddr *)&at, &size), 0);
    port = ntohs(at.sin_port);
    return 0;
}

static int clean_up(void **state) {
    (void)state;
    close(opened);
    close(listener);
    (void)unlink(inside);
    (void)unlink(secret);
    (void)rmdir(folder);
    (void)rmdir(outside);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_process_without_rights_opens_makes_and_removes_no_file),
        cmocka_unit_test(test_it_starts_no_program_and_touches_no_process),
        cmocka_unit_test(test_it_opens_and_connects_no_socket),
        cmocka_unit_test(test_it_can_still_end_itself_with_a_signal),
        cmocka_unit_test(test_threads_can_be_begun_and_have_no_more_rights),
        cmocka_unit_test(test_what_was_opened_before_still_works),
        cmocka_unit_test(test_who_may_read_reads_in_its_places_alone),
        cmocka_unit_test(test_who_may_write_writes_in_its_places_alone),
        cmocka_unit_test(test_who_may_connect_connects_to_its_ports_alone),
        cmocka_unit_test(test_who_may_connect_to_unix_sockets_connects_to_no_others),
        cmocka_unit_test(test_who_may_start_programs_starts_those_in_its_places_and_they_get_no_more_rights),
        cmocka_unit_test(test_no_core_is_dumped),
    };
    return cmocka_run_group_tests(tests, prepare, clean_up);
}
