#include "results/sha256.h"

#include "tests/catch.h"

using namespace bakeoff;

// FIPS 180-4's own examples.
TEST_CASE("SHA-256 of the standard's examples") {
  CHECK(sha256("abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  CHECK(sha256("") == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  CHECK(sha256("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq") ==
        "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
  CHECK(sha256(std::string(1000000, 'a')) == "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

TEST_CASE("a file that is not there is named, and what has no end is not read") {
  CHECK_THROWS_WITH(sha256_of_file("/nowhere/at/all"), "cannot read /nowhere/at/all: No such file or directory");
  CHECK_THROWS_WITH(sha256_of_file("/dev/zero"), "cannot read /dev/zero: it is a device, not a file");
}
