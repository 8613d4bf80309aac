#include "os/sandbox.h"

#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* Each test runs a child that enters the sandbox and tries one thing; its exit status says how that went. */
enum { DONE = 0, REFUSED = 10, OTHER = 11, NO_SANDBOX = 12 };

static int try_in_sandbox(int (*attempt)(void)) {
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        error err;
        _exit(sandbox_enter(&err) ? attempt() : NO_SANDBOX);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : OTHER;
}

static int outcome(long result) {
    return result >= 0 ? DONE : errno == EPERM ? REFUSED : OTHER;
}

static int open_inet(void) {
    return outcome(socket(AF_INET, SOCK_STREAM, 0));
}

static int open_inet6(void) {
    return outcome(socket(AF_INET6, SOCK_DGRAM, 0));
}

static int open_unix(void) {
    return outcome(socket(AF_UNIX, SOCK_STREAM, 0));
}

static int open_pair(void) {
    int pair[2];
    return outcome(socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
}

static int open_netlink(void) {
    return outcome(socket(AF_NETLINK, SOCK_RAW, 0));
}

static void test_no_socket_of_any_family_can_be_made(void **state) {
    (void)state;
    assert_int_equal(try_in_sandbox(open_inet), REFUSED);
    assert_int_equal(try_in_sandbox(open_inet6), REFUSED);
    assert_int_equal(try_in_sandbox(open_unix), REFUSED);
    assert_int_equal(try_in_sandbox(open_pair), REFUSED);
    assert_int_equal(try_in_sandbox(open_netlink), REFUSED);
}

static int open_file(void) {
    return outcome(open("/etc/hostname", O_RDONLY));
}

static int make_file(void) {
    return outcome(syscall(SYS_openat, AT_FDCWD, "sandbox-test-file", O_CREAT | O_WRONLY, 0600));
}

static int remove_file(void) {
    return outcome(unlink("sandbox-test-file"));
}

static void test_no_file_can_be_opened_made_or_removed(void **state) {
    (void)state;
    assert_int_equal(try_in_sandbox(open_file), REFUSED);
    assert_int_equal(try_in_sandbox(make_file), REFUSED);
    assert_int_equal(try_in_sandbox(remove_file), REFUSED);
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
    return outcome(syscall(SYS_ptrace, 16 /* PTRACE_ATTACH */, getppid(), 0, 0));
}

static void test_no_program_or_process_can_be_started_or_touched(void **state) {
    (void)state;
    assert_int_equal(try_in_sandbox(start_program), REFUSED);
    assert_int_equal(try_in_sandbox(start_process), REFUSED);
    assert_int_equal(try_in_sandbox(signal_parent), REFUSED);
    assert_int_equal(try_in_sandbox(trace_parent), REFUSED);
}

static int map_executable(void) {
    void *memory = mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return outcome(memory == MAP_FAILED ? -1 : 0);
}

static int make_executable(void) {
    void *memory = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return memory == MAP_FAILED ? OTHER : outcome(mprotect(memory, 4096, PROT_READ | PROT_EXEC));
}

static int leave(void) {
    return outcome(prctl(PR_SET_DUMPABLE, 1, 0, 0, 0));
}

static void test_no_memory_becomes_executable_and_nothing_is_undone(void **state) {
    (void)state;
    assert_int_equal(try_in_sandbox(map_executable), REFUSED);
    assert_int_equal(try_in_sandbox(make_executable), REFUSED);
    assert_int_equal(try_in_sandbox(leave), REFUSED);
}

/* A thread that lived before the sandbox was entered; NULL as its result: refused. */
static pthread_barrier_t entered;

static void *try_in_thread(void *context) {
    int (*const *attempt)(void) = context;
    pthread_barrier_wait(&entered); /* lives */
    pthread_barrier_wait(&entered); /* in the sandbox */
    return (*attempt)() == REFUSED ? NULL : context;
}

static int try_in_older_thread(int (*attempt)(void)) {
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        error err;
        pthread_t thread;
        void *result = &err;
        if (pthread_barrier_init(&entered, NULL, 2) != 0 ||
            pthread_create(&thread, NULL, try_in_thread, &attempt) != 0) {
            _exit(OTHER);
        }
        pthread_barrier_wait(&entered);
        if (!sandbox_enter(&err)) {
            _exit(NO_SANDBOX);
        }
        pthread_barrier_wait(&entered);
        _exit(pthread_join(thread, &result) == 0 && result == NULL ? REFUSED : OTHER);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : OTHER;
}

static void test_threads_that_live_already_are_shut_in_too(void **state) {
    (void)state;
    assert_int_equal(try_in_older_thread(open_inet), REFUSED);
    assert_int_equal(try_in_older_thread(open_file), REFUSED);
    assert_int_equal(try_in_older_thread(start_process), REFUSED);
    assert_int_equal(try_in_older_thread(map_executable), REFUSED);
}

static int work(void) {
    struct timespec now;
    struct pollfd input = {.fd = STDERR_FILENO, .events = POLLOUT};
    void *small = malloc(100);
    void *large = malloc(64 * 1024 * 1024);
    bool good = small != NULL && large != NULL && clock_gettime(CLOCK_MONOTONIC, &now) == 0 &&
                poll(&input, 1, 0) >= 0 && write(STDERR_FILENO, "", 0) == 0;
    free(small);
    free(large);
    return good ? DONE : OTHER;
}

static void test_computing_and_the_open_descriptors_still_work(void **state) {
    (void)state;
    assert_int_equal(try_in_sandbox(work), DONE);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_no_socket_of_any_family_can_be_made),
        cmocka_unit_test(test_no_file_can_be_opened_made_or_removed),
        cmocka_unit_test(test_no_program_or_process_can_be_started_or_touched),
        cmocka_unit_test(test_no_memory_becomes_executable_and_nothing_is_undone),
        cmocka_unit_test(test_threads_that_live_already_are_shut_in_too),
        cmocka_unit_test(test_computing_and_the_open_descriptors_still_work),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
