// Workers and helpers that die: what they held is given back, and others take their place.
#include <linux/futex.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <csignal>
#include <optional>
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
  Load(const Server& server, int connections, std::vector<std::size_t> of_sizes = {sizes.begin(), sizes.begin() + 12})
      : sizes_(std::move(of_sizes)), thread_([this, &server, connections] { work(server, connections); }) {}
  ~Load() { stop(); }

  void stop() {
    stop_ = true;
    if (thread_.joinable()) thread_.join();
  }
  long replies() const { return replies_; }
  long wrong() const { return wrong_; }

 private:
  // All of them ask before the first is heard, so that every worker has something to do.
  void work(const Server& server, int connections) {
    std::vector<Client> clients;
    for (int i = 0; i < connections; ++i) clients.push_back(server.connect());
    std::vector<std::size_t> asked(clients.size());
    std::mt19937 random(1);
    const auto try_to = [&](Client& client, const auto& act) {
      try {
        act();
      } catch (const std::exception& error) {
        // A reply may end with its worker; a server that hangs or refuses may not be.
        if (std::string(error.what()).find("early") == std::string::npos &&
            std::string(error.what()).find("within the head") == std::string::npos)
          ++wrong_;
        client.close();
      }
    };
    while (!stop_) {
      for (std::size_t i = 0; i < clients.size(); ++i) {
        try_to(clients[i], [&] {
          if (clients[i].fd() < 0) clients[i] = server.connect();
          asked[i] = sizes_[random() % sizes_.size()];
          clients[i].send(request(sized(asked[i])));
        });
      }
      for (std::size_t i = 0; i < clients.size(); ++i) {
        if (clients[i].fd() < 0) continue;
        try_to(clients[i], [&] {
          const std::optional<Reply> reply = clients[i].read_reply_or_end();
          if (!reply) return clients[i].close();  // with its worker
          if (reply->status != 200 || reply->body != sized_content(asked[i])) ++wrong_;
          ++replies_;
        });
      }
    }
  }

  std::vector<std::size_t> sizes_;
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

  // Idle connections: each is either gone at once with its worker, or still served. Half of them are the victim's, for
  // who is stopped accepts none; or one at most, where each process has one.
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

namespace {

// Whether the process holds a lock whose death the kernel would report: its list of such locks is not empty. Nothing
// when it may not be looked at.
std::optional<bool> holds_a_lock(pid_t pid) {
  robust_list_head* place = nullptr;
  std::size_t bytes = 0;
  if (syscall(SYS_get_robust_list, pid, &place, &bytes) != 0 || place == nullptr) return std::nullopt;
  robust_list_head head{};
  const iovec here{&head, sizeof head}, there{place, sizeof head};
  if (process_vm_readv(pid, &here, 1, &there, 1, 0) != static_cast<ssize_t>(sizeof head)) return std::nullopt;
  return head.list.next != &place->list;
}

}  // namespace

TEST_CASE("a process that is killed with the cache's lock in its hands takes nobody with it", "[workers]") {
  if (suite().architecture != "shared-symped") return;
  constexpr int workers = 4;
  // How many it takes to catch one with the lock is luck, and how long, the machine's: the last ones are not
  // insisted upon.
  constexpr int deaths = sanitized ? 10 : 30;
  constexpr std::int64_t patience_for_deaths_ms = 60'000;
  // Contents are copied under the lock, and one file has to make room for the other.
  Server server = serve({{"workers", std::to_string(workers)}, {"body", "buffer"}, {"cache-entries", "1"}});
  const auto complete = [&] { return children(server).size() >= workers; };
  REQUIRE(eventually(complete));
  for (int i = 0; i < 100; ++i) server.get(sized(sizes[static_cast<std::size_t>(i) % 12]));
  wait_for_connections(server, 0);
  const std::size_t descriptors = server.descriptors();
  int died = 0;
  bool may_look = true;
  {
    Load load(server, 16, {65535, 262144});
    const std::int64_t end_ms = now_ms() + patience_for_deaths_ms;
    std::mt19937 random(52);
    std::vector<pid_t> now;
    for (int tries = 0; died < deaths && now_ms() < end_ms; ++tries) {
      if (tries % 100 == 0) now = children(server);
      if (now.empty()) continue;
      const pid_t victim = now[random() % now.size()];
      kill(victim, SIGSTOP);
      while (!is_stopped(victim) && kill(victim, 0) == 0 && now_ms() < end_ms) {
      }
      const std::optional<bool> holds = holds_a_lock(victim);
      if (holds && *holds) {
        kill(victim, SIGKILL);
        ++died;
        now = children(server);
      } else {
        kill(victim, SIGCONT);
      }
      if (!holds && died == 0 && eventually(complete) && !holds_a_lock(children(server).front())) {
        WARN("skipped: this process may not look into another");
        may_look = false;
        break;
      }
    }
    const long so_far = load.replies();
    CHECK(eventually([&] { return load.replies() > so_far + 100; }));
    load.stop();
    CHECK(load.wrong() == 0);
  }
  if (may_look) CHECK(died > 0);
  if (may_look && died < deaths)
    WARN("only " << died << " of " << deaths << " were caught with the lock in their hands");
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
