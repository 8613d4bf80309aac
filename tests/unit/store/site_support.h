#ifndef STORE_SITE_SUPPORT_H
#define STORE_SITE_SUPPORT_H

/* For tests that each want a site of their own: support.h's, opened, and opened anew. */
#include "verification_support.h"

static place here;
static store *site;
static error err;

static inline int open_site(void **state) {
    (void)state;
    here = place_make();
    site = open_at(&here, NULL);
    fill_site(site);
    return 0;
}

static inline int close_site(void **state) {
    (void)state;
    store_close(site);
    place_remove(&here);
    return 0;
}

static inline void reopen(void) {
    store_close(site);
    site = open_at(&here, NULL);
}

#define SITE_TEST(test) cmocka_unit_test_setup_teardown(test, open_site, close_site)

#endif
