#include "core/http/target.h"

#include <string>

#include "tests/catch.h"

namespace bakeoff {

using namespace std::string_view_literals;

TEST_CASE("plain targets are their own normal form", "[target]") {
  for (const std::string_view target :
       {"/a"sv, "/index.html"sv, "/dir00000/class0_0"sv, "/.hidden"sv, "/a/..."sv, "/a/..b/.c/d."sv, "/a/b..c/d.."sv,
        "/a b"sv, "/\xc3\xa9"sv, "/a&b=c;d"sv, "/a\\b"sv, "/.a/.b"sv}) {
    INFO(target);
    CHECK(is_plain(target));
    CHECK(normalise_target(target) == std::string(target));
  }
}

TEST_CASE("every other target is not plain", "[target]") {
  for (const std::string_view target :
       {""sv,    "/"sv,    "a"sv,    "a/b"sv,   "*"sv,      "//"sv,      "//a"sv,    "/a//b"sv,  "/a/"sv,
        "/."sv,  "/.."sv,  "/./a"sv, "/../a"sv, "/a/./b"sv, "/a/../b"sv, "/a/."sv,   "/a/.."sv,  "/%41"sv,
        "/a%"sv, "/a?b"sv, "/a#b"sv, "/a?"sv,   "/a\0b"sv,  "/a\nb"sv,   "/a\x1f"sv, "/a\x7f"sv, "?"sv}) {
    INFO(target);
    CHECK_FALSE(is_plain(target));
  }
}

TEST_CASE("normal forms", "[target]") {
  struct Case {
    std::string_view target;
    std::string_view normal;
  };
  const auto [target, normal] = GENERATE(values<Case>({
      // Directories are named by a closing slash or by dots.
      {"/", "/index.html"},
      {"/a/", "/a/index.html"},
      {"/a/.", "/a/index.html"},
      {"/a/b/..", "/a/index.html"},
      {"/a/..", "/index.html"},
      {"/.", "/index.html"},
      {"/a", "/a"},
      // Query and fragment.
      {"/a?b", "/a"},
      {"/a?b?c#d", "/a"},
      {"/a#b?c", "/a"},
      {"/?/../..", "/index.html"},
      {"/#", "/index.html"},
      {"/a/?b", "/a/index.html"},
      {"/a?%", "/a"},
      {"/a%3fb%23c", "/a?b#c"},
      // Dot segments; three dots are a name.
      {"/a/./b", "/a/b"},
      {"/./a", "/a"},
      {"/a/../b", "/b"},
      {"/a/b/../../c", "/c"},
      {"/a/b/./../c", "/a/c"},
      {"/a/.../b", "/a/.../b"},
      {"/a/..b/c../.d", "/a/..b/c../.d"},
      {"/mid/content=5/../6", "/mid/6"},
      // Empty segments.
      {"//", "/index.html"},
      {"//a", "/a"},
      {"/a//b///c", "/a/b/c"},
      {"/a//", "/a/index.html"},
      {"/a//../b", "/b"},
      {"/a/.//b", "/a/b"},
      // Escapes, once.
      {"/%61", "/a"},
      {"/%c3%A9", "/\xc3\xa9"},
      {"/a%20b", "/a b"},
      {"/a%0ab", "/a\nb"},
      {"/a+b", "/a+b"},
      {"/%25", "/%"},
      {"/%2541", "/%41"},
      {"/%252e%252e/a", "/%2e%2e/a"},
      // What decodes to a slash or a dot is one, so that it is seen as the file system would see it.
      {"/a%2fb", "/a/b"},
      {"/a%2F", "/a/index.html"},
      {"/%2e", "/index.html"},
      {"/a/%2e%2e/b", "/b"},
      {"/a/.%2e%2fb", "/b"},
      {"/a/%2e./b", "/b"},
      {"/%2f%2fa", "/a"},
      {"/%2e%2e%2e", "/..."},
      {"/a\\..\\b", "/a\\..\\b"},
  }));
  INFO(target);
  CHECK(normalise_target(target) == std::string(normal));
}

TEST_CASE("targets without a normal form", "[target]") {
  for (const std::string_view target :
       {// Not absolute.
        ""sv, "a"sv, "*"sv, "?a"sv, "#"sv, "%2fa"sv, "http://a/b"sv, "..%2f"sv,
        // Bad escapes.
        "/%"sv, "/%4"sv, "/%4g"sv, "/%g4"sv, "/%%41"sv, "/% 41"sv, "/%+4"sv, "/a%?b"sv, "/a%4?1"sv, "/%-1"sv, "/%0x"sv,
        // NUL.
        "/%00"sv, "/a%00.html"sv, "/a\0b"sv, "/a/%00/../b"sv,
        // Above the root.
        "/.."sv, "/../"sv, "/../a"sv, "/a/../.."sv, "/a/../../b"sv, "/./.."sv, "//.."sv, "/a//../.."sv, "/%2e%2e"sv,
        "/%2e%2e/a"sv, "/.%2e/a"sv, "/..%2fa"sv, "/%2E%2E%2F%2e%2e%2Fetc/passwd"sv, "/a/b/../../../c"sv}) {
    INFO(target);
    CHECK_FALSE(normalise_target(target).has_value());
  }
}

}  // namespace bakeoff
