#include "workloads/access_log.h"

#include <bzlib.h>
#include <lzma.h>
#include <sys/stat.h>
#include <zlib.h>

#include <fstream>
#include <thread>

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

std::string bzip2(const std::string& text) {
  std::string out(text.size() + text.size() / 100 + 600, '\0');
  auto bytes = static_cast<unsigned>(out.size());
  std::string in = text;
  REQUIRE(BZ2_bzBuffToBuffCompress(out.data(), &bytes, in.data(), static_cast<unsigned>(in.size()), 9, 0, 0) == BZ_OK);
  out.resize(bytes);
  return out;
}

std::string xz(const std::string& text) {
  std::string out(lzma_stream_buffer_bound(text.size()), '\0');
  std::size_t bytes = 0;
  REQUIRE(lzma_easy_buffer_encode(6, LZMA_CHECK_CRC64, nullptr, reinterpret_cast<const std::uint8_t*>(text.data()),
                                  text.size(), reinterpret_cast<std::uint8_t*>(out.data()), &bytes,
                                  out.size()) == LZMA_OK);
  out.resize(bytes);
  return out;
}

void write(const std::filesystem::path& file, const std::string& bytes) {
  std::ofstream(file, std::ios::binary) << bytes;
}

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
      {"127.0.0.1 - frank [10/Oct/2000:13:55:36 -0700] \"GET /apache_pb.gif HTTP/1.0\" 200 2326", true, "GET",
       "/apache_pb.gif", 200, 2326},
      {"h - - [10/Oct/2000:13:55:36 -0700] \"GET /a?b=c%20d HTTP/1.1\" 304 -", true, "GET", "/a?b=c%20d", 304, 0},
      {"h - - [10/Oct/2000:13:55:36 +0000] \"HEAD / HTTP/1.1\" 200 0 \"http://r/\" \"Mozilla/4.08 [en] (Win98; I "
       ";Nav)\"",
       true, "HEAD", "/", 200, 0},
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
  for (std::size_t cut = 0; cut <= line.size(); ++cut)
    good += parse_log_line(std::string_view(line).substr(0, cut)).has_value();
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
                                "h - - [01/Jul/1995:00:00:02 -0400] \"GET /a.html HTTP/1.0\" 304 -\r\n" +
                                "h - - [01/Jul/1995:00:00:02 -0400] \"POST /c HTTP/1.0\" 200 9\n\n" +
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
  CHECK(
      workload.notes ==
      std::vector<std::string>{
          (dir.path() / "log").string() +
          ": 5 requests of 3 files in 8 lines; 1 line of other methods than GET skipped; 1 line of other statuses than "
          "200 skipped; 1 broken line skipped"});
  REQUIRE(workload.log);
  CHECK(workload.log->file == (dir.path() / "log").string());
  CHECK(workload.log->lines == 8);
  CHECK(workload.log->requests == 5);
  CHECK(workload.log->broken == 1);
  CHECK(workload.log->other_methods == 1);
  CHECK(workload.log->other_statuses == 1);
  CHECK(trace_of(dir.path() / "log", {"requests=2"}).files.size() == 2);
}

TEST_CASE("a second's requests are spread over it, at the speed that is asked for") {
  const TempDir dir;
  const auto at = [](int second) { return "01/Jul/1995:00:00:0" + std::to_string(second) + " -0400"; };
  write(dir.path() / "log",
        entry("/a", 1, at(1)) + entry("/b", 1, at(1)) + entry("/c", 1, at(4)) + entry("/e", 1, at(5)));
  const Workload workload = trace_of(dir.path() / "log", {"timing=true"});
  REQUIRE(workload.arrivals_s);
  CHECK(*workload.arrivals_s == std::vector<double>{0, 0.5, 3, 4});
  CHECK(workload.log->length_s == 4);
  CHECK(workload.log->out_of_order == 0);
  CHECK(*trace_of(dir.path() / "log", {"timing=true", "speed=10"}).arrivals_s ==
        std::vector<double>{0, 0.05, 0.3, 0.4});
  CHECK_THROWS_WITH(trace_of(dir.path() / "log", {"speed=10"}),
                    "speed=10: speed: it scales the log's own times; set timing = true too");
}

TEST_CASE("a log whose times go back is sorted by them, and says how often they did") {
  // Two writers with buffers, each in order.
  const TempDir dir;
  const auto at = [](int second) { return "10/Oct/2025:13:55:0" + std::to_string(second) + " +0000"; };
  std::string log;
  for (const char* writer : {"/a", "/b"})
    for (int second = 0; second < 10; ++second) log += entry(writer + std::to_string(second), 1, at(second));
  write(dir.path() / "log", log);
  const Workload workload = trace_of(dir.path() / "log", {"timing=true"});
  std::vector<double> expected_s;
  std::vector<std::uint32_t> expected_files;
  for (std::uint32_t second = 0; second < 10; ++second)
    for (const std::uint32_t writer : {0u, 1u}) {
      expected_s.push_back(second + 0.5 * writer);
      expected_files.push_back(10 * writer + second);
    }
  CHECK(*workload.arrivals_s == expected_s);
  CHECK(workload.popularity->order() == expected_files);
  CHECK(workload.log->out_of_order == 9);  // b0 to b8; b9 is as late as a9
  CHECK(workload.notes[0].find("; 9 lines out of order by time, sorted") != std::string::npos);
  // Without its times the log's order is what counts.
  CHECK(trace_of(dir.path() / "log").popularity->order()[1] == 1);
}

TEST_CASE("lines of JSON are read as Caddy and nginx write them") {
  struct Row {
    const char* line;
    bool good;
    double time_s;
    const char* method;
    const char* target;
    int status;
    std::int64_t bytes;
  };
  const Row rows[] = {
      {R"({"level":"info","ts":1646861401.5241024,"logger":"http.log.access","msg":"handled request","request":)"
       R"({"remote_ip":"127.0.0.1","proto":"HTTP/2.0","method":"GET","host":"localhost","uri":"/a?b=c","headers":{}},)"
       R"("bytes_read":0,"user_id":"","duration":0.000929675,"size":10900,"status":200,"resp_headers":{}})",
       true, 1646861401.5241024, "GET", "/a?b=c", 200, 10900},
      {R"({"ts":"2022-03-09T21:30:01.5+02:00","request":{"method":"PUT","uri":"/"},"size":0,"status":404})", true,
       1646854201.5, "PUT", "/", 404, 0},
      {R"({"ts":1646861401524,"request":{"method":"GET","uri":"/"},"size":1,"status":200})", true, 1646861401.524,
       "GET", "/", 200, 1},
      {R"({"time_iso8601":"2025-10-10T13:55:36+00:00","request":"GET /x y HTTP/1.1","status":"200",)"
       R"("body_bytes_sent":"512"})",
       true, 1760104536, "GET", "/x y", 200, 512},
      {R"({"time_local":"10/Oct/2025:13:55:36 +0000","request_method":"HEAD","request_uri":"/\u00e9","status":304,)"
       R"("bytes_sent":"-"})",
       true, 1760104536, "HEAD", "/\xc3\xa9", 304, 0},
      {R"({"msec":"1760104536.250","request":"GET /a\"b HTTP/1.1","status":"200","body_bytes_sent":7})", true,
       1760104536.25, "GET", "/a\"b", 200, 7},
      {"{\"@timestamp\":\"2025-10-10T13:55:36Z\",\"method\":\"GET\",\"uri\":\"/\xff\",\"status\":200,\"bytes\":1}",
       true, 1760104536, "GET", "/\xc3\xbf", 200, 1},
      {R"({"level":"info","ts":1646861401.5,"msg":"serving initial configuration"})", false, 0, "", "", 0, 0},
      {R"({"ts":1646861401.5,"request":{"method":"GET","uri":"/"},"status":200})", false, 0, "", "", 0, 0},
      {R"({"ts":1646861401.5,"request":{"method":"GET","uri":"/"},"size":-1,"status":200})", false, 0, "", "", 0, 0},
      {R"({"ts":1646861401.5,"request":{"method":7,"uri":"/"},"size":1,"status":200})", false, 0, "", "", 0, 0},
      {R"({"ts":"yesterday","request":{"method":"GET","uri":"/"},"size":1,"status":200})", false, 0, "", "", 0, 0},
      {R"({"ts":1646861401.5,"request":"GET","size":1,"status":200})", false, 0, "", "", 0, 0},
      {R"({"ts":1646861401.5,)", false, 0, "", "", 0, 0},
      {"{}", false, 0, "", "", 0, 0},
  };
  for (const Row& row : rows) {
    INFO(row.line);
    const std::optional<LogEntry> read = parse_log_line(row.line);
    REQUIRE(read.has_value() == row.good);
    if (!read) continue;
    CHECK(read->time_s == Approx(row.time_s).epsilon(1e-12));
    CHECK(read->method == row.method);
    CHECK(read->target == row.target);
    CHECK(read->status == row.status);
    CHECK(read->body_bytes == row.bytes);
  }
  // Their times have fractions: they are kept, not spread.
  const TempDir dir;
  std::string log;
  for (const char* ts : {"100.25", "100.75", "100.5", "102"})
    log += R"({"ts":)" + std::string(ts) + R"(,"request":{"method":"GET","uri":"/)" + ts +
           R"("},"size":5,"status":200})"
           "\n";
  write(dir.path() / "log", log);
  const Workload workload = trace_of(dir.path() / "log", {"timing=true"});
  CHECK(*workload.arrivals_s == std::vector<double>{0, 0.25, 0.5, 1.75});
  CHECK(workload.log->out_of_order == 1);
}

TEST_CASE("compressed logs are read like plain text, one member or many") {
  const TempDir dir;
  std::string text;
  for (int i = 0; i < 20'000; ++i) text += entry("/f" + std::to_string(i % 700), i % 1000);
  write(dir.path() / "plain", text);
  std::uint64_t entries = 0;
  const auto count = [&](const LogEntry&) { return ++entries, true; };
  CHECK(read_access_log(dir.path() / "plain", count).lines == 20'000);
  for (const std::string& compressed : {gzip(text, dir.path() / "x.gz"), bzip2(text), xz(text)}) {
    INFO(static_cast<int>(compressed[0]));
    entries = 0;
    write(dir.path() / "one", compressed);
    write(dir.path() / "two", compressed + compressed);
    const LogReading one = read_access_log(dir.path() / "one", count);
    CHECK(one.lines == 20'000);
    CHECK_FALSE(one.truncated);
    const LogReading two = read_access_log(dir.path() / "two", count);
    CHECK(two.lines == 40'000);
    CHECK_FALSE(two.truncated);
    CHECK(entries == 60'000);
  }
  // What follows a compressed member and is none itself is padding.
  write(dir.path() / "padded", gzip(text, dir.path() / "x.gz") + std::string(1000, '\0'));
  CHECK(read_access_log(dir.path() / "padded", count).lines == 20'000);
  CHECK_FALSE(read_access_log(dir.path() / "padded", count).truncated);
}

TEST_CASE("a log may come from a pipe") {
  const TempDir dir;
  std::string text;
  for (int i = 0; i < 20'000; ++i) text += entry("/f" + std::to_string(i % 700), i % 1000);
  for (const std::string& bytes : {text, xz(text)}) {
    int ends[2];
    REQUIRE(pipe(ends) == 0);
    std::thread writer([&] {
      for (std::size_t at = 0; at < bytes.size();) {
        const ssize_t written = ::write(ends[1], bytes.data() + at, std::min<std::size_t>(bytes.size() - at, 1000));
        if (written <= 0) break;
        at += static_cast<std::size_t>(written);
      }
      ::close(ends[1]);
    });
    const Workload workload = trace_of("/dev/fd/" + std::to_string(ends[0]));
    writer.join();
    ::close(ends[0]);
    CHECK(workload.log->requests == 20'000);
  }
}

TEST_CASE("of truncated or damaged data, what came before is taken and the rest is told") {
  const TempDir dir;
  std::string text;
  for (int i = 0; i < 60'000; ++i) text += entry("/f" + std::to_string(i * 7919L % 60'000), i % 1000);
  for (const std::string& compressed : {gzip(text, dir.path() / "whole.gz"), bzip2(text), xz(text)}) {
    write(dir.path() / "cut", compressed.substr(0, compressed.size() / 2));
    std::string damaged = compressed;
    for (std::size_t i = compressed.size() / 2; i < compressed.size() / 2 + 50; ++i)
      damaged[i] = static_cast<char>(~damaged[i]);
    write(dir.path() / "damaged", damaged);
    for (const char* name : {"cut", "damaged"}) {
      INFO(name << " " << static_cast<int>(compressed[0]));
      const LogReading reading = read_access_log(dir.path() / name, [](const LogEntry&) { return true; });
      CHECK(reading.truncated);
      CHECK(reading.lines - reading.broken > 10'000);
      CHECK(reading.lines - reading.broken < 60'000);
    }
  }
  CHECK(trace_of(dir.path() / "cut").notes[0].find("the compressed data is cut short or damaged") != std::string::npos);
}

TEST_CASE("a log without end of line, with huge lines or zero bytes is read to its end") {
  const TempDir dir;
  const std::string good = entry("/a", 1);
  write(dir.path() / "log",
        good + std::string(3 << 20, 'x') + "\n" + std::string(1000, '\0') + "\n" + good.substr(0, good.size() - 1));
  std::uint64_t entries = 0;
  const LogReading reading = read_access_log(dir.path() / "log", [&](const LogEntry&) { return ++entries, true; });
  CHECK(reading.lines == 4);
  CHECK(reading.broken == 2);
  CHECK(entries == 2);
}

TEST_CASE("a log that gives no trace is refused in a line") {
  const TempDir dir;
  write(dir.path() / "empty", "");
  CHECK_THROWS_WITH(trace_of(dir.path() / "empty"),
                    Catch::Matchers::EndsWith("has 0 lines and no GET that was answered with 200"));
  CHECK_THROWS_WITH(trace_of("/dev/zero"), "cannot read the log /dev/zero: it is a device, not a file");
  std::ofstream(dir.path() / "zeros") << "";
  std::filesystem::resize_file(dir.path() / "zeros", std::uintmax_t{65} << 20);
  CHECK_THROWS_WITH(trace_of(dir.path() / "zeros"),
                    Catch::Matchers::EndsWith(": its first 64 MiB hold no line of an access log"));
  REQUIRE(::mkfifo((dir.path() / "pipe").c_str(), 0600) == 0);
  CHECK_THROWS_WITH(trace_of(dir.path() / "pipe"), Catch::Matchers::EndsWith(": it is a pipe that nobody writes to"));
  CHECK_THROWS_WITH(trace_of("/nonexistent"), "cannot read the log /nonexistent: No such file or directory");
  CHECK_THROWS_WITH(trace_of(dir.path()), Catch::Matchers::EndsWith(": Is a directory"));
  CHECK_THROWS_WITH(
      load_workload("trace"),
      Catch::Matchers::EndsWith("trace.toml:1:1: log: expected the access log to replay (--set log=FILE)"));
}
