#include "options/terminal.h"

#include "unit.h"

#include <fcntl.h>
#include <stdlib.h>
#include <termios.h>
#include <unistd.h>

static const slice hostile = SLICE_LITERAL("a\033[2Kb\rc\td\n\xC2\x9B"
                                           "31m \xE2\x82\xAC \xFF \x7F");

static void test_on_a_terminal_nothing_but_text_newline_and_tab_comes_through(void **state) {
    (void)state;
    int master = posix_openpt(O_RDWR | O_NOCTTY);
    assert_true(master >= 0 && grantpt(master) == 0 && unlockpt(master) == 0);
    int terminal = open(ptsname(master), O_RDWR | O_NOCTTY);
    assert_true(terminal >= 0);
    struct termios raw;
    assert_int_equal(tcgetattr(terminal, &raw), 0);
    cfmakeraw(&raw);
    assert_int_equal(tcsetattr(terminal, TCSANOW, &raw), 0);
    FILE *out = fdopen(terminal, "w");
    assert_non_null(out);
    terminal_write(out, hostile);
    assert_int_equal(fflush(out), 0);
    static const char shown[] = "a\xEF\xBF\xBD[2Kb\xEF\xBF\xBD"
                                "c\td\n\xEF\xBF\xBD"
                                "31m \xE2\x82\xAC \xEF\xBF\xBD \xEF\xBF\xBD";
    char got[128];
    size_t length = 0;
    while (length < sizeof shown - 1) { /* a line may come by itself */
        ssize_t more = read(master, got + length, sizeof got - length);
        assert_true(more > 0);
        length += (size_t)more;
    }
    assert_true(slice_equal_text(slice_of(got, length), shown));
    fclose(out);
    close(master);
}

static void test_elsewhere_every_byte_goes_as_it_is(void **state) {
    (void)state;
    FILE *out = tmpfile();
    assert_non_null(out);
    terminal_write(out, hostile);
    terminal_write(out, slice_of(NULL, 0));
    char got[128];
    rewind(out);
    size_t length = fread(got, 1, sizeof got, out);
    assert_true(slice_equal(slice_of(got, length), hostile));
    fclose(out);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_on_a_terminal_nothing_but_text_newline_and_tab_comes_through),
        cmocka_unit_test(test_elsewhere_every_byte_goes_as_it_is),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
