// The property that defines each architecture, on a disk that holds bodies back until it is told to let them go: who
// waits, and who is served meanwhile. And who waits for a socket that is full, and who goes first when clients come.
#include <algorithm>
#include <csignal>
#include <filesystem>
#include <fstream>

#include "core/stats_region.h"
#include "tests/conformance/suite.h"
#include "tests/support/held_files.h"

namespace bakeoff::conformance {

namespace {

constexpr int pool = 3;

// How many bodies held back stop the server with the options given.
struct Bound {
  int held;
  Options options;
};

std::optional<Bound> bound_of(const std::string& architecture) {
  const std::string workers = std::to_string(pool);
  if (architecture == "symped" || architecture == "shared-symped" || architecture == "pipeline")
    return Bound{pool, {{"workers", workers}}};
  if (architecture == "thread-per-connection") {
    return Bound{pool, {{"workers", workers}, {"connections", "64"}}};
  }
  // Of all others by what they say of themselves. Helpers have a test of their own, below.
  if (suite().connection_per_worker) return Bound{pool, {{"workers", workers}}};
  if (suite().has("helpers")) return std::nullopt;
  if (suite().description.at("workers").at("max") == 1) return Bound{1, {}};
  WARN("skipped: " << architecture
                   << " has several workers and no helpers, and bound_of() does not know how many of them "
                      "wait for the disk; add it there");
  return std::nullopt;
}

std::map<std::string, std::string> files(int held) {
  std::map<std::string, std::string> contents{{"free.bin", test_content("free", 4096)}};
  for (int i = 0; i < held; ++i) contents["held-" + std::to_string(i)] = test_content("held" + std::to_string(i), 4096);
  return contents;
}

std::string held_name(int i) { return "held-" + std::to_string(i); }

bool can_hold() {
  std::string why_not;
  if (test::HeldFiles::available(why_not)) return true;
  WARN("skipped: " << why_not);
  return false;
}

// Bodies that are read from the disk while they are sent, as far as the server has them.
std::vector<std::string> disk_bodies() {
  std::vector<std::string> bodies;
  for (const std::string body : {"sendfile", "mmap"}) {
    const auto all = suite().values("body");
    if (std::find(all.begin(), all.end(), body) != all.end()) bodies.push_back(body);
  }
  return bodies;
}

std::vector<pid_t> helper_processes(const Server& server, Child& process) {
  std::vector<pid_t> helpers = process.group();
  std::erase(helpers, server.pid());
  return helpers;
}

// Told from other threads, which a sanitizer has, by the name that they give themselves.
std::size_t helper_threads(pid_t pid) {
  std::size_t count = 0;
  for (const auto& task : std::filesystem::directory_iterator("/proc/" + std::to_string(pid) + "/task")) {
    std::string name;
    std::getline(std::ifstream(task.path() / "comm"), name);
    if (name == "amped-helper") ++count;
  }
  return count;
}

}  // namespace

TEST_CASE("bodies held back stop the server at its bound, and no sooner", "[blocking]") {
  const auto bound = bound_of(suite().architecture);
  if (!bound || !can_hold()) return;
  for (const std::string& body : disk_bodies()) {
    INFO(body);
    const auto contents = files(pool);
    test::HeldFiles disk(contents);
    Options options = bound->options;
    options["body"] = body;
    Server server = serve_directory(disk.root(), options);
    std::vector<Client> stuck;
    for (int i = 0; i < bound->held; ++i) {
      INFO(i << " held back");
      for (int again = 0; again < 3; ++again) REQUIRE((server.get("/free.bin").body == contents.at("free.bin")));
      stuck.push_back(server.connect());
      stuck.back().send(request("/" + held_name(i)));
      REQUIRE(eventually([&] { return disk.waiting() == i + 1; }));
    }
    Client next = server.connect();
    next.send(request("/free.bin"));
    CHECK(next.read_some(300) == "");
    disk.release(held_name(0));
    CHECK((stuck[0].read_reply().body == contents.at(held_name(0))));
    if (suite().connection_per_worker) stuck[0].close();
    CHECK((next.read_reply().body == contents.at("free.bin")));
    for (int i = 1; i < bound->held; ++i) {
      disk.release(held_name(i));
      CHECK((stuck[static_cast<std::size_t>(i)].read_reply().body == contents.at(held_name(i))));
    }
    stuck.clear();
    next.close();
    wait_for_connections(server, 0);
    finish(server);
  }
}

TEST_CASE("helpers wait for the disk, one a miss up to their bound, and everybody else is served", "[blocking]") {
  if (!suite().has("helpers") || !can_hold()) return;
  constexpr int misses = 4;
  constexpr int most_helpers = 2;
  const bool processes = suite().values("helpers").front() == "processes";
  for (const std::string& body : disk_bodies()) {
    INFO(body);
    const auto contents = files(misses);
    test::HeldFiles disk(contents);
    Server server = serve_directory(disk.root(), {{"body", body}, {"workers", std::to_string(most_helpers)}});
    Client old = server.connect();
    REQUIRE(old.get("/free.bin").status == 200);
    std::vector<Client> stuck;
    for (int i = 0; i < misses; ++i) {
      stuck.push_back(server.connect());
      stuck.back().send(request("/" + held_name(i)));
      const int helpers = std::min(i + 1, most_helpers);
      REQUIRE(eventually([&] { return disk.waiting() == helpers; }));
      CHECK(eventually([&] {
        return (processes ? helper_processes(server, server.process()).size() : helper_threads(server.pid())) ==
               static_cast<std::size_t>(helpers);
      }));
      for (int again = 0; again < 20; ++again) CHECK((old.get("/free.bin").body == contents.at("free.bin")));
      CHECK(server.get("/free.bin").status == 200);
    }
    const nlohmann::ordered_json total = StatsRegion::of_process(server.pid()).to_json().at("total");
    CHECK(total.at("helpers_started") == most_helpers);
    CHECK(total.at("helper_queue_most").get<int>() >= misses - most_helpers);
    for (int i = 0; i < misses; ++i) {
      disk.release(held_name(i));
      CHECK((stuck[static_cast<std::size_t>(i)].read_reply().body == contents.at(held_name(i))));
    }
    stuck.clear();
    old.close();
    wait_for_connections(server, 0);
    CHECK(finish(server).at("total").at("helper_wait_ns").get<double>() > 1e6);
  }
}

TEST_CASE("clients that come go before or behind connections that are ready, as the server is told", "[blocking]") {
  const auto accept_priorities = suite().values("accept-priority");
  // Seen from outside only where the server may refuse: the one connection that it holds is done in the same moment in
  // which another comes. (Of user-level threads the unit tests see the order of events.)
  for (const std::string accept_priority : {"ready", "accepting"}) {
    if (std::find(accept_priorities.begin(), accept_priorities.end(), accept_priority) == accept_priorities.end())
      continue;
    INFO(accept_priority);
    const std::unique_ptr<Server> server = serve_unless_refused({{"accept-priority", accept_priority},
                                                                 {"admission", "refuse"},
                                                                 {"connections", "1"},
                                                                 {"workers", suite().has("helpers") ? "2" : "1"}});
    if (!server) return;
    for (int round = 0; round < 5; ++round) {
      Client inside = server->connect();
      REQUIRE(inside.get(sized(102)).status == 200);
      const std::vector<pid_t> processes = server->process().group();
      for (const pid_t pid : processes) {
        kill(pid, SIGSTOP);
        REQUIRE(eventually([&] { return is_stopped(pid); }));
      }
      inside.send(request(sized(102), "Connection: close\r\n"));
      Client comes = server->connect();
      comes.send(request(sized(102)));
      REQUIRE(eventually([&] {  // both are there when it looks
        const Server::Sockets sockets = server->sockets();
        return sockets.unread == 1 && sockets.to_accept == 1;
      }));
      for (const pid_t pid : processes) kill(pid, SIGCONT);
      CHECK(inside.read_reply().status == 200);
      CHECK(comes.read_reply().status == (accept_priority == "ready" ? 200 : 503));
      inside.close();
      comes.close();
      wait_for_connections(*server, 0);
    }
    finish(*server);
  }
}

TEST_CASE("a socket that stays full holds a worker for ever, for a second, or not at all", "[blocking]") {
  const auto sends = suite().values("send");
  if (suite().architecture != "thread-per-connection") return;
  for (const std::string send : {"poll-first", "timed", "blocking"}) {
    REQUIRE(std::find(sends.begin(), sends.end(), send) != sends.end());
    INFO(send);
    Server server = serve(
        {{"send", send}, {"workers", "1"}, {"connections", "64"}, {"body", "sendfile"}, {"send-buffer", "65536"}});
    REQUIRE(server.get(sized(1024)).status == 200);  // its name is known from now on
    Client stalled = server.connect(4096);
    stalled.send(request(sized(20'971'520)));
    stalled.read_some(patience_ms);
    const auto count = [&](const char* name) {
      return StatsRegion::of_process(server.pid()).to_json().at("total").at(name).get<int>();
    };
    if (send == "timed") {
      REQUIRE(eventually([&] { return count("room_waits") >= 1; }));
    } else {
      sleep_ms(100);  // until the socket is full
    }
    Client other = server.connect();
    if (send == "blocking") {
      other.send(request(sized(1024)));
      CHECK(other.read_some(2500) == "");
      stalled.close();
      CHECK((other.read_reply().body == sized_content(1024)));
    } else {
      std::int64_t longest_ms = 0, all_ms = 0;
      for (int i = 0; i < 3; ++i) {
        const std::int64_t begun_ms = now_ms();
        CHECK((other.get(sized(1024)).body == sized_content(1024)));
        longest_ms = std::max(longest_ms, now_ms() - begun_ms);
        all_ms += now_ms() - begun_ms;
      }
      if (send == "timed") {
        CHECK(all_ms > 1000);      // behind the stalled one each time
        CHECK(longest_ms < 2000);  // a second, and what a busy machine adds
        // It goes on where it was, though it has come back to the worker again and again.
        std::size_t body = 0;
        while (body < 1'000'000) {
          const std::size_t got = stalled.read_some(patience_ms).size();
          REQUIRE(got > 0);
          body += got;
        }
      } else {
        CHECK(count("room_waits") == 0);
        CHECK(longest_ms < 900);
      }
    }
    stalled.close();
    other.close();
    wait_for_connections(server, 0);
    finish(server);
  }
}

}  // namespace bakeoff::conformance
