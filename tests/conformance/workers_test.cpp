// Workers and helpers that die: what they held is given back, and others take their place.
#include <algorithm>
#include <atomic>
#include <csignal>
#include <random>
#include <thread>

#include "tests/conformance/suite.h"

namespace bakeoff::conformance {

namespace {

std::vector<pid_t> children(Server& server) {
  std::vector<pid_t> result = server.process().group();
  result.erase(std::remove(result.begin(), result.end(), server.pid()), result.end());
  std::sort(result.begin(), result.end());
  return result;
}

// Clients that ask and ask, each until its connection ends, and then anew.
class Load {
 public:
  Load(const Server& server, int connections) : thread_([this, &server, connections] { work(server, connections); }) {}
  ~Load() { stop(); }

  void stop() {
    stop_ = true;
    if (thread_.joinable()) thread_.join();
  }
  long replies() const { return replies_; }
  long wrong() const { return wrong_; }

 private:
  void work(const Server& server, int connections) {
    std::vector<Client> clients;
    for (int i = 0; i < connections; ++i) clients.push_back(server.connect());
    std::mt19937 random(1);
    while (!stop_) {
      for (Client& client : clients) {
        const std::size_t bytes = sizes[random() % 12];
        try {
          if (client.fd() < 0) client = server.connect();
          client.send(request(sized(bytes)));
          const std::optional<Reply> reply = client.read_reply_or_end();
          if (!reply) {
            client.close();  // with its worker
            client = server.connect();
            continue;
          }
          if (reply->status != 200 || reply->body != sized_content(bytes)) ++wrong_;
          ++replies_;
        } catch (const std::exception& error) {
          // A reply may end with its worker; a server that hangs or refuses may not be.
          if (std::string(error.what()).find("early") == std::string::npos && std::string(error.what()).find("within the head") == std::string::npos) ++wrong_;
          client.close();
        }
      }
    }
  }

  std::atomic<bool> stop_{false};
  std::atomic<long> replies_{0};
  std::atomic<long> wrong_{0};
  std::thread thread_;
};

}  // namespace

TEST_CASE("a worker process that is killed takes nobody with it", "[workers]") {
  if (!suite().processes || suite().has("helpers") || suite().description.at("workers").at("max") == 1) return;
  const int workers = suite().connection_per_worker ? 32 : 3;
  Server server = serve({{"workers", std::to_string(workers)}});
  const auto complete = [&] { return static_cast<int>(children(server).size()) >= workers; };
  REQUIRE(eventually(complete));
  const std::size_t processes = children(server).size();
  for (int i = 0; i < 100; ++i) server.get(sized(sizes[static_cast<std::size_t>(i) % 12]));
  wait_for_connections(server, 0);
  const std::size_t descriptors = server.descriptors();

  // Idle connections: each is either gone at once with its worker, or still served. Half of them are the victim's, for who is
  // stopped accepts none; or one at most, where each process has one.
  const std::vector<pid_t> before = children(server);
  const pid_t victim = before[before.size() / 2];
  constexpr int half = 12;
  const bool one_each = suite().connection_per_worker;
  std::vector<Client> clients;
  for (const bool by_victim : {false, true}) {
    for (const pid_t worker : before) {
      if (!one_each) kill(worker, (worker == victim) == by_victim ? SIGCONT : SIGSTOP);
    }
    for (int i = 0; i < half; ++i) {
      clients.push_back(server.connect());
      REQUIRE(clients.back().get(sized(102)).status == 200);
    }
  }
  for (const pid_t worker : before) kill(worker, SIGCONT);
  kill(victim, SIGKILL);
  CHECK(eventually([&] { return children(server).size() == processes && children(server) != before; }));
  int alive = 0;
  for (Client& client : clients) {
    client.send(request(sized(1024)));
    if (const auto reply = client.read_reply_or_end()) {
      CHECK((reply->body == sized_content(1024)));
      ++alive;
    }
  }
  CHECK(alive >= (one_each ? 2 * half - 1 : half));
  CHECK(alive <= (one_each ? 2 * half : half));
  CHECK(static_cast<int>(server.connections()) == alive);
  clients.clear();
  wait_for_connections(server, 0);
  CHECK(eventually([&] { return server.descriptors() <= descriptors; }));

  // Under load, at random moments: within a critical section sooner or later.
  {
    Load load(server, 16);
    std::mt19937 random(2007);
    for (int kills = 0; kills < (sanitized ? 8 : 40); ++kills) {
      sleep_ms(20 + static_cast<int>(random() % 30));
      if (!eventually(complete)) break;
      const std::vector<pid_t> now = children(server);
      kill(now[random() % now.size()], SIGKILL);
    }
    const long so_far = load.replies();
    CHECK(eventually([&] { return load.replies() > so_far + 100; }));
    load.stop();
    CHECK(load.wrong() == 0);
  }
  CHECK(eventually(complete));
  wait_for_connections(server, 0);
  CHECK(eventually([&] { return server.descriptors() <= descriptors; }));
  for (int i = 0; i < 50; ++i) CHECK((server.get(sized(65537)).body == sized_content(65537)));
  finish(server, Said::that_workers_were_killed);
}

TEST_CASE("a helper process that is killed takes no request with it", "[workers]") {
  const std::vector<std::string> helpers = suite().values("helpers");
  if (std::find(helpers.begin(), helpers.end(), "processes") == helpers.end()) return;
  // Without a cache every name is looked up by a helper.
  Server server = serve({{"helpers", "processes"}, {"cache-paths", "off"}, {"cache-files", "off"}});
  Client client = server.connect();
  CHECK((client.get(sized(1'048'576)).body == sized_content(1'048'576)));
  CHECK(children(server).size() >= 1);  // started on demand
  std::mt19937 random(1999);
  {
    Load load(server, 8);
    for (int kills = 0; kills < 20; ++kills) {
      sleep_ms(20);
      const std::vector<pid_t> now = children(server);
      if (!now.empty()) kill(now[random() % now.size()], SIGKILL);
    }
    const long so_far = load.replies();
    CHECK(eventually([&] { return load.replies() > so_far + 100; }));
    load.stop();
    CHECK(load.wrong() == 0);
  }
  CHECK((client.get(sized(1'048'576)).body == sized_content(1'048'576)));
  client.close();
  wait_for_connections(server, 0);
  finish(server, Said::that_workers_were_killed);
}

}  // namespace bakeoff::conformance
