#include "pool/pool.h"

#include "commands.h"
#include "options/options.h"

int pool_main(int argc, char **argv) {
    static const verb verbs[] = {
        {"init", pool_init_main, "make a site: CA, certificate, keys, database, first admin key"},
        {"run", pool_run_main, "serve a site"},
        {"routes", pool_routes_main, "print the API: every address, and who may call it"},
        {"seal", pool_seal_main, "seal the keys of a pool that is stopped under a passphrase, or change it"},
        {"admin-key", pool_admin_key_main, "give an admin a key, on the machine of a pool that is stopped"},
    };
    return options_run_verb("cellule pool", verbs, sizeof verbs / sizeof verbs[0], argc, argv);
}
