// The program itself, from outside: what it says, what it writes, how it ends.
#include <sys/stat.h>

#include <atomic>
#include <csignal>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "tests/catch.h"
#include "tests/harness/load/scripted_server.h"
#include "tests/support/child.h"
#include "tests/support/clock.h"
#include "tests/support/temp_dir.h"

using namespace bakeoff;
using bakeoff::test::TempDir;

namespace {

std::string program() {
  return (std::filesystem::read_symlink("/proc/self/exe").parent_path() / "bakeoff-load").string();
}

// The command line of a run that ends when it has its replies, however busy the machine is.
std::vector<std::string> short_run(const std::string& url, const std::vector<std::string>& more = {}) {
  static const TempDir dir;
  dir.write("log", "/a\n/b\n");
  std::vector<std::string> argv = {program(), url,          "--connections",
                                   "2",       "--wsesslog", "10,0," + (dir.path() / "log").string()};
  argv.insert(argv.end(), more.begin(), more.end());
  return argv;
}

// One by the clock.
std::vector<std::string> timed_run(const std::string& url, const std::vector<std::string>& more = {}) {
  std::vector<std::string> argv = {program(), url, "--connections", "2", "--duration", "400ms", "--warmup", "0"};
  argv.insert(argv.end(), more.begin(), more.end());
  return argv;
}

std::string port_of(const ScriptedServer& server) { return server.url("").substr(server.url("").rfind(':') + 1); }

}  // namespace

TEST_CASE("a host that has an address where no server is falls back on the next one") {
  if (test::run({"unshare", "-m", "true"}).status != 0) {
    WARN("this user may not have a name service of its own: the case is skipped");
    return;
  }
  const TempDir dir;
  dir.write("hosts", "::1 localhost\n127.0.0.9 localhost\n127.0.0.1 localhost\n");
  const ScriptedServer server(polite);
  std::vector<std::string> argv = {
      "unshare", "-m", "sh", "-c", R"(mount --bind "$0" /etc/hosts && exec "$@")", (dir.path() / "hosts").string()};
  for (const std::string& word : short_run("http://localhost:" + port_of(server) + "/", {"--json", "-"}))
    argv.push_back(word);
  const test::Finished run = test::run(argv);
  INFO(run.errors);
  REQUIRE(run.status == 0);
  const auto json = nlohmann::json::parse(run.output);
  REQUIRE(json["replies"] > 0);
  REQUIRE(json["errors"]["total"] == 0);
  REQUIRE(json["address"] == "127.0.0.1:" + port_of(server));
}

namespace {

std::string content_of(const std::filesystem::path& file) {
  std::ifstream in(file, std::ios::binary);
  std::ostringstream text;
  text << in.rdbuf();
  return text.str();
}

// By a shell, in which the command is "$@"; argv follows.
std::vector<std::string> by_shell(const std::string& line, const std::vector<std::string>& argv) {
  std::vector<std::string> whole = {"bash", "-c", line, "bash"};
  whole.insert(whole.end(), argv.begin(), argv.end());
  return whole;
}

bool contains(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

}  // namespace

TEST_CASE("a session log may come from a pipe, and is replayed as often as from a file") {
  const TempDir dir;
  dir.write("log", "/f?1\n\n/f?2\n\n/f?3\n");
  const std::string log = (dir.path() / "log").string();
  const ScriptedServer server(polite);
  const std::vector<std::string> run = {program(), server.url(), "--json", "-"};
  for (const std::string& way :
       {"cat " + log + " | \"$@\" --wsesslog 7,0,/dev/stdin", "\"$@\" --wsesslog 7,0,<(cat " + log + ")",
        "\"$@\" --threads 2 --connections 4 --wsesslog 7,0,/dev/stdin < <(cat " + log + ")",
        "\"$@\" --wsesslog 7,0,/dev/stdin < " + log}) {
    INFO(way);
    const test::Finished ended = test::run(by_shell(way, run));
    INFO(ended.errors);
    REQUIRE(ended.status == 0);
    const auto json = nlohmann::json::parse(ended.output);
    CHECK(json["sessions"]["completed"] == 7);
    CHECK(json["replies"] == 7);
  }
}

TEST_CASE("an access log may come from a pipe") {
  const ScriptedServer server([](Conversation& talk) {
    while (!talk.request().empty()) talk.say(reply_with("hello"));
  });
  const std::string line = "h - - [10/Oct/2025:13:55:00 +0000] \\\"GET /a HTTP/1.1\\\" 200 5";
  const test::Finished ended =
      test::run(by_shell("echo \"" + line + "\" | \"$@\" --workload trace --set log=/dev/stdin --verify-every 0",
                         timed_run(server.url(), {"--json", "-"})));
  INFO(ended.errors);
  REQUIRE(ended.status == 0);
  CHECK(nlohmann::json::parse(ended.output)["log"]["requests"] == 1);
  CHECK(nlohmann::json::parse(ended.output)["errors"]["total"] == 0);
}

TEST_CASE("input without end is refused in a line") {
  for (const auto& [arguments, said] : std::vector<std::pair<std::vector<std::string>, std::string>>{
           {{"--wsesslog", "3,0,/dev/zero"}, "/dev/zero: it is a device, not a file"},
           {{"--wsesslog", "3,0,/dev/null"}, "/dev/null: it is a device, not a file"},
           {{"--workload", "trace", "--set", "log=/dev/zero"}, "/dev/zero: it is a device, not a file"},
           {{"--workload", "/dev/zero"}, "/dev/zero: it is a device, not a file"}}) {
    const test::Finished ended = test::run(timed_run("http://127.0.0.1:1/", arguments));
    INFO(ended.errors);
    CHECK(ended.status == 2);
    CHECK(contains(ended.errors, said));
    CHECK(std::count(ended.errors.begin(), ended.errors.end(), '\n') == 1);
  }
}

TEST_CASE("a program that waits for its input ends when it is told to") {
  const TempDir dir;
  const std::string pipe = (dir.path() / "pipe").string();
  REQUIRE(mkfifo(pipe.c_str(), 0600) == 0);
  for (const std::vector<std::string>& input : std::vector<std::vector<std::string>>{
           {"--wsesslog", "3,0," + pipe}, {"--workload", "trace", "--set", "log=" + pipe}, {"--workload", pipe}})
    for (const int number : {SIGINT, SIGTERM}) {
      test::Child child(timed_run("http://127.0.0.1:1/", input));
      // Until then it has the test's own handlers.
      const std::string self = "/proc/" + std::to_string(child.pid()) + "/exe";
      std::error_code gone;
      REQUIRE(test::eventually([&] { return std::filesystem::read_symlink(self, gone) == program(); }));
      child.signal(number);
      CHECK(child.wait() == 128 + number);
    }
}

TEST_CASE("a signal ends a run with what was measured, unless it was ignored from the start") {
  for (const int number : {SIGINT, SIGTERM, SIGHUP})
    for (const bool ignored : {false, true}) {
      INFO(number << (ignored ? ", ignored" : ""));
      const ScriptedServer server(polite);
      std::vector<std::string> argv = {program(), server.url(), "--connections",           "2",        "--json",
                                       "-",       "--duration", ignored ? "300ms" : "60s", "--warmup", "0"};
      if (ignored) argv = by_shell("trap '' INT TERM HUP; exec \"$@\"", argv);
      test::Child child(argv);
      REQUIRE(test::eventually([&] { return server.requests() > 2; }));
      child.signal(number);
      CHECK(child.wait() == (ignored ? 0 : 130));
      const auto json = nlohmann::json::parse(child.rest_of_output());
      CHECK(json["interrupted"] == !ignored);
      CHECK(json["replies"] > 0);
      if (ignored) CHECK(json["duration_s"].get<double>() >= 0.3);
    }
}

TEST_CASE("an output that cannot be written is told before the run") {
  const TempDir dir;
  const ScriptedServer server(polite);
  std::filesystem::create_directory(dir.path() / "closed");
  std::filesystem::permissions(dir.path() / "closed", std::filesystem::perms::owner_read);
  dir.write("read-only", "old");
  std::filesystem::permissions(dir.path() / "read-only", std::filesystem::perms::owner_read);
  for (const std::string option : {"--json", "--hgrm", "--hlog"})
    for (const auto& [name, why] : {std::pair{"missing/x", "No such file or directory"},
                                    {"closed/x", "Permission denied"},
                                    {"read-only", "Permission denied"},
                                    {"", "Is a directory"}}) {
      const std::string file = (dir.path() / name).string();
      test::Child child(short_run(server.url(), {option, file}), {.obey_permissions = true});
      CHECK(child.wait() == 4);
      CHECK(child.errors() == "bakeoff-load: cannot write " + file + ": " + why + "\n");
    }
  CHECK(server.requests() == 0);
  CHECK(content_of(dir.path() / "read-only") == "old");
  const test::Finished log = test::run(
      {program(), "--workload", "single-file", "--write-wsesslog", "3,1," + (dir.path() / "missing/x").string()});
  CHECK(log.status == 4);
  CHECK(contains(log.errors, "missing/x: No such file or directory"));
}

TEST_CASE("an output that fails leaves the others and its old file alone") {
  const TempDir dir;
  const ScriptedServer server(polite);
  dir.write("old.json", "old");
  const std::string good = (dir.path() / "good.json").string();
  const test::Finished ended = test::run(short_run(server.url(), {"--hgrm", "/dev/full", "--json", good}));
  CHECK(ended.status == 4);
  CHECK(contains(ended.errors, "cannot write /dev/full: No space left on device"));
  CHECK(nlohmann::json::parse(content_of(good))["replies"] > 0);

  // A file that may not grow: what was there stays, and nothing unfinished lies about.
  const std::string old = (dir.path() / "old.json").string();
  const test::Finished limited =
      test::run(by_shell("ulimit -f 1; exec \"$@\"", short_run(server.url(), {"--json", old, "--hgrm", good})));
  CHECK(limited.status == 4);
  CHECK(contains(limited.errors, "cannot write " + old + ": File too large"));
  CHECK(content_of(old) == "old");
  CHECK(std::distance(std::filesystem::directory_iterator(dir.path()), {}) == 2);
}

TEST_CASE("an output may be a link, a pipe, or a file in a closed folder") {
  const TempDir dir;
  const ScriptedServer server(polite);
  dir.write("real", "old");
  std::filesystem::permissions(dir.path() / "real", std::filesystem::perms(0640));
  std::filesystem::create_symlink("real", dir.path() / "link");
  REQUIRE(test::run(short_run(server.url(), {"--json", (dir.path() / "link").string()})).status == 0);
  CHECK(std::filesystem::is_symlink(dir.path() / "link"));
  CHECK(nlohmann::json::parse(content_of(dir.path() / "real"))["replies"] > 0);
  CHECK(std::filesystem::status(dir.path() / "real").permissions() == std::filesystem::perms(0640));

  std::filesystem::create_symlink("new", dir.path() / "to-nothing");
  REQUIRE(test::run(short_run(server.url(), {"--json", (dir.path() / "to-nothing").string()})).status == 0);
  CHECK(nlohmann::json::parse(content_of(dir.path() / "new"))["replies"] > 0);

  const test::Finished piped = test::run(by_shell("\"$@\" --json >(cat) 2>/dev/null | cat", short_run(server.url())));
  CHECK(nlohmann::json::parse(piped.output)["replies"] > 0);

  dir.write("closed/file", "old");
  std::filesystem::permissions(dir.path() / "closed", std::filesystem::perms(0500));
  test::Child child(short_run(server.url(), {"--json", (dir.path() / "closed/file").string()}),
                    {.obey_permissions = true});
  CHECK(child.wait() == 0);
  CHECK(nlohmann::json::parse(content_of(dir.path() / "closed/file"))["replies"] > 0);
  std::filesystem::permissions(dir.path() / "closed", std::filesystem::perms(0700));
}

TEST_CASE("standard output that takes nothing is an error") {
  const ScriptedServer server(polite);
  for (const auto& arguments : std::vector<std::vector<std::string>>{{program(), "--help"},
                                                                     short_run(server.url(), {"--json", "-"}),
                                                                     short_run(server.url(), {"--httperf-summary"})}) {
    const test::Finished full = test::run(by_shell("\"$@\" > /dev/full", arguments));
    INFO(full.errors);
    CHECK(full.status == 4);
    CHECK(contains(full.errors, "bakeoff-load: cannot write to standard output: No space left on device"));
    // A pipe that nobody reads any more when it is written to.
    test::TempDir dir;
    const std::string fifo = (dir.path() / "fifo").string();
    const test::Finished broken = test::run(
        by_shell("mkfifo " + fifo + "; exec 3<>" + fifo + " 4>" + fifo + " 3<&-; exec \"$@\" >&4", arguments));
    CHECK(broken.status == 4);
  }
  const test::Finished closed = test::run(by_shell("\"$@\" >&-", short_run(server.url(), {"--json", "-"})));
  CHECK(closed.status == 4);
  CHECK(contains(closed.errors, "cannot write to standard output"));
}

TEST_CASE("the baseline's programs need their standard output as well") {
  const ScriptedServer server(polite);
  const std::filesystem::path bin = std::filesystem::path(program()).parent_path();
  const std::string client = (bin / "bakeoff-minimal-client").string(), ceiling = (bin / "bakeoff-ceiling").string();
  for (const auto& argv : std::vector<std::vector<std::string>>{
           {client, "--help"},
           {client, "--port", port_of(server), "--connections", "1", "--duration", "0.01", "--warmup", "0"},
           {ceiling, "--help"},
           {ceiling, "--port", "0"}}) {
    const test::Finished full = test::run(by_shell("\"$@\" > /dev/full", argv));
    INFO(full.errors);
    CHECK(full.status == 4);
    CHECK(contains(full.errors, "cannot write to standard output: No space left on device"));
  }
}

TEST_CASE("numbers that mean nothing to the baseline's programs are refused in a line") {
  const std::filesystem::path bin = std::filesystem::path(program()).parent_path();
  const std::string client = (bin / "bakeoff-minimal-client").string(), ceiling = (bin / "bakeoff-ceiling").string();
  for (const auto& argv : std::vector<std::vector<std::string>>{{client, "--port", "0"},
                                                                {client, "--port", "1", "--connections", "-1"},
                                                                {client, "--port", "1", "--duration", "nan"},
                                                                {client, "--port", "1", "--warmup", "-1"},
                                                                {ceiling, "--port", "-1"},
                                                                {ceiling, "--port", "65536"},
                                                                {ceiling, "--body-bytes", "-1"},
                                                                {ceiling, "--body-bytes", "9223372036854775807"}}) {
    const test::Finished refused = test::run(argv);
    INFO(refused.errors);
    CHECK(refused.status == 2);
    CHECK(contains(refused.errors, argv[argv.size() - 2]));
    CHECK(std::count(refused.errors.begin(), refused.errors.end(), '\n') == 1);
  }
}

TEST_CASE("any bytes are a name") {
  const TempDir dir;
  const ScriptedServer server(polite);
  const std::string odd = "\xff\xfe\xc3";
  dir.write(odd + ".toml", "kind = \"single-file\"\nsize_bytes = 5\n");
  dir.write(odd + ".log", "h - - [10/Oct/2025:13:55:00 +0000] \"GET /" + odd + " HTTP/1.1\" 200 5\n");
  dir.write(odd + ".json", "old");
  const std::string out = (dir.path() / (odd + ".json")).string();
  for (const auto& arguments : std::vector<std::vector<std::string>>{
           {},
           {"--header", "X: " + odd},
           {"--workload", (dir.path() / (odd + ".toml")).string(), "--verify-every", "0"},
           {"--workload", "trace", "--set", "log=" + (dir.path() / (odd + ".log")).string(), "--verify-every", "0"}}) {
    std::vector<std::string> all = timed_run(server.url("/" + odd), {"--json", out});
    all.insert(all.end(), arguments.begin(), arguments.end());
    const test::Finished ended = test::run(all);
    INFO(ended.errors);
    REQUIRE(ended.status == 0);
    const auto json = nlohmann::json::parse(content_of(out));
    CHECK(json["replies"] > 0);
    CHECK(contains(json["url"], "\xef\xbf\xbd"));  // U+FFFD
  }
  // So are messages about them.
  for (const auto& arguments : std::vector<std::vector<std::string>>{
           {"--workload", odd}, {"--wsesslog", "1,0," + odd}, {"--" + odd}, {"--set", odd}, {"--duration", odd}}) {
    const test::Finished ended = test::run(timed_run(server.url(), arguments));
    INFO(ended.errors);
    CHECK(ended.status == 2);
  }
}

TEST_CASE("requests have the fields that are asked for") {
  const ScriptedServer server([](Conversation& talk) {
    for (std::string head = talk.request(); !head.empty(); head = talk.request())
      talk.say(contains(head, "\r\nHost: example.org:81\r\n") && contains(head, "\r\nX-One: a: b\r\n") &&
                       contains(head, "\r\nX-Two: \r\n") && !contains(head, "127.0.0.1")
                   ? reply_with("hello")
                   : "HTTP/1.1 400 No\r\nContent-Length: 0\r\n\r\n");
  });
  const TempDir dir;
  dir.write("log", "/a\n");
  for (const auto& arguments : std::vector<std::vector<std::string>>{
           {},
           {"--workload", "single-file", "--set", "size_bytes=5", "--verify-every", "0"},
           {"--wsesslog", "5,0," + (dir.path() / "log").string()}}) {
    std::vector<std::string> all = timed_run(server.url(), {"--json", "-", "--header", "host: example.org:81",
                                                            "--header", "X-One:  a: b", "--header", "X-Two:"});
    all.insert(all.end(), arguments.begin(), arguments.end());
    const test::Finished ended = test::run(all);
    INFO(ended.errors);
    REQUIRE(ended.status == 0);
    const auto json = nlohmann::json::parse(ended.output);
    CHECK(json["errors"]["total"] == 0);
    CHECK(json["replies"] > 0);
    CHECK(json["headers"][0] == "host: example.org:81");
  }
  for (const char* field :
       {"", "no colon", ": x", "a b: x", "X: a\r\nY: b", "Content-Length: 5", "transfer-encoding: chunked"}) {
    INFO(field);
    const test::Finished ended = test::run(timed_run(server.url(), {"--header", field}));
    CHECK(ended.status == 2);
    CHECK(contains(ended.errors, "--header"));
  }
  CHECK(test::run(timed_run(server.url(), {"--header", "Host: a", "--header", "HOST: b"})).status == 2);
}

TEST_CASE("a terminal that takes no escape sequences gets none") {
  if (!test::is_installed("script")) {
    WARN("script is not installed: the case is skipped");
    return;
  }
  const ScriptedServer server(polite);
  const auto said_on = [&](const std::string& terminal) {
    return test::run({"env", "TERM=" + terminal, "script", "-qec",
                      program() + " " + server.url() + " --connections 2 --duration 400ms --warmup 0", "/dev/null"})
        .output;
  };
  CHECK(contains(said_on("xterm"), "\033["));
  for (const char* terminal : {"dumb", ""}) {
    const std::string said = said_on(terminal);
    CHECK_FALSE(contains(said, "\033"));
    CHECK(contains(said, "verdict: "));
  }
}

TEST_CASE("a log that is longer than its run says what is left out, and which speed fits") {
  const TempDir dir;
  std::string log;
  for (int second = 10; second < 50; ++second)
    log += "h - - [10/Oct/2025:13:55:" + std::to_string(second) + " +0000] \"GET /a HTTP/1.1\" 200 5\n";
  dir.write("log", log + "h - - [10/Oct/2025:13:55:50 +0000] \"GET /a HTTP/1.1\" 304 0\nbroken\n");
  const ScriptedServer server(polite);
  const auto run = [&](std::vector<std::string> more) {
    std::vector<std::string> all = {program(), server.url(), "--json", "-",     "--verify-every",
                                    "0",       "--workload", "trace",  "--set", "log=" + (dir.path() / "log").string(),
                                    "--set",   "timing=true"};
    all.insert(all.end(), more.begin(), more.end());
    return test::run(all);
  };
  const test::Finished part = run({"--duration", "500ms"});
  REQUIRE(part.status == 0);
  const std::string note =
      "lasts 40 s and the run 0.5 s: 39 of its 40 requests are not asked for; with speed = 80 all of it fits";
  CHECK(contains(part.errors, note));
  const auto json = nlohmann::json::parse(part.output);
  CHECK(contains(json["notes"][1], note));
  CHECK(json["log"]["lines"] == 42);
  CHECK(json["log"]["skipped"]["broken"] == 1);
  CHECK(json["log"]["skipped"]["other_statuses"] == 1);
  CHECK(json["log"]["length_s"] == 39);
  CHECK(json["offered"] == 1);

  const test::Finished fast = run({"--duration", "500ms", "--set", "speed=80"});
  CHECK(nlohmann::json::parse(fast.output)["offered"] == 40);
  CHECK(nlohmann::json::parse(fast.output)["notes"].size() == 1);
  // Without a duration it lasts as long as the log.
  const auto whole = nlohmann::json::parse(run({"--set", "speed=200"}).output);
  CHECK(whole["offered"] == 40);
  CHECK(whole["duration_s"].get<double>() == Approx(0.2).margin(0.01));
}

TEST_CASE("with --hold connections stay open after the measured time, until the signal or the end of that time") {
  const ScriptedServer server(polite);
  test::Child held(timed_run(server.url(), {"--announce", "--hold", "1h", "--json", "-"}));
  const auto announced = held.read_line();
  REQUIRE(announced);
  const std::int64_t end_ns = nlohmann::json::parse(*announced).at("to_ns");
  REQUIRE(test::eventually([&] {
    timespec now{};
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1'000'000'000 + now.tv_nsec > end_ns + 200'000'000;
  }));
  CHECK(server.ended() == 0);
  held.signal(SIGUSR1);
  CHECK(held.wait() == 0);
  CHECK(test::eventually([&] { return server.ended() == 2; }));
  // Without the signal it ends by itself.
  CHECK(test::run(timed_run(server.url(), {"--hold", "10ms"})).status == 0);
  // To judge the command line needs no server.
  CHECK(test::run(timed_run("http://127.0.0.1:1/", {"--check"})).status == 0);
  CHECK(test::run(timed_run("http://127.0.0.1:1/", {"--check", "--rate", "10", "--requests-per-connection", "5"}))
            .status == 2);
}
