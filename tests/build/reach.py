"""Which sources can reach out of the process: reach.py FOLDER_OF_BUILT_SOURCES

Not what the sources say but what their objects ask the linker for, so that no macro hides it."""

import pathlib
import re
import subprocess
import sys
import unittest

import tap

BUILT = pathlib.Path(sys.argv[1])

# What reaches out, and the only objects that may ask for it.
ALLOWED = {
    r"socket": {"io_net_egress.c", "io_net_listener.c"},
    r"connect": {"io_net_connect.c"},
    r"getaddrinfo": {"io_net_connect.c"},
    r"PQ(connect|setdb|reset|ping|cancel|requestCancel)\w*": {"io_store_postgresql_connection.c",
                                                             "io_store_postgresql_target.c"},
    r"bind|listen": {"io_net_listener.c"},
    r"socketpair": {"app_pool_privilege_helper.c"},
    r"sendto|sendmsg|sendmmsg": set(),
    r"gethostbyname\w*|gethostbyaddr\w*|getnameinfo|res_n?query|res_n?search": set(),
    r"curl_easy_perform|curl_easy_init|curl_multi_init": {"io_http_client.c"},
    r"uv_(tcp|udp)_\w+|uv_pipe_(connect|bind)2?|uv_getaddrinfo|uv_getnameinfo": set(),
    r"BIO_(new_)?connect|BIO_s_(connect|datagram)|BIO_do_connect\w*|BIO_lookup\w*|OSSL_HTTP_\w+": set(),
    r"exec[lv]\w*|fexecve|system|popen|posix_spawnp?": set(),
    r"uv_spawn": {"io_ev_process.c"},
    r"fork|vfork|clone": {"app_pool_privilege_helper.c"},
    r"dlopen|dlmopen|dlsym": set(),
    r"syscall": {"core_os_landlock.c"},
}


def objects():
    """(layer_module_file.c, symbols that it wants from elsewhere) of the whole program."""
    for path in sorted(BUILT.glob("**/libcellule_*.a.p/**/*.o")):
        listed = subprocess.run(["nm", "--undefined-only", "--format=posix", str(path)], check=True,
                                capture_output=True, text=True).stdout
        yield path.name.removesuffix(".o"), {line.split()[0] for line in listed.splitlines() if line}


class Reach(unittest.TestCase):
    maxDiff = None

    def test_sockets_programs_and_libraries_are_opened_in_few_places(self):
        found = list(objects())
        self.assertGreater(len(found), 200, "the program's objects weren't found")
        for pattern, places in ALLOWED.items():
            wanting = {name for name, symbols in found
                       if any(re.fullmatch(pattern, symbol.partition("@")[0]) for symbol in symbols)}
            self.assertEqual(wanting, places, f"who calls {pattern}")


if __name__ == "__main__":
    tap.main()
