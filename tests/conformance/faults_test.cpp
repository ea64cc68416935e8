// Clients that break off: the server goes on, and keeps nothing of them.
#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <iterator>
#include <random>
#include <sstream>

#include "tests/conformance/suite.h"

namespace bakeoff::conformance {

namespace {

constexpr int rounds = sanitized ? 400 : 3000;

}  // namespace

TEST_CASE("thousands of connections that come and go leave nothing behind") {
  Server server = serve();
  const auto warm_up = [&] {
    for (int i = 0; i < 100; ++i) server.get(sized(102));
    wait_for_connections(server, 0);
  };
  warm_up();
  const std::size_t descriptors = server.descriptors();
  for (int i = 0; i < rounds; ++i) {
    Client client = server.connect();
    if (i % 3 == 0) continue;  // without a word
    client.send(request(sized(102), i % 3 == 1 ? "Connection: close\r\n" : ""));
    REQUIRE((client.read_reply().body == sized_content(102)));
  }
  warm_up();
  CHECK(server.descriptors() <= descriptors + server.processes());  // one that met the file only now has it open
  const nlohmann::json total = finish(server).at("total");
  // One that came and went before it was accepted need not be seen.
  CHECK(total.at("accepts").get<int>() >= rounds * 2 / 3);
}

TEST_CASE("clients that reset at any moment harm nobody") {
  for (const Options& options : combinations({"send"})) {
    INFO(in_words(options));
    Options small = options;
    small["send-buffer"] = "16384";
    Server server = serve(small);
    server.get(sized(102));
    server.get(sized(1'048'576));
    wait_for_connections(server, 0);
    Client steady = server.connect();
    // Where a blocking send holds up others, by design, it is not for a test to wait for readers that never read.
    const bool blocking = options.count("send") != 0 && options.at("send") == "blocking";
    const std::string whole = request(sized(blocking ? 4096 : 1'048'576)) + request(sized(102));
    std::mt19937 random(19990606);
    const int most = std::min(20, suite().most_connections / 2);
    std::vector<Client> open;
    for (int i = 0; i < rounds / 3; ++i) {
      open.push_back(server.connect(random() % 2 == 0 ? 4096 : 0));
      open.back().send(std::string_view(whole).substr(0, random() % (whole.size() + 1)));
      if (static_cast<int>(open.size()) < most) continue;
      std::swap(open[random() % open.size()], open.back());
      Client& victim = open.back();
      if (random() % 2 == 0) victim.take_now(random() % 100'000);
      switch (random() % 3) {
        case 0: victim.reset(); break;
        case 1: victim.end_sending(); break;
        case 2: break;
      }
      open.pop_back();
      if (i % 50 == 0) REQUIRE((steady.get(sized(65537)).body == sized_content(65537)));
    }
    open.clear();
    CHECK((steady.get(sized(102)).body == sized_content(102)));
    steady.close();
    wait_for_connections(server, 0);
    finish(server);
  }
}

// Where descriptors run out before connections do: nobody spins while a client waits, and all go on once others leave.
TEST_CASE("a server without descriptors waits for one, without using the processor", "[once]") {
  // The kernel takes the descriptor before accept() begins to wait: who waits in the call has one.
  if (suite().description.at("waiting") == "in-calls") return;
  Server server = serve();
  server.get(sized(102));
  wait_for_connections(server, 0);
  std::vector<pid_t> processes = server.process().group();
  std::vector<rlimit> before(processes.size());
  const auto limit = [&](bool all) {
    for (std::size_t i = 0; i < processes.size(); ++i) {
      if (!all) REQUIRE(::prlimit(processes[i], RLIMIT_NOFILE, nullptr, &before[i]) == 0);
      rlimit now = before[i];
      if (!all) now.rlim_cur = 3;
      REQUIRE(::prlimit(processes[i], RLIMIT_NOFILE, &now, nullptr) == 0);
    }
  };
  limit(false);
  Client waiting = server.connect();
  waiting.send(request(sized(102)));
  CHECK(waiting.read_some(300) == "");
  const auto used_ms = [&] {
    std::int64_t ticks = 0;
    for (const pid_t process : processes) {
      std::ifstream file("/proc/" + std::to_string(process) + "/stat");
      std::string text((std::istreambuf_iterator<char>(file)), {});
      std::istringstream fields(text.substr(text.rfind(')') + 2));
      std::string skipped;
      for (int i = 0; i < 11; ++i) fields >> skipped;
      std::int64_t user = 0, system = 0;
      fields >> user >> system;
      ticks += user + system;
    }
    return ticks * 1000 / ::sysconf(_SC_CLK_TCK);
  };
  const std::int64_t from_ms = used_ms();
  CHECK(waiting.read_some(1000) == "");
  CHECK(used_ms() - from_ms < 300);  // who spins uses a second, or what others leave of it
  limit(true);
  CHECK((waiting.read_reply().body == sized_content(102)));
  waiting.close();
  const nlohmann::json total = finish(server).at("total");
  CHECK(total.at("accepts_failed").get<int>() >= 2);
}

TEST_CASE("a server without memory ends connections, and nothing else", "[once]") {
  if (sanitized) return;  // they take address space as they like
  Server server = serve({{"idle-timeout", "60s"}, {"request-timeout", "60s"}});
  server.get(sized(102));
  const std::vector<pid_t> processes = server.process().group();
  for (const pid_t process : processes) {
    std::ifstream file("/proc/" + std::to_string(process) + "/statm");
    std::uint64_t pages = 0;
    file >> pages;
    const rlim_t bytes = pages * static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE)) + (1u << 20);
    const rlimit no_more{bytes, RLIM_INFINITY};
    REQUIRE(::prlimit(process, RLIMIT_AS, &no_more, nullptr) == 0);
  }
  // Each keeps most of a head in memory of its own: together more than there is.
  const std::string half = request("/", "X: " + std::string(7900, 'x')).substr(0, 7900);
  {
    std::vector<Client> clients;
    const int count = std::min(1500, suite().most_connections / 2);
    for (int i = 0; i < count; ++i) {
      clients.push_back(server.connect());
      clients.back().send(half);
    }
    // Whoever is still there after that is served.
    int served = 0, ended = 0;
    for (Client& client : clients) {
      client.send("\r\n\r\n");
      std::optional<Reply> reply;
      try {
        reply = client.read_reply_or_end();
      } catch (const std::exception&) {  // reset
      }
      reply && (reply->status == 200 || reply->status == 503) ? ++served : ++ended;
    }
    CHECK(served > 0);
  }
  for (const pid_t process : processes) {
    const rlimit all{RLIM_INFINITY, RLIM_INFINITY};
    REQUIRE(::prlimit(process, RLIMIT_AS, &all, nullptr) == 0);
  }
  wait_for_connections(server, 0);
  CHECK((server.get(sized(65537)).body == sized_content(65537)));
  CHECK(server.process().group() == processes);  // nobody had to be replaced
  finish(server);
}

TEST_CASE("a file longer than the cache costs no memory of its size", "[once]") {
  if (sanitized) return;
  const TempDir directory;
  directory.write("small", "small");
  const std::string large = (directory.path() / "large").string();
  const int fd = ::open(large.c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
  REQUIRE(fd >= 0);
  REQUIRE(::ftruncate(fd, 300 << 20) == 0);  // a hole
  ::close(fd);
  Options options{{"body", "buffer"}};
  if (suite().connection_per_worker) options["workers"] = "2";
  const std::unique_ptr<Server> server = serve_unless_refused(options, directory.path().string());
  if (!server) return;
  CHECK(server->get("/small").body == "small");
  for (const pid_t process : server->process().group()) {
    std::ifstream file("/proc/" + std::to_string(process) + "/statm");
    std::uint64_t pages = 0;
    file >> pages;
    const rlimit more{pages * static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE)) + (100u << 20), RLIM_INFINITY};
    REQUIRE(::prlimit(process, RLIMIT_AS, &more, nullptr) == 0);
  }
  for (int round = 0; round < 2; ++round) {
    const Reply reply = server->get("/large");
    CHECK(reply.status == 200);
    CHECK(reply.body.size() == 300u << 20);
    CHECK(reply.body.find_first_not_of('\0') == std::string::npos);
  }
  CHECK(server->get("/small").body == "small");
  finish(*server);
}

TEST_CASE("resets while the disk is waited for harm nobody") {
  // Without caches every request waits for a name to be looked up, and where there is a choice also for its body.
  const std::vector<std::string> checks = suite().values("residency");
  const bool always = std::find(checks.begin(), checks.end(), "always-offload") != checks.end();
  for (const std::string body : {"auto", "sendfile", "uncached"}) {
    Options options = {{"body", body}, {"cache-paths", "off"}, {"cache-files", "off"}};
    if (always) options["residency"] = "always-offload";
    INFO(in_words(options));
    const std::unique_ptr<Server> server = serve_unless_refused(options);
    if (!server && suite().preset) continue;  // its bytes of cache mean nothing without files
    REQUIRE(server);
    std::mt19937 random(20040101);
    std::vector<Client> open;
    for (int i = 0; i < rounds / 3; ++i) {
      open.push_back(server->connect());
      open.back().send(request(sized(sizes[random() % (sizes.size() - 1)])));
      if (open.size() < 16) continue;
      std::swap(open[random() % open.size()], open.back());
      if (random() % 2 == 0) open.back().reset();
      open.pop_back();
    }
    open.clear();
    wait_for_connections(*server, 0);
    CHECK((server->get(sized(65537)).body == sized_content(65537)));
    finish(*server);
  }
}

}  // namespace bakeoff::conformance
