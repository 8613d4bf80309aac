#include "app_release/release_main.h"

#include "commands.h"
#include "options/options.h"

int release_main(int argc, char **argv) {
    static const verb verbs[] = {
        {"key", release_key_main, "make a maintainer's key, or show its public half"},
        {"keys", release_keys_main, "write a list of maintainers"},
        {"manifest", release_manifest_main, "write the manifest of a release's folder"},
        {"sign", release_sign_main, "sign a release, or a list of maintainers"},
    };
    return options_run_verb("cellule release", verbs, sizeof verbs / sizeof verbs[0], argc, argv);
}
