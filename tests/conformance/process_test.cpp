// The server as a process: its command line, its first and its last line, its limits and its end.
#include <sys/syscall.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <memory>

#include "tests/conformance/suite.h"

namespace bakeoff::conformance {

namespace {

// Starts the binary with these arguments, which must make it end at once with that status and one line that begins
// with its name.
void check_refused(const std::vector<std::string>& arguments, int status) {
  std::vector<std::string> line{suite().binary};
  line.insert(line.end(), arguments.begin(), arguments.end());
  std::string text;
  for (const std::string& argument : arguments) text += argument + " ";
  INFO(text);
  const Finished finished = run(line);
  INFO(finished.errors);
  CHECK(finished.status == status);
  CHECK(finished.output == "");
  CHECK(std::count(finished.errors.begin(), finished.errors.end(), '\n') == 1);
  CHECK(finished.errors.rfind(suite().architecture + ": ", 0) == 0);
  CHECK(finished.errors.find('\x1b') == std::string::npos);  // no terminal obeys it
}

Options with_connections(int connections) {
  Options options{{"connections", std::to_string(connections)}};
  if (suite().connection_per_worker) {
    options["workers"] = std::to_string(connections);
  } else if (suite().processes && !suite().has("helpers")) {
    options["workers"] = "1";  // one process sees all connections
  }
  return options;
}

// A client may have its reply before the server has noted that the connection is idle.
void wait_until_all_sleep(Server& server) {
  REQUIRE(eventually([&] {
    for (const pid_t pid : server.process().group()) {
      std::error_code gone;
      const std::filesystem::path tasks = "/proc/" + std::to_string(pid) + "/task";
      for (std::filesystem::directory_iterator task(tasks, gone), end; !gone && task != end; task.increment(gone)) {
        std::ifstream stat(task->path() / "stat");
        std::string line;
        if (std::getline(stat, line) && line.substr(line.rfind(')') + 2, 1) != "S") return false;
      }
    }
    return true;
  }));
}

}  // namespace

TEST_CASE("a command line that means nothing is refused in one line", "[once]") {
  const std::string root = site().root;
  check_refused({}, 2);
  check_refused({"--root"}, 2);
  check_refused({"--root", "/no/such/directory"}, 2);
  check_refused({"--root", "/no/\x1b[31msuch"}, 2);
  check_refused({"--root", root + "/index.html"}, 2);
  check_refused({"--root", ""}, 2);
  check_refused({"--root", root, "--no-such-option"}, 2);
  check_refused({"--root", root, "stray"}, 2);
  check_refused({"--root", root, "--root", root}, 2);
  const std::pair<const char*, const char*> options[] = {
      {"port", "70000"},
      {"port", "-1"},
      {"port", "http"},
      {"port", "\x1b[31m"},
      {"workers", "0"},
      {"workers", "-1"},
      {"workers", "1e3"},
      {"connections", "0"},
      {"connections", "x"},
      {"poller", "kqueue"},
      {"body", "magic"},
      {"send", "sometimes"},
      {"cache-bytes", "12Q"},
      {"cache-bytes", ""},
      {"cache-entries", "-5"},
      {"cache-valid", "soon"},
      {"cache-paths", "?"},
      {"request-timeout", ""},
      {"idle-timeout", "5"},
      {"send-timeout", "0s"},
      {"residency", "no"},
      {"backlog", "0"},
      {"address", "nowhere"},
      {"helpers", "elves"},
      {"dispatch", "telepathy"},
      {"accept-priority", "nobody"},
      {"admission", "maybe"},
      {"accept-limit", "-1"},
      {"workers", "99999999999999999999"},
  };
  for (const auto& [name, value] : options) check_refused({"--root", root, std::string("--") + name, value}, 2);
}

TEST_CASE("what this machine cannot give is refused in one line that says what would do", "[once]") {
  for (const Options& more : {Options{{"workers", "1000000"}}, Options{{"connections", "2000000000"}}}) {
    Options options = suite().options;
    options["port"] = "0";
    for (const auto& [name, value] : more) options[name] = value;
    const Finished finished = run(command_line(suite().binary, site().root, options));
    INFO(in_words(more) << ": " << finished.errors);
    CHECK((finished.status == 2 || finished.status == 4));
    CHECK(std::count(finished.errors.begin(), finished.errors.end(), '\n') == 1);
    CHECK(finished.output == "");
  }
  const std::string root = site().root;
  check_refused({"--root", root, "--port", "0", "--address", "192.0.2.1"}, 4);  // an address no machine has (RFC 5737)
  check_refused({"--root", root, "--port", "0", "--congestion", "no-such-control"}, 2);
}

// What a kernel older than this one, or a sandbox, lacks (the last ones have no number in Debian 12's headers).
TEST_CASE("a call that the kernel lacks is done without, or named in one line before the server is ready", "[once]") {
  struct Lack {
    const char* name;
    std::vector<long> calls;
  };
  constexpr long cachestat = 451, epoll_pwait2 = 441;
  const Lack lacks[] = {{"cachestat", {cachestat}},        {"epoll_pwait2", {epoll_pwait2}},
                        {"clone3", {SYS_clone3}},          {"openat2", {SYS_openat2}},
                        {"pidfd_open", {SYS_pidfd_open}},  {"memfd_create", {SYS_memfd_create}},
                        {"close_range", {SYS_close_range}}};
  for (const Lack& lack : lacks) {
    for (const int error : {ENOSYS, EPERM}) {
      INFO(lack.name << " fails with " << std::strerror(error));
      std::unique_ptr<Server> server;
      try {
        server = std::make_unique<Server>(suite().binary, site().root, suite().options,
                                          Child::Settings{.obey_permissions = false,
                                                          .forbidden_calls = lack.calls,
                                                          .forbidden_errno = error,
                                                          .ignored_signals = {}});
      } catch (const NotReady& refused) {
        INFO(refused.errors);
        CHECK(refused.status == 4);
        CHECK(std::count(refused.errors.begin(), refused.errors.end(), '\n') == 1);
        CHECK((lack.name == std::string("openat2") || (lack.name == std::string("clone3") && error == EPERM)));
        continue;
      }
      CHECK(lack.name != std::string("openat2"));
      Client client = server->connect();
      CHECK((client.get(sized(102)).body == sized_content(102)));
      CHECK((client.get(sized(1'048'576)).body == sized_content(1'048'576)));
      client.close();
      finish(*server);
    }
  }
}

// A helper that is stopped stands for one whose disk hangs.
TEST_CASE("a helper that does not come back holds up its connection for a bounded time, and no other", "[once]") {
  if (suite().description.at("options").value("helper-timeout", nlohmann::json::array()).empty()) return;
  const TempDir directory;
  directory.write("first", "1");
  directory.write("second", "22");
  directory.write("third", "333");
  Server server = serve_directory(directory.path().string(),
                                  {{"helpers", "processes"}, {"helper-timeout", "300ms"}, {"workers", "1"}});
  CHECK(server.get("/first").body == "1");
  std::vector<pid_t> helpers = server.process().group();
  std::erase(helpers, server.pid());
  REQUIRE(helpers.size() == 1);
  ::kill(helpers[0], SIGSTOP);
  REQUIRE(eventually([&] { return is_stopped(helpers[0]); }));
  Client gone = server.connect();  // leaves while it is waited for
  gone.send(request("/second"));
  REQUIRE(eventually([&] { return server.sockets().unread == 0 && server.connections() == 1; }));
  gone.reset();
  CHECK(server.get("/first").body == "1");  // from memory: nobody is waited for
  const Reply late = server.get("/third");
  CHECK(((late.status == 503) || (late.status == 200 && late.body == "333")));  // whether it was queued for too long
  CHECK(server.get("/third").body == "333");
  wait_for_connections(server, 0);
  const nlohmann::json total = finish(server).at("total");
  CHECK(total.at("helper_jobs_given_up").get<int>() >= 1);
  CHECK(total.at("helpers_started").get<int>() >= 2);  // a third where the second is late, too
}

TEST_CASE("a port in use is refused with status 4", "[once]") {
  Server server = serve();
  Options options = suite().options;
  options["port"] = std::to_string(server.port());
  const Finished second = run(command_line(suite().binary, site().root, options));
  INFO(second.errors);
  CHECK(second.status == 4);
  CHECK(second.output == "");
  CHECK(second.errors.find(std::to_string(server.port())) != std::string::npos);
  CHECK(std::count(second.errors.begin(), second.errors.end(), '\n') == 1);
  CHECK(server.get(sized(102)).status == 200);
  finish(server);
}

TEST_CASE("a server that listens to the world says so in one line", "[once]") {
  Server server = serve({{"address", "0.0.0.0"}});
  CHECK(server.get("/index.html").status == 200);
  const Server::Stopped stopped = server.stop();
  INFO(stopped.errors);
  CHECK(stopped.status == 0);
  CHECK(std::count(stopped.errors.begin(), stopped.errors.end(), '\n') == 1);
  CHECK(stopped.errors.rfind(suite().architecture + ": it listens at every address", 0) == 0);
}

TEST_CASE("the port is free again at once after the end", "[once]") {
  Server first = serve();
  const int port = first.port();
  Client client = first.connect();
  client.get(sized(102));
  client.send(request(sized(102)));
  finish(first);
  Server second = serve({{"port", std::to_string(port)}});
  CHECK(second.get(sized(102)).status == 200);
  finish(second);
}

TEST_CASE("the first line tells what runs, and --describe what could", "[preset][once]") {
  Server server = serve();
  const nlohmann::json& ready = server.ready_line();
  CHECK(ready.at("server") == suite().architecture);
  CHECK(ready.at("pid") == server.pid());
  CHECK(ready.at("address") == "127.0.0.1");
  CHECK(ready.at("workers").is_number_integer());
  for (const auto& [name, value] : suite().options) {
    if (name == "workers") continue;
    // Sizes and bounds are written out otherwise than they are typed: a preset's words are compared.
    if (suite().preset && !suite().description.at("options").at(name).is_array()) continue;
    std::string key = name;
    std::replace(key.begin(), key.end(), '-', '_');
    const nlohmann::json& said = ready.at("options").at(key);
    CHECK((said.is_boolean()  ? std::string(said.get<bool>() ? "on" : "off")
           : said.is_string() ? said.get<std::string>()
                              : said.dump()) == value);
  }
  finish(server);
  CHECK(suite().description.at("paper").get<std::string>() != "");
  CHECK(suite().values("body").size() >= 1);
  CHECK(suite().values("send").size() >= 1);
  const Finished help = run({suite().binary, "--help"});
  CHECK(help.status == 0);
  CHECK(help.output.find("--root") != std::string::npos);
}

TEST_CASE("the last line counts what was sent", "[preset][once]") {
  Server server = serve();
  {
    Client client = server.connect();
    for (int i = 0; i < 3; ++i) CHECK(client.get(sized(1024)).status == 200);
    const std::string tag = client.get(sized(65537)).header("etag");
    CHECK(client.head(sized(102)).status == 200);
    CHECK(client.get(sized(65537), "If-None-Match: " + tag + "\r\n").status == 304);
    CHECK(client.get("/missing").status == 404);
  }
  CHECK(converse(server, request("/", "", "BREW")).at(0).status == 501);
  CHECK(converse(server, "nonsense\r\n\r\n").at(0).status == 400);
  wait_for_connections(server, 0);
  const nlohmann::json statistics = finish(server);
  const nlohmann::json& total = statistics.at("total");
  INFO(total.dump());
  const nlohmann::json expected = {{"200", 5}, {"304", 1}, {"404", 1}, {"501", 1}, {"400", 1}};
  CHECK(total.at("replies_by_status") == expected);
  CHECK(total.at("replies") == 9);
  CHECK(total.at("accepts") == 3);
  CHECK(total.at("requests").get<int>() >= 7);  // those that could not be read may or may not count
  CHECK(total.at("requests").get<int>() <= 9);
  CHECK(total.at("body_bytes").get<int>() >= 3 * 1024 + 65537);
  CHECK(total.at("body_bytes").get<int>() <= 3 * 1024 + 65537 + 3000);  // and the small bodies of the refusals
  int by_workers = 0;
  for (const nlohmann::json& worker : statistics.at("workers")) by_workers += worker.at("replies").get<int>();
  CHECK(by_workers == 9);
}

TEST_CASE("a signal ends the server cleanly whatever its connections do") {
  for (const int signal : {SIGTERM, SIGINT, SIGQUIT, SIGHUP}) {
    for (const Options& options : combinations({"send"})) {
      if (signal != SIGTERM && options != combinations({"send"}).front())
        continue;  // the same path, and blocking sends take their time
      INFO("signal " << signal << " " << in_words(options));
      Options small = options;
      small["send-buffer"] = "16384";
      Server server = serve(small);
      std::vector<Client> clients;
      for (int i = 0; i < 12; ++i) {
        clients.push_back(server.connect(4096));
        if (i % 3 == 1) clients.back().send("GET /size");
        if (i % 3 == 2) clients.back().get(sized(102));
      }
      for (int i = 0; i < 2; ++i) {  // the last, for where one is sent to the others may have to wait
        clients.push_back(server.connect(4096));
        clients.back().send(request(sized(20'971'520)));
      }
      clients.back().read_some(patience_ms);
      const std::int64_t start = now_ms();
      const Server::Stopped stopped = server.stop(signal);
      INFO(stopped.errors);
      CHECK(stopped.status == 0);
      CHECK(stopped.errors == "");
      CHECK(stopped.left_running == 0);
      REQUIRE(stopped.statistics.is_object());
      CHECK(stopped.statistics.at("total").at("replies_by_status").at("200").get<int>() >= 3);
      CHECK(now_ms() - start < 10'000);
    }
  }
}

TEST_CASE("a signal that was ignored when the server was started does not end it") {
  Child::Settings settings;
  settings.ignored_signals = {SIGHUP, SIGINT};
  Server server = serve_directory(site().root, {}, settings);
  for (const int signal : settings.ignored_signals) server.process().signal(signal);
  for (int i = 0; i < 3; ++i) CHECK(server.get(sized(102)).status == 200);
  finish(server);
}

TEST_CASE("a server that drains answers what has begun, and nothing more") {
  Server server = serve({{"drain", "60s"}, {"send-buffer", "16384"}});
  server.get(sized(102));
  wait_for_connections(server, 0);
  Client idle = server.connect();
  idle.get(sized(102));
  Client begun = server.connect();
  begun.send("GET " + sized(102) + " HTTP/1.1\r\n");
  Client reader = server.connect(4096);
  reader.send(request(sized(1'048'576)));
  REQUIRE(eventually([&] { return server.connections() == 3 && server.sockets().unread == 0; }));
  server.process().signal(SIGTERM);
  CHECK(idle.ended_silently());
  CHECK_THROWS(server.connect().get(sized(102)));
  begun.send("Host: h\r\n\r\n");
  const Reply reply = begun.read_reply();
  CHECK((reply.body == sized_content(102)));
  CHECK_FALSE(reply.keep_alive());
  CHECK(begun.ended_silently());
  CHECK(server.process().running());
  CHECK((reader.read_reply().body == sized_content(1'048'576)));
  CHECK(reader.ended_silently());
  const Server::Stopped stopped = server.stop(0);  // by itself: this is no signal
  CHECK(stopped.status == 0);
  CHECK(stopped.errors == "");
  CHECK(stopped.left_running == 0);
  REQUIRE(stopped.statistics.is_object());
  CHECK(stopped.statistics.at("total").at("closed_idle_timeout") == 0);
}

TEST_CASE("a drain ends when its time has passed, and at a second signal") {
  for (const bool second_signal : {false, true}) {
    INFO("second signal: " << second_signal);
    Server server = serve({{"drain", second_signal ? "600s" : "500ms"}, {"send-buffer", "16384"}});
    Client reader = server.connect(4096);
    reader.send(request(sized(20'971'520)));  // and takes nothing of it
    REQUIRE(eventually([&] { return server.connections() == 1 && server.sockets().unread == 0; }));
    server.process().signal(SIGTERM);
    if (second_signal) CHECK_FALSE(server.process().wait(300).has_value());
    const Server::Stopped stopped = server.stop(second_signal ? SIGTERM : 0);
    CHECK(stopped.status == 0);
    CHECK(stopped.errors == "");
    CHECK(stopped.left_running == 0);
    CHECK(stopped.statistics.is_object());
  }
}

TEST_CASE("a server that is killed leaves nothing running") {
  Server server = serve();
  for (int i = 0; i < 20; ++i) server.get(sized(65537));
  server.process().signal(SIGKILL);
  REQUIRE(server.process().wait() == 128 + SIGKILL);
  CHECK(eventually([&] { return server.process().group().empty(); }));
}

TEST_CASE("above --connections clients wait until others leave") {
  constexpr int most = 4;
  Server server = serve(with_connections(most));
  std::vector<Client> inside;
  for (int i = 0; i < most; ++i) {
    inside.push_back(server.connect());
    REQUIRE(inside.back().get(sized(102)).status == 200);
  }
  CHECK(server.connections() == most);
  std::vector<Client> waiting;
  for (int i = 0; i < 3; ++i) {
    waiting.push_back(server.connect());
    waiting.back().send(request(sized(1024)));
  }
  CHECK(waiting[0].read_some(200) == "");
  for (Client& client : inside) CHECK(client.get(sized(102)).status == 200);
  for (Client& client : waiting) {
    inside.back().close();
    inside.pop_back();
    CHECK((client.read_reply().body == sized_content(1024)));
    CHECK(server.connections() <= most);
  }
  CHECK(inside.back().get(sized(102)).status == 200);
  inside.clear();
  waiting.clear();
  wait_for_connections(server, 0);
  finish(server);
}

TEST_CASE("above --connections clients get a 503 where the server is told to refuse") {
  constexpr int most = 4;
  Options options = with_connections(most);
  options["admission"] = "refuse";
  const std::unique_ptr<Server> started = serve_unless_refused(options);
  if (!started) return;  // where every worker is in its connection there is nobody left to say no
  Server& server = *started;
  std::vector<Client> inside;
  for (int i = 0; i < most; ++i) {
    inside.push_back(server.connect());
    REQUIRE(inside.back().get(sized(102)).status == 200);
  }
  for (int i = 0; i < 20; ++i) {
    Client refused = server.connect();
    refused.send(request(sized(1024)));
    const Reply reply = refused.read_reply();
    CHECK(reply.status == 503);
    CHECK_FALSE(reply.keep_alive());
    CHECK(refused.ended_silently());
  }
  for (Client& client : inside) CHECK(client.get(sized(102)).status == 200);
  inside.pop_back();
  CHECK(eventually([&] { return server.get(sized(102)).status == 200; }));
  inside.clear();
  wait_for_connections(server, 0);
  CHECK(finish(server).at("total").at("refused").get<int>() >= 20);
}

TEST_CASE("in a full house who is idle longest leaves for a newcomer where the server is told to") {
  constexpr int most = 4;
  Options options = with_connections(most);
  options["admission"] = "close-idle";
  Server server = serve(options);
  std::vector<Client> inside;
  for (int i = 0; i < most; ++i) {
    inside.push_back(server.connect());
    REQUIRE(inside.back().get(sized(102)).status == 200);
    wait_until_all_sleep(server);
  }
  CHECK(inside[0].get(sized(102)).status == 200);  // the second has been idle longest now
  wait_until_all_sleep(server);
  std::vector<Client> newcomers;
  for (const std::size_t leaves : {1, 2, 3, 0}) {
    newcomers.push_back(server.connect());
    CHECK((newcomers.back().get(sized(1024)).body == sized_content(1024)));
    CHECK(inside[leaves].ended_silently());
    wait_for_connections(server, most);
    wait_until_all_sleep(server);
  }

  // Who is in the middle of a request stays; a newcomer waits until somebody is idle.
  const std::string asked = request(sized(102));
  const std::size_t half = asked.size() / 2;
  for (Client& client : newcomers) client.send(asked.substr(0, half));
  REQUIRE(eventually([&] { return server.sockets().unread == 0; }));
  wait_until_all_sleep(server);
  Client last = server.connect();
  last.send(request(sized(1024)));
  CHECK(last.read_some(200) == "");
  newcomers[2].send(asked.substr(half));
  CHECK(newcomers[2].read_reply().status == 200);
  CHECK((last.read_reply().body == sized_content(1024)));
  CHECK(newcomers[2].ended_silently());
  for (const std::size_t stays : {0, 1, 3}) {
    newcomers[stays].send(asked.substr(half));
    CHECK(newcomers[stays].read_reply().status == 200);
  }
  newcomers.clear();
  last.close();
  wait_for_connections(server, 0);
  CHECK(finish(server).at("total").at("closed_for_newcomer") == 5);
}

TEST_CASE("clients that keep their connections keep no newcomer out where the server is told to close idle ones") {
  constexpr std::size_t most = 4;
  for (Options more : {Options{}, Options{{"reuseport", "on"}}}) {
    more.merge(Options{{"connections", std::to_string(most)}, {"admission", "close-idle"}});
    if (suite().connection_per_worker || suite().processes) more["workers"] = std::to_string(most);
    INFO(in_words(more));
    const std::unique_ptr<Server> server = serve_unless_refused(more);
    if (!server) continue;  // no listening sockets apart
    std::vector<Client> clients;
    for (int i = 0; i < 30; ++i) {
      clients.push_back(server->connect());
      CHECK((clients.back().get(sized(1024)).body == sized_content(1024)));
    }
    CHECK(eventually([&] { return server->connections() <= most; }));
    clients.clear();
    wait_for_connections(*server, 0);
    CHECK(finish(*server).at("total").at("closed_for_newcomer") >= 30 - most);
  }
}

TEST_CASE("every accept limit serves everybody") {
  for (const char* limit : {"1", "3", "0"}) {
    INFO("accept-limit " << limit);
    const std::unique_ptr<Server> server = serve_unless_refused({{"accept-limit", limit}});
    if (!server) continue;  // who accepts one connection at a time anyway
    std::vector<Client> clients;
    for (int i = 0; i < 40; ++i) clients.push_back(server->connect());
    for (Client& client : clients) client.send(request(sized(102)));
    for (Client& client : clients) CHECK((client.read_reply().body == sized_content(102)));
    clients.clear();
    finish(*server);
  }
}

TEST_CASE("deferred accepts serve the same") {
  Server server = serve({{"defer-accept", "on"}});
  for (int i = 0; i < 20; ++i) CHECK((server.get(sized(102)).body == sized_content(102)));
  finish(server);
}

}  // namespace bakeoff::conformance
