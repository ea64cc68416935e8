#include "core/base/untrusted.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/errors.h"
#include "tests/catch.h"
#include "tests/support/temp_dir.h"

using namespace bakeoff;

namespace {

std::string nested(int levels) {
  return std::string(static_cast<std::size_t>(levels), '[') + std::string(static_cast<std::size_t>(levels), ']');
}

}  // namespace

TEST_CASE("JSON is read as deep as results are, and no deeper") {
  CHECK(parse_untrusted(nested(most_json_depth), "x").is_array());
  CHECK_THROWS_WITH(parse_untrusted(nested(most_json_depth + 1), "x"),
                    "x: not JSON that bakeoff wrote: nested deeper than 64 levels");
  // A million levels once overflowed the stack, in the destructor or in a copy.
  CHECK_THROWS_AS(parse_untrusted(nested(1'000'000), "x"), UsageError);
  CHECK(parse_untrusted_or_discard(nested(1'000'000)).is_discarded());
  std::string objects;
  for (int i = 0; i < 100'000; ++i) objects += "{\"a\":";
  CHECK_THROWS_AS(parse_untrusted(objects, "x"), UsageError);
}

TEST_CASE("a number of JSON is a whole number of its type, or an error") {
  const auto read = [](const char* text) { return parse_untrusted(text, "x"); };
  CHECK(whole_number<std::uint32_t>(read("0")) == 0);
  CHECK(whole_number<std::uint32_t>(read("4294967295")) == 4'294'967'295);
  CHECK(whole_number<std::uint32_t>(read("3.0")) == 3);
  CHECK(whole_number<std::uint64_t>(read("18446744073709551615")) == 18'446'744'073'709'551'615u);
  CHECK(whole_number<int>(read("-7")) == -7);
  CHECK(whole_number<int>(read("-2147483648.0")) == -2'147'483'648);
  for (const char* text :
       {"4294967296", "-1", "-1.0", "1.5", "4294967296.0", "33333333333333333333333333334", "-1e300"}) {
    INFO(text);
    CHECK_THROWS_AS(whole_number<std::uint32_t>(read(text)), UsageError);
  }
  CHECK_THROWS_AS(whole_number<std::uint64_t>(read("18446744073709551616")), UsageError);
  CHECK_THROWS_WITH(whole_number<int>(read("2147483648")),
                    "expected a whole number from -2147483648 to 2147483647, got 2147483648");
  CHECK_THROWS_AS(whole_number<int>(read("\"1\"")), nlohmann::json::exception);
}

TEST_CASE("what is no JSON is said in words, without the library's name") {
  try {
    parse_untrusted("{\"a\": ", "result.json");
    FAIL("it is cut in half");
  } catch (const UsageError& error) {
    const std::string what = error.what();
    CHECK(what.starts_with("result.json: not JSON, or cut in half: parse error"));
    CHECK(what.find("json.exception") == std::string::npos);
  }
  CHECK(parse_untrusted_or_discard("{").is_discarded());
  CHECK(parse_untrusted_or_discard("").is_discarded());
  CHECK(parse_untrusted_or_discard("[1, 2]") == nlohmann::json({1, 2}));
  CHECK_THROWS_AS(parse_untrusted("\"\xff\"", "x"), UsageError);
}

TEST_CASE("no terminal obeys what stands in a stranger's JSON") {
  const nlohmann::json json =
      parse_untrusted(R"({"na\u001bme": ["\u001b[31mred\u0007", {"k": "a\nb"}], "n": 1.5})", "x");
  CHECK(json == nlohmann::json{{"na\\x1bme", {"\\x1b[31mred\\x07", {{"k", "a\\x0ab"}}}}, {"n", 1.5}});
}

TEST_CASE("what is not printable UTF-8 is escaped, the rest stays") {
  CHECK(visible("plain, (µs) — naïve 日本 🙂") == "plain, (µs) — naïve 日本 🙂");
  CHECK(visible(std::string("a\0b", 3)) == "a\\x00b");
  CHECK(visible("\x1b]0;title\x07") == "\\x1b]0;title\\x07");
  CHECK(visible("\x7f") == "\\x7f");
  CHECK(visible("\xc2\x9b"
                "31m") == "\\xc2\\x9b31m");                      // CSI as one character of C1
  CHECK(visible("\xe2\x80\xae") == "\\xe2\\x80\\xae");           // right-to-left override
  CHECK(visible("\xff\xc0\xaf") == "\\xff\\xc0\\xaf");           // no UTF-8; an overlong slash
  CHECK(visible("\xed\xa0\x80") == "\\xed\\xa0\\x80");           // half of a surrogate pair
  CHECK(visible("\xf4\x90\x80\x80") == "\\xf4\\x90\\x80\\x80");  // beyond the last character
  CHECK(visible("cut \xe2\x82") == "cut \\xe2\\x82");
  CHECK(visible("a\nb\tc\r", "\n\t") == "a\nb\tc\\x0d");
}

TEST_CASE("a file is read whole within its bound, and what is no file is refused at once") {
  const test::TempDir dir;
  dir.write("file", "12345");
  CHECK(read_untrusted(dir.path() / "file", 5) == "12345");
  dir.write("large", std::string(3 << 20, 'x'));
  CHECK(read_untrusted(dir.path() / "large", 3 << 20).size() == 3 << 20);
  CHECK_THROWS_WITH(read_untrusted(dir.path() / "large", 2 << 20), Catch::EndsWith(": it has more than 2 MiB"));
  CHECK_THROWS_WITH(read_untrusted("/dev/zero", 1), "cannot read /dev/zero: it is a device, not a file");
  CHECK_THROWS_WITH(read_untrusted(dir.path(), 1), Catch::EndsWith(": Is a directory"));
  CHECK_THROWS_WITH(read_untrusted("/nonexistent", 1), "cannot read /nonexistent: No such file or directory");
}

TEST_CASE("a pipe is read while somebody writes it, and refused when nobody does") {
  const test::TempDir dir;
  const std::string named = dir.path() / "named";
  REQUIRE(::mkfifo(named.c_str(), 0600) == 0);
  CHECK_THROWS_WITH(read_untrusted(named, 1), Catch::EndsWith(": it is a pipe that nobody writes to"));

  int ends[2];
  REQUIRE(::pipe2(ends, O_CLOEXEC) == 0);
  REQUIRE(::write(ends[1], "text", 4) == 4);
  ::close(ends[1]);
  CHECK(read_untrusted("/dev/fd/" + std::to_string(ends[0]), 100) == "text");
  ::close(ends[0]);
  REQUIRE(::pipe2(ends, O_CLOEXEC) == 0);
  ::close(ends[1]);
  CHECK(read_untrusted("/dev/fd/" + std::to_string(ends[0]), 100).empty());
  ::close(ends[0]);
}
