#include "core/toml/strict_toml.h"

#include <functional>

#include "core/base/errors.h"
#include "tests/catch.h"

using namespace bakeoff;

namespace {

// The message of the UsageError that reading `text` as `read` does ends in; empty when there is none.
std::string error_of(const std::string& text, const std::function<void(const TomlTable&)>& read,
                     const std::vector<std::string>& overrides = {}) {
  try {
    TomlDocument document = TomlDocument::parse(text, "a.toml");
    for (const std::string& assignment : overrides) document.set(assignment);
    read(document.root());
    document.finish();
  } catch (const UsageError& error) {
    return error.what();
  }
  return "";
}

}  // namespace

TEST_CASE("every error of a TOML file says where, which key and what was expected") {
  struct Row {
    std::string text;
    std::function<void(const TomlTable&)> read;
    std::string message;
  };
  const IntegerRange count{1, 100};
  const std::vector<Row> rows = {
      {"x = 1\n",
       [](auto& t) {
         t.integer("x", {1, 5});
       },
       ""},
      {"\n\nx = = 1\n", [](auto&) {},
       "a.toml:3:5: not TOML: Error while parsing value: could not determine value type"},
      {"x = \"many\"\n", [&](auto& t) { t.integer("x", count); },
       "a.toml:1:5: x: expected an integer from 1 to 100, got the string \"many\""},
      {"x = 0\n", [&](auto& t) { t.integer("x", count); }, "a.toml:1:5: x: expected an integer from 1 to 100, got 0"},
      {"x = 1.5\n", [&](auto& t) { t.integer("x", count, 7); },
       "a.toml:1:5: x: expected an integer from 1 to 100, got 1.5"},
      {"x = -1\n", [](auto& t) { t.integer("x", {}); }, "a.toml:1:5: x: expected an integer of at least 0, got -1"},
      {"worker = 1\n", [&](auto& t) { t.integer("workers", count); },
       "a.toml:1:1: unknown key `worker`; did you mean `workers`?"},
      {"other = 1\n", [&](auto& t) { t.has("other"), t.integer("x", count); },
       "a.toml:1:1: missing key `x`: expected an integer from 1 to 100"},
      {"[t]\n", [&](auto& t) { t.table("t")->string("name"); }, "a.toml:1:1: missing key `name`: expected a string"},
      {"[t]\nnaem = \"v\"\n", [&](auto& t) { t.table("t")->string("name"); },
       "a.toml:2:1: unknown key `naem`; did you mean `name`?"},
      {"x = nan\n",
       [](auto& t) {
         t.number("x", {0, 1});
       },
       "a.toml:1:5: x: expected a number from 0 to 1, got nan"},
      {"x = 2\n",
       [](auto& t) {
         t.number("x", {0, 1});
       },
       "a.toml:1:5: x: expected a number from 0 to 1, got 2"},
      {"x = 1\n", [](auto& t) { t.string("x"); }, "a.toml:1:5: x: expected a string, got 1"},
      {"x = \"yes\"\n", [](auto& t) { t.boolean("x"); },
       "a.toml:1:5: x: expected true or false, got the string \"yes\""},
      {"x = 1979-05-27\n", [](auto& t) { t.boolean("x"); },
       "a.toml:1:5: x: expected true or false, got a date or time"},
      {"x = \"opne\"\n",
       [](auto& t) {
         t.one_of("x", {"open", "closed", "sessions"});
       },
       "a.toml:1:5: x: expected `open`, `closed` or `sessions`, got the string \"opne\""},
      {"x = \"5 parsecs\"\n",
       [](auto& t) {
         t.duration_s("x", {0, 60});
       },
       "a.toml:1:5: x: expected a duration from 0s to 60s (\"340ms\", \"15s\", \"2min\"), got the string \"5 "
       "parsecs\""},
      {"x = \"infs\"\n", [](auto& t) { t.duration_s("x", {}); },
       "a.toml:1:5: x: expected a duration of at least 0s (\"340ms\", \"15s\", \"2min\"), got the string \"infs\""},
      {"x = \"1.5KiB\"\n", [](auto& t) { t.bytes("x", {}); }, ""},
      {"x = \"1.0001KiB\"\n", [](auto& t) { t.bytes("x", {}); },
       "a.toml:1:5: x: expected a size of at least 0 bytes (4096, \"100KB\", \"64KiB\"), got the string \"1.0001KiB\""},
      {"x = []\n", [&](auto& t) { t.integers("x", count); },
       "a.toml:1:5: x: expected an integer from 1 to 100, or a list of such, got an empty list"},
      {"x = [1, 2, 0]\n", [&](auto& t) { t.integers("x", count); },
       "a.toml:1:12: x: expected an integer from 1 to 100, got 0"},
      {"x = { y = 1 }\n", [&](auto& t) { t.strings("x"); },
       "a.toml:1:5: x: expected a string, or a list of such, got a table"},
      {"x = 1\n", [](auto& t) { t.table("x"); }, "a.toml:1:5: x: expected a table, got 1"},
      {"x = [1]\n", [](auto& t) { t.tables("x"); }, "a.toml:1:6: x: expected a table, got 1"},
      {"conections = 1\n", [&](auto& t) { t.integer("connections", count, 1), t.string("server", ""); },
       "a.toml:1:1: unknown key `conections`; did you mean `connections`?"},
      {"a = 1\nzebra = 2\n", [&](auto& t) { t.integer("a", count); }, "a.toml:2:1: unknown key `zebra`"},
      {"[[s]]\nname = \"a\"\n[[s]]\nname = \"b\"\n  nmae = 1\n",
       [](auto& t) {
         for (const auto& s : t.tables("s")) s.string("name");
       },
       "a.toml:5:3: unknown key `nmae`; did you mean `name`?"},
      {"[b]\nq = 1\n[a]\nz = 1\n", [](auto& t) { t.table("a"), t.table("b"); }, "a.toml:2:1: unknown key `q`"},
      {"x = 3\n", [](auto& t) { t.integer("x", {}), t.fail("x", "expected an even number"); },
       "a.toml:1:5: x: expected an even number"},
      {"[t]\n", [](auto& t) { t.table("t")->fail("x", "expected it with `y`"); },
       "a.toml:1:1: x: expected it with `y`"},
  };
  for (const Row& row : rows) {
    INFO(row.text);
    CHECK(error_of(row.text, row.read) == row.message);
  }
}

TEST_CASE("an override is named by what was typed") {
  const auto read = [](const TomlTable& root) {
    root.integer("x", {1, 5}, 1);
    root.integer("workers", {}, 1);
    if (const auto table = root.table("t")) table->string("name", "");
  };
  CHECK(error_of("x = 1\n", read, {"x=2"}).empty());
  CHECK(error_of("x = 1\n", read, {"x=many"}) == "x=many: x: expected an integer from 1 to 5, got the string \"many\"");
  CHECK(error_of("x = 1\n", read, {"wrokers=2"}) == "wrokers=2: unknown key `wrokers`; did you mean `workers`?");
  CHECK(error_of("", read, {"x"}) == "`x`: expected key=value");
  CHECK(error_of("", read, {"=x"}) == "`=x`: expected key=value");
  CHECK(error_of("", read, {"a b=x"}) ==
        "`a b=x`: expected key=value, the key made of letters, digits, \"_\", \"-\" and dots");
}

TEST_CASE("overrides replace, add, and take unquoted words as strings") {
  TomlDocument document = TomlDocument::parse("x = 1\n[t]\nname = \"a\"\nkept = 4\n", "a.toml");
  for (const char* assignment : {"x=2", "t.name=b c", "t.size=64KiB", "new.deep=[1, 2]", "odd=a\"b\\c#d\n", "empty="})
    document.set(assignment);
  const TomlTable root = document.root();
  CHECK(root.integer("x", {}) == 2);
  CHECK(root.table("t")->string("name") == "b c");
  CHECK(root.table("t")->integer("kept", {}) == 4);
  CHECK(root.table("t")->bytes("size", {}) == 65536);
  CHECK(root.table("new")->integers("deep", {}) == std::vector<std::int64_t>{1, 2});
  CHECK(root.string("odd") == "a\"b\\c#d\n");
  CHECK(root.string("empty").empty());
  document.finish();
}

TEST_CASE("a key of very many names is refused, wherever it stands") {
  std::string key = "a";
  for (int i = 0; i < 200'000; ++i) key += ".a";
  const std::string refusal = "a key has at most 8 names with dots between them";
  for (const std::string before : {"", "[", "[[", "x = {", "x = \"\"\"a\"\"\"\"\ny = {", "x = ['''a''''', {",
                                   "\"\".'='.\"\\\"\".", "x = '\\'\ny = \"'\"\n", "# '\"\n", "x = \"#\"\n"}) {
    INFO(before);
    const std::size_t line = static_cast<std::size_t>(std::count(before.begin(), before.end(), '\n')) + 1;
    try {
      TomlDocument::parse(before + key, "a.toml");
      FAIL("it was read");
    } catch (const UsageError& error) {
      CHECK(error.what() == "a.toml:" + std::to_string(line) + ": " + refusal);
    }
  }
  TomlDocument document = TomlDocument::parse("x = 1", "a.toml");
  CHECK_THROWS_WITH(document.set(key + "=1"), Catch::Contains(refusal));
  // Dots in strings, comments and numbers do not count.
  std::string dots(100, '.'), numbers = "0.5";
  for (int i = 0; i < 100; ++i) numbers += ", 0.5";
  document = TomlDocument::parse("a.b = \"" + dots + "\" # " + dots + "\nc = \'" + dots + "\'\nd = \"\"\"\n" + dots +
                                     "\"\"\"\ne = [" + numbers + "]\nf.g.h = 1.5 # " + dots,
                                 "a.toml");
  CHECK(document.root().string("c") == dots);
  CHECK(document.root().numbers("e", {}).size() == 101);
}

TEST_CASE("the deepest tables that are read overflow no stack") {
  std::string key = "a";
  for (int names = 1; names < 8; ++names) key += ".a";
  std::string text = key + " = ", end;
  for (int i = 0; i < 250; ++i) {  // toml++ takes 256 values in each other
    text += "{ " + key + " = ";
    end += " }";
  }
  TomlDocument document = TomlDocument::parse(text + "1" + end, "a.toml");
  document.set(key + " = " + text.substr(text.find('{')) + "2" + end);
  CHECK(document.root().is_table("a"));
}

TEST_CASE("a key of millions of bytes has no neighbours") {
  const std::string key(8'000'000, 'k');
  const TomlDocument document = TomlDocument::parse(key + " = 1", "a.toml");
  document.root().has("workload");
  CHECK_THROWS_WITH(document.finish(), Catch::Contains("unknown key `kkk"));
}

TEST_CASE("what is typed where a string is expected is one, whatever it would be in TOML") {
  for (const std::string typed :
       {"20251010", "1e5", "true", "2025-10-10", "0x10", "nan", "[1, 2]", "1_0", "a b", "\xff\xfe.log", "'", "\xc3"}) {
    INFO(typed);
    TomlDocument document = TomlDocument::parse("[t]\nname = \"a\"\n", "a.toml");
    document.set("log=" + typed);
    document.set("t.name=" + typed);
    CHECK(document.root().string("log") == typed);
    CHECK(document.root().table("t")->string("name") == typed);
    document.finish();
  }
  TomlDocument quoted = TomlDocument::parse("", "a.toml");
  quoted.set("log=\"20251010\"");
  CHECK(quoted.root().string("log") == "20251010");
  // In a file a number is no string.
  CHECK(error_of("log = 20251010\n", [](const TomlTable& root) { root.string("log"); }) ==
        "a.toml:1:7: log: expected a string, got 20251010");
}

TEST_CASE("a value can be assigned as it stands") {
  const TomlTable from =
      TomlDocument::parse("a = 5\nb = 0.25\nc = true\nd = \"true\"\ne = \"7\"\nf = [1, \"x\", false]\n", "a.toml")
          .root();
  CHECK(from.assigned_list("f") == std::vector<std::string>{"1", "x", "false"});
  TomlDocument to = TomlDocument::parse("", "b.toml");
  for (const char* key : {"a", "b", "c", "d", "e"}) to.set(std::string(key) + "=" + from.assigned(key));
  CHECK(to.root().integer("a", {}) == 5);
  CHECK(to.root().number("b", {}) == 0.25);
  CHECK(to.root().boolean("c"));
  CHECK(to.root().string("d") == "true");
  CHECK(to.root().string("e") == "7");
}

TEST_CASE("values are read in their units") {
  const TomlDocument document = TomlDocument::parse(
      "a = \"250us\"\nb = \"340ms\"\nc = 15\nd = \"1.5 h\"\ne = \"2min\"\nf = \"100KB\"\ng = \"1.5MiB\"\nh = "
      "\"64K\"\ni = 5\nj = 0.25\nk = true\nl = \"x\"\n",
      "a.toml");
  const TomlTable root = document.root();
  CHECK(root.duration_s("a", {}) == Approx(250e-6));
  CHECK(root.duration_s("b", {}) == Approx(0.34));
  CHECK(root.duration_s("c", {}) == 15);
  CHECK(root.duration_s("d", {}) == 5400);
  CHECK(root.duration_s("e", {}) == 120);
  CHECK(root.bytes("f", {}) == 100'000);
  CHECK(root.bytes("g", {}) == 1'572'864);
  CHECK(root.bytes("h", {}) == 65536);
  CHECK(root.number("i", {}) == 5);
  CHECK(root.integers("i", {}) == std::vector<std::int64_t>{5});
  CHECK(root.text("i") == "5");
  CHECK(root.text("j") == "0.25");
  CHECK(root.text("k") == "on");
  CHECK(root.text("l") == "x");
  CHECK(root.strings("missing", {"a", "b"}) == std::vector<std::string>{"a", "b"});
  CHECK(root.keys() == std::vector<std::string>{"a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l"});
}

TEST_CASE("a file that cannot be read is said so") {
  CHECK_THROWS_WITH(TomlDocument::load("/nonexistent/a.toml"),
                    "cannot read /nonexistent/a.toml: No such file or directory");
  CHECK_THROWS_WITH(TomlDocument::load("/"), "cannot read /: Is a directory");
  CHECK_THROWS_WITH(TomlDocument::load("/dev/zero"), "cannot read /dev/zero: it is a device, not a file");
}

TEST_CASE("the nearest word is a slip of the finger, not a guess") {
  const std::vector<std::string> words = {"directories", "load", "size_bytes"};
  CHECK(nearest_word("directores", words) == "directories");
  CHECK(nearest_word("laod", words) == "load");
  CHECK(nearest_word("Size-Bytes", words) == "size_bytes");
  CHECK(nearest_word("zebra", words).empty());
}
