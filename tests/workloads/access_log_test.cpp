#include "workloads/access_log.h"

#include <zlib.h>

#include <fstream>

#include "core/base/errors.h"
#include "tests/catch.h"
#include "tests/workloads/temp_dir.h"
#include "workloads/workload.h"

using namespace bakeoff;

namespace {

std::string gzip(const std::string& text, const std::filesystem::path& file) {
  const gzFile out = ::gzopen(file.c_str(), "wb");
  REQUIRE(out != nullptr);
  REQUIRE(::gzwrite(out, text.data(), static_cast<unsigned>(text.size())) == static_cast<int>(text.size()));
  REQUIRE(::gzclose(out) == Z_OK);
  std::ifstream in(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

void write(const std::filesystem::path& file, const std::string& bytes) { std::ofstream(file, std::ios::binary) << bytes; }

std::string entry(const std::string& target, int bytes, const std::string& time = "01/Jul/1995:00:00:01 -0400") {
  return "host - - [" + time + "] \"GET " + target + " HTTP/1.0\" 200 " + std::to_string(bytes) + "\n";
}

Workload trace_of(const std::filesystem::path& log, std::vector<std::string> overrides = {}) {
  overrides.push_back("log=" + log.string());
  return load_workload("trace", overrides);
}

}  // namespace

TEST_CASE("lines of both formats are read, broken ones are not") {
  struct Row {
    const char* line;
    bool good;
    const char* method;
    const char* target;
    int status;
    std::int64_t bytes;
  };
  const Row rows[] = {
      {"127.0.0.1 - frank [10/Oct/2000:13:55:36 -0700] \"GET /apache_pb.gif HTTP/1.0\" 200 2326", true, "GET", "/apache_pb.gif", 200, 2326},
      {"h - - [10/Oct/2000:13:55:36 -0700] \"GET /a?b=c%20d HTTP/1.1\" 304 -", true, "GET", "/a?b=c%20d", 304, 0},
      {"h - - [10/Oct/2000:13:55:36 +0000] \"HEAD / HTTP/1.1\" 200 0 \"http://r/\" \"Mozilla/4.08 [en] (Win98; I ;Nav)\"", true, "HEAD", "/", 200, 0},
      {"h - a b [10/Oct/2000:13:55:36 +0000] \"GET /old\" 200 5", true, "GET", "/old", 200, 5},
      {"h - - [10/Oct/2000:13:55:36 +0000] \"GET /a\\\"b HTTP/1.1\" 200 5 \"-\" \"x\"", true, "GET", "/a\\\"b", 200, 5},
      {"h - - [10/Oct/2000:13:55:36 +0000] \"GET /a\"b\"c HTTP/1.1\" 404 5", true, "GET", "/a\"b\"c", 404, 5},
      {"h - - [10/Oct/2000:13:55:36 +0000] \"GET /a b HTTP/1.1\" 200 5", true, "GET", "/a b", 200, 5},
      {"h - - [10/Oct/2000:13:55:36 +0000] \"GET /\xff\x01 HTTP/1.1\" 200 5", true, "GET", "/\xff\x01", 200, 5},
      {"", false, "", "", 0, 0},
      {"nonsense", false, "", "", 0, 0},
      {"h - - [10/Oct/2000:13:55:36 +0000] \"GET /a HTTP/1.1\" 200", false, "", "", 0, 0},
      {"h - - [10/Oct/2000:13:55:36 +0000] \"GET /a HTTP/1.1\" 200 5x", false, "", "", 0, 0},
      {"h - - [10/Oct/2000:13:55:36 +0000] \"GET /a HTTP/1.1\" 200 -5", false, "", "", 0, 0},
      {"h - - [10/Oct/2000:13:55:36 +0000] \"GET /a HTTP/1.1\" 200 99999999999999999999", false, "", "", 0, 0},
      {"h - - [10/Oct/2000:13:55:36 +0000] \"GET /a HTTP/1.1 200 5", false, "", "", 0, 0},
      {"h - - [10/Oct/2000:13:55:36 +0000] \"-\" 408 0", false, "", "", 0, 0},
      {"h - - [10/Oct/2000:13:55:36 +0000] \"GET  HTTP/1.0\" 400 0", false, "", "", 0, 0},
      {"h - - [10/Okt/2000:13:55:36 +0000] \"GET /a HTTP/1.1\" 200 5", false, "", "", 0, 0},
      {"h - - [31/Feb/2000:13:55:36 +0000] \"GET /a HTTP/1.1\" 200 5", false, "", "", 0, 0},
      {"h - - [10/Oct/2000:25:55:36 +0000] \"GET /a HTTP/1.1\" 200 5", false, "", "", 0, 0},
      {"h - - [10/Oct/2000 13:55:36 +0000] \"GET /a HTTP/1.1\" 200 5", false, "", "", 0, 0},
  };
  for (const Row& row : rows) {
    INFO(row.line);
    const std::optional<LogEntry> read = parse_log_line(row.line);
    REQUIRE(read.has_value() == row.good);
    if (!read) continue;
    CHECK(read->method == row.method);
    CHECK(read->target == row.target);
    CHECK(read->status == row.status);
    CHECK(read->body_bytes == row.bytes);
  }
  CHECK(parse_log_line(rows[0].line)->time_s == 971'211'336);
  CHECK(parse_log_line(rows[2].line)->time_s == 971'186'136);
}

TEST_CASE("any line cut anywhere, or with a byte changed, is read or refused, never worse") {
  const std::string line = "h - - [10/Oct/2000:13:55:36 +0000] \"GET /a\\\"b HTTP/1.1\" 200 512 \"-\" \"x\"";
  int good = 0;
  for (std::size_t cut = 0; cut <= line.size(); ++cut) good += parse_log_line(std::string_view(line).substr(0, cut)).has_value();
  for (std::size_t at = 0; at < line.size(); ++at) {
    for (int byte = 0; byte < 256; ++byte) {
      std::string changed = line;
      changed[at] = static_cast<char>(byte);
      good += parse_log_line(changed).has_value();
    }
  }
  CHECK(good > 1000);
}

TEST_CASE("a trace keeps the log's order and popularity, its files have the largest size seen") {
  const TempDir dir;
  write(dir.path() / "log", entry("/a.html", 100) + entry("/b", 7) + "broken\n" + entry("/a.html", 120) +
                                "h - - [01/Jul/1995:00:00:02 -0400] \"GET /a.html HTTP/1.0\" 304 -\r\n" + "h - - [01/Jul/1995:00:00:02 -0400] \"POST /c HTTP/1.0\" 200 9\n\n" +
                                entry("/a.html", 50) + entry("/evil/../../name.with.l0ngextension?x.gif", 3));
  const Workload workload = trace_of(dir.path() / "log");
  REQUIRE(workload.files.size() == 3);
  CHECK(workload.files[0].path == "/d00000/f0000000.html");
  CHECK(workload.files[0].size_bytes == 120);
  CHECK(workload.files[1].path == "/d00000/f0000001");
  CHECK(workload.files[2].path == "/d00000/f0000002");
  RequestSource source = workload.source(1, 1);
  std::vector<std::uint32_t> drawn;
  for (int i = 0; i < 5; ++i) drawn.push_back(source.next());
  CHECK(drawn == std::vector<std::uint32_t>{0, 1, 0, 0, 2});
  CHECK(workload.popularity->share(0) == Approx(0.6));
  CHECK_FALSE(workload.arrivals_s);
  CHECK(workload.notes == std::vector<std::string>{(dir.path() / "log").string() +
                                                   ": 5 requests of 3 files in 8 lines; 2 lines of other methods or statuses skipped; 1 broken line skipped"});
  CHECK(trace_of(dir.path() / "log", {"requests=2"}).files.size() == 2);
}

TEST_CASE("the times of a trace rise, and a second's requests are spread over it") {
  const TempDir dir;
  const auto at = [](int second) { return "01/Jul/1995:00:00:0" + std::to_string(second) + " -0400"; };
  write(dir.path() / "log", entry("/a", 1, at(1)) + entry("/b", 1, at(1)) + entry("/c", 1, at(4)) + entry("/d", 1, at(3)) + entry("/e", 1, at(5)));
  const Workload workload = trace_of(dir.path() / "log", {"timing=true"});
  REQUIRE(workload.arrivals_s);
  CHECK(*workload.arrivals_s == std::vector<double>{0, 0.5, 3, 3.5, 4});
}

TEST_CASE("gzip is read like plain text, one member or many") {
  const TempDir dir;
  std::string text;
  for (int i = 0; i < 20'000; ++i) text += entry("/f" + std::to_string(i % 700), i % 1000);
  const std::string compressed = gzip(text, dir.path() / "one.gz");
  write(dir.path() / "two.gz", compressed + compressed);
  write(dir.path() / "plain", text);
  std::uint64_t entries = 0;
  const auto count = [&](const LogEntry&) { return ++entries, true; };
  CHECK(read_access_log(dir.path() / "one.gz", count).lines == 20'000);
  CHECK(read_access_log(dir.path() / "plain", count).lines == 20'000);
  const LogReading two = read_access_log(dir.path() / "two.gz", count);
  CHECK(two.lines == 40'000);
  CHECK_FALSE(two.truncated);
  CHECK(entries == 80'000);
}

TEST_CASE("of a truncated or damaged gzip, what came before is taken and the rest is told") {
  const TempDir dir;
  std::string text;
  for (int i = 0; i < 20'000; ++i) text += entry("/f" + std::to_string(i * 7919 % 20'000), i % 1000);
  const std::string compressed = gzip(text, dir.path() / "whole.gz");
  write(dir.path() / "cut.gz", compressed.substr(0, compressed.size() / 2));
  std::string damaged = compressed;
  for (std::size_t i = compressed.size() / 2; i < compressed.size() / 2 + 50; ++i) damaged[i] = static_cast<char>(~damaged[i]);
  write(dir.path() / "damaged.gz", damaged);
  for (const char* name : {"cut.gz", "damaged.gz"}) {
    INFO(name);
    const LogReading reading = read_access_log(dir.path() / name, [](const LogEntry&) { return true; });
    CHECK(reading.truncated);
    CHECK(reading.lines > 3000);
    CHECK(reading.lines < 20'000);
  }
  CHECK(trace_of(dir.path() / "cut.gz").notes[0].find("the compressed data is cut short or damaged") != std::string::npos);
}

TEST_CASE("a log without end of line, with huge lines or zero bytes is read to its end") {
  const TempDir dir;
  const std::string good = entry("/a", 1);
  write(dir.path() / "log", good + std::string(3 << 20, 'x') + "\n" + std::string(1000, '\0') + "\n" + good.substr(0, good.size() - 1));
  std::uint64_t entries = 0;
  const LogReading reading = read_access_log(dir.path() / "log", [&](const LogEntry&) { return ++entries, true; });
  CHECK(reading.lines == 4);
  CHECK(reading.broken == 2);
  CHECK(entries == 2);
}

TEST_CASE("a log that gives no trace is refused in a line") {
  const TempDir dir;
  write(dir.path() / "empty", "");
  CHECK_THROWS_WITH(trace_of(dir.path() / "empty"), Catch::Matchers::EndsWith("has 0 lines and no GET that was answered with 200"));
  CHECK_THROWS_WITH(trace_of("/nonexistent"), "cannot read the log /nonexistent: No such file or directory");
  CHECK_THROWS_WITH(trace_of(dir.path()), Catch::Matchers::EndsWith(": Is a directory"));
  CHECK_THROWS_WITH(load_workload("trace"), Catch::Matchers::EndsWith("trace.toml:1:1: log: expected the access log to replay (--set log=FILE)"));
}
